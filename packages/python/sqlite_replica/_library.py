"""Where the library is, and how it gets into a connection."""

import inspect
import os
from pathlib import Path

NO_EXTENSIONS = (
    "this Python was built without loadable extensions (its sqlite3 has no enable_load_extension); "
    "use the system's python3, or the package apsw"
)


def loadable_path():
    """The library's path, for `.load` and `load_extension()`.

    SQLITE_REPLICA_PATH in the environment names another one, for programs that
    are frozen or bundled without the library beside this file.
    """
    if "SQLITE_REPLICA_PATH" in os.environ:
        return os.environ["SQLITE_REPLICA_PATH"]
    folder = Path(__file__).resolve().parent
    for name in ("replica.so", "replica.dylib", "replica.dll"):
        if (folder / name).exists():
            return str(folder / name)
    raise FileNotFoundError(f"there is no replica.so in {folder}; set SQLITE_REPLICA_PATH to where the library is")


def load(connection):
    """Loads the extension into a connection of sqlite3 or apsw."""
    if not hasattr(connection, "enable_load_extension"):
        if hasattr(connection, "run_async"):
            raise TypeError(
                "this is SQLAlchemy's cover of an async connection; "
                "use connection.run_async(sqlite_replica.load_async)"
            )
        raise RuntimeError(NO_EXTENSIONS)
    answer = connection.enable_load_extension(True)
    if inspect.isawaitable(answer):
        # Nobody will await it, and Python warns about coroutines that are dropped.
        getattr(answer, "close", lambda: None)()
        raise TypeError("this connection is async: use `await sqlite_replica.load_async(connection)`")
    try:
        connection.load_extension(loadable_path())
    finally:
        connection.enable_load_extension(False)


async def load_async(connection):
    """Loads the extension into a connection of aiosqlite, or of another library whose methods are awaited."""
    await connection.enable_load_extension(True)
    try:
        await connection.load_extension(loadable_path())
    finally:
        await connection.enable_load_extension(False)
