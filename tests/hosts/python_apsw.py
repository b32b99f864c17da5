"""apsw, which brings the newest SQLite: story LIBRARY URL DATABASE"""

import json
import sys

import apsw

LIBRARY, URL, DATABASE = sys.argv[1:4]


def open_replica(path, options="{}"):
    db = apsw.Connection(path)
    db.enable_load_extension(True)
    db.load_extension(LIBRARY)
    db.enable_load_extension(False)
    db.execute("SELECT replica_attach(?, NULL, ?)", (URL, options)).get
    return db


def write(db, sql, *args):
    """Runs one statement on the primary; it is readable here afterwards."""
    marks = ", ?" * len(args)
    return json.loads(db.execute(f"SELECT replica_write(?{marks})", (sql, *args)).get)


db = open_replica(DATABASE)
print("step: load", db.execute("SELECT replica_version()").get, "SQLite", apsw.sqlite_lib_version())
print("step: attach", db.execute("SELECT frame_no FROM replica_status").get)

assert db.execute("SELECT item FROM orders WHERE id = ?", (7,)).get == "lantern"
print("step: read")

written = write(db, "INSERT INTO orders(item) VALUES (?)", "kite")
assert written["rows_affected"] == 1 and written["last_insert_rowid"] == 8, written
assert db.execute("SELECT item FROM orders WHERE id = 8").get == "kite"
print("step: write")

assert write(db, "INSERT INTO orders(item) VALUES (?) RETURNING id", "drum")["rows"] == [[9]]
print("step: returning")

try:
    write(db, "INSERT INTO orders(item) VALUES (?)", "kite")
    sys.exit("no ConstraintError")
except apsw.ConstraintError as error:
    assert error.extendedresult == apsw.SQLITE_CONSTRAINT_UNIQUE, error.extendedresult
    print("step: constraint", error)

try:
    db.execute("INSERT INTO orders(item) VALUES ('stray')")
    sys.exit("a plain write was not refused")
except apsw.ReadOnlyError as error:
    print("step: readonly", error)

other = open_replica(DATABASE + "-other")
write(other, "INSERT INTO orders(item) VALUES (?)", "rope")
db.execute("SELECT replica_sync()").get
assert db.execute("SELECT count(*) FROM orders WHERE item = 'rope'").get == 1
print("step: sync")

db.close()
db = open_replica(DATABASE, '{"live": true}')
frame_no = write(other, "INSERT INTO orders(item) VALUES (?)", "flute")["frame_no"]
db.execute("SELECT replica_wait(?, 10)", (frame_no,)).get
assert db.execute("SELECT count(*) FROM orders WHERE item = 'flute'").get == 1
print("step: live")

db.close()
other.close()
