"""`connect`: a DB-API connection that is an embedded replica, and its async form."""

import os
import sqlite3

from ._replica import LEGACY_TRANSACTION_CONTROL


def connect(database, timeout=5.0, detect_types=0, isolation_level="DEFERRED", check_same_thread=True,
            cached_statements=128, uri=False, *, autocommit=LEGACY_TRANSACTION_CONTROL, sync_url=None, auth_token=None, sync_interval=None, offline=False,
            encryption_key=None, namespace=None, options=None, binding=None):
    """Opens `database`, a file, as a replica of the primary at `sync_url`.

    What only reads runs in the file; everything else goes to the primary and is
    readable here when it returns. Without `sync_url` it is an ordinary database.

    With `offline` a write that finds no primary is queued, and delivered by the next sync.

    `options` are those of `replica_attach`, such as `{"live": True}`. `binding`
    is "sqlite3" or "apsw"; by default sqlite3, and apsw where Python's sqlite3
    cannot load extensions.
    """
    if encryption_key:
        raise sqlite3.NotSupportedError("a replica is a plain SQLite file: put it on an encrypted disk instead")
    database = os.fsdecode(database) if isinstance(database, (bytes, os.PathLike)) else database
    if sync_url is None and "://" in database and not uri:
        raise sqlite3.NotSupportedError("a replica needs a file: connect(path, sync_url=...)")
    if offline and isolation_level is not None and autocommit is not True:
        raise sqlite3.NotSupportedError("offline: a write is queued by itself, and a transaction needs the primary; give isolation_level=None")
    given = dict(options or {})
    for name, value in (("sync_interval", sync_interval), ("namespace", namespace), ("offline_writes", offline)):
        if value:
            given[name] = value
    given.setdefault("busy_timeout", timeout)
    # This module ends the transaction on the primary by itself.
    given.setdefault("local_transactions", False)
    keywords = dict(timeout=timeout, detect_types=detect_types, isolation_level=isolation_level,
                    check_same_thread=check_same_thread, cached_statements=cached_statements, uri=uri)
    if autocommit not in (True, False, LEGACY_TRANSACTION_CONTROL):
        raise ValueError("autocommit must be True, False, or sqlite_replica.LEGACY_TRANSACTION_CONTROL")
    if sync_url is None and autocommit != LEGACY_TRANSACTION_CONTROL:
        keywords["autocommit"] = autocommit
    connection = _connection_class(binding if sync_url is not None else "sqlite3")(database, **keywords)
    if sync_url is not None:
        try:
            connection.attach(sync_url, auth_token or None, given)
            connection._autocommit, connection._detect_types = autocommit, detect_types
        except BaseException:
            connection.close()
            raise
    return connection


def connect_async(database, **keywords):
    """The same as a connection of aiosqlite, to be awaited or used with `async with`."""
    import aiosqlite

    return aiosqlite.Connection(lambda: connect(database, **keywords), iter_chunk_size=64)


def _connection_class(binding):
    if binding is None:
        binding = "sqlite3" if hasattr(sqlite3.Connection, "enable_load_extension") else "apsw"
    if binding == "sqlite3":
        from ._sqlite3 import Connection
    elif binding == "apsw":
        from ._apsw import Connection
    else:
        raise ValueError(f'binding must be "sqlite3" or "apsw", not {binding!r}')
    return Connection
