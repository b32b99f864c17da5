"""A program that runs something on each new connection of its SQLite, ours
among them (`sqlite3_auto_extension`): an exclusive lock of ours would keep
everybody else out.

Arguments: the library, the primary's URL, the database."""

import ctypes
import sqlite3
import subprocess
import sys

library, url, path = sys.argv[1:]
if not hasattr(sqlite3.Connection, "enable_load_extension"):
    print("skipped: this python loads no extensions")
    sys.exit()
try:
    own = ctypes.CDLL("libsqlite3.so.0")
except OSError as error:
    print(f"skipped: {error}")
    sys.exit()
if sqlite3.sqlite_version.encode() != ctypes.c_char_p(
    ctypes.cast(own.sqlite3_libversion, ctypes.CFUNCTYPE(ctypes.c_char_p))()
).value:
    print("skipped: this python has another SQLite")
    sys.exit()

db = sqlite3.connect(path, isolation_level=None)
db.enable_load_extension(True)
db.load_extension(library)

own.sqlite3_exec.argtypes = [ctypes.c_void_p, ctypes.c_char_p] + 3 * [ctypes.c_void_p]
met = []


@ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
def on_each(connection, _error, _routines):
    met.append(own.sqlite3_exec(connection, b"PRAGMA locking_mode=EXCLUSIVE", None, None, None))
    return 0


assert own.sqlite3_auto_extension(on_each) == 0
db.execute("SELECT replica_attach(?, NULL)", (url,)).fetchall()
assert met and not any(met), met
db.execute("SELECT replica_write('INSERT INTO t VALUES (2, ''second'')')").fetchall()
assert db.execute("SELECT count(*) FROM t").fetchone() == (2,)
count = [sys.executable, "-c", f"import sqlite3; print(sqlite3.connect({path!r}, timeout=1).execute('SELECT count(*) FROM t').fetchone()[0])"]
read = subprocess.run(count, capture_output=True, text=True)
assert read.stdout == "2\n", read
own.sqlite3_cancel_auto_extension(on_each)
db.close()
