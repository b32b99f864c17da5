"""Django's SQLite backend on connections of `sqlite_replica.connect`.

    DATABASES = {
        "default": {
            "ENGINE": "sqlite_replica.django",
            "NAME": BASE_DIR / "app.db",
            "OPTIONS": {"sync_url": "libsql://...", "auth_token": "..."},
        }
    }

OPTIONS takes what `connect` takes. Queries outside of `atomic()` read the file;
inside they see the transaction, which is on the primary. Functions that Django
registers in the local SQLite (regular expressions, parts of dates) do not exist
there: outside of `atomic()` they work.
"""

from django.db.backends.sqlite3 import base
from django.db.backends.sqlite3._functions import register as register_functions
from django.utils.asyncio import async_unsafe

import sqlite_replica


class ReplicaCursor(base.SQLiteCursorWrapper, sqlite_replica.Cursor):
    """Django's way of writing parameters, on a cursor that knows the primary."""


class DatabaseWrapper(base.DatabaseWrapper):
    display_name = "SQLite replica"
    Database = sqlite_replica

    @async_unsafe
    def get_new_connection(self, conn_params):
        connection = sqlite_replica.connect(**conn_params, binding="sqlite3")
        register_functions(connection)
        connection.execute("PRAGMA foreign_keys = ON")
        for command in self.init_commands:
            if command.strip():
                connection.execute(command.strip())
        return connection

    def create_cursor(self, name=None):
        return self.connection.cursor(factory=ReplicaCursor)
