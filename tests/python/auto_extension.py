"""A program that runs something on each new connection of its SQLite, ours
among them (`sqlite3_auto_extension`): an exclusive lock of ours, or a
transaction that is left open, would keep everybody else out; other settings
must not matter.

Arguments: the library, the primary's URL, the database."""

import ctypes
import os
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

own.sqlite3_exec.argtypes = [ctypes.c_void_p, ctypes.c_char_p] + 3 * [ctypes.c_void_p]

# Of these, what is a replica already is refused: a connection that has read the
# log while it was exclusive keeps its index to itself for ever, and one whose
# extension fails is not opened by SQLite.
EXCLUSIVE = "PRAGMA locking_mode=EXCLUSIVE; SELECT count(*) FROM sqlite_master"
MEMORY = "PRAGMA journal_mode=MEMORY"
REFUSED = {EXCLUSIVE: "makes each connection exclusive", MEMORY: "attempt to write a readonly database"}
SETTINGS = [
    "PRAGMA locking_mode=EXCLUSIVE",
    EXCLUSIVE,
    "BEGIN",
    "BEGIN; SELECT count(*) FROM sqlite_master",
    "PRAGMA query_only=ON",
    MEMORY,
    "PRAGMA wal_autocheckpoint=1; PRAGMA synchronous=OFF; PRAGMA busy_timeout=0",
    "PRAGMA max_page_count=1; PRAGMA auto_vacuum=1; PRAGMA encoding='UTF-16'",
    "PRAGMA mmap_size=268435456; PRAGMA cache_size=1; PRAGMA secure_delete=ON",
    "CREATE TEMP TABLE t(i, x)",
]

def run(setting, path, again):
    db = sqlite3.connect(path, isolation_level=None)
    db.enable_load_extension(True)
    db.load_extension(library)
    met = []

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
    def on_each(connection, _error, _routines):
        met.append(own.sqlite3_exec(connection, setting.encode(), None, None, None))
        return 0

    assert own.sqlite3_auto_extension(on_each) == 0
    try:
        db.execute("SELECT replica_attach(?, NULL)", (url,)).fetchall()
    except sqlite3.OperationalError as error:
        assert again and setting in REFUSED and REFUSED[setting] in str(error), error
        return
    assert not again or setting not in REFUSED
    assert met and not any(met), met
    db.execute("SELECT replica_write('INSERT INTO t VALUES (2, ''second'')')").fetchall()
    (rows,) = db.execute("SELECT count(*) FROM main.t").fetchone()
    asked = "SELECT json_extract(row, '$[0]') FROM replica_query('SELECT count(*) FROM main.t')"
    assert db.execute(asked).fetchone() == (rows,)
    # A stranger reads, and copies the whole log: nothing of ours is in the way.
    stranger = f"""import sqlite3; db = sqlite3.connect({path!r}, timeout=1)
print(db.execute("SELECT count(*) FROM t").fetchall(), db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall())"""
    read = subprocess.run([sys.executable, "-c", stranger], capture_output=True, text=True)
    assert read.stdout == f"[({rows},)] [(0, 0, 0)]\n", read
    own.sqlite3_cancel_auto_extension(on_each)
    db.close()


for number, setting in enumerate(SETTINGS):
    # Attached twice: an empty file, and one that is a replica.
    for again in (0, 1):
        child = os.fork()
        if child == 0:
            try:
                run(setting, f"{path}{number}", again)
                os._exit(0)
            except BaseException as error:
                print(f"{setting}, {('first', 'again')[again]}: {error!r}", file=sys.stderr, flush=True)
                os._exit(1)
        assert os.waitpid(child, 0)[1] == 0, setting
