"""Interrupts, forks and exits, told by apsw. Arguments: sync_url, extension.

Prints nothing; an assertion that fails ends it with a traceback.
"""

import os
import subprocess
import sys
import threading
import time

import apsw

URL, EXTENSION = sys.argv[1:3]


def connect(path):
    connection = apsw.Connection(path)
    connection.enable_load_extension(True)
    connection.load_extension(EXTENSION, "sqlite3_replica_init")
    return connection


def attach(connection, options="{}"):
    connection.execute("SELECT replica_attach(?, NULL, ?)", (URL, options)).fetchall()


def value(connection, sql, *args):
    return connection.execute(sql, args).fetchone()[0]


def an_interrupt_is_heard_while_a_local_lock_is_waited_for():
    """The empty file is held by another process, and SQLite itself waits."""
    connection = connect("locked.db")
    connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()
    holder = subprocess.Popen(
        [sys.executable, "-c", "import apsw, sys; db = apsw.Connection('locked.db'); "
         "db.execute('BEGIN EXCLUSIVE'); print(1, flush=True); sys.stdin.read()"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    holder.stdout.readline()
    thread = threading.Timer(0.3, connection.interrupt)
    thread.start()
    started = time.monotonic()
    try:
        attach(connection, '{"busy_timeout": 30}')
        raise SystemExit("a locked file was attached")
    except apsw.Error as error:
        assert "interrupted" in str(error), error
    waited = time.monotonic() - started
    assert waited < 5, f"the interrupt was heard after {waited} s"
    thread.join()
    holder.stdin.close()
    holder.wait()
    connection.close()


def interrupted_calls_end_soon():
    connection = connect("interrupt.db")
    attach(connection, '{"first_sync": false}')
    for sql in (
        "SELECT replica_sync()",
        "SELECT * FROM replica_sync_progress",
        "SELECT replica_wait(999999999, 20)",
    ):
        at = []

        def interrupt():
            time.sleep(0.05)
            at.append(time.monotonic())
            connection.interrupt()

        thread = threading.Thread(target=interrupt)
        thread.start()
        try:
            connection.execute(sql).fetchall()
            raise AssertionError(f"{sql} was not interrupted")
        except (apsw.AbortError, apsw.InterruptError) as error:
            took = time.monotonic() - at[0]
            assert took < 0.2, f"{sql}: {took} s until {error}"
        thread.join()
    assert value(connection, "SELECT frame_no FROM replica_status") is None
    # The next sync continues, and the test compares the file with the primary.
    connection.execute("SELECT replica_sync()").fetchall()
    connection.close()


def a_forked_child_is_told_so_and_ends():
    connection = connect("fork.db")
    attach(connection, '{"live": true}')
    child = os.fork()
    if child == 0:
        code = 1
        try:
            connection.execute("SELECT replica_sync()").fetchall()
        except apsw.MisuseError as error:
            code = 0 if "this process inherited the connection by a fork" in str(error) else 2
        except BaseException:
            code = 3
        try:
            # A second attach must not join the parent's thread.
            attach(connection)
        except apsw.Error:
            pass
        os._exit(code)
    deadline = time.monotonic() + 5
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            break
        assert time.monotonic() < deadline, "the child hangs"
        time.sleep(0.01)
    assert os.waitstatus_to_exitcode(status) == 0, status
    # The parent goes on as if nothing had happened.
    connection.execute("SELECT replica_sync()").fetchall()
    connection.close()


def an_exit_without_closing_neither_hangs_nor_crashes():
    program = (
        "import apsw, sys, threading, time\n"
        "c = apsw.Connection('exit.db')\n"
        "c.enable_load_extension(True)\n"
        "c.load_extension(sys.argv[2], 'sqlite3_replica_init')\n"
        "c.execute('SELECT replica_attach(?, NULL, ?)', (sys.argv[1], '{\"live\": true}')).fetchall()\n"
        "time.sleep(0.2)\n"
        "KEEP = c\n"
    )
    for ending in ("", "sys.exit(0)\n", "import os; os._exit(0)\n"):
        for leak in ("", "import ctypes; ctypes.pythonapi.Py_IncRef(ctypes.py_object(c))\n"):
            ended = subprocess.run(
                [sys.executable, "-c", program + leak + ending, URL, EXTENSION],
                timeout=10,
                capture_output=True,
            )
            assert ended.returncode == 0 and not ended.stderr, (ending, leak, ended)


interrupted_calls_end_soon()
an_interrupt_is_heard_while_a_local_lock_is_waited_for()
a_forked_child_is_told_so_and_ends()
an_exit_without_closing_neither_hangs_nor_crashes()
