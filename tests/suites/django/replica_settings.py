"""Settings for Django's own tests: plain SQLite, or two replicas if SUITE_URLS names their primaries."""

import os

SECRET_KEY = "only for tests"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
USE_TZ = False
FOLDER = os.environ["SUITE_FOLDER"]
URLS = os.environ.get("SUITE_URLS", " ").split(" ")


def database(name, url):
    settings = {"ENGINE": "django.db.backends.sqlite3", "NAME": f"{FOLDER}/{name}.db",
                "TEST": {"NAME": f"{FOLDER}/test_{name}.db"}}
    if url:
        # SQLite 3.40 and older take their own JSON functions for the program's.
        options = {"sync_url": url, "options": {"trusted_schema": True}}
        settings.update(ENGINE="sqlite_replica.django", OPTIONS=options)
    return settings


DATABASES = {"default": database("default", URLS[0]), "other": database("other", URLS[1])}
