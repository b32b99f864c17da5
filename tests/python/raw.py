"""A copy of the system's SQLite that nobody else in this process uses, by
ctypes: argv is LIBRARY URL DATABASE."""

import ctypes
import ctypes.util
import shutil
import sys
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


def replica(sqlite, name="", options="{}"):
    """A connection that is attached."""
    db = ctypes.c_void_p()
    assert sqlite.sqlite3_open(f"{DATABASE}{name}".encode(), ctypes.byref(db)) == 0
    message = ctypes.c_char_p()
    sqlite.sqlite3_enable_load_extension(db, 1)
    code = sqlite.sqlite3_load_extension(db, LIBRARY.encode(), None, ctypes.byref(message))
    assert code == 0, message.value
    ask(sqlite, db, f"SELECT replica_attach('{URL}', NULL, '{options}')")
    return db


def copy():
    """Path of the copy."""
    path = DATABASE + ".libsqlite3.so"
    shutil.copy(system_sqlite(), path)
    return path
