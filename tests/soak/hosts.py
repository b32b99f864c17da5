"""A host that does what hosts do, or should not do, to a replica that many
others use: LIBRARY URL DATABASE SECONDS KIND SEED. Prints a JSON line for what
it did, for each state that it read, and for each failure.

Who keeps to the rules must read states that the primary had; who does not must
be refused, and must not spoil the file for the others.

- forks: children that read by the connection which they inherited, sync with
  it, open the file anew, close what they inherited, or outlive their parent
- threads: connections of many threads that come and go, live, by interval and
  plain, with a log callback that needs Python's lock
- links: the file gets a second name, and loses it again
- careless: it opens and closes the database or its -shm by itself, which takes
  all of its locks away
"""

import json
import os
import random
import signal
import sys
import threading
import time

import apsw

from states import DIGEST

LIBRARY, URL, DATABASE, SECONDS, KIND, SEED = sys.argv[1:7]
RNG = random.Random(float(SEED))
END = time.monotonic() + float(SECONDS)
# What a process is told that does not hold its locks, one that was forked, and
# one that goes on with a log that is not there any more.
LOST, FORKED = "SQLite's locks on it are gone", "inherited the connection by a fork"
OTHER_LOG = "-wal file beside the database was deleted"
LINKED = "has another name (a hard link)"
MODES = ('{"timeout": 5}', '{"timeout": 5, "live": true}', '{"timeout": 5, "sync_interval": 0.05}')



def say(**what):
    """In one piece, beside other threads and children."""
    os.write(1, json.dumps(what).encode() + b"\n")


def did(name):
    say(did=name)


class Refused(Exception):
    """The file was refused, for the reason that its text gives."""


def opened():
    connection = apsw.Connection(DATABASE)
    connection.set_busy_timeout(10_000)
    connection.enable_load_extension(True)
    connection.load_extension(LIBRARY)
    return connection


def call(connection, sql, *args):
    """What a function of ours returns; None where somebody is busy or the
    primary is away."""
    try:
        return connection.execute(sql, args).fetchone()[0]
    except (apsw.BusyError, apsw.CantOpenError):
        return None
    except apsw.Error as error:
        if any(known in str(error) for known in (LOST, FORKED, OTHER_LOG, LINKED)):
            raise Refused(str(error)) from None
        raise


def attach(connection, mode=MODES[0]):
    """Waits while another name of the file stands in the way."""
    while time.monotonic() < END:
        try:
            if call(connection, "SELECT replica_attach(?, NULL, ?)", URL, mode):
                return True
        except Refused as refused:
            if LINKED not in str(refused):
                raise
        time.sleep(0.02)
    return False


def sync(connection):
    return call(connection, "SELECT replica_sync()")


def read(connection, where):
    """One state, twice in one transaction."""
    try:
        connection.execute("BEGIN")
        first = connection.execute(DIGEST).fetchone()
        if RNG.random() < 0.1:
            sound = connection.execute("PRAGMA integrity_check").fetchall()
            if sound != [("ok",)]:
                say(failure=f"{where}: integrity_check: {sound}")
        if connection.execute(DIGEST).fetchone() != first:
            say(failure=f"{where}: a transaction saw two states")
        connection.execute("COMMIT")
        say(state=[int(first[0]), first[1]], where=where)
    except apsw.BusyError:
        did("busy_reads")
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def is_refused(what, because, function, *args):
    """It must not succeed; that the primary is away is no proof."""
    for _ in range(200):
        try:
            answer = function(*args)
        except Refused as refused:
            if not any(reason in str(refused) for reason in because):
                say(failure=f"{what}: {refused}")
            return did(what)
        if answer:
            return say(failure=f"{what}: not refused: {answer}")
        time.sleep(0.05)


# -- forks -------------------------------------------------------------------


def try_to_attach():
    connection = opened()
    try:
        return call(connection, "SELECT replica_attach(?, NULL, ?)", URL, MODES[0])
    finally:
        connection.close()


def child_reads(inherited):
    for _ in range(RNG.randint(1, 5)):
        read(inherited, "a child, by what it inherited")


def child_syncs(inherited):
    is_refused("refused_what_was_inherited", (FORKED,), sync, inherited)
    read(inherited, "a child whose sync was refused")


def child_opens(_inherited):
    is_refused("refused_after_fork", (LOST, LINKED), try_to_attach)
    reader = apsw.Connection(DATABASE)
    reader.set_busy_timeout(10_000)
    read(reader, "a child, by a connection of its own")
    reader.close()


def child_closes(inherited):
    read(inherited, "a child that closes")
    inherited.close()


def child_forks(_inherited):
    grandchild(child_opens)


CHILDREN = (child_reads, child_syncs, child_opens, child_closes, child_forks)


def in_child(body, *args):
    """Starts it in a child that ends as a process does which knows no atexit."""
    child = os.fork()
    if child == 0:
        # A lock of SQLite's that a thread of the parent held at the fork is
        # held for ever here: nothing that a child of threads may complain of.
        signal.alarm(30)
        try:
            body(*args)
            os._exit(0)
        except BaseException as error:  # noqa: BLE001
            say(failure=f"a child: {body.__name__}: {error!r}")
            os._exit(0)
    return child


def await_child(child, mode):
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code == -signal.SIGALRM and mode != MODES[0]:
        did("children_that_hung_in_a_lock_of_a_thread")
    elif code != 0:
        say(failure=f"a child ended with {code}")


def grandchild(body):
    await_child(in_child(body, None), MODES[1])


def forks():
    while time.monotonic() < END:
        connection, mode = opened(), RNG.choice(MODES)
        if not attach(connection, mode):
            return
        children = []
        for _ in range(RNG.randint(1, 4)):
            children.append(in_child(RNG.choice(CHILDREN), connection))
            did("forks")
            sync(connection)
            read(connection, "a parent")
        outlived = RNG.random() < 0.2
        if outlived:
            # It inherited nothing that it may use once the parent is gone.
            ready, go = os.pipe(), os.pipe()
            children.append(in_child(outlive, connection, ready[1], go[0]))
            os.read(ready[0], 1)
            connection.close()
            os.write(go[1], b"x")
            for end in ready + go:
                os.close(end)
        for child in children:
            await_child(child, mode)
        if not outlived:
            read(connection, "a parent whose children have ended")
            connection.close()


def outlive(inherited, ready, go):
    os.write(ready, b"x")
    os.read(go, 1)
    is_refused("refused_what_was_inherited", (FORKED,), sync, inherited)
    is_refused("refused_after_fork", (LOST, LINKED), try_to_attach)


# -- threads -----------------------------------------------------------------


def threads():
    messages = []
    apsw.initialize()
    apsw.shutdown()
    apsw.config(apsw.SQLITE_CONFIG_LOG, lambda code, text: messages.append(text))
    # SQLite crashes where many threads do this at once by opening their first.
    apsw.initialize()

    def work():
        while time.monotonic() < END:
            connection = opened()
            if not attach(connection, RNG.choice(MODES)):
                return
            did("attached_in_threads")
            for _ in range(RNG.randint(1, 20)):
                if RNG.random() < 0.5:
                    sync(connection)
                read(connection, "a thread")
                time.sleep(RNG.random() * 0.05)
            began = time.monotonic()
            connection.close()
            if time.monotonic() - began > 20:
                say(failure=f"a close took {time.monotonic() - began} s")

    def guarded():
        try:
            work()
        except BaseException as error:  # noqa: BLE001
            say(failure=f"a thread: {error!r}")

    workers = [threading.Thread(target=guarded) for _ in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for _ in messages:
        did("log_messages")


# -- links -------------------------------------------------------------------


def links():
    link = DATABASE + ".link"
    if os.path.exists(link):
        os.unlink(link)
    while time.monotonic() < END:
        connection = opened()
        if not attach(connection):
            return
        os.link(DATABASE, link)
        did("links")
        is_refused("refused_by_a_link", (LINKED,), try_to_attach)
        # It was attached before, by the name that the others use.
        sync(connection)
        read(connection, "who was there before the link")
        os.unlink(link)
        if try_to_attach():
            did("attached_after_a_link")
        connection.close()
        time.sleep(RNG.random())


# -- lost locks --------------------------------------------------------------


def careless():
    while time.monotonic() < END:
        connection = opened()
        # A worker may be in the middle of a commit: no -shm is touched then.
        mode = RNG.choice(MODES)
        if not attach(connection, mode):
            return
        sync(connection)
        read(connection, "who still has its locks")
        lost = DATABASE if mode != MODES[0] else RNG.choice((DATABASE, DATABASE + "-shm"))
        with open(lost, "rb") as file:
            file.read(RNG.choice((1, 10_000)))
        did("locks_lost")
        time.sleep(RNG.random() * 0.1)
        until_something_was_to_be_written(connection)
        connection.close()
        connection = opened()
        if attach(connection):
            sync(connection)
            read(connection, "who has its locks again")
        connection.close()


def until_something_was_to_be_written(connection):
    """A sync that finds nothing new writes nothing, and is right."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            report = json.loads(sync(connection) or '{"pages_written": 0}')
        except Refused as refused:
            if LOST not in str(refused) and OTHER_LOG not in str(refused):
                say(failure=f"without locks: {refused}")
            return did("refused_without_locks")
        if report["pages_written"]:
            return say(failure=f"a sync without locks wrote: {report}")
        time.sleep(0.01)
    # Others brought all that came, or the primary was away, or it is the end.
    did("nothing_to_write_without_locks")


try:
    {"forks": forks, "threads": threads, "links": links, "careless": careless}[KIND]()
except BaseException as error:  # noqa: BLE001
    say(failure=f"{KIND}: {error!r}")
