"""Power cuts, simulated: LIBRARY URL OTHER_URL FOLDER CUTS SEED.

A VFS in Python records every write, truncation, sync and deletion of the
database, its -wal and its -journal while a replica is made, synced, grown,
shrunk, checkpointed by its host and reset onto another primary. The extension
writes through the host's own files, so its writes are in the record like
SQLite's.

Then the power is cut at many places of the record. The model of the disk:
- what was written to a file before the last finished sync of that file is there
- of each later write, each sector (512 or 4096 bytes) is there or not,
  independently and regardless of order; where a sector was written several
  times, any of the versions may be there
- a later truncation happened or not; a file is as long as the longest write
  that has left anything
- creating and deleting a file takes effect at once and in order; a sync that
  has returned did what it promised; memory (the wal-index) is lost

Not in the model: sectors that hold neither the old nor the new bytes, disks
that lie about syncs, directory entries that are lost.

After each cut stock SQLite must find the file sound, holding one of the states
that were ever published, each of them compared with the primary when it was, at
the position that belongs to it, none older than the last one that was promised to be
durable (the end of a first sync or a reset), and the next attach and sync must
end at what the primary has.
"""

import hashlib
import json
import os
import random
import sys
import urllib.request

import apsw

LIBRARY, URL, OTHER_URL, FOLDER, CUTS, SEED = sys.argv[1:7]
DB = os.path.join(FOLDER, "app.db")
SUFFIXES = ("", "-wal", "-journal")
record = []  # (suffix, operation, argument ...)
recording = True


def suffix_of(path):
    if "-spool-" in path:
        return "-spool"
    return next((end for end in SUFFIXES[1:] if path.endswith(end)), "")


class Recorder(apsw.VFS):
    def __init__(self):
        super().__init__("recorder", "unix")

    def xOpen(self, name, flags):
        return RecordedFile(name, flags)

    def xDelete(self, name, sync_folder):
        if recording:
            record.append((suffix_of(name), "delete"))
        return super().xDelete(name, sync_folder)


class RecordedFile(apsw.VFSFile):
    def __init__(self, name, flags):
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        self.suffix = suffix_of(path or "")
        super().__init__("unix", name, flags)

    def xWrite(self, data, offset):
        if recording:
            record.append((self.suffix, "write", offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, size):
        if recording:
            record.append((self.suffix, "truncate", size))
        super().xTruncate(size)

    def xSync(self, flags):
        super().xSync(flags)
        if recording:
            record.append((self.suffix, "sync"))


def on(url, *statements):
    body = {"requests": [{"type": "sequence", "sql": sql} for sql in statements] + [{"type": "close"}]}
    answer = json.load(urllib.request.urlopen(url + "/v3/pipeline", json.dumps(body).encode()))
    assert all(result["type"] == "ok" for result in answer["results"]), answer


def connect(path, vfs=None):
    connection = apsw.Connection(path, vfs=vfs)
    connection.set_busy_timeout(5000)
    return connection


def load(connection):
    connection.enable_load_extension(True)
    connection.load_extension(LIBRARY)


def answers(connection):
    """What asks a connection for one column."""
    return lambda sql: [value for (value,) in connection.execute(sql)]


def answers_of_primary(url):
    """What asks a primary; the number of its last frame comes as `frame_no`."""
    def ask(sql):
        body = {"requests": [{"type": "execute", "stmt": {"sql": sql}}, {"type": "close"}]}
        answer = json.load(urllib.request.urlopen(url + "/v3/pipeline", json.dumps(body).encode()))
        result = answer["results"][0]["response"]["result"]
        ask.frame_no = int(result["replication_index"])
        return [row[0]["value"] for row in result["rows"]]
    return ask


def state(ask):
    """A checksum of schema and rows."""
    digest = hashlib.sha256()
    for line in ask("SELECT type || name || ifnull(sql, '') FROM sqlite_schema ORDER BY type, name"):
        digest.update(line.encode())
    for table in ask("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name"):
        columns = ask("SELECT group_concat('quote(' || name || ')', ' || '','' || ') FROM "
                      f"pragma_table_info('{table}')")[0]
        for line in ask(f"SELECT rowid || ':' || {columns} FROM {table} ORDER BY rowid"):
            digest.update(line.encode())
    return digest.hexdigest()


def attach(connection, url, first_sync=True):
    options = json.dumps({"new_primary": True, "first_sync": first_sync})
    connection.execute("SELECT replica_attach(?, NULL, ?)", (url, options)).fetchall()


def sync(connection):
    return json.loads(connection.execute("SELECT replica_sync()").fetchone()[0])


def mark(connection, url=None, durable=False):
    """Notes in the record which state is visible now, and where it stands. It
    must be what the primary has."""
    visible, frame_no = state(answers(connection)), None
    if url:
        ask = answers_of_primary(url)
        assert visible == state(ask), "the replica is not what its primary is"
        frame_no = ask.frame_no
    record.append(("", "state", (visible, frame_no), durable))


def checkpoint_without_syncs():
    """By a connection that syncs nothing, of a log that is on the disk."""
    other = connect(DB, "recorder")
    other.execute("PRAGMA synchronous = OFF; PRAGMA wal_checkpoint").fetchall()
    return other


def rows(count, size, start=1):
    return (f"WITH RECURSIVE c(n) AS (SELECT {start} UNION ALL SELECT n + 1 FROM c WHERE n < {start + count - 1}) "
            f"INSERT INTO t SELECT n, n * 7 % 13, randomblob({size}) FROM c")


def life():
    """What is recorded."""
    recorder = Recorder()
    db = connect(DB, recorder.vfs_name if hasattr(recorder, "vfs_name") else "recorder")
    load(db)
    mark(db)
    on(URL, "CREATE TABLE t(id INTEGER PRIMARY KEY, v, b); CREATE INDEX i ON t(v); " + rows(60, 900))
    attach(db, URL)
    mark(db, URL, durable=True)
    keep = checkpoint_without_syncs()
    for step in ["UPDATE t SET v = v + 1 WHERE id % 9 = 0", rows(80, 700, 100),
                 "CREATE TABLE u(x); INSERT INTO u VALUES (zeroblob(30000))", "DELETE FROM t WHERE id > 120",
                 "CHECKPOINT", rows(20, 1500, 500), "UPDATE t SET b = randomblob(500) WHERE id % 5 = 0",
                 "DROP TABLE u", "CHECKPOINT TRUNCATE", "UPDATE t SET v = 0 WHERE id = 3", rows(60, 1100, 700)]:
        if step.startswith("CHECKPOINT"):
            db.execute("PRAGMA wal_checkpoint" + ("(TRUNCATE)" if "TRUNCATE" in step else "")).fetchall()
            continue
        on(URL, step)
        assert sync(db)["frames_synced"] > 0
        mark(db, URL)
    on(OTHER_URL, "CREATE TABLE t(id INTEGER PRIMARY KEY, v, b, extra); INSERT INTO t VALUES (1, 2, 3, 4); "
                  "CREATE TABLE other(x); INSERT INTO other VALUES (zeroblob(150000))")
    db.execute("SELECT replica_detach()").fetchall()
    attach(db, OTHER_URL)
    assert sync(db)["reset"]
    mark(db, OTHER_URL, durable=True)
    on(OTHER_URL, "INSERT INTO other VALUES (zeroblob(200000))")
    sync(db)
    mark(db, OTHER_URL)
    keep.close()
    db.close()
    return recorder


class Disk:
    """One file as the platters have it."""

    def __init__(self):
        self.bytes, self.exists, self.unsynced = bytearray(), False, []

    def apply(self, operation, sectors=None):
        if operation[0] == "truncate":
            del self.bytes[operation[1]:]
            self.bytes.extend(bytes(operation[1] - len(self.bytes)))
            return
        offset, data = operation[1:]
        for start, end in sectors if sectors is not None else [(0, len(data))]:
            if len(self.bytes) < offset + end:
                self.bytes.extend(bytes(offset + end - len(self.bytes)))
            self.bytes[offset + start:offset + end] = data[start:end]

    def note(self, operation):
        if operation[0] == "delete":
            self.__init__()
            return
        self.exists = True
        if operation[0] == "sync":
            for earlier in self.unsynced:
                self.apply(earlier)
            self.unsynced = []
        else:
            self.unsynced.append(operation)

    def after_cut(self, rng, chance, sector):
        """The bytes that are left."""
        left = Disk()
        left.bytes = bytearray(self.bytes)
        for operation in self.unsynced:
            if operation[0] == "truncate":
                if rng.random() < chance:
                    left.apply(operation)
                continue
            offset, data = operation[1:]
            # Pieces of the write that lie in one sector of the file each.
            borders = [0, *range(sector - offset % sector, len(data), sector), len(data)]
            pieces = [pair for pair in zip(borders, borders[1:]) if rng.random() < chance]
            left.apply(operation, pieces)
        return bytes(left.bytes)


def check(cut, chance, sector, rng, target):
    """Cuts after `cut` operations and looks at what is left."""
    disks, allowed = {suffix: Disk() for suffix in (*SUFFIXES, "-spool")}, []
    for suffix, *operation in record[:cut]:
        if operation[0] != "state":
            disks[suffix].note(operation)
        else:
            allowed = [operation[1]] if operation[2] else allowed + [operation[1]]
    # A state that is about to be marked may be there already.
    allowed += [entry[2] for entry in record[cut:] if entry[1] == "state"][:1]
    path = os.path.join(FOLDER, "cut.db")
    for suffix in (*SUFFIXES, "-shm", "-replica"):
        if os.path.exists(path + suffix):
            os.remove(path + suffix)
    for suffix, disk in disks.items():
        if disk.exists and suffix in SUFFIXES:
            with open(path + suffix, "wb") as file:
                file.write(disk.after_cut(rng, chance, sector))
    what = f"cut {cut} of {len(record)} ({record[cut - 1][:2]}), chance {chance}, sectors of {sector}"
    db = connect(path)
    sound = db.execute("PRAGMA integrity_check").fetchall()
    assert sound == [("ok",)], f"{what}: {sound}"
    found = state(answers(db))
    states = [visible for visible, _ in allowed]
    assert found in states, f"{what}: a state that was never published, or an old one"
    load(db)
    attach(db, OTHER_URL, first_sync=False)
    (frame_no,) = answers(db)("SELECT frame_no FROM replica_status")
    assert (found, frame_no) in allowed, f"{what}: frame {frame_no} is not what is there"
    sync(db)
    assert state(answers(db)) == target, f"{what}: the sync does not end at the primary"
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)], what
    db.close()
    return found


def main():
    global recording
    rng = random.Random(int(SEED))
    recorder = life()
    recording = False
    target = [entry[2] for entry in record if entry[1] == "state"][-1][0]
    cuts = range(1, len(record) + 1)
    if int(CUTS):
        cuts = sorted(rng.sample(cuts, min(int(CUTS), len(cuts))))
    seen, done = set(), 0
    for cut in cuts:
        chance = rng.choice([0, 0.2, 0.5, 0.5, 0.8, 1])
        seen.add(check(cut, chance, rng.choice([512, 4096]), rng, target))
        done += 1
    kinds = {kind: sum(entry[1] == kind for entry in record) for kind in ("write", "sync", "truncate", "delete")}
    print(f"power: seed {SEED}: {done} cuts in a record of {kinds}; {len(seen)} different states were found")
    del recorder


main()
