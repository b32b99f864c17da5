"""Processes that do not hold the locks which SQLite believes they hold: after
a fork, and after somebody has opened and closed the file by himself. Each
case is a function, run in a process of its own: LIBRARY URL DATABASE CASE."""

import json
import multiprocessing
import os
import subprocess
import sys

import apsw

from host import DATABASE, URL, connect, on_primary, raises, report, value

LOST = "after the fork (gunicorn post_fork, puma on_worker_boot)"


def attached(path=DATABASE):
    connection = connect(path)
    report(connection, "SELECT replica_attach(?, NULL)", URL)
    return connection


def write_on_primary(rows=200):
    on_primary(
        f"WITH n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < {rows}) "
        "INSERT INTO t SELECT i, hex(randomblob(200)) FROM n"
    )


def in_child(body, *args):
    """Runs it in a forked child; what it prints and how it ends is ours."""
    child = os.fork()
    if child == 0:
        try:
            body(*args)
            os._exit(0)
        except BaseException as error:
            print("child:", repr(error), flush=True)
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0, "the child failed"


def is_refused(path=DATABASE):
    """Attach is refused in this process, and says what to do."""
    connection = connect(path)
    raises(apsw.MisuseError, LOST, report, connection, "SELECT replica_attach(?, NULL)", URL)


def follows_the_primary(path=DATABASE):
    """After a sync another program sees what the primary has."""
    reader = attached(path)
    report(reader, "SELECT replica_sync()")
    rows = subprocess.run(
        ["sqlite3", path, "SELECT count(*) FROM t; PRAGMA integrity_check"],
        capture_output=True, text=True, check=True,
    ).stdout.split()
    primary = value(reader, "SELECT json_extract(row, '$[0]') FROM replica_query('SELECT count(*) FROM t')")
    assert rows == [str(primary), "ok"], (rows, primary)
    reader.close()


def a_forked_child():
    """It opens the file anew, as gunicorn with preload does."""
    parent = attached()
    in_child(is_refused)
    write_on_primary()
    assert report(parent, "SELECT replica_sync()")["frames_synced"] > 0
    parent.close()
    in_child(attached)  # nothing is open any more: this is the right way
    attached().close()
    follows_the_primary()


def a_forked_child_of_a_plain_reader():
    """The parent has only read the file, by a connection without us."""
    attached().close()
    reader = apsw.Connection(DATABASE)
    value(reader, "SELECT count(*) FROM t")
    in_child(is_refused)
    reader.close()
    follows_the_primary()


def a_forked_child_while_somebody_writes():
    """Whoever holds SQLite's WRITE lock keeps nobody from being refused."""
    parent = attached()
    writer = subprocess.Popen(
        [sys.executable, "-c", "import fcntl, sys\nfile = open(sys.argv[1], 'r+b')\n"
         "fcntl.lockf(file, fcntl.LOCK_EX, 1, 120)\nprint('locked', flush=True)\ninput()",
         DATABASE + "-shm"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    writer.stdout.readline()
    in_child(is_refused)
    writer.communicate(b"\n")
    parent.close()


def a_double_fork():
    parent = attached()
    in_child(in_child, is_refused)
    parent.close()


def another_path():
    """By a symbolic link SQLite finds the same file, and the same record."""
    parent = attached()
    os.symlink(DATABASE, DATABASE + ".link")
    in_child(is_refused, DATABASE + ".link")
    parent.close()


def multiprocessing_by_fork():
    parent = attached()
    child = multiprocessing.get_context("fork").Process(target=is_refused)
    child.start()
    child.join()
    assert child.exitcode == 0, child.exitcode
    child = multiprocessing.get_context("spawn").Process(target=follows_the_primary)
    child.start()
    child.join()
    assert child.exitcode == 0, child.exitcode
    parent.close()


def the_parent_closes_first():
    """The child was there first, and reads; then the parent takes itself for
    the last one."""
    parent = attached()
    ready, go = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        reader = connect()
        value(reader, "SELECT count(*) FROM t")
        os.write(ready[1], b"x")
        os.read(go[0], 1)
        try:
            raises(apsw.MisuseError, LOST, report, reader, "SELECT replica_attach(?, NULL)", URL)
            os._exit(0)
        except BaseException as error:
            print("child:", repr(error), flush=True)
            os._exit(1)
    os.read(ready[0], 1)
    parent.close()
    write_on_primary()
    attached().close()
    os.write(go[1], b"x")
    assert os.waitpid(child, 0)[1] == 0, "the child failed"
    follows_the_primary()


def a_file_that_the_host_reads_itself():
    """`shutil.copy`, a hash, a backup: closing takes all locks away."""
    connection = attached()
    for path in (DATABASE, DATABASE + "-shm"):
        open(path, "rb").read(10)
    # The next one to close takes itself for the last and deletes the log.
    subprocess.run(["sqlite3", DATABASE, "SELECT 1 FROM t LIMIT 1"], check=True, capture_output=True)
    write_on_primary()
    raises(apsw.MisuseError, LOST, report, connection, "SELECT replica_sync()")
    another = subprocess.run(
        [sys.executable, *sys.argv[:4], "follows_the_primary"], capture_output=True, text=True
    )
    assert another.returncode == 0, another.stdout + another.stderr
    connection.close()  # must not copy the log that nobody else sees
    follows_the_primary()


def only_the_shared_memory_is_read():
    connection = attached()
    open(DATABASE + "-shm", "rb").read(10)
    write_on_primary()
    raises(apsw.MisuseError, LOST, report, connection, "SELECT replica_sync()")
    connection.close()
    follows_the_primary()


def a_log_that_is_deleted():
    connection = attached()
    os.unlink(DATABASE + "-wal")
    write_on_primary()
    raises(apsw.MisuseError, "-wal file", report, connection, "SELECT replica_sync()")
    open(DATABASE + "-wal", "wb").close()  # another one is no better
    raises(apsw.MisuseError, "-wal file", report, connection, "SELECT replica_sync()")
    connection.close()
    follows_the_primary()


def options_that_name_the_database():
    """Whoever writes the SQL names these files; to open and close one that SQLite
    has locked would take the locks of the whole process away."""
    connection = attached()
    os.symlink(DATABASE, DATABASE + ".link")
    plain = DATABASE + ".other"
    other = apsw.Connection(plain)
    other.execute("CREATE TABLE t(x); BEGIN IMMEDIATE")
    names = [DATABASE, DATABASE + "-shm", DATABASE + "-wal", DATABASE + ".link", plain]
    for option in ("ca_file", "token_file", "log"):
        for name in names:
            second = connect()
            options = json.dumps({option: name})
            try:
                report(second, "SELECT replica_attach(?, NULL, ?)", URL, options)
            except apsw.Error as error:
                assert LOST not in str(error), (option, name, error)
            else:
                raise AssertionError(f"{option} {name} was taken")
            second.close()
            write_on_primary(1)
            assert report(connection, "SELECT replica_sync()")["frames_synced"] > 0
    stranger = subprocess.run(["sqlite3", plain, "BEGIN IMMEDIATE"], capture_output=True, text=True)
    assert "locked" in stranger.stderr, "another database of the process lost its locks"
    connection.close()
    follows_the_primary()


def many_descriptors_and_connections():
    """Nothing is refused that is in order."""
    files = [open(os.devnull) for _ in range(300)]
    connections = [attached() for _ in range(5)]
    connections[0].close()
    for connection in connections[1:]:
        write_on_primary(10)
        assert report(connection, "SELECT replica_sync()")["frames_synced"] > 0
    for connection in connections[1:] + files:
        connection.close()
    follows_the_primary()


if __name__ == "__main__":
    globals()[sys.argv[4]]()
