"""Django over Python's sqlite3: story LIBRARY URL DATABASE

Models read the local file; writes are calls of replica_write."""

import json
import sys

import django
from django.conf import settings
from django.db import connection, connections, models
from django.db.backends.signals import connection_created
from django.db.utils import IntegrityError, OperationalError

LIBRARY, URL, DATABASE = sys.argv[1:4]

# `replica` in OPTIONS would reach sqlite3.connect, so it stands beside them.
settings.configure(
    DATABASES={
        "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": DATABASE},
        "live": {"ENGINE": "django.db.backends.sqlite3", "NAME": DATABASE, "REPLICA": {"live": True}},
        "other": {"ENGINE": "django.db.backends.sqlite3", "NAME": DATABASE + "-other"},
    },
    INSTALLED_APPS=[],
)
django.setup()


def attach(sender, connection, **kwargs):
    """In a project: in the ready() of an AppConfig."""
    options = json.dumps(connection.settings_dict.get("REPLICA", {}))
    raw = connection.connection
    raw.enable_load_extension(True)
    raw.load_extension(LIBRARY)
    raw.enable_load_extension(False)
    raw.execute("SELECT replica_attach(?, NULL, ?)", (URL, options))


connection_created.connect(attach)


class Order(models.Model):
    item = models.TextField(unique=True)

    class Meta:
        app_label = "shop"
        db_table = "orders"
        managed = False  # migrations run on the primary


def replica(function, *args, using=connection):
    """SELECT function(args): `replica("replica_write", sql, arg, ...)`."""
    with using.cursor() as cursor:
        cursor.execute(f"SELECT {function}({', '.join(['%s'] * len(args))})", args)
        return cursor.fetchone()[0]


def write(sql, *args, using=connection):
    """Runs one statement on the primary; it is readable here afterwards."""
    return json.loads(replica("replica_write", sql, *args, using=using))


print("step: load", replica("replica_version"))
with connection.cursor() as cursor:
    cursor.execute("SELECT frame_no FROM replica_status")
    print("step: attach", cursor.fetchone()[0])

assert Order.objects.get(id=7).item == "lantern"
print("step: read")

assert write("INSERT INTO orders(item) VALUES (?)", "kite")["rows_affected"] == 1
assert Order.objects.get(item="kite").id == 8
print("step: write")

assert write("INSERT INTO orders(item) VALUES (?) RETURNING id", "drum")["rows"] == [[9]]
print("step: returning")

try:
    write("INSERT INTO orders(item) VALUES (?)", "kite")
    sys.exit("no IntegrityError")
except IntegrityError as error:
    print("step: constraint", error)

try:
    Order.objects.create(item="stray")
    sys.exit("a plain write was not refused")
except OperationalError as error:
    assert "readonly" in str(error), error
    print("step: readonly", error)

other = connections["other"]
write("INSERT INTO orders(item) VALUES (?)", "rope", using=other)
replica("replica_sync")
assert Order.objects.filter(item="rope").exists()
print("step: sync")

live = connections["live"]
live.ensure_connection()
frame_no = write("INSERT INTO orders(item) VALUES (?)", "flute", using=other)["frame_no"]
replica("replica_wait", frame_no, 10, using=live)
assert Order.objects.using("live").filter(item="flute").exists()
print("step: live")

connections.close_all()
