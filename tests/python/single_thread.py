"""A host that has switched SQLite's mutexes off: LIBRARY URL DATABASE."""

import ctypes

from raw import ask, copy, replica

SQLITE_CONFIG_SINGLETHREAD = 1
sqlite = ctypes.CDLL(copy())
assert sqlite.sqlite3_config(SQLITE_CONFIG_SINGLETHREAD) == 0
connection = replica(sqlite)
assert ask(sqlite, connection, "SELECT count(*) FROM t") == "1"
try:
    replica(sqlite, "-live", '{"live":true}')
except AssertionError as error:
    assert "without threads" in str(error), error
else:
    raise AssertionError("a worker was started")
assert ask(sqlite, connection, "SELECT replica_sync() ->> 'frames_synced'") == "0"
assert sqlite.sqlite3_close(connection) == 0
