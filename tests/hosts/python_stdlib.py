"""Python's own sqlite3 module: story LIBRARY URL DATABASE

Debian's python3 may load extensions; a Python built by pyenv often may not
(no `enable_load_extension`): use apsw there."""

import json
import sqlite3
import sys

LIBRARY, URL, DATABASE = sys.argv[1:4]


def open_replica(path, options="{}"):
    db = sqlite3.connect(path)
    db.enable_load_extension(True)
    db.load_extension(LIBRARY)
    db.enable_load_extension(False)
    db.execute("SELECT replica_attach(?, NULL, ?)", (URL, options))
    return db


def write(db, sql, *args):
    """Runs one statement on the primary; it is readable here afterwards."""
    marks = ", ?" * len(args)
    (text,) = db.execute(f"SELECT replica_write(?{marks})", (sql, *args)).fetchone()
    return json.loads(text)


db = open_replica(DATABASE)
print("step: load", db.execute("SELECT replica_version()").fetchone()[0], "SQLite", sqlite3.sqlite_version)
print("step: attach", db.execute("SELECT frame_no FROM replica_status").fetchone()[0])

assert db.execute("SELECT item FROM orders WHERE id = ?", (7,)).fetchone() == ("lantern",)
print("step: read")

written = write(db, "INSERT INTO orders(item) VALUES (?)", "kite")
assert written["rows_affected"] == 1 and written["last_insert_rowid"] == 8, written
assert db.execute("SELECT item FROM orders WHERE id = 8").fetchone() == ("kite",)
print("step: write")

assert write(db, "INSERT INTO orders(item) VALUES (?) RETURNING id", "drum")["rows"] == [[9]]
print("step: returning")

try:
    write(db, "INSERT INTO orders(item) VALUES (?)", "kite")
    sys.exit("no IntegrityError")
except sqlite3.IntegrityError as error:
    assert error.sqlite_errorname == "SQLITE_CONSTRAINT_UNIQUE", error.sqlite_errorname
    print("step: constraint", error)

# `with`: Python begins a transaction before an INSERT, and this ends it.
try:
    with db:
        db.execute("INSERT INTO orders(item) VALUES ('stray')")
    sys.exit("a plain write was not refused")
except sqlite3.OperationalError as error:
    assert "readonly" in str(error), error
    print("step: readonly", error)

other = open_replica(DATABASE + "-other")
write(other, "INSERT INTO orders(item) VALUES (?)", "rope")
db.execute("SELECT replica_sync()")
assert db.execute("SELECT count(*) FROM orders WHERE item = 'rope'").fetchone() == (1,)
print("step: sync")

db.close()
db = open_replica(DATABASE, '{"live": true}')
frame_no = write(other, "INSERT INTO orders(item) VALUES (?)", "flute")["frame_no"]
db.execute("SELECT replica_wait(?, 10)", (frame_no,))
assert db.execute("SELECT count(*) FROM orders WHERE item = 'flute'").fetchone() == (1,)
print("step: live")

db.close()
other.close()
