"""A host that unloads its SQLite while a replica of it is at work, and loads
it again: LIBRARY URL DATABASE."""

import _ctypes
import ctypes
import time

from raw import ask, copy, replica

LIVE = '{"live":true}'
path = copy()
sqlite = ctypes.CDLL(path)
left = replica(sqlite, "-left", LIVE)
assert ask(sqlite, left, "SELECT count(*) FROM t") == "1"
_ctypes.dlclose(sqlite._handle)
# The worker of the connection that was left goes on in the meantime.
time.sleep(0.3)
kept = [bytearray(1 << 20) for _ in range(20)]
sqlite = ctypes.CDLL(path)
again = replica(sqlite, "", LIVE)
assert ask(sqlite, again, "SELECT count(*) FROM t") == "1"
assert ask(sqlite, again, "SELECT replica_sync() ->> 'frames_synced'") == "0"
assert sqlite.sqlite3_close(again) == 0
