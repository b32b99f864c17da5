"""A replica without a file, shared by threads, in Python: story BINDING LIBRARY URL NAME"""

import json
import sys
import threading
import time
import urllib.request

BINDING, LIBRARY, URL, NAME = sys.argv[1:]
COUNT = "SELECT count(*) FROM orders"

if BINDING == "apsw":
    import apsw

    def connect(path):
        db = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_URI)
        return db, apsw.Error
else:
    import sqlite3

    def connect(path):
        return sqlite3.connect(path, uri=True), sqlite3.Error


class Replica:
    def __init__(self, path, attach=True, **options):
        self.db, self.error = connect(path)
        if attach:
            self.db.enable_load_extension(True)
            self.db.load_extension(LIBRARY)
            self.db.enable_load_extension(False)
            self.ask("SELECT replica_attach(?, NULL, ?)", URL, json.dumps(options))

    def ask(self, sql, *args):
        ((value,),) = self.db.cursor().execute(sql, args).fetchall()
        return value

    def write(self, sql, *args):
        return json.loads(self.ask(f"SELECT replica_write(?{', ?' * len(args)})", sql, *args))


db = Replica(":memory:", share=NAME, live=True)
print("step: load", db.ask("SELECT replica_version()"), f"SQLite {db.ask('SELECT sqlite_version()')}")
uri = f"file:{NAME}?vfs=replica"
assert db.ask("SELECT path FROM replica_status") == uri
print("step: attach")
assert db.ask("SELECT item FROM orders WHERE id = 7") == "lantern"
print("step: read")
assert db.write("INSERT INTO orders(item) VALUES (?)", "kite")["rows_affected"] == 1
try:
    db.db.cursor().execute("DELETE FROM orders")
    raise AssertionError("a plain write is refused")
except db.error as error:
    assert "readonly" in str(error), error
    if BINDING != "apsw":
        db.db.rollback()
print("step: write")

# By its URI, which needs neither the library nor an attach.
second = Replica(uri, attach=False)
assert second.ask(COUNT) == 2
print("step: second")

frames, answers = [], []
written, ready = threading.Event(), threading.Barrier(4)


def reads():
    replica = Replica(":memory:", share=NAME, first_sync=False)
    before = replica.ask(COUNT)
    ready.wait(30)
    written.wait(30)
    replica.ask("SELECT replica_wait(?, 10)", frames[0])
    answers.append((before, replica.ask(COUNT)))
    replica.db.close()


threads = [threading.Thread(target=reads) for _ in range(3)]
for thread in threads:
    thread.start()
ready.wait(30)
frames.append(db.write("INSERT INTO orders(item) VALUES (?)", "drum")["frame_no"])
written.set()
for thread in threads:
    thread.join()
assert answers == [(2, 3)] * 3, answers
print("step: others")

insert = {"type": "execute", "stmt": {"sql": "INSERT INTO orders(item) VALUES ('rope'), ('flute')"}}
body = json.dumps({"requests": [insert, {"type": "close"}]}).encode()
assert json.load(urllib.request.urlopen(f"{URL}/v2/pipeline", body))["results"][0]["type"] == "ok"
deadline = time.monotonic() + 20
while second.ask(COUNT) < 5:
    assert time.monotonic() < deadline, "live brings it"
    time.sleep(0.01)
print("step: live")
db.db.close()
assert second.ask(COUNT) == 5
second.db.close()


def own_copy():
    """All that the primary holds, to be changed at will: nobody else sees it."""
    db = sqlite3.connect(":memory:")
    db.enable_load_extension(True)
    db.load_extension(LIBRARY)
    db.execute("SELECT replica_attach(?)", (URL,)).fetchone()
    db.execute("SELECT replica_promote()").fetchone()
    return db


if BINDING != "apsw":
    copy = own_copy()
    with copy:
        copy.execute("DELETE FROM orders")
    assert copy.execute(COUNT).fetchone() == (0,)
    copy.close()
    again = own_copy()
    assert again.execute(COUNT).fetchone() == (5,)
    again.close()
