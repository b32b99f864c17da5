"""SQLAlchemy: `create_engine("sqlite+replica:///app.db?sync_url=...&auth_token=...")`.

Everything that is said about SQLite holds, but a connection is one of
`sqlite_replica.connect`. Its arguments may stand in the URL, and so may the
options of `replica_attach`: `&live=true&namespace=one`. Pass a token in
`connect_args` rather than in a URL that is logged.

`sqlite+aioreplica` is the same for async engines, on aiosqlite.
"""

import json

from sqlalchemy.dialects.sqlite.aiosqlite import SQLiteDialect_aiosqlite
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

import sqlite_replica

_OF_CONNECT = ("sync_url", "auth_token", "binding")
# What sqlite3 itself takes, and SQLAlchemy reads from the URL.
_OF_SQLITE = {"timeout", "isolation_level", "detect_types", "check_same_thread", "cached_statements", "uri",
              "mode", "cache", "immutable", "vfs", "nolock", "psow", "modeof"}


def _value(text):
    """`true`, `2.5` as JSON has them; everything else is a text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _without_replica(url):
    """The URL that SQLite's dialect knows, and what is left for `connect`."""
    query, keywords, options = {}, {}, {}
    for name, value in url.query.items():
        if name in _OF_CONNECT:
            keywords[name] = value
        elif name == "offline":
            keywords[name] = _value(value)
        elif name in _OF_SQLITE:
            query[name] = value
        else:
            options[name] = _value(value)
    if options:
        keywords["options"] = options
    return url.set(query=query), keywords


class _Savepoints:
    """sqlite3 begins a transaction before a write and not before a SAVEPOINT, which then would commit at its RELEASE."""

    def do_savepoint(self, connection, name):
        if not connection.connection.dbapi_connection.in_transaction:
            connection.exec_driver_sql("BEGIN")
        super().do_savepoint(connection, name)


class Dialect(_Savepoints, SQLiteDialect_pysqlite):
    driver = "replica"
    supports_statement_cache = True

    @classmethod
    def import_dbapi(cls):
        return sqlite_replica

    def create_connect_args(self, url):
        url, keywords = _without_replica(url)
        arguments, given = super().create_connect_args(url)
        return arguments, {**given, **keywords}


class AsyncDialect(_Savepoints, SQLiteDialect_aiosqlite):
    driver = "aioreplica"
    supports_statement_cache = True

    def create_connect_args(self, url):
        url, keywords = _without_replica(url)
        arguments, given = super().create_connect_args(url)
        return arguments, {**given, **keywords, "async_creator_fn": sqlite_replica.connect_async}
