"""The same program on Python's sqlite3 and on a replica: same.py sqlite3|apsw

Each case runs on a file of sqlite3 and on a replica of a real sqld, and what it
returns or raises has to be the same. What differs is named in DIFFERENT, with the
reason.
"""

import datetime
import decimal
import itertools
import sqlite3
import sys
import tempfile
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "packages" / "python"), str(ROOT / "tests" / "hosts")]
import run as hosts  # noqa: E402  (the folder is no package)
import sqlite_replica  # noqa: E402

BINDING = sys.argv[1]
CASES = {}
DIFFERENT = {
    # JSON has no infinity: it is stored, and reads as None inside a transaction.
    *(f"{how} {value}" for how in ("insert", "many") for value in ("inf", "-inf")),
    # A transaction is the primary's, which has no table or function of this connection.
    "an attached table inside a transaction", "a temporary table inside a transaction", "a write that reads a temporary table",
    "a function inside a transaction",
    # sqld does not vacuum; the server does it.
    "vacuum",
    # The transaction is over, and nothing of it took effect: sqlite3 would let the program mend it.
    "a commit that a deferred key refuses",
    # The rows are here already.
    "a commit before the rows of RETURNING are fetched",
}
if BINDING == "apsw":
    # In apsw's words, and a text may hold several statements.
    DIFFERENT |= {"two reads in a text", "insert 2**64", "select 2**64", "a wrong type in a strict table"}


def case(name):
    def add(action):
        assert name not in CASES, name
        CASES[name] = action
        return action
    return add


def rows(db, sql="SELECT * FROM t ORDER BY 1"):
    return db.execute(sql).fetchall()


def one(name, sql, *arguments):
    case(name)(lambda db: (db.execute(sql, *arguments).fetchall(), rows(db)))


def does(name, *statements):
    case(name)(lambda db: ([db.execute(sql).fetchall() for sql in statements], db.in_transaction, rows(db)))


INSERT = "INSERT INTO t VALUES (?, ?)"
THREE = "INSERT INTO t VALUES (1, 1), (2, 2), (3, 3)"
# Arguments and texts.
one("too few arguments", INSERT, (1,))
one("too many arguments", INSERT, (1, 2, 3))
one("no arguments", INSERT)
one("a list for names", "INSERT INTO t VALUES (:a, :b)", (1, 2))
one("two statements in a text", "INSERT INTO t VALUES (1, 2); SELECT 1")
one("two reads in a text", "SELECT 1; SELECT 2")
one("a comment behind a semicolon", "INSERT INTO t VALUES (1, 2);  -- end")
one("nothing", "")
one("a comment before SELECT", "-- first\nSELECT 1")
one("a comment before INSERT", "/* SELECT */ INSERT INTO t VALUES (1, 2) RETURNING a")
one("a byte order mark", "\ufeffSELECT 1")
one("WITH before INSERT", "WITH x AS (SELECT 5) INSERT INTO t SELECT *, 1 FROM x")
one("WITH before SELECT", "WITH x(insert_) AS (SELECT 5) SELECT * FROM x")
one("WITH before DELETE", "WITH x AS (SELECT 5) DELETE FROM t WHERE a IN x RETURNING a")
one("?1 twice", "INSERT INTO t VALUES (?1, ?1)", (7,))
one("?2 before ?1", "INSERT INTO t VALUES (?2, ?1)", (7, 8))
one("semicolons and dashes in texts", "INSERT INTO t VALUES (';', '--')")
one("VALUES", "VALUES (1), (2)")
case("EXPLAIN of a write")(lambda db: (len(db.execute("EXPLAIN QUERY PLAN " + THREE).fetchall()), rows(db)))


class Missing(dict):
    def __missing__(self, key):
        return key


one("a dictionary with a default", "INSERT INTO t VALUES (:a, :b)", Missing())
VALUES = {
    "datetime": datetime.datetime(2020, 1, 2, 3, 4, 5, 6), "date": datetime.date(2020, 1, 1), "decimal": decimal.Decimal("1.5"),
    "bytes": b"\0\1", "bytearray": bytearray(b"x"), "memoryview": memoryview(b"yy"), "2**64": 2**64, "-2**63": -2**63,
    "nan": float("nan"), "inf": float("inf"), "-inf": -float("inf"), "-0.0": -0.0, "a zero in a text": "a\0b", "half a character": "\ud800",
    "true": True, "an object": object(), "a list": [1], "none": None, "a long text": "x" * 100_000,
}
for _name, _value in VALUES.items():
    one(f"insert {_name}", "INSERT INTO t VALUES (?, typeof(?1))", (_value,))
    one(f"select {_name}", "SELECT ?", (_value,))
    case(f"many {_name}")(lambda db, value=_value: (db.executemany(INSERT, [(value, 1), (value, 2)]).rowcount, rows(db)))


# executemany
@case("executemany with a generator")
def _(db):
    return db.executemany(INSERT, ((n, n) for n in range(2500))).rowcount, rows(db, "SELECT count(*), sum(a) FROM t")


@case("executemany that fails in the middle")
def _(db):
    db.execute("CREATE UNIQUE INDEX u ON t(a)")
    try:
        db.executemany(INSERT, ((n % 5, n) for n in range(10)))
    except sqlite3.IntegrityError as error:
        return str(error), rows(db), db.in_transaction


@case("executemany with a generator that raises")
def _(db):
    def values():
        yield 1, 2
        raise ValueError

    try:
        db.executemany(INSERT, values())
    except ValueError:
        return rows(db)


case("executemany with names")(lambda db: (db.executemany("INSERT INTO t VALUES (:a, :b)", [{"a": 1, "b": 2}, {"a": 3, "b": 4}]).rowcount, rows(db)))
case("executemany of nothing")(lambda db: (db.executemany(INSERT, []).rowcount, rows(db)))
case("executemany of UPDATE")(lambda db: (db.execute(THREE).rowcount, db.executemany("UPDATE t SET b = ? WHERE a = ?", [(9, 1), (8, 5)]).rowcount, rows(db)))
case("executemany with RETURNING")(lambda db: db.executemany(INSERT + " RETURNING a", [(1, 2), (3, 4)]).fetchall())
case("executemany of SELECT")(lambda db: db.executemany("SELECT ?", [(1,)]).fetchall())

# Transactions.
does("BEGIN IMMEDIATE", "BEGIN IMMEDIATE", THREE, "COMMIT")
does("BEGIN in a transaction", "BEGIN", "BEGIN")
does("END TRANSACTION", "begin transaction", THREE, "end transaction")
does("ROLLBACK of nothing", "ROLLBACK")
does("savepoints of one name", "SAVEPOINT a", THREE, "SAVEPOINT a", "DELETE FROM t", "ROLLBACK TO a", "RELEASE a", "RELEASE a")
does("a savepoint that is not there", "RELEASE zz")
does("a savepoint that is not there, in a transaction", "BEGIN", "ROLLBACK TO zz")
does("PRAGMA user_version", "PRAGMA user_version = 7", "PRAGMA user_version")
does("PRAGMA table_info", "PRAGMA table_info(t)", "PRAGMA foreign_keys")
does("a table in a transaction", "BEGIN", "ALTER TABLE t ADD COLUMN c", "INSERT INTO t VALUES (1, 2, 3)", "SELECT c FROM t", "ROLLBACK")
does("a column more", "ALTER TABLE t ADD COLUMN c DEFAULT 4", "INSERT INTO t(a) VALUES (1)", "SELECT * FROM t")
does("a view", "CREATE VIEW v AS SELECT a FROM t", THREE, "SELECT * FROM v")
does("vacuum", "VACUUM")
does("an attached table inside a transaction", "ATTACH ':memory:' AS m", "CREATE TABLE m.q(x)", THREE, "SELECT * FROM m.q")
does("a temporary table inside a transaction", "CREATE TEMP TABLE q(x)", THREE, "SELECT * FROM q")
does("a write that reads a temporary table", "CREATE TEMP TABLE q(x)", "INSERT INTO t SELECT x, x FROM q")


@case("an attached table")
def _(db):
    for sql in ("ATTACH ':memory:' AS m", "CREATE TABLE m.q(x)", "INSERT INTO m.q VALUES (1)"):
        db.execute(sql)
    db.commit()
    return rows(db, "SELECT * FROM m.q"), rows(db, "SELECT * FROM m.q, t")


@case("an open SELECT sees a write pass by")
def _(db):
    db.execute(THREE)
    db.commit()
    cursor = db.execute("SELECT a FROM t WHERE a < 4 ORDER BY a")
    first = cursor.fetchone()
    db.execute("INSERT INTO t VALUES (4, 4)")
    db.commit()
    return first, rows(db, "SELECT count(*) FROM t"), cursor.fetchall()


@case("a write for each row of a SELECT")
def _(db):
    db.execute(THREE)
    db.commit()
    for (a,) in db.execute("SELECT a FROM t ORDER BY a"):
        db.execute("UPDATE t SET b = b + 10 WHERE a = ?", (a,))
    db.commit()
    return rows(db)


@case("a function")
def _(db):
    db.create_function("twice", 1, lambda x: 2 * x)
    return rows(db, "SELECT twice(4)")


@case("a function inside a transaction")
def _(db):
    db.create_function("twice", 1, lambda x: 2 * x)
    db.execute(THREE)
    return rows(db, "SELECT twice(4)")


@case("isolation_level goes to None")
def _(db):
    db.isolation_level = "IMMEDIATE"
    db.execute(THREE)
    db.isolation_level = None
    return db.in_transaction, db.isolation_level, rows(db)


# What a cursor says.
STATEMENTS = ("SELECT 1", THREE, "UPDATE t SET a = 1", "DELETE FROM t WHERE a = 9", "CREATE TABLE z(x)", "DELETE FROM t")
case("rowcount")(lambda db: [db.execute(sql).rowcount for sql in STATEMENTS])
case("description")(lambda db: [db.execute(sql).description for sql in (THREE, "UPDATE t SET a = 2 RETURNING a AS q, b", "SELECT a x, b x FROM t")])
case("columns of one name")(lambda db: db.execute("INSERT INTO t VALUES (1, 2) RETURNING a, b AS a, 3 AS a").fetchall())
case("total_changes")(lambda db: (-db.total_changes + (db.execute(THREE) and db.total_changes)))


@case("lastrowid")
def _(db):
    cursor, found = db.cursor(), []
    for sql in (THREE, "UPDATE t SET a = 5", "SELECT 1", "INSERT OR IGNORE INTO t SELECT 1, 1 WHERE 0", "DELETE FROM t"):
        cursor.execute(sql)
        found.append(cursor.lastrowid)
    return found


case("fetching from a write")(lambda db: (lambda cursor: (cursor.fetchone(), cursor.fetchall(), list(cursor), cursor.fetchmany(3)))(db.execute(THREE)))
case("fetching from RETURNING")(lambda db: (lambda cursor: (next(cursor), cursor.fetchmany(1), cursor.fetchall(), cursor.fetchone()))(db.execute(THREE + " RETURNING a")))


@case("a commit before the rows of RETURNING are fetched")
def _(db):
    cursor = db.execute(THREE + " RETURNING a")
    db.commit()
    return cursor.fetchall()


@case("a closed cursor")
def _(db):
    cursor = db.cursor()
    cursor.close()
    cursor.execute(THREE)


for _name, _call in (("execute", lambda db: db.execute(THREE)), ("commit", lambda db: db.commit()), ("cursor", lambda db: db.cursor())):
    case(f"{_name}() of a closed connection")(lambda db, call=_call: (db.close(), call(db)))


# Scripts.
def script(name, text):
    @case(name)
    def _(db):
        try:
            db.executescript(text)
            said = None
        except sqlite3.Error as error:
            said = str(error)
        found = said, db.in_transaction
        db.rollback()
        return found, rows(db)


script("a script", "INSERT INTO t VALUES (1, 2);;; INSERT INTO t VALUES (3, 4);")
script("a script with an error", "INSERT INTO t VALUES (1, 2); INSERT INTO zz VALUES (1); INSERT INTO t VALUES (3, 4);")
script("a script with a syntax error", "INSERT INTO t VALUES (1, 2); INSERTT; INSERT INTO t VALUES (3, 4);")
script("a script that leaves a transaction open", "BEGIN; INSERT INTO t VALUES (1, 2);")
script("a script that reads", "SELECT 1; INSERT INTO t VALUES (1, 2); PRAGMA user_version")
script("a script with a trigger", "CREATE TRIGGER g AFTER INSERT ON t BEGIN UPDATE t SET b = 9; SELECT 1; END; INSERT INTO t VALUES (1, 1);")


@case("a commit that a deferred key refuses")
def _(db):
    db.execute("PRAGMA foreign_keys = ON")
    db.executescript("CREATE TABLE p(id INTEGER PRIMARY KEY); CREATE TABLE s(p REFERENCES p DEFERRABLE INITIALLY DEFERRED)")
    db.execute("INSERT INTO s VALUES (5)")
    try:
        db.commit()
    except sqlite3.IntegrityError as error:
        said = str(error)
    found = said, db.in_transaction
    db.rollback()
    return found, rows(db, "SELECT * FROM s")


@case("a script commits what was open")
def _(db):
    db.execute("INSERT INTO t VALUES (1, 1)")
    db.executescript("INSERT INTO t VALUES (2, 2)")
    db.rollback()
    return rows(db)


# UPDATE and DELETE with a LIMIT, where this SQLite was built for them: the primary's was not.
if sqlite3.connect(":memory:").execute("SELECT sqlite_compileoption_used('ENABLE_UPDATE_DELETE_LIMIT')").fetchone()[0]:
    for _sql, *_arguments in (
        ("DELETE FROM t ORDER BY a DESC LIMIT 2",), ("DELETE FROM t LIMIT ? OFFSET ?;", (2, 1)), ("DELETE FROM t WHERE a > ? ORDER BY b LIMIT ?", (2, 3)),
        ("delete from main.t as x where x.a in (select 1 limit 1) or x.a > 3 returning x.a, ? order by x.a limit ?", ("ä", 2)),
        ("UPDATE t SET b = ? WHERE a > ? RETURNING a, b ORDER BY a DESC LIMIT ?", ("new", 1, 2)), ("UPDATE OR IGNORE t SET a = :v ORDER BY a LIMIT :n -- two", {"n": 2, "v": 9}),
        ("WITH q(a) AS (SELECT 2 LIMIT 1) UPDATE \"t\" /* x */ SET b = (SELECT a FROM q LIMIT 1), a = 5 WHERE a IN q LIMIT 1", ), ("DELETE FROM t WHERE a = 99 LIMIT 1",),
        ("UPDATE t SET b = 'limit' WHERE a = 1",), ("DELETE FROM t WHERE a IN (SELECT a FROM t ORDER BY a LIMIT 2)",), ("DELETE FROM t LIMIT 'x'",), ("DELETE FROM zz LIMIT 1",),
    ):
        @case(f"a limit: {_sql}")
        def _(db, sql=_sql, arguments=_arguments):
            db.executemany(INSERT, [(n, f"b{n % 3}") for n in range(6)])
            cursor = db.execute(sql, *arguments)
            # sqlite3 does not count the rows behind WITH.
            return cursor.fetchall(), sql[:4] == "WITH" or cursor.rowcount, rows(db)

    @case("a limit and many arguments")
    def _(db):
        db.executemany(INSERT, [(n, n % 2) for n in range(10)])
        db.executemany("DELETE FROM t WHERE b = ? ORDER BY a LIMIT ?", [(0, 2), (1, 1)])
        db.executescript("DELETE FROM t ORDER BY a DESC LIMIT 1; DELETE FROM t WHERE a = 5")
        return rows(db)


# Errors.
TABLE = "CREATE TABLE p(id INTEGER PRIMARY KEY, u UNIQUE, n NOT NULL, c CHECK (c > 0))"
for _name, _values in (("a primary key", "1, 2, 1, 1"), ("UNIQUE", "2, 1, 1, 1"), ("NOT NULL", "2, 2, NULL, 1"), ("CHECK", "2, 2, 2, 0"), ("a wrong type of key", "'x', 2, 2, 2")):
    does(f"error: {_name}", TABLE, "INSERT INTO p VALUES (1, 1, 1, 1)", f"INSERT INTO p VALUES ({_values})")
for _name, _sql in (
    ("an open bracket", "INSERT INTO t VALUES (1, 2"), ("an open text", "INSERT INTO t VALUES ('x)"), ("no such column", "INSERT INTO t(zz) VALUES (1)"),
    ("no such function", "INSERT INTO t VALUES (nope(1), 1)"), ("a column too few", "INSERT INTO t VALUES (1)"), ("no such column to read", "SELECT zz FROM t"),
    ("no SQL", "FOO BAR"), ("no such table to drop", "DROP TABLE zz"), ("a table twice", "CREATE TABLE t(x)"), ("no such table to read", "SELECT * FROM zz"),
):
    does(f"error: {_name}", _sql)
does("a wrong type in a strict table", "CREATE TABLE s(x INTEGER) STRICT", "INSERT INTO s VALUES ('q')")


def outcome(action, db):
    try:
        return action(db)
    except Exception as error:  # noqa: BLE001  (whatever it raises is to be the same)
        return type(error).__name__, str(error), getattr(error, "sqlite_errorname", None)


def main():
    warnings.simplefilter("ignore")  # Python 3.12 would rather have no default adapters.
    wrong, numbers = [], itertools.count()
    with tempfile.TemporaryDirectory() as folder, hosts.Primary() as primary:
        for name, action in CASES.items():
            primary.execute("DROP VIEW IF EXISTS v; " + "".join(f"DROP TABLE IF EXISTS {table};" for table in "tpsz") + "CREATE TABLE t(a, b); PRAGMA user_version = 0")
            plain = sqlite3.connect(f"{folder}/{next(numbers)}.db")
            plain.execute("CREATE TABLE t(a, b)")
            replica = sqlite_replica.connect(f"{folder}/{next(numbers)}.db", sync_url=primary.url, binding=BINDING)
            expected, found = outcome(action, plain), outcome(action, replica)
            plain.close()
            replica.close()
            if (repr(expected) == repr(found)) == (name in DIFFERENT):
                wrong.append(name)
                print(f"{name}:\n  sqlite3 {str(expected)[:300]}\n  replica {str(found)[:300]}")
    print(f"{len(CASES) - len(DIFFERENT)} cases of {len(CASES)} are to be the same; {len(wrong)} are not as written")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
