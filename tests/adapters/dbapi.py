"""The DB-API module of the Python package against a real sqld: dbapi.py sqlite3|apsw

A replica is compared with what the primary itself says. The library is the one
that SQLITE_REPLICA_PATH names.
"""

import asyncio
import datetime
import gc
import itertools
import json
import os
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "packages" / "python"), str(ROOT / "tests" / "hosts")]
if "SEES_NOTHING" in os.environ:
    # As before Python 3.10, where it does not know of connections.
    gc.get_referents = lambda *objects: []
import run as hosts  # noqa: E402  (the folder is no package)
import sqlite_replica  # noqa: E402

BINDING = sys.argv.pop(1)
NUMBERS = itertools.count()


class WithPrimary(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.primary = hosts.Primary()
        cls.primary.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.primary.__exit__()

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.table = f"t{next(NUMBERS)}"
        self.primary.execute(f"CREATE TABLE {self.table}(id INTEGER PRIMARY KEY, x)")
        self.path = f"{self.folder.name}/app.db"
        self.db = self.open()

    def open(self, **options):
        db = sqlite_replica.connect(self.path, sync_url=self.primary.url, binding=BINDING, **options)
        self.addCleanup(db.close)
        return db

    def assert_both_hold(self, *values):
        rows = [(value,) for value in values]
        self.assertEqual(self.db.execute(f"SELECT x FROM {self.table} ORDER BY id").fetchall(), rows)
        self.assertEqual(self.primary.rows(f"SELECT x FROM {self.table} ORDER BY id"), rows)


class Statements(WithPrimary):
    def test_a_read_needs_no_primary(self):
        path = f"{self.folder.name}/offline.db"
        with hosts.Primary() as gone:
            sqlite_replica.connect(path, sync_url=gone.url, binding=BINDING).close()
        db = sqlite_replica.connect(path, sync_url=gone.url, binding=BINDING, options={"timeout": 1})
        self.addCleanup(db.close)
        self.assertEqual(db.execute("SELECT item FROM orders WHERE id = ?", (7,)).fetchone(), ("lantern",))
        self.assertEqual(db.execute("WITH w(a) AS (VALUES (1)) SELECT a FROM w").fetchall(), [(1,)])
        with self.assertRaises(sqlite3.OperationalError):
            db.execute(f"INSERT INTO {self.table}(x) VALUES (1)")

    def test_a_write_opens_a_transaction_that_commit_ends(self):
        cursor = self.db.execute(f"INSERT INTO {self.table}(x) VALUES (?)", ("kite",))
        self.assertEqual((cursor.rowcount, cursor.lastrowid, cursor.description), (1, 1, None))
        self.assertTrue(self.db.in_transaction)
        self.assertEqual(self.primary.rows(f"SELECT x FROM {self.table}"), [])
        self.assertEqual(self.db.execute(f"SELECT x FROM {self.table}").fetchall(), [("kite",)])
        self.db.commit()
        self.assertFalse(self.db.in_transaction)
        self.assert_both_hold("kite")

    def test_rollback_and_a_raising_with_leave_nothing(self):
        self.db.execute(f"INSERT INTO {self.table}(x) VALUES (1)")
        self.db.rollback()
        with self.assertRaises(ZeroDivisionError), self.db:
            self.db.execute(f"INSERT INTO {self.table}(x) VALUES (2)")
            raise ZeroDivisionError
        with self.db:
            self.db.execute(f"INSERT INTO {self.table}(x) VALUES (3)")
        self.assert_both_hold(3)

    def test_isolation_level_none_commits_each_statement(self):
        db = self.open(isolation_level=None)
        db.execute(f"INSERT INTO {self.table}(x) VALUES (1)")
        self.assertFalse(db.in_transaction)
        db.execute("BEGIN IMMEDIATE")
        db.execute(f"INSERT INTO {self.table}(x) VALUES (2)")
        db.execute("ROLLBACK")
        self.assert_both_hold(1)

    def test_foreign_keys_go_off_before_a_transaction_and_not_in_one(self):
        self.primary.execute(f"CREATE TABLE child{self.table}(t REFERENCES {self.table}(id) ON DELETE CASCADE)")
        self.primary.execute(f"INSERT INTO {self.table} VALUES (1, 'a'); INSERT INTO child{self.table} VALUES (1)")
        db = self.open(isolation_level=None)
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("BEGIN")
        db.execute("PRAGMA foreign_keys = OFF")
        self.assertEqual(db.execute("PRAGMA foreign_keys").fetchone(), (1,))
        db.execute("ROLLBACK")
        db.execute("PRAGMA foreign_keys = OFF")
        db.executescript(f"""BEGIN; CREATE TABLE new(id INTEGER PRIMARY KEY, x, y); INSERT INTO new SELECT *, 0 FROM {self.table};
            DROP TABLE {self.table}; ALTER TABLE new RENAME TO {self.table}; COMMIT""")
        self.assertEqual(self.primary.rows(f"SELECT count(*) FROM child{self.table}"), [(1,)])
        db.execute("PRAGMA foreign_keys(1)")
        db.execute(f"DELETE FROM {self.table}")
        self.assertEqual(self.primary.rows(f"SELECT count(*) FROM child{self.table}"), [(0,)])

    def test_a_closed_connection_leaves_no_transaction_behind(self):
        other = self.open()
        other.execute(f"INSERT INTO {self.table}(x) VALUES (1)")
        other.close()
        with self.assertRaises(sqlite3.ProgrammingError):
            other.execute("SELECT 1")
        self.db.execute(f"INSERT INTO {self.table}(x) VALUES (2)")
        self.db.commit()
        self.assert_both_hold(2)

    def test_savepoints_nest_and_the_outermost_commits(self):
        db = self.open(isolation_level=None)
        db.execute('SAVEPOINT "outer one"')
        db.execute(f"INSERT INTO {self.table}(x) VALUES (1)")
        db.execute("SAVEPOINT inner")
        db.execute(f"INSERT INTO {self.table}(x) VALUES (2)")
        db.execute("ROLLBACK TO SAVEPOINT inner")
        db.execute("RELEASE inner")
        self.assertTrue(db.in_transaction)
        db.execute('RELEASE "outer one"')
        self.assertFalse(db.in_transaction)
        self.assert_both_hold(1)
        with self.assertRaises(sqlite3.OperationalError):
            db.execute("RELEASE nothing")

    def test_returning_gives_names_rows_and_counts(self):
        cursor = self.db.execute(f"INSERT INTO {self.table}(x) VALUES (1), (2) RETURNING id AS key, x")
        self.assertEqual([column[0] for column in cursor.description], ["key", "x"])
        self.assertEqual(cursor.fetchmany(1), [(1, 1)])
        self.assertEqual(list(cursor), [(2, 2)])
        self.assertIsNone(cursor.fetchone())
        self.assertEqual(cursor.rowcount, 2)

    def test_a_select_without_rows_has_a_description(self):
        for _ in range(2):
            cursor = self.db.execute(f"SELECT id, x AS 'a \"b\"' FROM {self.table} WHERE id < ?", (0,))
            self.assertEqual([column[0] for column in cursor.description], ["id", 'a "b"'])
            self.db.execute(f"UPDATE {self.table} SET x = 1")

    def test_values_come_back_as_they_went(self):
        values = [2**63 - 1, -(2**63), 9007199254740993, 0.1, 1e300, -0.5, "", "ä\u20ac\U0001f600", "a'b",
                  b"", b"\x00\xff", None, 3.0]
        for value in values:
            self.db.execute(f"INSERT INTO {self.table}(x) VALUES (?)", (value,))
        inside = [row[0] for row in self.db.execute(f"SELECT x FROM {self.table} ORDER BY id")]
        self.db.commit()
        outside = [row[0] for row in self.db.execute(f"SELECT x FROM {self.table} ORDER BY id")]
        for found in (inside, outside):
            self.assertEqual([(type(value), value) for value in found], [(type(value), value) for value in values])

    def test_named_numbered_and_many_arguments(self):
        db = self.db
        db.execute(f"INSERT INTO {self.table}(id, x) VALUES (:id, @x)", {"id": 5, "x": ":no '?'", "unused": 1})
        db.execute(f"INSERT INTO {self.table}(id, x) VALUES (?2, ?1) -- what?\n", ("b", 6))
        db.execute(f"UPDATE {self.table} SET x = :x WHERE id = @id AND :x = ?1", {"id": 5, "x": ":no '?'"})
        with self.assertRaises(sqlite3.ProgrammingError):
            db.execute(f"INSERT INTO {self.table}(x) VALUES (:absent)", {})
        marks = ",".join(["(?, ?)"] * 200)
        many = list(itertools.chain.from_iterable((n, f"'{n}\n") for n in range(100, 300)))
        self.assertEqual(db.execute(f"INSERT INTO {self.table} VALUES {marks}", many).rowcount, 200)
        db.commit()
        self.assert_both_hold(":no '?'", "b", *[f"'{n}\n" for n in range(100, 300)])

    def test_what_sqlite_adapts_is_adapted(self):
        moment = datetime.date(2024, 2, 29)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python 3.12 would rather have no default adapters.
            self.db.execute(f"INSERT INTO {self.table}(x) VALUES (?), (?), (?)", (moment, True, bytearray(b"q")))
            self.db.commit()
            found = self.db.execute(f"SELECT x FROM {self.table} WHERE x = ?", (moment,)).fetchall()
        self.assertEqual(found, [("2024-02-29",)])
        with self.assertRaises((sqlite3.InterfaceError, sqlite3.ProgrammingError)):
            self.db.execute(f"INSERT INTO {self.table}(x) VALUES (?)", (object(),))

    def test_executemany_counts_and_is_one_transaction(self):
        cursor = self.db.executemany(f"INSERT INTO {self.table}(x) VALUES (?)", [(n,) for n in range(3)])
        self.assertEqual(cursor.rowcount, 3)
        self.assertEqual(self.primary.rows(f"SELECT count(*) FROM {self.table}"), [(0,)])
        self.db.commit()
        self.assert_both_hold(0, 1, 2)
        with self.assertRaises(sqlite3.ProgrammingError):
            self.db.executemany("SELECT ?", [(1,)])

    def test_blank_texts_and_a_byte_order_mark_are_read_as_sqlite_reads_them(self):
        for text in ("", ";", " ; ", "-- nothing", "/* ; */;\n"):
            self.assertEqual(self.db.execute(text).fetchall(), [])
            self.db.executescript(text)
        self.db.execute(f"\ufeffINSERT INTO {self.table}(x) VALUES (1)")
        self.db.executescript(f"\ufeffINSERT INTO {self.table}(x) VALUES (2)")
        self.assert_both_hold(1, 2)
        for wrong in (None, 5, {1}):
            with self.assertRaises(sqlite3.ProgrammingError):
                self.db.execute(f"INSERT INTO {self.table}(x) VALUES (?)", wrong)
        self.db.rollback()

    def test_a_script_with_a_trigger_and_a_transaction(self):
        self.db.executescript(f"""
            -- a comment; with a semicolon
            CREATE TABLE log{self.table}(x);
            CREATE TRIGGER tr{self.table} AFTER INSERT ON {self.table} BEGIN
                INSERT INTO log{self.table} VALUES (new.x); SELECT 1; END;
            BEGIN; INSERT INTO {self.table}(x) VALUES ('a;b'); COMMIT;
            INSERT INTO {self.table}(x) VALUES (2)""")
        self.assertFalse(self.db.in_transaction)
        self.assertEqual(self.db.execute(f"SELECT x FROM log{self.table}").fetchall(), [("a;b",), (2,)])
        self.assert_both_hold("a;b", 2)

    def test_an_open_read_keeps_its_rows_and_nobody_from_the_write(self):
        db = self.open(isolation_level=None)
        db.executemany(f"INSERT INTO {self.table}(x) VALUES (?)", [(n,) for n in range(5)])
        every, sql = [(n,) for n in range(5)], f"SELECT x FROM {self.table} WHERE x < 10 ORDER BY id"
        # The first time a text is looked at, from the second on it takes the short way.
        for number in range(3):
            by_hand, by_connection = db.cursor(), db.execute(sql)
            by_hand.execute(sql)
            begun = [by_hand.fetchone(), by_connection.fetchone()]
            db.execute(f"INSERT INTO {self.table}(x) VALUES (?)", (10 + number,))
            now = db.execute(f"SELECT count(*) FROM {self.table}").fetchone()
            self.assertEqual((begun, now), (every[:1] * 2, (6 + number,)))
            self.assertEqual([cursor.fetchall() for cursor in (by_hand, by_connection)], [every[1:]] * 2)
            open_cursor = db.execute(sql)
            open_cursor.fetchone()
            self.primary.execute(f"UPDATE {self.table} SET id = id + 1000 WHERE x < 10; UPDATE {self.table} SET id = id - 1000 WHERE x < 10")
            db.sync()
            self.assertEqual(open_cursor.fetchall(), every[1:])

    @unittest.skipIf(BINDING != "sqlite3", "apsw has no list of its cursors")
    def test_cursors_are_found_without_the_garbage_collector_too(self):
        if "SEES_NOTHING" in os.environ:
            self.skipTest("this is the run of it")
        test = "Statements.test_an_open_read_keeps_its_rows_and_nobody_from_the_write"
        done = subprocess.run([sys.executable, __file__, BINDING, test], env={**os.environ, "SEES_NOTHING": "1"}, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_another_thread_and_a_closed_connection_are_refused(self):
        db, found = self.db, []
        uses = (lambda: db.execute("SELECT 1"), lambda: db.execute(f"INSERT INTO {self.table}(x) VALUES (1)"), db.cursor, db.commit,
                db.sync, lambda: db.total_changes, lambda: db.executescript("SELECT 1"))

        def use_all():
            for use in uses:
                try:
                    found.append(use())
                except sqlite3.Error as error:
                    found.append(type(error))

        thread = threading.Thread(target=use_all)
        thread.start()
        thread.join()
        db.close()
        use_all()
        self.assertEqual(set(found) - {0}, {sqlite3.ProgrammingError})
        self.assertEqual(self.primary.rows(f"SELECT x FROM {self.table}"), [])

    def test_what_is_temporary_or_attached_stays_here(self):
        db = self.db
        db.execute("CREATE TEMP TABLE Mine(x)")
        db.execute("INSERT INTO mine VALUES (1)")
        db.execute("ATTACH ? AS other", (f"{self.folder.name}/other.db",))
        db.execute("CREATE TABLE other.theirs(x)")
        db.execute("INSERT INTO other.theirs VALUES (2)")
        self.assertFalse(db.in_transaction)
        self.assertEqual(db.execute("SELECT * FROM mine, other.theirs").fetchall(), [(1, 2)])
        db.execute("DROP TABLE mine")
        db.execute(f"VACUUM INTO '{self.folder.name}/copy.db'")
        self.assertTrue(os.path.exists(f"{self.folder.name}/copy.db"))

    def test_schema_is_seen_inside_the_transaction_that_makes_it(self):
        db = self.open(isolation_level=None)
        db.execute("BEGIN")
        db.execute(f"CREATE TABLE new{self.table}(a, b)")
        names = [row[1] for row in db.execute(f"PRAGMA table_info(new{self.table})")]
        self.assertEqual(names, ["a", "b"])
        db.execute("COMMIT")
        self.assertEqual(len(db.execute(f"PRAGMA table_info(new{self.table})").fetchall()), 2)
        db.execute(f"CREATE INDEX ix{self.table} ON new{self.table}(a)")
        self.assertEqual([row[1] for row in db.execute(f"PRAGMA index_list(new{self.table})")], [f"ix{self.table}"])


class Way:
    """A way to the primary that counts the requests that go through it."""

    def __init__(self, url):
        self.count, (host, port) = 0, url.rpartition("//")[2].split(":")
        self.server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.server.getsockname()[1]}"
        self.target = host, int(port)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                near = self.server.accept()[0]
            except OSError:
                return
            far = socket.create_connection(self.target)
            for ends in ((near, far, True), (far, near, False)):
                threading.Thread(target=self.carry, args=ends, daemon=True).start()

    def carry(self, source, target, is_asking):
        try:
            while piece := source.recv(65536):
                self.count += piece.count(b" HTTP/1.1\r\n") if is_asking else 0
                target.sendall(piece)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        finally:
            source.close()


class RoundTrips(WithPrimary):
    def setUp(self):
        super().setUp()
        self.way = Way(self.primary.url)
        self.addCleanup(self.way.server.close)
        self.path = f"{self.folder.name}/counted.db"
        self.db = sqlite_replica.connect(self.path, sync_url=self.way.url, binding=BINDING, isolation_level=None)
        self.addCleanup(self.db.close)
        self.db.execute(f"INSERT INTO {self.table}(x) VALUES (0)")

    def requests(self, action):
        """The least of some: a pull that comes before the primary's log has the write is made again."""
        counts = []
        for _ in range(4):
            before = self.way.count
            action()
            counts.append(self.way.count - before)
        return min(counts)

    def test_a_write_takes_the_requests_of_replica_write_and_many_no_more(self):
        db, insert = self.db, f"INSERT INTO {self.table}(x) VALUES (?)"
        bare = self.requests(lambda: db.execute("SELECT replica_write(?, 1)", (insert,)).fetchall())
        self.assertGreater(bare, 0)
        for name, action in {
                "a write": lambda: db.execute(insert, (1,)), "executemany": lambda: db.executemany(insert, [(n,) for n in range(900)]),
                "RETURNING": lambda: db.execute(insert + " RETURNING id", (1,)).fetchall(),
                "a script": lambda: db.executescript(f"BEGIN; DELETE FROM {self.table}; COMMIT; INSERT INTO {self.table}(x) VALUES (5)")}.items():
            self.assertEqual(self.requests(action), bare, name)

    def test_a_read_takes_none(self):
        for _ in range(2):
            self.assertEqual(self.requests(lambda: self.db.execute(f"SELECT * FROM {self.table}").fetchall()), 0)


class Errors(WithPrimary):
    def test_a_constraint_is_an_integrity_error_in_sqlites_words(self):
        self.primary.execute(f"CREATE UNIQUE INDEX u{self.table} ON {self.table}(x)")
        self.db.execute(f"INSERT INTO {self.table}(x) VALUES ('a')")
        with self.assertRaises(sqlite3.IntegrityError) as caught:
            self.db.execute(f"INSERT INTO {self.table}(x) VALUES ('a')")
        self.assertEqual(str(caught.exception), f"UNIQUE constraint failed: {self.table}.x")
        self.assertEqual(caught.exception.sqlite_errorcode, 2067)
        # The transaction goes on, as SQLite's does.
        self.db.execute(f"INSERT INTO {self.table}(x) VALUES ('b')")
        self.db.commit()
        self.assert_both_hold("a", "b")

    def test_a_wrong_statement_is_an_operational_error(self):
        for sql in ("INSERT INTO nowhere VALUES (1)", "CREATE TABLE", "SELECT * FROM nowhere"):
            with self.assertRaises(sqlite3.OperationalError, msg=sql):
                self.db.execute(sql)
            self.db.rollback()

    def test_a_commit_without_begin_is_nothing_and_a_second_begin_is_an_error(self):
        self.db.commit()
        self.db.rollback()
        self.db.execute("BEGIN")
        with self.assertRaises(sqlite3.OperationalError):
            self.db.execute("BEGIN")
        self.db.rollback()
        with self.assertRaises(sqlite3.OperationalError):
            self.db.execute("COMMIT")

    def test_a_transaction_that_an_error_has_ended_is_not_open(self):
        self.primary.execute(f"CREATE UNIQUE INDEX u{self.table} ON {self.table}(x)")
        self.db.execute(f"INSERT INTO {self.table}(x) VALUES ('a')")
        with self.assertRaises(sqlite3.IntegrityError):
            self.db.execute(f"INSERT OR ROLLBACK INTO {self.table}(x) VALUES ('a')")
        self.db.rollback()
        self.assertFalse(self.db.in_transaction)
        self.db.execute(f"INSERT INTO {self.table}(x) VALUES ('b')")
        self.db.commit()
        self.assert_both_hold("b")

    def test_connect_without_sync_url_is_an_ordinary_database(self):
        db = sqlite_replica.connect(":memory:")
        db.execute("CREATE TABLE t(x)")
        db.execute("INSERT INTO t VALUES (1)")
        self.assertTrue(db.in_transaction)
        db.rollback()
        self.assertEqual(db.execute("SELECT * FROM t").fetchall(), [])
        with self.assertRaises(sqlite3.ProgrammingError):
            db.sync()

    def test_a_url_without_a_file_and_an_encryption_key_are_refused(self):
        for arguments in (("libsql://one.example",), (self.path, 5.0, 0, None, True, 128, False)):
            keyed = {} if len(arguments) == 1 else {"encryption_key": "k"}
            with self.assertRaises(sqlite3.NotSupportedError):
                sqlite_replica.connect(*arguments, **keyed)


class Replica(WithPrimary):
    def test_sync_brings_what_others_wrote(self):
        self.primary.execute(f"INSERT INTO {self.table}(x) VALUES ('theirs')")
        self.assertEqual(self.db.execute(f"SELECT x FROM {self.table}").fetchall(), [])
        synced = self.db.sync()
        self.assertGreater(synced["frames_synced"], 0)
        self.assert_both_hold("theirs")
        self.assertEqual(json.loads(self.db.execute("SELECT replica_sync()").fetchone()[0])["frames_synced"], 0)

    def test_a_read_of_what_only_the_primary_has_asks_the_primary(self):
        self.primary.execute(f"CREATE TABLE later{self.table}(x); INSERT INTO later{self.table} VALUES (1)")
        self.assertEqual(self.db.execute(f"SELECT x FROM later{self.table}").fetchall(), [(1,)])
        self.assertEqual(self.db.execute("SELECT vector_extract(vector('[1,2]'))").fetchone(), ("[1,2]",))

    def test_options_reach_the_extension(self):
        db = self.open(sync_interval=30, options={"timeout": 7})
        self.assertEqual(db.execute("SELECT count(*) FROM replica_status").fetchone(), (1,))
        db.close()
        with self.assertRaises(sqlite3.OperationalError):
            self.open(options={"unknown": 1})


class Offline(WithPrimary):
    def test_a_write_that_finds_no_primary_is_queued_and_a_sync_delivers_it_once(self):
        db = self.open(offline=True, isolation_level=None)
        insert = f"INSERT INTO {self.table}(x) VALUES (?)"
        self.assertEqual(db.execute(insert, ("there",)).rowcount, 1)
        self.primary.stop()
        cursor = db.execute(f"{insert} RETURNING id", ("queued",))
        self.assertEqual((cursor.fetchall(), cursor.rowcount), ([], -1))
        db.executescript(f"{insert.replace('?', '2')}; {insert.replace('?', '3')}")
        with self.assertRaises(sqlite3.OperationalError):
            db.execute("BEGIN")
        with self.assertRaises(sqlite3.OperationalError):
            self.open(isolation_level=None).execute(insert, ("refused",))
        self.assertEqual(db.execute(f"SELECT x FROM {self.table}").fetchall(), [("there",)])
        db.close()
        later = self.open(offline=True, isolation_level=None)
        self.assertEqual(later.execute("SELECT count(*) FROM replica_outbox WHERE state = 'pending'").fetchone(), (3,))
        self.primary.start()
        self.primary.execute("SELECT 1")
        later.sync()
        self.db = later
        self.assert_both_hold("there", "queued", 2, 3)

    def test_a_transaction_whose_primary_goes_away_is_over_when_it_is_rolled_back(self):
        db, insert = self.db, f"INSERT INTO {self.table}(x) VALUES ('in time')"
        db.execute(insert)
        self.primary.stop()
        for use in (lambda: db.execute(insert), db.commit):
            self.assertRaises(sqlite3.OperationalError, use)
            self.assertTrue(db.in_transaction)
        db.rollback()
        self.assertFalse(db.in_transaction)
        self.assertEqual(db.execute(f"SELECT * FROM {self.table}").fetchall(), [])
        self.primary.start()
        self.primary.execute("SELECT 1")
        db.execute(insert)
        db.commit()
        self.assert_both_hold("in time")

    def test_transactions_and_offline_exclude_each_other(self):
        for more in ({}, {"isolation_level": "IMMEDIATE"}, {"isolation_level": "", "autocommit": False}):
            with self.assertRaisesRegex(sqlite3.NotSupportedError, "offline: .*; give isolation_level=None"):
                self.open(offline=True, **more)


class OnTurso(unittest.TestCase):
    """A Turso server has no transactions over several calls, counts no rows and describes no statement."""

    def test_each_statement_by_itself(self):
        program = os.environ.get("TURSODB", ROOT / ".tools" / "tursodb")
        with tempfile.TemporaryDirectory() as folder, socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
            free.close()

            def start():
                server = subprocess.Popen([program, f"{folder}/primary.db", "--sync-server", address], stdin=subprocess.DEVNULL,
                                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                self.addCleanup(server.wait)
                self.addCleanup(server.kill)
                return server

            server = start()
            for tries in itertools.count():
                try:
                    db = sqlite_replica.connect(f"{folder}/app.db", sync_url=f"http://{address}", binding=BINDING, isolation_level=None,
                                                detect_types=sqlite3.PARSE_DECLTYPES if BINDING == "sqlite3" else 0)
                    break
                except sqlite3.OperationalError:
                    self.assertLess(tries, 400)
                    # Somebody else took the port in the meantime.
                    server = server if server.poll() is None else start()
                    time.sleep(0.05)
            self.addCleanup(db.close)
            db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, x UNIQUE, d date)")
            self.assertEqual(db.execute("INSERT INTO t(x, d) VALUES (?, '2020-02-03') RETURNING id, x, d", ("a",)).fetchall(), [(1, "a", "2020-02-03")])
            self.assertEqual(db.execute("INSERT INTO t(x) VALUES ('b')").rowcount, -1)
            self.assertEqual(db.executemany("INSERT INTO t(x) VALUES (?)", [(number,) for number in range(5)]).rowcount, -1)
            self.assertRaisesRegex(sqlite3.IntegrityError, "UNIQUE constraint failed: t.x", db.execute, "INSERT INTO t(x) VALUES ('a')")
            db.executescript("INSERT INTO t(x) VALUES ('c'); BEGIN; DELETE FROM t WHERE x > 2 AND x < 10; COMMIT")
            self.assertEqual(db.execute("SELECT group_concat(x) FROM (SELECT x FROM t ORDER BY id)").fetchone(), ("a,b,0,1,2,c",))
            self.assertRaisesRegex(sqlite3.OperationalError, "no transactions over several calls", db.execute, "BEGIN")


@unittest.skipIf(BINDING != "sqlite3", "row factories and async libraries are sqlite3's")
class OnlyWithSqlite3(WithPrimary):
    def test_sqlite3_row_works_on_local_and_remote_rows(self):
        self.db.row_factory = sqlite3.Row
        row = self.db.execute(f"INSERT INTO {self.table}(x) VALUES ('v') RETURNING id AS i, x").fetchone()
        self.assertEqual((row["i"], row["X"], row.keys()), (1, "v", ["i", "x"]))
        self.db.commit()
        self.assertEqual(self.db.execute(f"SELECT x FROM {self.table}").fetchone()["x"], "v")

    def test_the_primarys_rows_are_converted_as_those_of_the_file(self):
        moment = datetime.datetime(2020, 1, 2, 3)
        table, db = f"c{self.table}", self.open(isolation_level=None, detect_types=sqlite3.PARSE_DECLTYPES | sqlite3.PARSE_COLNAMES)
        for name in ("real", "half"):
            sqlite3.register_converter(name, lambda found: (name, found))
            self.addCleanup(sqlite3.converters.pop, name.upper())
        with warnings.catch_warnings():
            # What sqlite3 itself registers is deprecated since Python 3.12.
            warnings.simplefilter("ignore")
            db.execute(f"CREATE TABLE {table}(at timestamp, d date(9), r real, n integer, t text)")
            insert = f"INSERT INTO {table} VALUES (?, ?, 2.5, 7, 'x')"
            db.execute(insert, (moment, moment.date()))
            for sql in (f"SELECT at, d, r, n, t, at AS 'named [date]', n + 1 AS 'h [half]', NULL AS 'nothing [date]' FROM {table}",
                        f"SELECT max(at) FROM {table}", f"SELECT at FROM {table} WHERE n = 0"):
                for text_factory in (str, bytes, lambda text: text.decode() + "!"):
                    db.text_factory = text_factory
                    here = db.execute(sql.replace("at AS 'named [date]'", "d AS 'named [date]'")).fetchall()
                    db.execute("BEGIN")
                    for _ in range(2):
                        there = db.execute(sql.replace("at AS 'named [date]'", "d AS 'named [date]'")).fetchall()
                        self.assertEqual(there, here)
                    db.execute("ROLLBACK")
            db.text_factory = str
            self.assertEqual(here, [])
            db.execute("BEGIN")
            db.execute(f"ALTER TABLE {table} ADD COLUMN later date DEFAULT '2021-02-03'")
            self.assertEqual(db.execute(f"SELECT later, at FROM {table}").fetchall(), [(datetime.date(2021, 2, 3), moment)])
            db.execute("ROLLBACK")

    def test_load_refuses_an_async_connection_and_load_async_takes_it(self):
        class Async:
            def __init__(self):
                self.native = sqlite3.connect(":memory:")

            async def enable_load_extension(self, on):
                self.native.enable_load_extension(on)

            async def load_extension(self, path):
                self.native.load_extension(path)

        connection = Async()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with self.assertRaisesRegex(TypeError, "load_async"):
                sqlite_replica.load(connection)
        asyncio.run(sqlite_replica.load_async(connection))
        self.assertTrue(connection.native.execute("SELECT replica_version()").fetchone()[0])


if __name__ == "__main__":
    unittest.main()
