"""A host whose log callback or VFS needs Python's lock, which `close()` holds:
LIBRARY URL DATABASE. A worker may be inside of it at that moment. Every close
must come back; a hang prints where each thread is, and fails."""

import faulthandler
import sys
import time

import apsw

from host import DATABASE, LIBRARY, URL, report

faulthandler.dump_traceback_later(60, exit=True)
apsw.initialize()
apsw.shutdown()
messages = []
apsw.config(apsw.SQLITE_CONFIG_LOG, lambda code, text: messages.append(text))


class SlowFile(apsw.VFSFile):
    """Everything that SQLite reads or writes passes through Python."""

    def xRead(self, amount, offset):
        return super().xRead(amount, offset)

    def xWrite(self, data, offset):
        return super().xWrite(data, offset)

    def xSync(self, flags):
        return super().xSync(flags)


class SlowVFS(apsw.VFS):
    def __init__(self):
        super().__init__("python", "")

    def xOpen(self, name, flags):
        return SlowFile("", name, flags)


def connect(vfs=None):
    connection = apsw.Connection(DATABASE, vfs=vfs)
    # What was left behind may still be closing its own.
    connection.set_busy_timeout(10000)
    connection.enable_load_extension(True)
    connection.load_extension(LIBRARY)
    return connection


def close_after(connection, seconds):
    """Closes at a moment of its own, without giving Python's lock away."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass
    began = time.monotonic()
    connection.close()
    return time.monotonic() - began


DEAD = "SELECT replica_attach('http://127.0.0.1:1', NULL, ?)"
slowest = 0
for number in range(60):
    connection = connect()
    kind = '"live":true' if number % 2 else '"sync_interval":0.01'
    report(connection, DEAD, '{"protocol":"turso","first_sync":false,"timeout":1,%s}' % kind)
    slowest = max(slowest, close_after(connection, 0.0005 * (number % 10)))
# The first attempt fails after its timeout: let the worker say so, and then
# close while it waits for the lock to say so.
connection = connect()
report(connection, DEAD, '{"protocol":"turso","first_sync":false,"timeout":1,"live":true}')
until = time.monotonic() + 20
while not messages and time.monotonic() < until:
    time.sleep(0.05)
connection.close()
assert any("127.0.0.1:1" in text for text in messages), messages[:3]
sys.setswitchinterval(20)
connection = connect()
report(connection, DEAD, '{"protocol":"turso","first_sync":false,"timeout":1,"live":true}')
slowest = max(slowest, close_after(connection, 3))
sys.setswitchinterval(0.005)
assert slowest < 3, slowest
print(f"closing beside a log callback: at most {slowest:.2f} s, {len(messages)} messages")

connection = connect()
report(connection, "SELECT replica_attach(?, NULL)", URL)
connection.close()
vfs = SlowVFS()
slowest = 0
for number in range(4):
    connection = connect("python")
    report(connection, "SELECT replica_attach(?, NULL, '{\"live\":true}')", URL)
    report(connection, "SELECT replica_write('INSERT INTO t VALUES (hex(zeroblob(20000)))')")
    slowest = max(slowest, close_after(connection, 0.0007 * number))
assert slowest < 3, slowest
print(f"closing beside a VFS of Python: at most {slowest:.2f} s")

slowest = 0
for number in range(15):
    connection = connect("python")
    report(connection, "SELECT replica_attach(?, NULL)", URL)
    report(connection, "SELECT replica_write('INSERT INTO t VALUES (hex(zeroblob(20000)))')")
    rows = connection.execute("SELECT * FROM replica_sync_progress")
    next(rows, None) if number % 2 else None
    rows.close(True)
    slowest = max(slowest, close_after(connection, 0.0))
assert slowest < 3, slowest
print(f"closing a watched sync: at most {slowest:.2f} s")
