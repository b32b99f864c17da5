"""gunicorn's configuration for flask_app.py and django_app.py."""

import os

import sqlite_replica

workers = 2
# The app is loaded once, before the fork. SQLAlchemy opens connections when they are used, which is after it.
preload_app = True


def post_fork(server, worker):
    """One connection of each worker is live: it keeps the file fresh, for the pool as well."""
    worker.fresh = sqlite_replica.connect(
        os.environ.get("APP_DB", "app.db"), sync_url=os.environ["REPLICA_URL"],
        options={"live": True, "timeout": 5}, check_same_thread=False)
