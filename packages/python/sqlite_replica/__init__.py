"""The loadable SQLite extension sqlite-replica, and a DB-API module on it.

A connection whose SELECTs read the file and whose writes go to the primary:

    import sqlite_replica

    db = sqlite_replica.connect("app.db", sync_url=url, auth_token=token)
    db.execute("INSERT INTO orders(item) VALUES (?)", ("kite",))
    db.commit()

The bare extension, for connections of sqlite3 and apsw:

    import sqlite3, sqlite_replica

    db = sqlite3.connect("app.db")
    sqlite_replica.load(db)
    db.execute("SELECT replica_attach(?, ?)", (url, token))
"""

# The module's face is that of sqlite3 (PEP 249), so that code for one runs with the other.
from sqlite3 import (
    PARSE_COLNAMES, PARSE_DECLTYPES, Binary, DatabaseError, DataError, Date, DateFromTicks, Error, IntegrityError,
    InterfaceError, InternalError, NotSupportedError, OperationalError, ProgrammingError, Row, Time, TimeFromTicks,
    Timestamp, TimestampFromTicks, Warning, adapters, converters, register_adapter, register_converter, sqlite_version,
    sqlite_version_info,
)

from ._connect import connect, connect_async
from ._library import load, load_async, loadable_path
from ._replica import LEGACY_TRANSACTION_CONTROL
from ._sqlite3 import Connection, Cursor

apilevel = "2.0"
paramstyle = "qmark"
threadsafety = 1

__all__ = [
    "PARSE_COLNAMES", "PARSE_DECLTYPES", "Binary", "Connection", "Cursor", "DataError", "DatabaseError", "Date",
    "DateFromTicks", "Error", "IntegrityError", "InterfaceError", "InternalError", "LEGACY_TRANSACTION_CONTROL", "NotSupportedError",
    "OperationalError", "ProgrammingError", "Row", "Time", "TimeFromTicks", "Timestamp", "TimestampFromTicks",
    "Warning", "adapters", "apilevel", "connect", "connect_async", "converters", "load", "load_async", "loadable_path", "paramstyle",
    "register_adapter", "register_converter", "sqlite_version", "sqlite_version_info", "threadsafety",
]
