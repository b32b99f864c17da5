"""What Python's module `libsql` promises, in our own words after its test_suite.py: libsql_python.py baseline|replica

The baseline is the published module on files; a replica is sqlite_replica in its
place, each case on a replica of a new sqld. The last lines are those of unittest.
"""

import itertools
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "packages" / "python"), str(ROOT / "tests" / "hosts")]
import run as hosts  # noqa: E402  (the folder is no package)

IS_REPLICA = sys.argv.pop(1) == "replica"
if IS_REPLICA:
    import sqlite_replica as libsql
else:
    import libsql
NUMBERS = itertools.count()
ALICE, BOB = (1, "alice@example.com"), (2, "bob@example.com")
PEOPLE = [*[ALICE, BOB], (3, "carol@example.com"), (4, "dave@example.com"), (5, "erin@example.com")]


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def connect(self, **options):
        more = {}
        if IS_REPLICA:
            primary = hosts.Primary()
            primary.__enter__()
            self.addCleanup(primary.__exit__)
            primary.execute("DROP TABLE orders")
            more["sync_url"] = primary.url
        db = libsql.connect(f"{self.folder.name}/{next(NUMBERS)}.db", **{"timeout": 5, "isolation_level": "DEFERRED", **options}, **more)
        self.addCleanup(db.close)
        return db

    def users(self, rows=(), **options):
        db = self.connect(**options)
        cursor = db.cursor()
        cursor.execute("CREATE TABLE users(id INTEGER, email TEXT)")
        for row in rows:
            cursor.execute("INSERT INTO users VALUES (?, ?)", row)
        return db, cursor

    def rows_of(self, db, sql="SELECT x FROM t ORDER BY x"):
        cursor = db.cursor()
        cursor.execute(sql)
        return [row[0] for row in cursor.fetchall()]


class Statements(Case):
    def test_a_timeout_is_taken(self):
        self.connect(timeout=1.0)

    def test_close(self):
        self.connect().close()

    def test_execute_on_the_connection(self):
        db, _ = self.users([ALICE])
        self.assertEqual(db.execute("SELECT * FROM users").fetchone(), ALICE)
        self.assertEqual(db.execute("SELECT * FROM users WHERE id = ?", [1]).fetchone(), ALICE)

    def test_execute_on_a_cursor(self):
        _, cursor = self.users([ALICE])
        self.assertEqual(cursor.execute("SELECT * FROM users").fetchone(), ALICE)

    def test_a_closed_cursor_refuses(self):
        _, cursor = self.users([ALICE, BOB])
        self.assertEqual(cursor.execute("SELECT * FROM users").fetchall(), [ALICE, BOB])
        cursor.close()
        with self.assertRaises(Exception):
            cursor.execute("SELECT * FROM users")

    def test_executemany_on_the_connection(self):
        db, cursor = self.users()
        db.executemany("INSERT INTO users VALUES (?, ?)", [ALICE, BOB])
        self.assertEqual(cursor.execute("SELECT * FROM users").fetchall(), [ALICE, BOB])

    def test_executemany_on_a_cursor(self):
        _, cursor = self.users()
        cursor.executemany("INSERT INTO users VALUES (?, ?)", [ALICE, BOB])
        self.assertEqual(cursor.execute("SELECT * FROM users").fetchall(), [ALICE, BOB])

    def test_fetchone(self):
        _, cursor = self.users([ALICE, BOB])
        self.assertEqual(cursor.execute("SELECT * FROM users").fetchone(), ALICE)

    def test_fetchmany_to_the_end(self):
        _, cursor = self.users(PEOPLE)
        found = cursor.execute("SELECT * FROM users")
        for expected in (PEOPLE[:2], PEOPLE[2:4], PEOPLE[4:], []):
            self.assertEqual(found.fetchmany(2), expected)

    def test_a_blob(self):
        _, cursor = self.users()
        cursor.execute("CREATE TABLE data(id INTEGER, data BLOB)")
        cursor.execute("INSERT INTO data VALUES (?, ?)", (1, b"foobar"))
        self.assertEqual(cursor.execute("SELECT * FROM data").fetchone(), (1, b"foobar"))

    def test_executescript(self):
        cursor = self.connect().cursor()
        cursor.executescript("CREATE TABLE users(id INTEGER, email TEXT); INSERT INTO users VALUES (1, 'alice@example.com');"
                             " INSERT INTO users VALUES (2, 'bob@example.com');")
        found = cursor.execute("SELECT * FROM users")
        self.assertEqual([found.fetchone(), found.fetchone()], [ALICE, BOB])

    def test_lastrowid(self):
        cursor = self.connect().cursor()
        self.assertIsNone(cursor.lastrowid)
        cursor.execute("CREATE TABLE users(id INTEGER, email TEXT)")
        self.assertEqual(cursor.lastrowid, 0)
        for number, row in enumerate([ALICE, BOB], 1):
            cursor.execute("INSERT INTO users VALUES (?, ?)", row)
            self.assertEqual(cursor.lastrowid, number)

    def test_description(self):
        _, cursor = self.users([ALICE])
        found = cursor.execute("SELECT * FROM users")
        self.assertEqual(found.description, (("id", *[None] * 6), ("email", *[None] * 6)))

    def test_none_as_a_value(self):
        _, cursor = self.users([(1, None), BOB])
        self.assertEqual(cursor.execute("SELECT * FROM users ORDER BY id").fetchall(), [(1, None), BOB])

    def test_arguments(self):
        _, cursor = self.users([ALICE])
        self.assertEqual(cursor.execute("SELECT email FROM users WHERE id = ?", (1,)).fetchone(), ALICE[1:])

    def test_fetchall(self):
        _, cursor = self.users([ALICE, BOB])
        self.assertEqual(cursor.execute("SELECT * FROM users").fetchall(), [ALICE, BOB])

    def test_an_expression(self):
        _, cursor = self.users([ALICE])
        self.assertEqual(cursor.execute("SELECT quote(email) FROM users").fetchall(), [("'alice@example.com'",)])

    def test_an_integer_beyond_32_bits(self):
        _, cursor = self.users()
        cursor.execute("INSERT INTO users VALUES (1099511627776, NULL)")
        self.assertEqual(cursor.execute("SELECT id FROM users").fetchall(), [(1099511627776,)])


class Transactions(Case):
    def test_commit_and_rollback(self):
        db, cursor = self.users()
        db.commit()
        cursor.execute("INSERT INTO users VALUES (?, ?)", ALICE)
        self.assertEqual(cursor.execute("SELECT * FROM users").fetchone(), ALICE)
        db.rollback()
        self.assertIsNone(cursor.execute("SELECT * FROM users").fetchone())

    def test_without_an_isolation_level_each_statement_lasts(self):
        db = self.connect(isolation_level=None)
        self.assertEqual((db.isolation_level, db.in_transaction), (None, False))
        cursor = db.cursor()
        cursor.execute("CREATE TABLE users(id INTEGER, email TEXT)")
        cursor.execute("INSERT INTO users VALUES (?, ?)", ALICE)
        self.assertFalse(db.in_transaction)
        db.rollback()
        self.assertEqual(cursor.execute("SELECT * FROM users").fetchone(), ALICE)

    def test_in_transaction(self):
        db = self.connect()
        self.assertFalse(db.in_transaction)
        db.cursor().execute("CREATE TABLE users(id INTEGER, email TEXT)")
        db.cursor().execute("INSERT INTO users VALUES (?, ?)", ALICE)
        self.assertTrue(db.in_transaction)

    @unittest.skipUnless(IS_REPLICA or sys.version_info >= (3, 12), "the module libsql has it from Python 3.12 on")
    def test_autocommit(self):
        legacy = libsql.LEGACY_TRANSACTION_CONTROL
        for level, autocommit, before, after in [
                (None, legacy, False, False), ("DEFERRED", legacy, False, True), (None, True, False, False),
                ("DEFERRED", True, False, False), ("DEFERRED", False, True, True)]:
            with self.subTest(level=level, autocommit=autocommit):
                db = self.connect(isolation_level=level, autocommit=autocommit)
                self.assertEqual((db.isolation_level, db.autocommit, db.in_transaction), (level, autocommit, before))
                cursor = db.cursor()
                cursor.execute("CREATE TABLE users(id INTEGER, email TEXT)")
                cursor.execute("INSERT INTO users VALUES (?, ?)", ALICE)
                self.assertEqual(db.in_transaction, after)
                db.commit()
                self.assertEqual(db.in_transaction, before)
                self.assertEqual(cursor.execute("SELECT * FROM users").fetchone(), ALICE)
        with self.assertRaises(ValueError):
            self.connect(autocommit=999)


class ContextManager(Case):
    def table(self, **options):
        db = self.connect(**options)
        with db as inner:
            inner.execute("CREATE TABLE t(x)")
            inner.execute("INSERT INTO t VALUES (1)")
        return db

    def test_it_commits(self):
        self.assertEqual(self.rows_of(self.table()), [1])

    def test_it_commits_nothing_without_an_isolation_level(self):
        self.assertEqual(self.rows_of(self.table(isolation_level=None)), [1])

    def test_an_error_rolls_back(self):
        db = self.table()
        with self.assertRaises(ValueError), db as inner:
            inner.execute("INSERT INTO t VALUES (2)")
            raise ValueError
        self.assertEqual(self.rows_of(db), [1])

    def test_the_inner_one_commits_both(self):
        db = self.table()
        with db as outer:
            outer.execute("INSERT INTO t VALUES (2)")
            with db as inner:
                inner.execute("INSERT INTO t VALUES (3)")
            self.assertEqual(self.rows_of(db), [1, 2, 3])
        self.assertEqual(self.rows_of(db), [1, 2, 3])

    def test_the_connection_goes_on(self):
        db = self.table()
        db.execute("INSERT INTO t VALUES (2)")
        db.commit()
        with db as inner:
            inner.execute("INSERT INTO t VALUES (3)")
        self.assertEqual(self.rows_of(db), [1, 2, 3])

    def test_an_error_inside_rolls_back_what_is_outside(self):
        db = self.table()
        with db as outer:
            outer.execute("INSERT INTO t VALUES (2)")
            with self.assertRaises(ValueError), db as inner:
                inner.execute("INSERT INTO t VALUES (3)")
                raise ValueError
            outer.execute("INSERT INTO t VALUES (4)")
        self.assertEqual(self.rows_of(db), [1, 4])

    def test_an_error_outside_leaves_what_was_committed_inside(self):
        db = self.table()
        with self.assertRaises(RuntimeError), db as outer:
            outer.execute("INSERT INTO t VALUES (2)")
            with db as inner:
                inner.execute("INSERT INTO t VALUES (3)")
            raise RuntimeError
        self.assertEqual(self.rows_of(db), [1, 2, 3])

    def test_commit_and_rollback_inside(self):
        db = self.table()
        with db as inner:
            inner.execute("INSERT INTO t VALUES (2)")
            inner.commit()
            inner.execute("INSERT INTO t VALUES (3)")
        with db as inner:
            inner.execute("INSERT INTO t VALUES (4)")
            inner.rollback()
            inner.execute("INSERT INTO t VALUES (5)")
        self.assertEqual(self.rows_of(db), [1, 2, 3, 5])


if __name__ == "__main__":
    unittest.main(verbosity=2)
