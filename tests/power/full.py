"""A disk that is full at one write, then at the next: LIBRARY URL FOLDER.

A VFS refuses the n-th write or truncation (SQLITE_FULL) and all after it, for
each n of a first sync and of a sync that grows the file. Each must end in an
error that says so, leave a sound file, and go on when there is room again.
"""

import json
import os
import shutil
import sys
import urllib.request

import apsw

LIBRARY, URL, FOLDER = sys.argv[1:4]
room = None  # writes that still succeed; None is no limit


def spend():
    global room
    if room is not None:
        room -= 1
        if room < 0:
            raise apsw.FullError("simulated")


class Full(apsw.VFS):
    def __init__(self):
        super().__init__("full", "unix")

    def xOpen(self, name, flags):
        return FullFile("unix", name, flags)


class FullFile(apsw.VFSFile):
    def xWrite(self, data, offset):
        spend()
        super().xWrite(data, offset)


def on_primary(*statements):
    body = {"requests": [{"type": "sequence", "sql": sql} for sql in statements] + [{"type": "close"}]}
    answer = json.load(urllib.request.urlopen(URL + "/v3/pipeline", json.dumps(body).encode()))
    assert all(result["type"] == "ok" for result in answer["results"]), answer


def connect(path):
    connection = apsw.Connection(path, vfs="full")
    connection.set_busy_timeout(1000)
    connection.enable_load_extension(True)
    connection.load_extension(LIBRARY)
    return connection


def ask(connection, sql, *args):
    return connection.execute(sql, args).fetchone()[0]


def state(connection):
    if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 't'").fetchone():
        return None
    return ask(connection, "SELECT count(*) || '-' || sum(id) || '-' || sum(length(b)) FROM t")


def files(path):
    return [path + end for end in ("", "-wal", "-shm", "-replica", "-journal") if os.path.exists(path + end)]


def attempts(before, what):
    """Runs with room for 0, 1, 2 … writes until one succeeds."""
    global room
    n = 0
    while True:
        path = os.path.join(FOLDER, "try.db")
        for name in files(path):
            os.remove(name)
        for name in files(before):
            shutil.copy(name, path + name[len(before):])
        connection = connect(path)
        old = state(connection)
        room, failed = n, None
        try:
            connection.execute("SELECT replica_attach(?, NULL)", (URL,)).fetchall()
            connection.execute("SELECT replica_sync()").fetchall()
        except apsw.Error as error:
            failed = error
        room = None
        found = state(connection)
        assert ask(connection, "PRAGMA integrity_check") == "ok", (what, n)
        if failed:
            # apsw raises the VFS's own exception where the host's statement met it.
            assert "full" in str(failed) or isinstance(failed, apsw.FullError), (what, n, failed)
            assert found in (old, target), (what, n, found)
        connection.execute("SELECT replica_attach(?, NULL)", (URL,)).fetchall()
        connection.execute("SELECT replica_sync()").fetchall()
        assert state(connection) == target, (what, n, state(connection), target)
        assert ask(connection, "PRAGMA integrity_check") == "ok", (what, n)
        connection.close()
        if not failed:
            print(f"{what}: a full disk at each of {n} writes")
            return
        n += 1


vfs = Full()
rows = ("WITH RECURSIVE c(n) AS (SELECT {0} UNION ALL SELECT n + 1 FROM c WHERE n < {0} + {1} - 1) "
        "INSERT INTO t SELECT n, n % 7, randomblob(900) FROM c")
on_primary("CREATE TABLE t(id INTEGER PRIMARY KEY, v, b); CREATE INDEX i ON t(v)", rows.format(1, 150))
older = os.path.join(FOLDER, "older.db")
first = connect(older)
first.execute("SELECT replica_attach(?, NULL)", (URL,)).fetchall()
first.close()
on_primary("UPDATE t SET v = v + 1", rows.format(1000, 100), "UPDATE t SET b = randomblob(800) WHERE id % 3 = 0")
last = connect(os.path.join(FOLDER, "last.db"))
last.execute("SELECT replica_attach(?, NULL)", (URL,)).fetchall()
target = state(last)
last.close()
attempts(os.path.join(FOLDER, "nothing.db"), "first sync")
attempts(older, "sync that grows the file")
