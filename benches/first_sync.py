"""First syncs: of logs with short and long transactions, of a snapshot, over
slow links, from Turso's server."""

import os
import subprocess
import tempfile
import time

import support
from sparse import SparsePrimary
from support import (
    ROUNDS,
    TABLE,
    TURSODB,
    Link,
    Sqld,
    Turso,
    child,
    fill,
    median,
    ratio,
    shuffled,
    spread,
)


def compare(name, url, peer="libsql", work="first_sync_peer", floor=None, rounds=ROUNDS):
    """Ours, the peer's, the build before (if one is given) and the floor, in an
    order that is drawn anew each time: a server's first answer is its slowest."""
    contenders = {
        "ours": lambda: child("first_sync", url),
        "peer": lambda: child(work, url),
    }
    if support.BEFORE:
        contenders["before"] = lambda: child("first_sync", url, extension=support.BEFORE)
    if floor:
        contenders["floor"] = lambda: {"seconds": floor()}
    runs = {contender: [] for contender in contenders}
    for _ in range(rounds):
        for contender in shuffled(contenders):
            runs[contender].append(contenders[contender]())
    ours, peers = runs["ours"], runs["peer"]
    assert ours[0]["rows"] == peers[0]["rows"]
    seconds = {contender: [run["seconds"] for run in those] for contender, those in runs.items()}
    mine = seconds["ours"]
    TABLE.add(name, spread(mine), f"{peer} " + spread(seconds["peer"]), ratio(seconds["peer"], mine), "faster")
    if support.BEFORE:
        TABLE.add("— before", spread(mine), "before " + spread(seconds["before"]), ratio(seconds["before"], mine), "faster")
    if floor:
        TABLE.add("— floor", spread(mine), "curl + fsync " + spread(seconds["floor"]), ratio(mine, seconds["floor"]), "of the floor")
    peak = [run["peak_mb"] for run in ours], [run["peak_mb"] for run in peers]
    TABLE.add("— peak memory", spread(peak[0], "MB", 0), f"{peer} " + spread(peak[1], "MB", 0), ratio(peak[1], peak[0]), "with Python's own")
    wal = max(run["wal_mb"] for run in ours), max(run["wal_mb"] for run in peers)
    TABLE.add("— -wal left", f"{wal[0]:.1f} MB", f"{peer} {wal[1]:.1f} MB", "", f"database {ours[0]['db_mb']:.0f} MB")


def first_sync_log():
    """100 MB in a fresh log that holds every page about once."""
    for megabytes in (0.2, 1, 5, 100):
        sqld = Sqld("--max-log-size", "100000")
        fill(sqld, 100, megabytes)
        floor = curl_floor(sqld) if megabytes == 5 else None
        compare(f"first sync, 100 MB, transactions of {megabytes} MB", sqld.url, floor=floor)
        sqld.close()


def curl_floor(sqld):
    """The same frames by curl into a file, with fsync: the session and the
    offsets are found beforehand, so that each frame comes once."""
    from frames import plan

    requests = plan(sqld.url)

    def run():
        with tempfile.TemporaryDirectory() as folder:
            config = os.path.join(folder, "config")
            with open(config, "w") as file:
                for i, (headers, body) in enumerate(requests):
                    path = os.path.join(folder, f"body{i}")
                    with open(path, "wb") as message:
                        message.write(body)
                    file.write("next\n" if i else "")
                    file.write(f'url = "{sqld.url}/wal_log.ReplicationLog/BatchLogEntries"\n')
                    for header in headers:
                        file.write(f'header = "{header}"\n')
                    file.write(f'data-binary = "@{path}"\noutput = "{folder}/out{i}"\nsilent\n')
            start = time.perf_counter()
            subprocess.run(["curl", "-K", config], check=True)
            for i in range(len(requests)):
                with open(f"{folder}/out{i}", "rb") as file:
                    os.fsync(file.fileno())
            return time.perf_counter() - start

    return run


def first_sync_snapshot():
    """100 MB from a server that has compacted its log into snapshots."""
    sqld = Sqld("--max-log-size=1")
    fill(sqld, 100, 0.2)
    deadline = time.monotonic() + 60
    while sqld.snapshots() < 50:
        assert time.monotonic() < deadline, "sqld makes no snapshots"
        time.sleep(0.1)
    compare("first sync, 100 MB, from snapshots", sqld.url)
    sqld.close()


def first_sync_indexed():
    """10 MB with indexes, whose log holds the pages many times."""
    sqld = Sqld("--max-log-size", "100000")
    sqld.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, x, y)", "CREATE INDEX tx ON t(x)", "CREATE INDEX ty ON t(y)")
    while sqld.frame_no() * 4120 < 90e6:
        sqld.execute(
            "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 500) "
            "INSERT INTO t(x, y) SELECT hex(randomblob(12)), random() FROM c"
        )
    compare("first sync, indexed, log of 90 MB", sqld.url)
    sqld.close()


def first_sync_links():
    """20 MB over a link with a round trip of 50 ms, and over one of 100 Mbit/s."""
    sqld = Sqld("--max-log-size", "100000")
    fill(sqld, 20, 1)
    delayed, narrow = Link(sqld.port, 0.05), Link(sqld.port, 0.001, megabits=100)
    compare("first sync, 20 MB, 50 ms link", delayed.url, rounds=3)
    compare("first sync, 20 MB, 100 Mbit/s link", narrow.url, rounds=3)
    sqld.close()


def first_sync_turso():
    """100 MB from Turso's own sync server, beside Turso's own client."""
    if not os.path.exists(TURSODB):
        print("  skipped: Turso's server is not installed, which needs node")
        return
    turso = Turso()
    turso.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, x)")
    for _ in range(20):
        turso.execute("INSERT INTO t(x) SELECT randomblob(4000) FROM generate_series(1, 1250)")
    compare("first sync, 100 MB, Turso's server", turso.url, peer="pyturso", work="first_sync_turso_peer")
    turso.close()


def first_sync_large():
    """A gigabyte, alone: memory stays flat."""
    sqld = Sqld("--max-log-size", "100000")
    fill(sqld, 1100)  # Beyond the lock page, which is at 1 GiB.
    runs = [child("first_sync", sqld.url) for _ in range(2)]
    seconds = [run["seconds"] for run in runs]
    TABLE.add("first sync, 1.1 GB", spread(seconds), "–", f"{runs[0]['db_mb'] / median(seconds):.0f} MB/s", f"peak {max(run['peak_mb'] for run in runs):.0f} MB")
    sqld.close()


def first_sync_sparse():
    """Ten gigabytes from a primary that makes them as they are read."""
    primary = SparsePrimary(10 * 1024 * 256)
    run = child("first_sync", primary.url)
    TABLE.add("first sync, 10 GB", f"{run['seconds']:.1f} s", "–", f"{run['db_mb'] / run['seconds']:.0f} MB/s", f"peak {run['peak_mb']:.0f} MB with Python's own, from a primary that makes its log as it is read")
    primary.close()


def growth():
    """Time and memory of a first sync against the size."""
    for megabytes in (1, 10, 100):
        sqld = Sqld("--max-log-size", "100000")
        fill(sqld, megabytes, 1)
        runs = [child("first_sync", sqld.url) for _ in range(3)]
        seconds = [run["seconds"] for run in runs]
        TABLE.add(f"first sync, {megabytes} MB", spread(seconds, digits=3), "–", f"{megabytes * 1.03 / median(seconds):.0f} MB/s", f"peak {max(run['peak_mb'] for run in runs):.0f} MB")
        sqld.close()
