"""Replicas in memory. Arguments: LIBRARY URL CASE...

Runs with apsw where that is installed, else with Python's own sqlite3. Prints
what it measured; an assertion that fails ends it with a traceback.
"""

import gc
import json
import os
import sys
import threading
import time
import urllib.request

try:
    import apsw
except ImportError:
    apsw = None
    import sqlite3

LIBRARY, URL = sys.argv[1:3]
BUSY, LOCKED, READONLY, MISUSE, ERROR = 5, 6, 8, 21, 1


class Database:
    """The same few calls over both bindings."""

    def __init__(self, name, load=True):
        if apsw:
            flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_URI
            self.connection = apsw.Connection(name, flags=flags)
        else:
            self.connection = sqlite3.connect(
                name, uri=True, isolation_level=None, timeout=0, check_same_thread=False
            )
        if load:
            self.connection.enable_load_extension(True)
            if apsw:
                self.connection.load_extension(LIBRARY, "sqlite3_replica_init")
            else:
                self.rows("SELECT load_extension(?, 'sqlite3_replica_init')", LIBRARY)

    def cursor(self, sql, *args):
        return self.connection.cursor().execute(sql, args)

    def rows(self, sql, *args):
        return [tuple(row) for row in self.cursor(sql, *args)]

    def one(self, sql, *args):
        rows = self.rows(sql, *args)
        assert len(rows) == 1 and len(rows[0]) == 1, (sql, rows)
        return rows[0][0]

    def error(self, sql, *args):
        """Code and text of the error that the statement must end in."""
        try:
            rows = self.rows(sql, *args)
        except (apsw.Error if apsw else sqlite3.Error) as error:
            code = error.result if apsw else error.sqlite_errorcode & 0xFF
            return code, str(error).removeprefix("SQLError: ").removeprefix("BusyError: ")
        raise AssertionError(f"{sql}: no error but {rows}")

    def attach(self, **options):
        return json.loads(self.one("SELECT replica_attach(?, NULL, ?)", URL, json.dumps(options)))

    def close(self):
        self.connection.close()


def on_primary(sql, url=URL):
    body = {"requests": [{"type": "sequence", "sql": sql}, {"type": "close"}]}
    answer = json.load(urllib.request.urlopen(url + "/v3/pipeline", json.dumps(body).encode()))
    assert answer["results"][0]["type"] == "ok", answer


def becomes(database, sql, expected, within=5):
    deadline = time.monotonic() + within
    while database.one(sql) != expected:
        assert time.monotonic() < deadline, f"{sql}: {database.one(sql)}, not {expected}"
        time.sleep(0.01)


def equals_primary(database, table="t"):
    """All of a table, beside what the primary says of it."""
    assert database.one("PRAGMA integrity_check") == "ok"
    here = [list(row) for row in database.rows(f"SELECT * FROM {table} ORDER BY rowid")]
    there = database.rows(f"SELECT row FROM replica_query('SELECT * FROM {table} ORDER BY rowid')")
    assert here == [json.loads(row) for (row,) in there]


def resident():
    """Bytes of memory that the process has."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def most_resident():
    """Bytes that the process has had at most, since `forget_most_resident`."""
    with open("/proc/self/status") as status:
        (line,) = [line for line in status if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


def forget_most_resident():
    with open("/proc/self/clear_refs", "w") as clear:
        clear.write("5")


def case_story():
    """All that a replica in a file can do, and what it is called."""
    on_primary("DROP TABLE IF EXISTS t; CREATE TABLE t(id INTEGER PRIMARY KEY, x);"
               "INSERT INTO t(x) VALUES ('a'), ('b')")
    for name, path in (
        (":memory:", ":memory:"),
        ("", ":memory:"),
        ("file:app?vfs=replica", "file:app?vfs=replica"),
        ("file:/a%3fb%23c%25d%20e?vfs=replica", "file:/a%3Fb%23c%25d e?vfs=replica"),
        ("file:" + "n" * 1000 + "?vfs=replica", "file:" + "n" * 1000 + "?vfs=replica"),
    ):
        db = Database(name)
        status = db.attach()
        assert status["path"] == path, status
        equals_primary(db)
        assert db.one("PRAGMA journal_mode") == "wal"
        written = json.loads(db.one("SELECT replica_write('INSERT INTO t(x) VALUES (?)', 'c')"))
        assert written["synced"], written
        assert db.one("SELECT x FROM t WHERE id = ?", written["last_insert_rowid"]) == "c"
        code, text = db.error("INSERT INTO t(x) VALUES ('mine')")
        assert code == READONLY and "attempt to write a readonly database" in text, text
        on_primary("INSERT INTO t(x) VALUES ('theirs')")
        # An open cursor keeps its state while a sync brings the next one.
        cursor = iter(db.cursor("SELECT x FROM t ORDER BY id"))
        first = next(cursor)
        rows = db.one("SELECT count(*) FROM t")
        assert json.loads(db.one("SELECT replica_sync()"))["frames_synced"] > 0
        assert 1 + len(list(cursor)) == rows and first[0] == "a"
        assert db.one("SELECT count(*) FROM t") == rows + 1
        db.rows("BEGIN")
        before = db.one("SELECT count(*) FROM t")
        on_primary("INSERT INTO t(x) VALUES ('unseen')")
        db.one("SELECT replica_sync()")
        assert db.one("SELECT count(*) FROM t") == before
        db.rows("COMMIT")
        equals_primary(db)
        # A second attach opens nothing anew; the worker has a connection of its own.
        db.attach(live=True)
        on_primary("INSERT INTO t(x) VALUES ('live')")
        becomes(db, "SELECT count(*) FROM t", before + 2)
        rows = db.rows("SELECT * FROM replica_sync_progress")
        assert rows
        db.rows("SELECT replica_begin()")
        db.one("SELECT replica_write('UPDATE t SET x = ''z''')")
        db.rows("SELECT replica_rollback()")
        equals_primary(db)
        temp = "CREATE TEMP TABLE mine AS SELECT * FROM t"
        db.rows(temp)
        assert db.one("SELECT count(*) FROM mine") == before + 2
        db.rows("VACUUM INTO 'copy.db'")
        copy = Database("copy.db", load=False)
        assert copy.one("SELECT count(*) FROM t") == before + 2
        copy.close()
        os.remove("copy.db")
        assert db.one("SELECT replica_detach()") == 1
        assert db.one("SELECT count(*) FROM t") == before + 2
        db.close()
    assert os.listdir(".") == [], os.listdir(".")


def case_promote():
    """A promoted replica is written by the connection that has it alone."""
    on_primary("DROP TABLE IF EXISTS t; CREATE TABLE t(x); INSERT INTO t VALUES (1)")
    for name in (":memory:", "file:promoted?vfs=replica"):
        db = Database(name)
        db.attach()
        code, _ = db.error("DELETE FROM t")
        assert code == READONLY
        assert json.loads(db.one("SELECT replica_promote()"))["promoted"]
        # Where the name is known, an open connection is read-only as with a file.
        other = Database(name) if name != ":memory:" else db
        other.rows("INSERT INTO t VALUES (2)")
        other.rows("CREATE TABLE mine(y)")
        assert other.one("SELECT count(*) FROM t") == 2
        assert db.one("SELECT count(*) FROM t") == 2
        if other is not db:
            db.close()
        assert other.rows("PRAGMA journal_mode = DELETE") == [("delete",)]
        other.rows("BEGIN")
        other.rows("INSERT INTO t VALUES (3)")
        other.rows("ROLLBACK")
        other.rows("VACUUM")
        assert other.one("PRAGMA integrity_check") == "ok"
        assert other.one("SELECT count(*) FROM t") == 2
        assert other.error("SELECT replica_attach(?)", URL)[0] == READONLY
        other.close()


def case_refusals():
    """Each with its code and its text, and main as it was."""
    remedy = "; open 'file:NAME?vfs=replica' instead"
    call = f"replica_attach('{URL}')"

    def refused(db, sql, code, text):
        found = db.error(sql)
        assert found == (code, f"replica_attach: {text}"), found
        file = db.one("SELECT file FROM pragma_database_list WHERE name = 'main'")
        assert file in ("", "/n"), file

    reading = "this connection is reading its empty database; attach in a statement of its own"
    writing = "the call is part of a statement that writes; attach in a plain SELECT"
    db = Database(":memory:")
    refused(db, f"SELECT {call} FROM json_each('[1]')", BUSY, reading)
    refused(db, f"SELECT {call} FROM pragma_user_version", BUSY, reading)
    refused(db, f"SELECT {call} FROM sqlite_master UNION ALL SELECT {call}", BUSY, reading)
    refused(db, f"CREATE TEMP TABLE x AS SELECT {call}", MISUSE, writing)
    db.rows("CREATE TEMP TABLE y(x)")
    refused(db, f"INSERT INTO y SELECT {call}", MISUSE, writing)
    db.rows("BEGIN")
    db.rows("SELECT * FROM sqlite_master")
    refused(db, f"SELECT {call}", BUSY, reading)
    db.rows("COMMIT")
    cursor = db.cursor("SELECT key FROM json_each('[1, 2]')")
    if apsw:
        refused(db, f"SELECT {call}", BUSY, reading)
    list(cursor)
    # What opens no transaction on main is in nobody's way.
    db.rows("SAVEPOINT a")
    db.rows(f"SELECT {call}")
    db.rows("RELEASE a")
    db.close()
    db = Database(":memory:")
    db.rows("BEGIN")
    db.rows("CREATE TEMP TABLE other(x)")
    db.rows(f"SELECT {call}")
    db.rows("COMMIT")
    db.close()
    db = Database(":memory:")
    db.rows("CREATE TABLE mine(x)")
    db.rows("DROP TABLE mine")
    db.rows("BEGIN")
    refused(db, f"SELECT {call}", BUSY,
            "this connection is in a transaction, and its database has had tables; attach outside "
            "of it")
    db.rows("COMMIT")
    db.rows(f"SELECT {call}")
    db.close()

    db = Database(":memory:")
    db.rows("CREATE TABLE mine(x)")
    refused(db, f"SELECT {call}", READONLY,
            ":memory: holds data and is not a replica: nothing was changed; attach an empty or "
            "new database")
    db.rows("INSERT INTO mine VALUES (1)")
    assert db.one("SELECT count(*) FROM mine") == 1
    db.close()

    db = Database("file:/n?vfs=memdb")
    name = db.one("SELECT file FROM pragma_database_list WHERE name = 'main'") or "NAME"
    refused(db, f"SELECT {call}", ERROR,
            "the main database is on SQLite's VFS memdb, which others would go on using; open "
            f"'file:{name}?vfs=replica' instead")
    db.close()

    db = Database(":memory:")
    if apsw:
        db.connection.authorizer = lambda code, *_: (
            apsw.SQLITE_DENY if code == apsw.SQLITE_ATTACH else apsw.SQLITE_OK)
    else:
        db.connection.set_authorizer(lambda code, *_: (
            sqlite3.SQLITE_DENY if code == sqlite3.SQLITE_ATTACH else sqlite3.SQLITE_OK))
    refused(db, f"SELECT {call}", ERROR,
            "the main database is in memory: SQLite refused to open it anew" + remedy)
    db.close()

    db = Database("ordinary.db")
    code, text = db.error(f"SELECT replica_attach('{URL}', NULL, '{{\"share\": \"s\"}}')")
    assert code == ERROR and "option share: the main database is another one already" in text, text
    db.close()
    os.remove("ordinary.db")
    db = Database(":memory:")
    db.rows("CREATE TABLE mine(x)")
    db.rows("DROP TABLE mine")
    refused(db, f"SELECT replica_attach('{URL}', NULL, '{{\"share\": \"s\"}}')", MISUSE,
            "option share: this connection has had tables of its own; use it on a new connection")
    db.close()


def case_omitted():
    """An SQLite without sqlite3_deserialize says so and keeps its database;
    the URI works."""
    db = Database(":memory:")
    found = db.error(f"SELECT replica_attach('{URL}')")
    assert found == (ERROR, "replica_attach: the main database is in memory: this SQLite was built without "
                     "sqlite3_deserialize; open 'file:NAME?vfs=replica' instead"), found
    db.rows("CREATE TABLE mine(x)")
    assert db.rows("SELECT name FROM sqlite_master") == [("mine",)]
    db.close()
    on_primary("DROP TABLE IF EXISTS t; CREATE TABLE t(x); INSERT INTO t VALUES (1)")
    db = Database("file:works?vfs=replica")
    db.attach(live=True)
    db.one("SELECT replica_write('INSERT INTO t VALUES (2)')")
    equals_primary(db)
    db.close()


def case_attach_within():
    """What else of the connection is at work when it attaches: refused with
    main as it was, and the next attach succeeds."""
    on_primary("DROP TABLE IF EXISTS t; CREATE TABLE t(x); INSERT INTO t VALUES (1)")
    call = f"SELECT replica_attach('{URL}')"
    reading = (BUSY, "replica_attach: this connection is reading its empty database; attach in a statement of its own")
    writing = (MISUSE, "replica_attach: the call is part of a statement that writes; attach in a plain SELECT")

    def then_works(db):
        assert db.rows("SELECT file FROM pragma_database_list WHERE name = 'main'") == [("",)]
        db.rows(call)
        equals_primary(db)
        db.close()

    def blob(db, schema, writable=False):
        if apsw:
            return db.connection.blob_open(schema, "b", "x", 1, writable)
        return db.connection.blobopen("b", "x", 1, name=schema, readonly=not writable)

    db = Database(":memory:")
    db.rows("CREATE TEMP TABLE y(x)")
    db.rows(f"CREATE TEMP TRIGGER z AFTER INSERT ON y BEGIN {call}; END")
    found = db.error("INSERT INTO y VALUES (1)")
    assert found == writing, found
    db.rows("INSERT INTO y SELECT 1 WHERE 0")
    assert db.rows("SELECT * FROM y") == []
    then_works(db)

    # A statement that reads a temporary or an attached table, with the call in it or beside it.
    for there in ("CREATE TEMP TABLE y AS SELECT 1 AS x", f"CREATE TEMP VIEW y AS {call} AS x",
                  "ATTACH ':memory:' AS m; CREATE TABLE m.y AS SELECT 1 AS x"):
        db = Database(":memory:")
        for sql in there.split("; "):
            db.rows(sql)
        found = db.error(call + ", x FROM y" if "VIEW" not in there else "SELECT x FROM y")
        assert found == reading, found
        then_works(db)

    for schema, writable, expected in (("main", False, reading), ("temp", False, reading), ("temp", True, writing)):
        db = Database(":memory:")
        db.rows(f"CREATE TABLE {schema}.b(x)")
        db.rows(f"INSERT INTO {schema}.b VALUES (x'41424344')")
        handle = blob(db, schema, writable)
        found = db.error(call)
        assert found == expected, (schema, writable, found)
        assert handle.read() == b"ABCD"
        handle.close()
        if schema == "main":
            assert db.error(call)[0] == READONLY
            db.rows("DROP TABLE b")
        then_works(db)

    for name in (":memory:", "file:alone?vfs=replica"):
        db = Database(name)
        db.rows("PRAGMA locking_mode = EXCLUSIVE")
        found = db.error(call)
        assert found == (BUSY, "replica_attach: this connection keeps its database to itself (PRAGMA locking_mode = "
                         "EXCLUSIVE); set it to NORMAL, read something, and attach again"), found
        db.rows("PRAGMA locking_mode = NORMAL")
        db.rows("SELECT * FROM sqlite_master")
        db.rows(call)
        equals_primary(db)
        db.close()


def case_attach_beside_a_backup():
    """A backup of the empty main database that is under way is not disturbed.
    (SQLite up to 3.40 does not tell of one.)"""
    if not apsw:
        return
    on_primary("DROP TABLE IF EXISTS t; CREATE TABLE t(x); INSERT INTO t VALUES (1)")
    db, copy = Database(":memory:"), Database(":memory:", load=False)
    db.rows("CREATE TABLE q(x)")
    db.rows("INSERT INTO q VALUES (zeroblob(100000))")
    db.rows("DROP TABLE q")
    with copy.connection.backup("main", db.connection, "main") as backup:
        backup.step(1)
        found = db.error(f"SELECT replica_attach('{URL}')")
        assert found == (BUSY, "replica_attach: a backup of the empty main database is under way; attach when it has "
                         "ended"), found
        assert backup.step(-1)
    assert copy.one("PRAGMA integrity_check") == "ok"
    db.attach()
    equals_primary(db)
    db.close()


def case_shared_cache():
    """A connection leaves the database of a shared cache; the others keep it."""
    first, second = (Database("file::memory:?cache=shared") for _ in range(2))
    first.rows("CREATE TABLE probe(x)")
    if second.rows("SELECT * FROM sqlite_master") == []:
        print("this SQLite has no shared cache")
        return
    first.rows("DROP TABLE probe")
    on_primary("DROP TABLE IF EXISTS t; CREATE TABLE t(x); INSERT INTO t VALUES (1)")
    call = f"SELECT replica_attach('{URL}')"
    # SQLite of before 3.41 would wait for itself here.
    assert first.error(f"CREATE TEMP TABLE x AS {call}")[0] == MISUSE
    second.rows("BEGIN")
    second.rows("CREATE TABLE theirs(x)")
    code, text = first.error(call)
    assert code in (BUSY, LOCKED) and "locked" in text, (code, text)
    second.rows("COMMIT")
    code, text = first.error(call)
    assert code == READONLY and "holds data" in text, (code, text)
    second.rows("DROP TABLE theirs")
    second.rows("BEGIN")
    second.rows("SELECT * FROM sqlite_master")
    first.rows(call)
    equals_primary(first)
    second.rows("COMMIT")
    second.rows("CREATE TABLE theirs(x)")
    second.rows("INSERT INTO theirs VALUES (2)")
    first.one("SELECT replica_sync()")
    assert first.error("SELECT * FROM theirs")[0] == ERROR
    first.close()
    assert second.one("SELECT x FROM theirs") == 2
    assert second.error(call)[0] == READONLY
    second.close()


def case_backups():
    """A backup of a replica in memory is a replica in a file."""
    if not apsw:
        return
    on_primary("DROP TABLE IF EXISTS t; CREATE TABLE t(x); INSERT INTO t VALUES (zeroblob(100000))")
    db, file = Database(":memory:"), Database("backup.db")
    db.attach()
    with file.connection.backup("main", db.connection, "main") as backup:
        backup.step(-1)
    file.close()
    file = Database("backup.db")
    assert file.attach(first_sync=False)["frame_no"] == db.attach()["frame_no"]
    file.close()
    db.close()
    for name in os.listdir("."):
        os.remove(name)


def case_old_statements():
    """What was prepared before the attach knows no table of before, nor takes
    the primary's for one of its own, whatever schema cookie the primary has."""
    on_primary("DROP TABLE IF EXISTS t; DROP TABLE IF EXISTS q; CREATE TABLE t(x);"
               "INSERT INTO t VALUES (1), (2)")
    probe = Database(":memory:")
    probe.attach()
    cookie = probe.one("PRAGMA schema_version")
    probe.close()
    # Each number of changes that may meet the primary's cookie, now or later.
    for changes in sorted({*range(1, 8), *range(max(cookie - 2, 1), cookie + 6)}):
        db = Database(":memory:")
        db.rows("CREATE TABLE q(y)")
        db.rows("DROP TABLE q")
        db.rows(f"PRAGMA schema_version = {max(changes - 1, 0)}")
        db.rows("CREATE TABLE q(y)")
        db.rows("INSERT INTO q VALUES (7)")
        query = "SELECT count(*) AS n FROM q"
        assert db.one(query) == 1
        db.rows("DROP TABLE q")
        db.attach()
        for _ in range(2):
            code, text = db.error(query)
            assert code == ERROR and "no such table: q" in text, (changes, text)
            assert db.one("SELECT count(*) FROM t") >= 2
            on_primary("CREATE TABLE s(y); DROP TABLE s; INSERT INTO t VALUES (3)")
            db.one("SELECT replica_sync()")
        equals_primary(db)
        db.close()


def case_sharing():
    """One name is one replica for all connections of the process, as long as
    one of them is open; a private one is nobody else's."""
    on_primary("DROP TABLE IF EXISTS t; CREATE TABLE t(x); INSERT INTO t VALUES (1)")
    first, second, third = Database(":memory:"), Database(":memory:"), Database("")
    first.attach(share="both")
    assert second.attach(share="both", first_sync=False)["frame_no"] is not None
    third.attach(first_sync=False)
    reader = Database("file:both?vfs=replica", load=False)
    on_primary("INSERT INTO t VALUES (2)")
    first.one("SELECT replica_sync()")
    assert second.one("SELECT count(*) FROM t") == reader.one("SELECT count(*) FROM t") == 2
    assert third.error("SELECT count(*) FROM t")[0] == ERROR
    # A second attach under the same name is one; under another it is not.
    second.attach(share="both")
    code, text = second.error(f"SELECT replica_attach('{URL}', NULL, '{{\"share\": \"other\"}}')")
    assert code == ERROR and "option share" in text, text
    assert second.one("SELECT path FROM replica_status") == "file:both?vfs=replica"
    # Any order of closing.
    first.close()
    on_primary("INSERT INTO t VALUES (3)")
    second.one("SELECT replica_sync()")
    assert reader.one("SELECT count(*) FROM t") == 3
    second.close()
    assert reader.one("SELECT count(*) FROM t") == 3
    assert reader.one("PRAGMA integrity_check") == "ok"
    # Who opens it to read only reads only.
    only = Database("file:both?vfs=replica&mode=ro")
    assert only.one("SELECT count(*) FROM t") == 3
    only.attach()
    # A SQLite with assertions cannot be asked how a file was opened.
    if not only.one("SELECT sqlite_compileoption_used('DEBUG')"):
        code, text = only.error("SELECT replica_write('INSERT INTO t VALUES (4)')")
        assert code == READONLY and "read" in text, (code, text)
    only.close()
    late = Database("file:both?vfs=replica")
    assert late.attach(first_sync=False)["frame_no"] is not None
    late.close()
    reader.close()
    # Its last connection took it away.
    again = Database("file:both?vfs=replica")
    assert again.attach(first_sync=False)["frame_no"] is None
    again.close()
    third.close()
    try:
        Database("file:nobody?vfs=replica&mode=ro", load=False).rows("SELECT * FROM sqlite_master")
        raise AssertionError("a database that nobody has is opened read-only")
    except (apsw.Error if apsw else sqlite3.Error) as error:
        assert "unable to open" in str(error), error


def case_replaced():
    """A host that opens something else over its main database is told so."""
    if not hasattr(Database(":memory:").connection, "deserialize"):
        return
    on_primary("DROP TABLE IF EXISTS t; CREATE TABLE t(x); INSERT INTO t VALUES (1)")
    db, other = Database(":memory:"), Database(":memory:", load=False)
    other.rows("CREATE TABLE theirs(x)")
    content = (other.connection.serialize("main") if apsw else other.connection.serialize())
    db.attach()
    db.connection.deserialize("main", content) if apsw else db.connection.deserialize(content)
    code, text = db.error("SELECT replica_sync()")
    assert code == MISUSE and "attach again" in text, (code, text)
    assert db.rows("SELECT name FROM sqlite_master") == [("theirs",)]
    db.close()


def case_disk():
    """Other files of such a connection are on the disk, as ever."""
    on_primary("DROP TABLE IF EXISTS t; CREATE TABLE t(x); INSERT INTO t VALUES (1)")
    for name in (":memory:", "file:app?vfs=replica"):
        db = Database(name)
        db.attach()
        db.rows("ATTACH 'a.db' AS a")
        db.rows("CREATE TABLE a.x AS SELECT * FROM t")
        db.rows("ATTACH 'app' AS namesake")
        db.rows("CREATE TABLE namesake.x(y)")
        assert sorted(os.listdir(".")) == ["a.db", "app"], os.listdir(".")
        db.rows("ATTACH 'file:app?vfs=replica' AS memory")
        if name != ":memory:":
            assert db.one("SELECT count(*) FROM memory.t") == 1
        plain = Database("a.db", load=False)
        assert plain.one("SELECT count(*) FROM x") == 1
        plain.close()
        db.rows("CREATE TEMP TABLE big AS WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 "
                "FROM c WHERE n < 20000) SELECT n, randomblob(500) AS b FROM c")
        assert db.one("SELECT count(DISTINCT b) FROM big") == 20000
        db.close()
        for left in os.listdir("."):
            os.remove(left)


def case_beside_memdb():
    """Other threads that open and load SQLite's own databases in memory get
    these, also while an attach takes their VFS's name."""
    on_primary("DROP TABLE IF EXISTS t; CREATE TABLE t(x); INSERT INTO t VALUES (1)")
    stop, failures, counts = threading.Event(), [], [0, 0]
    source = Database(":memory:", load=False)
    source.rows("CREATE TABLE theirs(x)")
    source.rows("INSERT INTO theirs VALUES (42)")
    content = source.connection.serialize("main") if apsw else source.connection.serialize()

    def others(number):
        try:
            while not stop.is_set():
                db = Database(f"file:/shared{number}?vfs=memdb", load=False)
                db.rows("CREATE TABLE IF NOT EXISTS s(x)")
                assert db.one("PRAGMA journal_mode") == "memory"
                db.close()
                db = Database(":memory:", load=False)
                if apsw:
                    db.connection.deserialize("main", content)
                else:
                    db.connection.deserialize(content)
                assert db.one("SELECT x FROM theirs") == 42
                db.close()
                counts[number] += 1
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=others, args=(number,)) for number in range(2)]
    [thread.start() for thread in threads]
    deadline, attached = time.monotonic() + 60, 0
    while (attached <= 20 or min(counts) <= 20) and time.monotonic() < deadline and not failures:
        db = Database(":memory:")
        db.attach()
        assert db.one("SELECT count(*) FROM t") == 1
        db.close()
        attached += 1
    stop.set()
    [thread.join() for thread in threads]
    assert not failures, failures
    assert attached > 20 and min(counts) > 20, (attached, counts)


def case_readers():
    """Readers that leave no gap, and have no busy timeout, see whole states
    and are never told to wait."""
    on_primary("DROP TABLE IF EXISTS t; CREATE TABLE t(id INTEGER PRIMARY KEY, v, pad);"
               "INSERT INTO t WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c "
               "WHERE n < 2000) SELECT n, 0, printf('%0400d', n) FROM c")
    writer = Database("file:busy?vfs=replica")
    writer.attach(live=True)
    stop, failures, reads = threading.Event(), [], [0, 0]

    def read(number):
        try:
            db = Database("file:busy?vfs=replica", load=False)
            while not stop.is_set():
                assert db.one("SELECT min(v) = max(v) AND count(*) = 2000 FROM t") == 1
                reads[number] += 1
            assert db.one("PRAGMA integrity_check") == "ok"
            db.close()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=read, args=(number,)) for number in range(2)]
    [thread.start() for thread in threads]
    for round in range(1, 31):
        on_primary(f"UPDATE t SET v = {round}")
    becomes(writer, "SELECT max(v) FROM t", 30, within=20)
    stop.set()
    [thread.join() for thread in threads]
    assert not failures, failures
    assert min(reads) > 30, reads
    equals_primary(writer)
    writer.close()


def case_fork():
    """A child reads its copy; calls are refused."""
    on_primary("DROP TABLE IF EXISTS t; CREATE TABLE t(x); INSERT INTO t VALUES (1)")
    db = Database(":memory:")
    db.attach()
    child = os.fork()
    if child == 0:
        code, text = db.error("SELECT replica_sync()")
        fine = code == MISUSE and "fork" in text and db.one("SELECT count(*) FROM t") == 1
        os._exit(0 if fine else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    db.one("SELECT replica_sync()")
    equals_primary(db)
    db.close()


def case_no_file(own_temporary=True):
    """The story, and sorts that would want temporary files. Whoever runs it
    looks whether a file was made."""
    on_primary("DROP TABLE IF EXISTS t; CREATE TABLE t(id INTEGER PRIMARY KEY, x);"
               "INSERT INTO t WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c "
               "WHERE n < 20000) SELECT n, hex(randomblob(100)) FROM c")
    for name in (":memory:", "", "file:app?vfs=replica"):
        db = Database(name)
        db.rows("PRAGMA cache_size = 10")
        if own_temporary or "vfs" not in name:
            db.rows("PRAGMA temp_store = MEMORY")
        db.attach(live=True)
        db.one("SELECT replica_write('INSERT INTO t(x) VALUES (1)')")
        db.one("SELECT replica_write('UPDATE t SET x = x || 1')")
        db.one("SELECT replica_sync()")
        sort = "SELECT count(*) FROM (SELECT x || id AS y FROM t ORDER BY y LIMIT 50000)"
        assert db.one(sort) == 20001
        db.rows("CREATE TEMP TABLE big AS SELECT * FROM t")
        assert db.one("PRAGMA integrity_check") == "ok"
        db.one("SELECT replica_detach()")
        db.one("SELECT replica_attach(?) IS NOT NULL", URL)
        assert db.one("SELECT count(*) FROM t") == 20001
        if name:
            db.one("SELECT replica_promote()")
        db.close()
        on_primary("DELETE FROM t WHERE id > 20000")


def case_nothing_writable():
    """Where there is no place for temporary files, the VFS has one."""
    case_no_file(own_temporary=False)


def case_lives(rounds=160):
    """Replicas that come and go leave no memory behind."""
    on_primary("DROP TABLE IF EXISTS t; CREATE TABLE t(x); INSERT INTO t VALUES (zeroblob(200000))")
    sizes = []
    for round in range(rounds):
        db = Database(":memory:" if round % 2 else "file:life?vfs=replica")
        db.attach(live=round % 4 == 0)
        assert db.one("SELECT length(x) FROM t") == 200000
        db.close()
        if (round + 1) % (rounds // 4) == 0:
            gc.collect()
            sizes.append(resident())
    print(f"resident after each quarter of {rounds} lives, MB:", [f"{size / (1 << 20):.1f}" for size in sizes])
    assert sizes[-1] - sizes[0] < 4 << 20, sizes


def case_many_lives():
    case_lives(1000)


def case_large(megabytes=2200):
    """More than the two gigabytes that SQLite's own databases in memory end at."""
    on_primary("DROP TABLE IF EXISTS t; CREATE TABLE t(id INTEGER PRIMARY KEY, v, pad)")
    for start in range(0, megabytes, 100):
        on_primary(f"INSERT INTO t WITH RECURSIVE c(n) AS (SELECT {start * 256 + 1} UNION ALL SELECT n + 1 FROM c "
                   f"WHERE n < {(start + 100) * 256}) SELECT n, 0, randomblob(3900) FROM c")
    before = resident()
    forget_most_resident()
    db, began = Database("file:large?vfs=replica"), time.monotonic()
    db.attach(timeout=300)
    took, most = time.monotonic() - began, most_resident()
    size = db.one("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")
    assert size > 1 << 31, size
    print(f"{size / (1 << 20):.0f} MB in {took:.1f} s, at most {(most - before) / (1 << 20):.0f} MB above the process before, "
          f"then {(resident() - before) / (1 << 20):.0f} MB")
    rows = db.one("SELECT count(*) FROM t")
    assert db.one("PRAGMA quick_check") == "ok"
    last = db.rows("SELECT id, v, hex(substr(pad, 1, 8)) FROM t ORDER BY id DESC LIMIT 1")
    ask = "SELECT row FROM replica_query('SELECT id, v, hex(substr(pad, 1, 8)) FROM t ORDER BY id DESC LIMIT 1')"
    assert [tuple(json.loads(row)) for (row,) in db.rows(ask)] == last
    # Beyond the second gigabyte it is changed and grows.
    on_primary(f"UPDATE t SET v = 1 WHERE id > {rows - 1000}; INSERT INTO t SELECT id + 1000000, 2, pad FROM t "
               f"WHERE id > {rows - 1000}")
    db.one("SELECT replica_sync()")
    assert db.one(f"SELECT count(*) FROM t WHERE v > 0 AND id > {rows - 1000}") == 2000
    second = Database("file:large?vfs=replica", load=False)
    assert second.one("SELECT count(*) FROM t") == rows + 1000
    second.close()
    db.close()
    assert resident() - before < 32 << 20


def case_rewrites(megabytes=64, rounds=4):
    """Transactions that change every page take the database's size once more,
    also while they are brought, and leave the database's size."""
    on_primary("DROP TABLE IF EXISTS t; CREATE TABLE t(id INTEGER PRIMARY KEY, v, pad);"
               "INSERT INTO t WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c "
               f"WHERE n < {megabytes * 256}) SELECT n, 0, randomblob(3500) FROM c")
    before = resident()
    db = Database(":memory:")
    db.rows("PRAGMA cache_size = -200")
    forget_most_resident()
    db.attach()
    megabyte = 1 << 20
    measured = [("first sync", most_resident())]
    size = db.one("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")
    for round in range(rounds):
        on_primary(f"UPDATE t SET v = {round + 1}")
        forget_most_resident()
        db.one("SELECT replica_sync()")
        measured.append(("rewrite", most_resident()))
        assert db.one("SELECT min(v) = max(v) FROM t") == 1
    measured.append(("rest", resident()))
    above = [(what, (bytes - before) / megabyte) for what, bytes in measured]
    print(f"database {size / megabyte:.1f} MB; above the process before, in MB:",
          ", ".join(f"{what} {bytes:.1f}" for what, bytes in above))
    for what, bytes in measured:
        times = 2 if what == "rewrite" else 1
        assert bytes - before <= times * size + 16 * megabyte, what
    db.close()
    gc.collect()
    print(f"after closing {(resident() - before) / megabyte:.1f}")
    assert resident() - before <= 16 * megabyte


def case_without_memory():
    """With no memory left, a sync fails and readers keep the state they have;
    later the next one succeeds."""
    import resource

    on_primary("DROP TABLE IF EXISTS t; CREATE TABLE t(id INTEGER PRIMARY KEY, v, pad);"
               "INSERT INTO t VALUES (1, 0, zeroblob(2000000))")
    db = Database(":memory:")
    db.attach()
    on_primary("INSERT INTO t WITH RECURSIVE c(n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM c "
               "WHERE n < 20) SELECT n, 1, randomblob(2000000) FROM c")
    db.one("SELECT replica_attach(?) IS NOT NULL", URL)
    with open("/proc/self/statm") as statm:
        used = int(statm.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    failed = 0
    for spare in range(40, 90, 5):
        resource.setrlimit(resource.RLIMIT_AS, (used + (spare << 20), resource.RLIM_INFINITY))
        try:
            db.one("SELECT replica_sync()")
        except Exception as error:
            failed += 1
            assert "memory" in str(error), error
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert db.one("PRAGMA integrity_check") == "ok"
        assert db.one("SELECT count(*) FROM t") in (1, 20)
    print(f"{failed} syncs failed for want of memory")
    assert failed > 0
    db.one("SELECT replica_sync()")
    equals_count = db.one("SELECT count(*) FROM t")
    assert equals_count == 20
    db.close()


# The VFS is known from the first load on.
LOADED = Database(":memory:")
for case in sys.argv[3:]:
    globals()[f"case_{case}"]()
