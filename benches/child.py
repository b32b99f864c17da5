"""One measured piece of work in a process of its own: child.py NAME OPTIONS.

Prints a JSON object: seconds, peak_mb (of this process), and what else the
work reports. The peer is libsql's own client through its Python package.
"""

import contextlib
import json
import os
import sys
import threading
import time
import urllib.request

OPTIONS = json.loads(sys.argv[2])
PATH = os.path.join(OPTIONS["folder"], "app.db")


def open_replica(path=PATH, options="{}", attach=True):
    import apsw

    connection = apsw.Connection(path)
    connection.enable_load_extension(True)
    connection.load_extension(OPTIONS["extension"], "sqlite3_replica_init")
    if attach:
        connection.execute("SELECT replica_attach(?, NULL, ?)", (OPTIONS["url"], options)).fetchall()
    return connection


def open_peer():
    import libsql_experimental

    connection = libsql_experimental.connect(PATH, sync_url=OPTIONS["url"], auth_token="")
    connection.sync()
    return connection


def primary(sql):
    """Runs a statement on the primary, past replica and link."""
    body = json.dumps({"requests": [{"type": "execute", "stmt": {"sql": sql}}, {"type": "close"}]})
    request = urllib.request.Request(OPTIONS["primary"] + "/v3/pipeline", body.encode())
    urllib.request.urlopen(request).read()


def status(name):
    """A number of /proc/self/status; sizes are in KB."""
    with open("/proc/self/status") as lines:
        return next(line.split()[1] for line in lines if line.startswith(name + ":"))


def report(seconds, **more):
    # What getrusage tells begins with what the parent had.
    peak = int(status("VmHWM")) / 1024
    files = {
        suffix: os.path.getsize(PATH + suffix) / 1e6 if os.path.exists(PATH + suffix) else 0
        for suffix in ("", "-wal")
    }
    print(json.dumps({"seconds": seconds, "peak_mb": peak, "db_mb": files[""], "wal_mb": files["-wal"], **more}))


def timed(call, count, between=lambda: None):
    times = []
    for _ in range(count):
        between()
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return times


def first_sync():
    import apsw  # noqa: F401  The interpreter's own start is not counted.

    connection = open_replica(attach=False)
    start = time.perf_counter()
    connection.execute("SELECT replica_attach(?, NULL)", (OPTIONS["url"],)).fetchall()
    seconds = time.perf_counter() - start
    rows = connection.execute("SELECT count(*) FROM t").fetchone()[0]
    report(seconds, rows=rows)


def first_sync_in_memory():
    """The same without a file."""
    import apsw  # noqa: F401

    connection = open_replica(":memory:", attach=False)
    start = time.perf_counter()
    connection.execute("SELECT replica_attach(?, NULL)", (OPTIONS["url"],)).fetchall()
    seconds = time.perf_counter() - start
    rows = connection.execute("SELECT count(*) FROM t").fetchone()[0]
    report(seconds, rows=rows)


def in_memory_beside_file():
    """Point reads and syncs of one row, of two replicas in turn."""
    replicas = [("memory", open_replica(":memory:")), ("file", open_replica())]
    rows = replicas[0][1].execute("SELECT max(id) FROM t").fetchone()[0]

    def read(db):
        cursor = db.cursor()
        start = time.perf_counter()
        for i in range(20000):
            cursor.execute("SELECT x FROM t WHERE id = ?", (i * 7919 % rows + 1,)).fetchone()
        return (time.perf_counter() - start) / 20000

    reads, syncs = ({name: [] for name, _ in replicas} for _ in range(2))
    for _ in range(OPTIONS["count"]):
        for name, db in replicas:
            reads[name].append(read(db))
        replicas.reverse()
    for _ in range(OPTIONS["count"] * 20):
        primary("UPDATE t SET x = x WHERE id = 1")
        for name, db in replicas:
            start = time.perf_counter()
            db.execute("SELECT replica_sync()").fetchall()
            syncs[name].append(time.perf_counter() - start)
        replicas.reverse()
    report(0, reads=reads, syncs=syncs)


def memory_taken():
    """What a replica in memory takes above the process before: at most while
    it comes, at rest, at most while everything is rewritten, and afterwards."""
    connection = open_replica(":memory:", attach=False)
    connection.execute("PRAGMA cache_size = -200").fetchall()

    def kilobytes(name):
        return int(status(name))

    def forget():
        with open("/proc/self/clear_refs", "w") as clear:
            clear.write("5")

    before, taken = kilobytes("VmRSS"), {}
    forget()
    connection.execute("SELECT replica_attach(?)", (OPTIONS["url"],)).fetchall()
    taken["first_mb"], taken["rest_mb"] = kilobytes("VmHWM"), kilobytes("VmRSS")
    primary("UPDATE t SET x = randomblob(length(x))")
    forget()
    connection.execute("SELECT replica_sync()").fetchall()
    taken["rewrite_mb"], taken["after_mb"] = kilobytes("VmHWM"), kilobytes("VmRSS")
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    taken = {name: (value - before) / 1024 for name, value in taken.items()}
    report(0, database_mb=pages * 4096 / (1 << 20), **taken)


def first_sync_peer():
    import libsql_experimental  # noqa: F401

    start = time.perf_counter()
    connection = open_peer()
    seconds = time.perf_counter() - start
    rows = connection.execute("SELECT count(*) FROM t").fetchall()[0][0]
    report(seconds, rows=rows)


def first_sync_turso_peer():
    import turso.sync

    start = time.perf_counter()
    connection = turso.sync.connect(PATH, remote_url=OPTIONS["url"])
    connection.pull()
    seconds = time.perf_counter() - start
    rows = connection.execute("SELECT count(*) FROM t").fetchall()[0][0]
    report(seconds, rows=rows)


def latencies():
    connection = open_replica(options=OPTIONS.get("options", "{}"))
    insert = "SELECT replica_write('INSERT INTO t(x) VALUES (?)', 1)"
    measure(
        lambda: connection.execute("SELECT replica_sync()").fetchall(),
        lambda: connection.execute(insert).fetchall(),
    )


def latencies_peer():
    connection = open_peer()

    def write():
        connection.execute("INSERT INTO t(x) VALUES (1)")
        connection.commit()

    measure(connection.sync, write)


def measure(sync, write):
    count = OPTIONS["count"]
    sync()
    nothing = timed(sync, count)
    row = timed(sync, count, lambda: primary("INSERT INTO t(x) VALUES (2)"))
    write()
    own = timed(write, count)
    report(0, nothing=nothing, row=row, own=own)


def catch_up():
    """A replica that is far behind, while another connection reads."""
    import apsw

    connection = open_replica()
    for sql in OPTIONS["statements"]:
        primary(sql)
    stop, reads = threading.Event(), []

    def read():
        reader = apsw.Connection(PATH)
        while not stop.is_set():
            start = time.perf_counter()
            reader.execute("SELECT sum(v) FROM counters").fetchall()
            reads.append(time.perf_counter() - start)

    thread = threading.Thread(target=read)
    thread.start()
    start = time.perf_counter()
    result = json.loads(connection.execute("SELECT replica_sync()").fetchone()[0])
    seconds = time.perf_counter() - start
    stop.set()
    thread.join()
    check = connection.execute("PRAGMA integrity_check").fetchone()[0]
    report(seconds, **result, integrity=check, reads=len(reads), slowest_read=max(reads))


def point_select():
    """Rows by primary key, from a replica and from a plain copy in turn."""
    import apsw

    connection = open_replica(options=OPTIONS.get("options", "{}"))
    copy = os.path.join(OPTIONS["folder"], "copy.db")
    connection.execute("VACUUM INTO ?", (copy,))
    plain = apsw.Connection(copy)
    plain.execute("PRAGMA journal_mode=WAL").fetchall()
    beside = apsw.Connection(PATH)
    rows = connection.execute("SELECT max(id) FROM t").fetchone()[0]

    def run(db):
        cursor = db.cursor()
        start = time.perf_counter()
        for i in range(20000):
            cursor.execute("SELECT x FROM t WHERE id = ?", (i * 7919 % rows + 1,)).fetchone()
        return (time.perf_counter() - start) / 20000

    times = {"replica": [], "beside": [], "plain": []}
    order = [("plain", plain), ("replica", connection), ("beside", beside)]
    for _ in range(OPTIONS["count"]):
        for name, db in order:
            times[name].append(run(db))
        # Whoever comes first finds colder caches.
        order.append(order.pop(0))
    report(0, **times)


def lag():
    """From the primary's answer to a commit until another process sees it."""
    import apsw

    connection = open_replica(options='{"live": true}')
    reader = apsw.Connection(PATH)
    # What holds streams back is found out in the first seconds.
    time.sleep(OPTIONS.get("warm", 0.5))
    cursor = reader.cursor()
    count = lambda: cursor.execute("SELECT count(*) FROM t").fetchone()[0]  # noqa: E731
    late = []
    for _ in range(OPTIONS["count"]):
        before = count()
        start = time.perf_counter()
        primary("INSERT INTO t(x) VALUES (3)")
        answered = time.perf_counter()
        while count() == before:
            pass
        late.append(time.perf_counter() - answered)
        time.sleep(max(0, 0.01 - (time.perf_counter() - start)))
    report(0, late=late)
    connection.close()


def flood():
    """The primary commits as fast as it can; a live replica keeps up or not."""
    import http.client

    connection = open_replica(options='{"live": true}')
    time.sleep(0.5)
    host = OPTIONS["primary"].split("//")[1]
    body = json.dumps(
        {"requests": [{"type": "execute", "stmt": {"sql": "INSERT INTO t(x) VALUES (4)"}}, {"type": "close"}]}
    )
    until = time.monotonic() + OPTIONS["seconds"]

    def write():
        link = http.client.HTTPConnection(host)
        while time.monotonic() < until:
            link.request("POST", "/v3/pipeline", body)
            link.getresponse().read()

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    start = time.perf_counter()
    count = connection.execute("SELECT count(*) FROM t").fetchone()[0]
    # Some of the writers' requests may have met a busy primary: it knows.
    query = "SELECT count(*) FROM replica_query('SELECT id FROM t')"
    commits = connection.execute(query).fetchone()[0]
    while connection.execute("SELECT count(*) FROM t").fetchone()[0] < commits:
        time.sleep(0.001)
    report(time.perf_counter() - start, commits=commits, behind=commits - count)
    connection.close()


def follow():
    """Stays live until its standard input ends."""
    connection = open_replica(options='{"live": true}')
    print("ready", flush=True)
    sys.stdin.read()
    connection.close()


def footprint():
    """Descriptors by kind, threads and resident memory of this process."""
    links = []
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            links.append(os.readlink(f"/proc/self/fd/{name}"))
    return {
        "sockets": sum(link.startswith("socket:") for link in links),
        "descriptors": len(links),
        "threads": int(status("Threads")),
        "memory_mb": int(status("VmRSS")) / 1024,
    }


def grown(before):
    return {name: value - before[name] for name, value in footprint().items()}


def many_connections():
    """Connections to one file, each of which writes once; a minute later."""
    before = footprint()
    connections = [open_replica(options=OPTIONS["options"]) for _ in range(OPTIONS["count"])]
    for connection in connections:
        connection.execute("SELECT replica_write('INSERT INTO t(x) VALUES (1)')").fetchall()
    time.sleep(60)
    more = grown(before)
    # The host's own: the database and its log.
    each = more.pop("descriptors") / len(connections) - 2
    report(60, **more, descriptors=each)


def many_replicas():
    """A live replica of each namespace, which a write reaches everywhere."""
    from footprint import execute_in

    names = [f"n{number}" for number in range(OPTIONS["count"])]
    before, connections = footprint(), []
    for name in names:
        options = json.dumps({"live": True, "namespace": name})
        connections.append(open_replica(f"{PATH}-{name}", options))
    time.sleep(10)
    more = grown(before)
    used = time.process_time()
    time.sleep(10)
    processor = (time.process_time() - used) / 10
    for name in names:
        execute_in(OPTIONS["url"], name, "INSERT INTO t(x) VALUES (1)")
    start = time.perf_counter()
    for connection in connections:
        while not connection.execute("SELECT count(*) FROM t").fetchone()[0]:
            time.sleep(0.01)
    report(20, **more, processor=processor, fresh_seconds=time.perf_counter() - start)


globals()[sys.argv[1]]()
