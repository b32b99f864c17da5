"""Attach, read, write with every type, sync, errors as this host's exceptions."""

import sys

import apsw

from host import URL, connect, on_primary, raises, report, value

print("apsw", apsw.apsw_version(), "SQLite", apsw.sqlite_lib_version())
db = connect()
assert value(db, "SELECT replica_version()").startswith("v")
assert apsw.sqlite_lib_version() in value(db, "SELECT replica_debug()")

status = report(db, "SELECT replica_attach(?, NULL)", URL)
assert status["sync_url"] == URL, status
assert value(db, "SELECT item FROM orders WHERE id = 7") == "lantern"

# Write, and read it back at once.
written = report(db, "SELECT replica_write('INSERT INTO orders(item) VALUES (?) RETURNING id', ?)", "kite")
assert written["rows"] == [[8]] and written["synced"] is True, written
assert value(db, "SELECT item FROM orders WHERE id = 8") == "kite"

# A frame number may come back as the types that other languages bind.
frame_no = written["frame_no"]
for same in (frame_no, float(frame_no), str(frame_no)):
    assert value(db, "SELECT replica_wait(?, '1')", same) >= frame_no
for bad in (0.5, 2.0**60, "soon", "", None):
    raises(apsw.SQLError, "position must be the text of that name in a result, or a frame number", value, db, "SELECT replica_wait(?)", bad)

# Values of every type go there and come back as they were.
report(db, "SELECT replica_write('CREATE TABLE v(i INTEGER PRIMARY KEY, x)')")
values = [None, 0, -(2**63), 2**63 - 1, 0.1, 2.0, float("inf"), "", "ä€𝄞\n'\"", b"", b"\x00\xff", bytes(100_000)]
for i, x in enumerate(values):
    report(db, "SELECT replica_write('INSERT INTO v VALUES (?, ?)', ?, ?)", i, x)
found = [x for (x,) in db.execute("SELECT x FROM v ORDER BY i")]
assert found == values and [type(x) for x in found] == [type(x) for x in values], found

# What others wrote.
on_primary("INSERT INTO orders(item) VALUES ('drum')")
assert value(db, "SELECT count(*) FROM orders WHERE item = 'drum'") == 0
synced = report(db, "SELECT replica_sync()")
assert synced["frames_synced"] > 0 and synced["reset"] is False, synced
assert value(db, "SELECT count(*) FROM orders WHERE item = 'drum'") == 1

# Several statements are one transaction.
error = raises(
    apsw.ConstraintError,
    "UNIQUE constraint failed: orders.item",
    report,
    db,
    "SELECT replica_write('DELETE FROM orders; INSERT INTO orders(item) VALUES (1), (1)')",
)
assert error.extendedresult == 2067, error.extendedresult  # SQLITE_CONSTRAINT_UNIQUE
assert value(db, "SELECT count(*) FROM orders") == 3

# Errors are the exceptions that this host knows.
sql = "SELECT replica_write('INSERT INTO orders(item) VALUES (?)', 'kite')"
assert raises(apsw.ConstraintError, "replica_write: ", value, db, sql).extendedresult == 2067
raises(apsw.SQLError, "no such table: nowhere", value, db, "SELECT replica_write('DELETE FROM nowhere')")
raises(apsw.ReadOnlyError, "attempt to write a readonly database", db.execute, "DELETE FROM orders")
raises(apsw.SQLError, "replica_sync: ", value, db, "SELECT replica_sync('x')")

# None of them hurts a transaction of the user.
db.execute("CREATE TEMP TABLE mine(x)")
db.execute("BEGIN")
db.execute("INSERT INTO mine VALUES (1)")
for sql in ("SELECT replica_write('DELETE FROM nowhere')", "SELECT replica_sync('x')", "SELECT replica_attach('x')"):
    raises(apsw.Error, "replica_", value, db, sql)
    assert db.in_transaction
    db.execute("INSERT INTO mine VALUES (2)")
db.execute("COMMIT")
assert value(db, "SELECT count(*) FROM mine") == 4

# No statement is left busy, and nothing keeps the connection from closing.
assert value(db, "SELECT state FROM replica_status") is not None
assert value(db, "SELECT replica_detach()") == 1
raises(apsw.MisuseError, "attached", value, db, "SELECT replica_sync()")
db.close()

# A connection closed while attached, and a second one on the same file.
first, second = connect(), connect()
for db in (first, second):
    report(db, "SELECT replica_attach(?)", URL)
report(first, "SELECT replica_write('INSERT INTO orders(item) VALUES (''rope'')')")
assert value(second, "SELECT count(*) FROM orders WHERE item = 'rope'") == 1
first.close()
second.close()
sys.exit(0)
