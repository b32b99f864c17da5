"""Loading, attaching, syncing, writing, failing and closing, again and again:
threads and file descriptors stay the same, memory stops growing."""

import os
import time

import apsw

from host import DATABASE, URL, connect, raises, report, value

WINDOWS, ROUNDS = 6, 200
# An allocator takes a while to settle; a leak grows in every window. One page
# image a round would be 800 KB.
NO_GROWTH_KB = 40


def threads():
    return len(os.listdir("/proc/self/task"))


def descriptors():
    return sorted(os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")
                  if os.path.exists(f"/proc/self/fd/{fd}"))


def resident_kb():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def life(round):
    db = connect()
    report(db, "SELECT replica_attach(?, NULL)", URL)
    report(db, "SELECT replica_write('UPDATE t SET x = zeroblob(?)', ?)", 100_000 + round % 7)
    report(db, "SELECT replica_sync()")
    assert value(db, "SELECT length(x) FROM t") == 100_000 + round % 7
    list(db.execute("SELECT * FROM replica_status"))
    raises(apsw.Error, "nowhere", value, db, "SELECT replica_write('DELETE FROM nowhere')")
    raises(apsw.Error, "options", value, db, "SELECT replica_sync('x')")
    raises(apsw.Error, "sync_url", value, db, "SELECT replica_attach(5)")
    if round % 2:
        value(db, "SELECT replica_detach()")
    db.close()


def settle():
    """A thread that was joined may still be listed for a moment, and the one
    that closes idle streams looks for its end once a second."""
    deadline = time.monotonic() + 5
    while threads() > 1 and time.monotonic() < deadline:
        time.sleep(0.05)


def window():
    """The growth of memory in so many rounds, in KB."""
    before = resident_kb()
    for round in range(ROUNDS):
        life(round)
    settle()
    return resident_kb() - before


growth = [window()]
before = threads(), descriptors()
while growth[-1] > NO_GROWTH_KB and len(growth) < WINDOWS or len(growth) < 2:
    growth.append(window())
after = threads(), descriptors()
print(f"{ROUNDS} rounds each: memory grew by {growth} KB; threads {before[0]} -> {after[0]}, "
      f"descriptors {len(before[1])} -> {len(after[1])}")
assert after[0] == 1, "threads leak"
assert after[1] == before[1], f"file descriptors leak: {before[1]} -> {after[1]}"
assert not any(DATABASE in path for path in after[1]), after[1]
assert growth[-1] <= NO_GROWTH_KB, "memory leaks"
