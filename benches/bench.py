"""End to end, beside libsql's own client, in one run: bench.py [CASE ...]

Every case starts its own sqld, runs both in turn several times, and adds rows
to one table of medians (with their range) and ratios. `--large` adds the case
of a gigabyte. Timings differ from machine to machine; the ratios are what
counts.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import time

from support import (
    EXTENSION,
    ROOT,
    TURSODB,
    Link,
    Sqld,
    Table,
    Turso,
    child,
    follower,
    median,
    percentile,
    spread,
)

ROUNDS = 5
TABLE = Table()


def fill(sqld, megabytes, per_transaction=5):
    """About so many MB of pages: rows of 4000 bytes fill a page each."""
    sqld.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, x)")
    rows = per_transaction * 250
    for _ in range(megabytes // per_transaction):
        sqld.execute(
            f"WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < {rows}) "
            "INSERT INTO t(x) SELECT randomblob(4000) FROM c"
        )


def compare_first_sync(name, sqld, rounds=ROUNDS, floor=None, peer="libsql", work="first_sync_peer"):
    ours, peers, floors = [], [], []
    for _ in range(rounds):
        ours.append(child("first_sync", sqld.url))
        peers.append(child(work, sqld.url))
        assert ours[-1]["rows"] == peers[-1]["rows"]
        if floor:
            floors.append(floor())
    seconds = [run["seconds"] for run in ours], [run["seconds"] for run in peers]
    TABLE.add(name, spread(seconds[0]), f"{peer} " + spread(seconds[1]), ratio(seconds[1], seconds[0]), "faster")
    if floors:
        TABLE.add(name, spread(seconds[0]), "curl + fsync " + spread(floors), ratio(seconds[0], floors), "of the floor")
    peak = [run["peak_mb"] for run in ours], [run["peak_mb"] for run in peers]
    TABLE.add("— peak memory", spread(peak[0], "MB", 0), f"{peer} " + spread(peak[1], "MB", 0), ratio(peak[1], peak[0]), "with Python's own")
    wal = max(run["wal_mb"] for run in ours), max(run["wal_mb"] for run in peers)
    TABLE.add("— -wal left", f"{wal[0]:.1f} MB", f"{peer} {wal[1]:.1f} MB", "", f"database {ours[0]['db_mb']:.0f} MB")


def ratio(larger, smaller):
    return f"{median(larger) / median(smaller):.1f}x"


def bootstrap_log():
    """A fresh log that holds every page about once."""
    sqld = Sqld("--max-log-size", "100000")
    fill(sqld, 100)
    compare_first_sync("first sync, 100 MB, fresh log", sqld, floor=curl_floor(sqld))
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


def bootstrap_default():
    """A server with its default options, which has compacted its log."""
    sqld = Sqld()
    fill(sqld, 100)
    time.sleep(3)
    compare_first_sync("first sync, 100 MB, server defaults", sqld)
    sqld.close()


def bootstrap_indexed():
    """10 MB with indexes, whose log holds the pages many times."""
    sqld = Sqld("--max-log-size", "100000")
    sqld.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, x, y)", "CREATE INDEX tx ON t(x)", "CREATE INDEX ty ON t(y)")
    while sqld.frame_no() * 4120 < 90e6:
        sqld.execute(
            "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 500) "
            "INSERT INTO t(x, y) SELECT hex(randomblob(12)), random() FROM c"
        )
    compare_first_sync("first sync, indexed, log of 90 MB", sqld)
    sqld.close()


def bootstrap_turso():
    """100 MB from Turso's own sync server, beside Turso's own client."""
    if not os.path.exists(TURSODB):
        print("  skipped: Turso's server is not installed, which needs node")
        return
    turso = Turso()
    turso.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, x)")
    for _ in range(20):
        turso.execute("INSERT INTO t(x) SELECT randomblob(4000) FROM generate_series(1, 1250)")
    compare_first_sync("first sync, 100 MB, Turso's server", turso, peer="pyturso", work="first_sync_turso_peer")
    turso.close()


def bootstrap_large():
    """A gigabyte, alone: memory stays flat."""
    sqld = Sqld("--max-log-size", "100000")
    fill(sqld, 1100)  # Beyond the lock page, which is at 1 GiB.
    runs = [child("first_sync", sqld.url) for _ in range(2)]
    seconds = [run["seconds"] for run in runs]
    TABLE.add("first sync, 1.1 GB, fresh log", spread(seconds), "–", f"{runs[0]['db_mb'] / median(seconds):.0f} MB/s", f"peak {max(run['peak_mb'] for run in runs):.0f} MB")
    sqld.close()


def growth():
    """Time and memory of a first sync against the size."""
    for megabytes in (1, 10, 100):
        sqld = Sqld("--max-log-size", "100000")
        fill(sqld, megabytes, 1)
        runs = [child("first_sync", sqld.url) for _ in range(3)]
        seconds = [run["seconds"] for run in runs]
        TABLE.add(f"first sync, {megabytes} MB", spread(seconds, digits=3), "–", f"{megabytes * 1.03 / median(seconds):.0f} MB/s", f"peak {max(run['peak_mb'] for run in runs):.0f} MB")
        sqld.close()


def in_memory():
    """First syncs without a file beside those into one, each in turn."""
    for megabytes in (1, 10, 100):
        sqld = Sqld("--max-log-size", "100000")
        fill(sqld, megabytes, 1)
        memory, file = [], []
        for _ in range(ROUNDS):
            memory.append(child("first_sync_in_memory", sqld.url)["seconds"])
            file.append(child("first_sync", sqld.url)["seconds"])
        TABLE.add(f"first sync in memory, {megabytes} MB", spread(memory, digits=3), "a file " + spread(file, digits=3), f"{median(memory) / median(file):.2f}x", "")
        sqld.close()


def catch_up():
    """200 000 frames that rewrite the same pages again and again."""
    sqld = Sqld("--max-log-size", "100000")
    sqld.execute("CREATE TABLE counters(id INTEGER PRIMARY KEY, v, pad)", "CREATE INDEX cv ON counters(v)")
    sqld.execute(
        "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 2500) "
        "INSERT INTO counters SELECT i, 0, randomblob(3000) FROM c"
    )
    work = [f"UPDATE counters SET v = {i}" for i in range(80)]
    run = child("catch_up", sqld.url, primary=sqld.url, statements=work)
    TABLE.add(
        f"catch-up, {run['frames_synced']} frames",
        f"{run['seconds']:.2f} s",
        "–",
        f"{run['frames_synced'] / run['pages_written']:.0f} frames a page written",
        f"{run['pages_written']} pages; peak {run['peak_mb']:.0f} MB; {run['reads']} reads beside, slowest "
        f"{run['slowest_read'] * 1e3:.0f} ms; integrity {run['integrity']}",
    )
    sqld.close()


def latency():
    """Nothing new, one new row, an own write: on loopback."""
    sqld = Sqld()
    sqld.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, x)")
    runs = [(child("latencies", sqld.url, primary=sqld.url, count=300), child("latencies_peer", sqld.url, primary=sqld.url, count=300)) for _ in range(3)]
    live = child("latencies", sqld.url, primary=sqld.url, count=300, options='{"live": true}')
    for key, name in (("nothing", "sync, nothing new"), ("row", "sync of one row"), ("own", "own write, readable")):
        ours, peers = ([time for run in runs for time in run[side][key]] for side in (0, 1))
        TABLE.add(name + ", p50", f"{median(ours) * 1e3:.2f} ms", f"libsql {median(peers) * 1e3:.2f} ms", ratio(peers, ours), "faster")
        TABLE.add("— p99", f"{percentile(ours, 0.99) * 1e3:.2f} ms", f"libsql {percentile(peers, 0.99) * 1e3:.2f} ms")
    TABLE.add("own write while live, p50", f"{median(live['own']) * 1e3:.2f} ms", "–", "", f"p99 {percentile(live['own'], 0.99) * 1e3:.2f} ms")
    sqld.close()


def round_trips():
    """The same over a link with a simulated round trip of 50 ms."""
    trip = 0.05
    sqld = Sqld()
    sqld.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, x)")
    results = []
    for work in ("latencies", "latencies_peer"):
        link = Link(sqld.port, trip)
        results.append((child(work, link.url, primary=sqld.url, count=20), link.connections))
    (ours, our_connections), (peers, peer_connections) = results
    for key, name in (("nothing", "sync, nothing new"), ("row", "sync of one row"), ("own", "own write, readable")):
        TABLE.add(
            name + ", 50 ms link",
            f"{median(ours[key]) / trip:.2f} RTT",
            f"libsql {median(peers[key]) / trip:.2f} RTT",
            ratio(peers[key], ours[key]),
            f"connections {our_connections} and {peer_connections}",
        )
    sqld.close()


def point_select():
    """A row by its primary key: replica, plain connection beside it, plain file."""
    sqld = Sqld()
    fill(sqld, 20)
    for options, name in (("{}", "point SELECT"), ('{"live": true}', "point SELECT while live")):
        run = child("point_select", sqld.url, count=15, options=options)
        pairs = [a / b for a, b in zip(run["replica"], run["plain"])]
        beside = [a / b for a, b in zip(run["beside"], run["plain"])]
        TABLE.add(name, f"{median(run['replica']) * 1e6:.2f} µs", f"plain file {median(run['plain']) * 1e6:.2f} µs", f"{median(pairs):.2f}x", f"a plain connection beside it {median(beside):.2f}x")
    sqld.close()


def lag():
    """Live: from the primary's answer until another connection sees the row."""
    sqld = Sqld()
    sqld.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, x)")
    late = child("lag", sqld.url, primary=sqld.url, count=500)["late"]
    TABLE.add("live lag behind the answer, p50", f"{median(late) * 1e3:.2f} ms", "–", "", f"p99 {percentile(late, 0.99) * 1e3:.2f} ms, 100 commits a second")
    sqld.close()


def flood():
    """Live, while the primary commits as fast as it can."""
    sqld = Sqld()
    sqld.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, x)")
    run = child("flood", sqld.url, primary=sqld.url, seconds=5)
    TABLE.add(
        "live under full load",
        f"{run['commits'] / 5:.0f} commits/s",
        "–",
        "",
        f"{run['behind']} commits behind at the end, caught up after {run['seconds'] * 1e3:.0f} ms",
    )
    sqld.close()


def scale():
    """What live replicas cost their primary: processor, memory, sockets."""
    sqld = Sqld()
    sqld.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, x)")
    for replicas in (0, 5, 20):
        with contextlib.ExitStack() as stack:
            for _ in range(replicas):
                stack.enter_context(follower(sqld.url))
            time.sleep(1)
            idle = sqld.processor(3)
            busy = sqld.processor(3, lambda: sqld.execute("INSERT INTO t(x) VALUES (5)"))
            TABLE.add(
                f"primary with {replicas} live replicas",
                f"idle {idle * 100:.1f} % of a core",
                "–",
                "",
                f"at 100 commits/s {busy * 100:.1f} %, {sqld.memory():.0f} MB, {sqld.sockets()} sockets",
            )
    sqld.close()


CASES = [bootstrap_log, bootstrap_default, bootstrap_indexed, bootstrap_turso, growth, in_memory, catch_up, latency, round_trips, point_select, lag, flood, scale]


def main():
    names = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    cases = CASES + ([bootstrap_large] if "--large" in sys.argv else [])
    print(f"extension {EXTENSION}, {os.cpu_count()} cores")
    for case in cases:
        if not names or case.__name__ in names:
            print(f"{case.__name__}: {case.__doc__.splitlines()[0]}", flush=True)
            case()
    TABLE.show()
    TABLE.save(os.path.join(ROOT, "target", "bench.json"))


main()
