"""The database behind the simulated cloud: an ordinary SQLite file, whose
write-ahead log is never checkpointed but at the end of a generation. So the
frames of the log say which pages changed since any state of the generation, and
what is remembered of earlier ones says it of theirs.
"""

import json
import os
import struct
import threading

import apsw

PAGE = 4096
FRAME = 24 + PAGE
# Nobody keeps it: SQLite locks bytes there.
LOCK_PAGE = 2**30 // PAGE + 1
# Generations are counted down.
FIRST = 10**18 - 1


class Database:
    def __init__(self, folder):
        self.path = os.path.join(folder, "primary.db")
        self.notes = os.path.join(folder, "generation")
        # Guards `frames`, and wakes those who wait for a commit.
        self.changed = threading.Condition()
        self.frames = 0
        # The page of each frame of the generations that this process has ended.
        self.past = {}
        known = os.path.exists(self.notes)
        self.generation = int(open(self.notes).read()) if known else FIRST + 1
        self.keeper = self.connect()
        self.next_generation()

    def connect(self):
        """A connection whose commits are counted."""
        connection = apsw.Connection(self.path)
        connection.set_busy_timeout(5000)
        connection.execute("PRAGMA journal_mode=WAL").fetchall()
        connection.execute("PRAGMA foreign_keys=ON")
        # In the place of the hook that would checkpoint.
        connection.set_wal_hook(self.committed)
        return connection

    def committed(self, _connection, _name, frames):
        with self.changed:
            self.frames = max(self.frames, frames)
            self.changed.notify_all()
        return apsw.SQLITE_OK

    def next_generation(self):
        """Empties the log; states of before are gone with it."""
        with self.changed:
            self.past[self.generation] = self.log(self.frames)[1]
            ((busy, _, _),) = self.keeper.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            assert not busy
            self.generation -= 1
            self.frames = 0
            with open(self.notes, "w") as notes:
                notes.write(str(self.generation))
            self.changed.notify_all()

    def state(self):
        with self.changed:
            return self.generation, self.frames

    def wait_for_change(self, state, seconds):
        """Until the database is at another state, or the time is over."""
        with self.changed:
            self.changed.wait_for(lambda: (self.generation, self.frames) != state, seconds)

    def pages(self, since=None):
        """The state, its size in pages, and the pages that changed since a state;
        all of them without one. Each comes once. None if the state is unknown."""
        with self.changed:
            size, log = self.log(self.frames)
            latest = {page: frame for frame, page in enumerate(log)}
            changed = range(1, size + 1) if since is None else self.changed_since(since, log)
            if changed is None:
                return None
            pages = {}
            with open(self.path, "rb") as main, open(self.path + "-wal", "rb") as wal:
                for page in sorted(set(changed)):
                    if page > size or page == LOCK_PAGE:
                        continue
                    inside = page in latest
                    source = wal if inside else main
                    source.seek(32 + latest[page] * FRAME + 24 if inside else (page - 1) * PAGE)
                    pages[page] = source.read(PAGE)
            return (self.generation, self.frames), size, pages

    def changed_since(self, state, log):
        generation, frames = state
        if generation == self.generation:
            return log[frames:] if frames <= len(log) else None
        between = range(generation, self.generation, -1)
        if any(each not in self.past for each in between) or not between:
            return None
        pages = [page for each in between for page in self.past[each]] + log
        return pages[frames:] if frames <= len(self.past[generation]) else None

    def log(self, frames):
        """The size after so many frames, and the page of each of them."""
        size, pages = os.path.getsize(self.path) // PAGE, []
        if frames:
            with open(self.path + "-wal", "rb") as wal:
                for frame in range(frames):
                    wal.seek(32 + frame * FRAME)
                    page, after = struct.unpack(">II", wal.read(8))
                    pages.append(page)
                    size = after or size
        return size, pages


def revision(state):
    return json.dumps({"generation": state[0], "wal_fragment_no": state[1]}, separators=(",", ":"))


def state_of(text):
    """None for what is no revision of ours."""
    try:
        read = json.loads(text)
        return read["generation"], read["wal_fragment_no"]
    except (ValueError, KeyError, TypeError):
        return None
