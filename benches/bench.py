"""End to end, beside libsql's own client, in one run: bench.py [CASE ...]

Every case starts its own sqld, runs both several times in turn, and adds rows
to one table of medians (with their range) and ratios. `--large` adds the case
of a gigabyte, `--vs LIBRARY` another build of the extension beside this one.
Timings differ from machine to machine; the ratios are what counts.
"""

import argparse
import contextlib
import os
import time

import first_sync
import footprint
import in_memory
import proxied
import support
from support import (
    EXTENSION,
    ROOT,
    ROUNDS,
    TABLE,
    Link,
    Sqld,
    child,
    fill,
    follower,
    median,
    percentile,
    ratio,
    shuffled,
)


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
    if support.BEFORE:
        before = child("catch_up", sqld.url, primary=sqld.url, statements=work, extension=support.BEFORE)
        pace = run["seconds"] / run["frames_synced"], before["seconds"] / before["frames_synced"]
        TABLE.add("— before", f"{run['seconds']:.2f} s", f"before {before['seconds']:.2f} s", f"{pace[1] / pace[0]:.1f}x", "faster, a frame")
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
    contenders = {
        "ours": lambda: child("latencies", sqld.url, primary=sqld.url, count=300),
        "peer": lambda: child("latencies_peer", sqld.url, primary=sqld.url, count=300),
    }
    if support.BEFORE:
        contenders["before"] = lambda: child("latencies", sqld.url, primary=sqld.url, count=300, extension=support.BEFORE)
    runs = {contender: [] for contender in contenders}
    for _ in range(ROUNDS):
        for contender in shuffled(contenders):
            runs[contender].append(contenders[contender]())
    live = child("latencies", sqld.url, primary=sqld.url, count=300, options='{"live": true}')
    for key, name in (("nothing", "sync, nothing new"), ("row", "sync of one row"), ("own", "own write, readable")):
        times = {contender: [time for run in those for time in run[key]] for contender, those in runs.items()}
        ours, peers = times["ours"], times["peer"]
        TABLE.add(name + ", p50", f"{median(ours) * 1e3:.2f} ms", f"libsql {median(peers) * 1e3:.2f} ms", ratio(peers, ours), "faster")
        if olds := times.get("before"):
            TABLE.add("— before", f"{median(ours) * 1e3:.2f} ms", f"before {median(olds) * 1e3:.2f} ms", f"{median(olds) / median(ours):.2f}x", "faster")
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


CASES = [
    first_sync.first_sync_log,
    first_sync.first_sync_snapshot,
    first_sync.first_sync_indexed,
    first_sync.first_sync_links,
    first_sync.first_sync_turso,
    first_sync.growth,
    in_memory.in_memory,
    catch_up,
    latency,
    round_trips,
    point_select,
    lag,
    flood,
    scale,
    proxied.proxied,
    footprint.connections,
    footprint.live_replicas,
]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("cases", nargs="*")
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--vs", metavar="LIBRARY")
    arguments = parser.parse_args()
    if arguments.vs:
        support.BEFORE = os.path.abspath(arguments.vs)
    cases = CASES + ([first_sync.first_sync_large, first_sync.first_sync_sparse] if arguments.large else [])
    print(f"extension {EXTENSION}, {os.cpu_count()} cores")
    for case in cases:
        if not arguments.cases or case.__name__ in arguments.cases:
            print(f"{case.__name__}: {case.__doc__.splitlines()[0]}", flush=True)
            case()
            TABLE.save(os.path.join(ROOT, "target", "bench.json"))
    TABLE.show()


main()
