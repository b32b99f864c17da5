"""A schema that calls a function of the application wherever SQLite lets a
schema call one. `make FILE` writes it; `read LIBRARY URL DATABASE` replicates it
and looks which of the calls happen."""

import sys

import apsw

PARTS = {
    "view": "SELECT * FROM v",
    "generated": "SELECT b FROM g",
    "check": "PRAGMA integrity_check",
    "expression index": "SELECT count(*) FROM i INDEXED BY ix WHERE app_danger(a, 'expression index') = 'x'",
    "partial index": "PRAGMA integrity_check('p')",
    "trigger": "INSERT INTO v VALUES (1)",
    "default": "SELECT * FROM d",
}
SCHEMA = """
CREATE TABLE t(a); INSERT INTO t VALUES (1);
CREATE VIEW v AS SELECT app_danger(a, 'view') AS a FROM t;
CREATE TABLE g(a, b AS (app_danger(a, 'generated'))); INSERT INTO g VALUES (1);
CREATE TABLE c(a CHECK (app_danger(a, 'check') IS NOT NULL)); INSERT INTO c VALUES (1);
CREATE TABLE i(a); INSERT INTO i VALUES (1); CREATE INDEX ix ON i(app_danger(a, 'expression index'));
CREATE TABLE p(a); INSERT INTO p VALUES (1); CREATE INDEX px ON p(a) WHERE app_danger(a, 'partial index') IS NOT NULL;
CREATE TRIGGER tr INSTEAD OF INSERT ON v BEGIN SELECT app_danger(new.a, 'trigger'); END;
CREATE TABLE d(a, b DEFAULT (app_danger(1, 'default'))); INSERT INTO d(a) VALUES (1);
"""
called = set()


def app_danger(value, part):
    called.add(part)
    return "x"


def define(connection):
    connection.create_scalar_function("app_danger", app_danger, 2, deterministic=True)


def make(path):
    db = apsw.Connection(path)
    define(db)
    db.execute(SCHEMA)
    db.close()


def read(library, url, path, options):
    """What of the schema was run by reading, and what the reader was told."""
    db = apsw.Connection(path)
    define(db)
    db.enable_load_extension(True)
    db.load_extension(library)
    called.clear()
    db.execute("SELECT replica_attach(?, NULL, ?)", (url, options)).fetchall()
    said = {}
    for part, sql in PARTS.items():
        try:
            said[part] = str(db.execute(sql).fetchall())
        except apsw.Error as error:
            said[part] = str(error)
    db.close()
    return set(called), said


if sys.argv[1] == "make":
    make(sys.argv[2])
    sys.exit(0)

library, url, path = sys.argv[2:5]
trusting, heard = read(library, url, path + "-trusting", '{"trusted_schema": true}')
# SQLite leaves CHECK constraints and triggers of a read-only file alone.
assert {"view", "generated", "partial index"} <= trusting, (trusting, heard)
ran, said = read(library, url, path, "{}")
# A call that stands in the query itself is the reader's own.
ran -= {"expression index"}
assert not ran, (ran, said)
assert "unsafe use of app_danger()" in said["view"], said

# A statement that was prepared before the attach is looked at anew.
db = apsw.Connection(path)
define(db)
db.enable_load_extension(True)
db.load_extension(library)
assert db.execute("SELECT a FROM v").fetchall() == [("x",)], "prepared, and cached by apsw"
db.execute("SELECT replica_attach(?)", (url,)).fetchall()
called.clear()
try:
    db.execute("SELECT a FROM v").fetchall()
    raise SystemExit("the prepared statement was run")
except apsw.SQLError as error:
    assert "unsafe use of app_danger()" in str(error) and not called, error
