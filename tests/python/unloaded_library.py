"""A host that unloads its SQLite while a replica of it is at work, and loads
it again: LIBRARY URL DATABASE. By ctypes, on a copy of the system's SQLite
that nobody else in this process uses."""

import _ctypes
import ctypes
import ctypes.util
import shutil
import sys
import time
from pathlib import Path

LIBRARY, URL, DATABASE = sys.argv[1:4]


def system_sqlite():
    """The file behind the name that the linker knows."""
    maps = Path("/proc/self/maps")
    name = ctypes.util.find_library("sqlite3")
    if name is None:
        print("skipped: the system has no libsqlite3")
        sys.exit(0)
    ctypes.CDLL(name)
    return next(line.split()[-1] for line in maps.read_text().splitlines() if "libsqlite3" in line)


def ask(sqlite, db, sql):
    """The only value of the only row."""
    answer = []
    row = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(ctypes.c_char_p), ctypes.c_void_p)

    def take(_, __, values, ___):
        answer.append(values[0])
        return 0

    message = ctypes.c_char_p()
    code = sqlite.sqlite3_exec(db, sql.encode(), row(take), None, ctypes.byref(message))
    assert code == 0, (sql, code, message.value)
    return answer[0].decode() if answer and answer[0] is not None else None


def replica(sqlite, name):
    db = ctypes.c_void_p()
    assert sqlite.sqlite3_open(f"{DATABASE}{name}".encode(), ctypes.byref(db)) == 0
    message = ctypes.c_char_p()
    sqlite.sqlite3_enable_load_extension(db, 1)
    code = sqlite.sqlite3_load_extension(db, LIBRARY.encode(), None, ctypes.byref(message))
    assert code == 0, message.value
    ask(sqlite, db, f"SELECT replica_attach('{URL}', NULL, '{{\"live\":true}}')")
    return db


copy = DATABASE + ".libsqlite3.so"
shutil.copy(system_sqlite(), copy)
sqlite = ctypes.CDLL(copy)
left = replica(sqlite, "-left")
assert ask(sqlite, left, "SELECT count(*) FROM t") == "1"
_ctypes.dlclose(sqlite._handle)
# The worker of the connection that was left goes on in the meantime.
time.sleep(0.3)
kept = [bytearray(1 << 20) for _ in range(20)]
sqlite = ctypes.CDLL(copy)
again = replica(sqlite, "")
assert ask(sqlite, again, "SELECT count(*) FROM t") == "1"
assert ask(sqlite, again, "SELECT replica_sync() ->> 'frames_synced'") == "0"
assert sqlite.sqlite3_close(again) == 0
