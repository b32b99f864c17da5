"""The loadable SQLite extension sqlite-replica, as a Python package.

    import sqlite3, sqlite_replica

    db = sqlite3.connect("app.db")
    sqlite_replica.load(db)
    db.execute("SELECT replica_attach(?, ?)", (url, token))

`load` takes connections of sqlite3 and of apsw, or anything else with
`enable_load_extension` and `load_extension`.
"""

from pathlib import Path

__all__ = ["loadable_path", "load"]


def loadable_path():
    """The library's path, for `.load` and `load_extension()`."""
    folder = Path(__file__).resolve().parent
    for name in ("replica.so", "replica.dylib", "replica.dll"):
        if (folder / name).exists():
            return str(folder / name)
    raise FileNotFoundError(f"there is no library in {folder}")


def load(connection):
    """Loads the extension into a connection."""
    if not hasattr(connection, "enable_load_extension"):
        raise RuntimeError(
            "this Python was built without loadable extensions (its sqlite3 has no enable_load_extension); "
            "use the system's python3, or the package apsw"
        )
    connection.enable_load_extension(True)
    try:
        connection.load_extension(loadable_path())
    finally:
        connection.enable_load_extension(False)


def _print_path():
    print(loadable_path())
