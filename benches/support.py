"""What the benchmarks share: a real sqld, a link with delay, measured children."""

import contextlib
import json
import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SQLD = os.environ.get("SQLD", os.path.join(ROOT, ".tools", "sqld"))
TURSODB = os.environ.get("TURSODB", os.path.join(ROOT, ".tools", "tursodb"))
EXTENSION = os.environ.get("REPLICA_EXTENSION", os.path.join(ROOT, "dist", "replica.so"))
CHILD = os.path.join(ROOT, "benches", "child.py")
# Another build to be measured beside this one, if one was given.
BEFORE = None
ROUNDS = 5


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Sqld:
    """A primary in a folder of its own."""

    def __init__(self, *args):
        self.folder = tempfile.mkdtemp(prefix="replica-bench-")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = [SQLD, "--db-path", self.folder + "/db", "--http-listen-addr", f"127.0.0.1:{self.port}"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen([*command, *args], **quiet)
        for _ in range(200):
            with contextlib.suppress(OSError):
                self.execute("SELECT 1")
                return
            time.sleep(0.05)
        raise SystemExit("sqld does not answer")

    def execute(self, *statements):
        requests = [{"type": "execute", "stmt": {"sql": sql}} for sql in statements]
        body = json.dumps({"requests": [*requests, {"type": "close"}]}).encode()
        request = urllib.request.Request(self.url + "/v3/pipeline", body)
        with urllib.request.urlopen(request, timeout=600) as answer:
            results = json.load(answer)["results"]
        for result in results:
            if result["type"] != "ok":
                raise RuntimeError(result)
        return results[0]["response"]["result"]

    def frame_no(self):
        return int(self.execute("SELECT 1")["replication_index"])

    def processor(self, seconds, often=lambda: None):
        """Share of a core that it takes while `often` runs 100 times a second."""

        def used():
            with open(f"/proc/{self.process.pid}/stat") as file:
                fields = file.read().rsplit(")", 1)[1].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

        start, before = time.monotonic(), used()
        while time.monotonic() - start < seconds:
            often()
            time.sleep(0.01)
        return (used() - before) / (time.monotonic() - start)

    def memory(self):
        with open(f"/proc/{self.process.pid}/status") as file:
            return next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmRSS"))

    def snapshots(self):
        """How many pieces of its log it has compacted."""
        folder = self.folder + "/db/dbs/default/snapshots"
        return len(os.listdir(folder)) if os.path.isdir(folder) else 0

    def sockets(self):
        folder = f"/proc/{self.process.pid}/fd"
        return sum("socket" in os.readlink(f"{folder}/{name}") for name in os.listdir(folder))

    def close(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class Turso:
    """A primary that is Turso's own sync server."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="replica-bench-")
        address = f"127.0.0.1:{free_port()}"
        self.url = f"http://{address}"
        command = [TURSODB, self.folder + "/db", "--sync-server", address]
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(command, **quiet)
        for _ in range(200):
            with contextlib.suppress(OSError):
                self.execute("PRAGMA page_count")
                return
            time.sleep(0.05)
        raise SystemExit("Turso's server does not answer")

    def execute(self, sql):
        body = json.dumps({"requests": [{"type": "execute", "stmt": {"sql": sql}}]}).encode()
        with urllib.request.urlopen(self.url + "/v2/pipeline", body, timeout=600) as answer:
            result = json.load(answer)["results"][0]
        if result["type"] != "ok":
            raise RuntimeError(result)

    def close(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class Link:
    """A relay that holds every byte back for half a round trip each way.

    Simulated: real bytes over loopback, the delay is ours. The kernel still
    accepts connections at once, so they are counted (`connections`) and
    reported beside the round trips. With `megabits`, all its connections share
    that many a second from the server.
    """

    def __init__(self, port, round_trip, megabits=None):
        self.target, self.delay = port, round_trip / 2
        self.seconds_a_byte = 8 / (megabits * 1e6) if megabits else 0
        self.free_at, self.turn = 0, threading.Lock()
        self.connections = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            client, _ = self.listener.accept()
            self.connections += 1
            server = socket.create_connection(("127.0.0.1", self.target))
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for way in ((client, server, 0), (server, client, self.seconds_a_byte)):
                threading.Thread(target=self._pass, args=way, daemon=True).start()

    def _take_turn(self, seconds):
        """Waits until the wire has had the time for it, after all before."""
        with self.turn:
            self.free_at = max(self.free_at, time.monotonic()) + seconds
            free_at = self.free_at
        time.sleep(max(0, free_at - time.monotonic()))

    def _pass(self, source, sink, seconds_a_byte):
        waiting, ready = [], threading.Condition()

        def write():
            while True:
                with ready:
                    while not waiting:
                        ready.wait()
                    due, data = waiting.pop(0)
                time.sleep(max(0, due - time.monotonic()))
                try:
                    if data:
                        sink.sendall(data)
                    else:
                        sink.shutdown(socket.SHUT_RDWR)
                        return
                except OSError:
                    return

        threading.Thread(target=write, daemon=True).start()
        while True:
            try:
                data = source.recv(1 << 16)
            except OSError:
                data = b""
            if seconds_a_byte:
                self._take_turn(len(data) * seconds_a_byte)
            with ready:
                waiting.append((time.monotonic() + self.delay, data))
                ready.notify()
            if not data:
                return


def child(work, url, **options):
    """Runs a piece of work of child.py in a process of its own; its report."""
    folder = tempfile.mkdtemp(prefix="replica-bench-")
    try:
        options = {"url": url, "folder": folder, "extension": EXTENSION, **options}
        done = subprocess.run(
            [sys.executable, CHILD, work, json.dumps(options)],
            capture_output=True,
            text=True,
            timeout=900,
        )
        if done.returncode:
            raise RuntimeError(f"{work}: {done.stderr[-2000:]}")
        return json.loads(done.stdout.splitlines()[-1])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def follower(url):
    """A live replica in a process of its own."""
    folder = tempfile.mkdtemp(prefix="replica-bench-")
    options = json.dumps({"url": url, "folder": folder, "extension": EXTENSION})
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen([sys.executable, CHILD, "follow", options], **pipes)
    process.stdout.readline()
    try:
        yield
    finally:
        process.stdin.close()
        process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


def fill(sqld, megabytes, per_transaction=5):
    """About so many MB of pages: rows of 4000 bytes fill a page each."""
    sqld.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, x)")
    rows = int(per_transaction * 250)
    for _ in range(round(megabytes / per_transaction)):
        sqld.execute(
            f"WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < {rows}) "
            "INSERT INTO t(x) SELECT randomblob(4000) FROM c"
        )


def shuffled(values):
    values = list(values)
    random.shuffle(values)
    return values


def median(values):
    return statistics.median(values)


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))]


class Table:
    """Rows of the report, printed as they come and again at the end."""

    def __init__(self):
        self.rows = []

    def add(self, work, ours, peer, ratio="", note=""):
        row = (work, ours, peer, ratio, note)
        self.rows.append(row)
        print("  " + " | ".join(str(cell) for cell in row), flush=True)

    def save(self, path):
        """For plot.py; rows of an earlier run stay where this one has none."""
        os.makedirs(os.path.dirname(path), exist_ok=True)
        rows = {}
        with contextlib.suppress(OSError, ValueError):
            with open(path) as file:
                rows = {row[0] + row[2].split(" ")[0]: row for row in json.load(file)}
        rows.update({row[0] + row[2].split(" ")[0]: row for row in self.rows})
        with open(path, "w") as file:
            json.dump(list(rows.values()), file, indent=1, ensure_ascii=False)

    def show(self):
        print("\n| work | sqlite-replica | peer | ratio | note |\n|---|---|---|---|---|")
        for row in self.rows:
            print("| " + " | ".join(str(cell) for cell in row) + " |")


def spread(values, unit="s", digits=2):
    """Median and the range around it."""
    low, middle, high = min(values), median(values), max(values)
    return f"{middle:.{digits}f} {unit} ({low:.{digits}f}–{high:.{digits}f})"


def ratio(larger, smaller):
    return f"{median(larger) / median(smaller):.1f}x"


TABLE = Table()
