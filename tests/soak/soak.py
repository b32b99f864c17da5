"""Everything at once, on one replica: LIBRARY SQLD SECONDS [SEED].

- a primary that is written to all the time, is killed and restarted (which
  gives it another history), and is stopped and started in between
- three processes that sync; two of them die at random fault points, or by a
  `kill -9` from outside at a random moment, and are started again
- eight stock shells that read in transactions, some held open for seconds
- a stock shell that checkpoints in every mode in a loop, and one that makes
  copies by VACUUM INTO and .backup
- hosts that fork, that have many threads and a log callback, that give the file
  a second name, and that lose their locks: `hosts.py`

Each commit of the primary records a digest of all its tables within the
transaction that makes it, under the number that it writes; what a reader or a
copy finds under a number must have a digest that the primary had under it.

A failure is: such a state that the primary never had, a sum that is torn, a
state older than one seen before, any error but "database is locked", a copy that is not sound, a -wal that stays large
after the readers let go, or an end that differs from the primary. The seed
decides what is written, when who is killed, and where; not what the scheduler
of the operating system makes of it.
"""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

from states import DIGEST

LIBRARY, SQLD, SECONDS = sys.argv[1], sys.argv[2], float(sys.argv[3])
SEED = int(sys.argv[4]) if len(sys.argv) > 4 else random.randrange(2**32)
FOLDER = tempfile.mkdtemp(prefix="replica-soak-")
DB = os.path.join(FOLDER, "app.db")
READERS, SYNCERS = 8, 3
ACCOUNTS, SUM = 100, 100_000
LARGEST_WAL = 8 << 20

counts = {name: 0 for name in (
    "commits", "states_compared", "states_of_unanswered_commits", "reads", "transactions_held", "integrity_checks", "busy_reads", "syncs", "busy_syncs",
    "primary_away", "kills", "kills_at_fault_points", "resets", "primary_crashes",
    "primary_restarts", "checkpoints", "copies", "bytes_received", "forks", "refused_after_fork",
    "refused_what_was_inherited", "children_that_hung_in_a_lock_of_a_thread", "attached_in_threads",
    "log_messages", "links", "refused_by_a_link", "attached_after_a_link",
    "syncs_refused_by_a_link", "locks_lost", "refused_without_locks", "nothing_to_write_without_locks")}
failures = []
# Digests by number. A number may have several: of a commit that nobody answered
# for, which may have happened or not, and of the one that took its place.
states, unanswered = {}, set()
lock = threading.Lock()
stop = threading.Event()


def count(name, by=1):
    with lock:
        counts[name] += by


def fail(what):
    with lock:
        failures.append(what)
    print("FAILURE:", what, flush=True)
    if len(failures) > 20:
        stop.set()


def compare(number, digest, where):
    """A state that was found must be one that the primary had."""
    end = time.monotonic() + 3
    while True:
        with lock:
            known, lost = states.get(number, ()), number in unanswered
        if digest in known:
            return count("states_compared")
        # The answer to the commit may still be on its way to who records it.
        if time.monotonic() > end:
            break
        time.sleep(0.02)
    if lost:
        return count("states_of_unanswered_commits")
    fail(f"{where}: the primary never had {number}: {digest}, but {sorted(known)}")


class Primary:
    def __init__(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = "127.0.0.1:%d" % free.getsockname()[1]
        self.url = "http://" + self.address
        self.log = open(os.path.join(FOLDER, "sqld.log"), "ab")
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [SQLD, "--db-path", os.path.join(FOLDER, "primary"), "--http-listen-addr", self.address,
             "--no-welcome", "--max-log-size", "20"], stdout=self.log, stderr=self.log)
        for _ in range(400):
            try:
                urllib.request.urlopen(self.url + "/health", timeout=5).read()
                return
            except OSError:
                time.sleep(0.05)
        raise SystemExit("sqld does not start; see " + FOLDER)

    def end(self, how):
        self.process.send_signal(how)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def run(self, *statements):
        """All statements as one batch; the rows of the last."""
        return self.run_all(*statements)[-1]

    def run_all(self, *statements):
        steps = [{"stmt": {"sql": sql, "want_rows": True}} for sql in statements]
        body = {"requests": [{"type": "batch", "batch": {"steps": steps}}, {"type": "close"}]}
        request = urllib.request.Request(self.url + "/v3/pipeline", json.dumps(body).encode())
        answer = json.load(urllib.request.urlopen(request, timeout=30))["results"][0]
        result = answer["response"]["result"]
        errors = [error for error in result["step_errors"] if error]
        if errors:
            raise RuntimeError(errors[0]["message"])
        return [[[value.get("value") for value in row] for row in step["rows"]]
                for step in result["step_results"]]


class Shell:
    """A stock sqlite3 shell that stays open."""

    def __init__(self):
        self.process = subprocess.Popen(["sqlite3", "-batch", "-init", "/dev/null", DB],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True)
        self.ask(".timeout 10000")

    def ask(self, statement):
        end = "" if statement.startswith(".") else ";"
        self.process.stdin.write(f"{statement}{end}\n.print done\n")
        self.process.stdin.flush()
        lines = []
        for line in self.process.stdout:
            if line == "done\n":
                return "\n".join(lines)
            lines.append(line.rstrip("\n"))
        raise RuntimeError("the shell has ended: " + "\n".join(lines))

    def close(self):
        self.process.stdin.close()
        self.process.wait(30)


def guarded(body, *args):
    """A thread; what it raises is a failure."""
    def run():
        try:
            body(*args)
        except Exception as error:  # noqa: BLE001
            fail(f"{body.__name__}: {error!r}")
    thread = threading.Thread(target=run)
    thread.start()
    return thread


def write(primary, rng, pause):
    number, missed = int(primary.run("SELECT n FROM seq")[0][0]), 0
    while not stop.is_set():
        pause.wait()
        a, b, amount = rng.randint(1, ACCOUNTS), rng.randint(1, ACCOUNTS), rng.randint(1, 50)
        statements = ["BEGIN", f"UPDATE acc SET v = v - {amount} WHERE id = {a}",
                      f"UPDATE acc SET v = v + {amount} WHERE id = {b}", "UPDATE seq SET n = n + 1"]
        chance = rng.random()
        if chance < 0.3:
            statements.append(f"INSERT INTO junk(b) SELECT randomblob({rng.randint(10, 20_000)}) "
                              f"FROM acc LIMIT {rng.randint(1, 60)}")
        elif chance < 0.4:
            statements.append(f"DELETE FROM junk WHERE id % {rng.randint(1, 4)} = 0")
        elif chance < 0.43:
            statements.append("DROP TABLE IF EXISTS other")
        elif chance < 0.46:
            statements.append("CREATE TABLE IF NOT EXISTS other(a, b)")
        elif chance < 0.47:
            statements.append("UPDATE junk SET b = randomblob(length(b))")
        try:
            found = primary.run_all(*statements, DIGEST, "COMMIT")[-2][0]
            with lock:
                number, missed = int(found[0]), 0
                states.setdefault(number, set()).add(found[1])
            count("commits")
        except (OSError, RuntimeError, ValueError, KeyError, json.JSONDecodeError):
            with lock:
                missed += 1
                unanswered.update(range(number + 1, number + missed + 1))
            if pause.is_set() and primary.process.poll() is None:
                try:
                    primary.run("ROLLBACK")
                except (OSError, RuntimeError, KeyError):
                    pass
            time.sleep(0.05)
        time.sleep(0.005)


def read(rng):
    shell, newest = Shell(), 0
    query = "SELECT sum(v), count(*), (SELECT n FROM seq) FROM acc"
    while not stop.is_set():
        begun = shell.ask(f"BEGIN; {query}")
        if "locked" in begun:
            count("busy_reads")
            shell.ask("ROLLBACK")
            continue
        total, accounts, number = begun.split("|")
        if (int(total), int(accounts)) != (SUM, ACCOUNTS):
            fail(f"torn: {begun}")
        if int(number) < newest:
            fail(f"went back: {number} after {newest}")
        newest = int(number)
        chance = rng.random()
        if chance < 0.1:
            time.sleep(rng.random() * 3)
            count("transactions_held")
        elif chance < 0.3:
            sound = shell.ask("PRAGMA integrity_check")
            count("integrity_checks")
            if sound != "ok":
                fail(f"integrity_check: {sound}")
            found, digest = shell.ask(DIGEST).split("|")
            if found != number:
                fail(f"a transaction saw {number}, then {found}")
            compare(int(found), digest, "a reader")
        again = shell.ask(query)
        if again != begun:
            fail(f"a transaction saw {begun}, then {again}")
        shell.ask("COMMIT")
        count("reads")
        if rng.random() < 0.02:
            shell.close()
            shell = Shell()
        time.sleep(rng.random() * 0.02)
    shell.close()


def checkpoint(rng):
    shell = Shell()
    shell.ask(".timeout 50")
    while not stop.is_set():
        mode = rng.choice(["TRUNCATE", "RESTART", "FULL", "PASSIVE"])
        answer = shell.ask(f"PRAGMA wal_checkpoint({mode})")
        if "rror" in answer and "locked" not in answer:
            fail(f"checkpoint: {answer}")
        count("checkpoints")
        time.sleep(rng.random() * 0.05)
    shell.close()


def copy(rng):
    shell, query = Shell(), f"{DIGEST}; PRAGMA integrity_check"
    while not stop.is_set():
        to = os.path.join(FOLDER, "copy.db")
        into = rng.random() < 0.5
        answer = shell.ask(f"VACUUM INTO '{to}'" if into else f".backup {to}")
        if answer and "locked" not in answer:
            fail(f"copy: {answer}")
        elif not answer:
            more = "; UPDATE acc SET v = v" if into else ""
            done = subprocess.run(["sqlite3", to, query + more], capture_output=True, text=True)
            if done.stdout.split()[1:] != ["ok"] or done.stderr:
                fail(f"copy (VACUUM INTO: {into}): {done.stdout} {done.stderr}")
            else:
                found, digest = done.stdout.split()[0].split("|")
                compare(int(found), digest, "a copy")
            count("copies")
        for end in ("", "-wal", "-shm", "-journal"):
            if os.path.exists(to + end):
                os.remove(to + end)
        time.sleep(rng.random() * 0.5)
    shell.close()


def sync(primary, rng, mortal):
    """Keeps one syncing process alive."""
    while not stop.is_set():
        environment = dict(os.environ)
        kill_after = None
        if mortal:
            if rng.random() < 0.6:
                environment["REPLICA_FAULT"] = f"*:{int(10 ** (rng.random() * 3.3))}"
            else:
                kill_after = rng.random() * 1.5
        process = subprocess.Popen(
            [sys.executable, os.path.join(os.path.dirname(__file__), "syncer.py"), LIBRARY,
             primary.url, DB, str(4 if mortal else SECONDS)],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        killer = threading.Timer(kill_after, process.kill) if kill_after else None
        if killer:
            killer.start()
        output = []
        for line in process.stdout:
            if stop.is_set():
                process.kill()
            try:
                said = json.loads(line)
            except json.JSONDecodeError:
                output.append(line)
                continue
            if "failure" in said:
                fail("sync: " + said["failure"])
            count("syncs", said.get("synced", 0))
            count("resets", said.get("reset", 0))
            count("bytes_received", said.get("bytes", 0))
            count("busy_syncs", int(said.get("busy", False)))
            count("primary_away", int(said.get("away", False)))
            count("syncs_refused_by_a_link", int(said.get("linked", False)))
        code = process.wait()
        if killer:
            killer.cancel()
        if code == -signal.SIGKILL:
            if not stop.is_set():
                count("kills")
                count("kills_at_fault_points", int("REPLICA_FAULT" in environment))
        elif code != 0:
            fail(f"a syncing process ended with {code}: {''.join(output)[-500:]}")


def play_host(primary, rng, kind):
    """Keeps one process of `hosts.py` alive."""
    while not stop.is_set():
        process = subprocess.Popen(
            [sys.executable, os.path.join(os.path.dirname(__file__), "hosts.py"), LIBRARY, primary.url,
             DB, str(rng.uniform(3, 8)), kind, str(rng.random())],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for line in process.stdout:
            try:
                said = json.loads(line)
            except json.JSONDecodeError:
                fail(f"{kind}: {line}")
                continue
            if "failure" in said:
                fail(f"{kind}: {said['failure']}")
            elif "state" in said:
                compare(*said["state"], f"{kind}: {said['where']}")
            else:
                count(said["did"])
        code = process.wait()
        if code != 0:
            fail(f"{kind}: ended with {code}")


def disturb(primary, rng, pause):
    """Crashes and restarts the primary now and then."""
    while not stop.wait(3 + rng.random() * 6):
        pause.clear()
        if rng.random() < 0.6:
            primary.end(signal.SIGKILL)
            count("primary_crashes")
        else:
            primary.end(signal.SIGTERM)
            count("primary_restarts")
        primary.start()
        pause.set()


def finish(primary):
    """The readers have let go: the log is cut, and the end is the primary's."""
    sync = [sys.executable, os.path.join(os.path.dirname(__file__), "syncer.py"), LIBRARY,
            primary.url, DB, "1.5"]
    primary.run("UPDATE seq SET n = n + 1")
    print(subprocess.run(sync, capture_output=True, text=True).stdout.splitlines()[-1])
    queries = ["SELECT id, v FROM acc ORDER BY id", "SELECT n FROM seq",
               "SELECT id, length(b), hex(substr(b, 1, 16)), hex(substr(b, -16)) FROM junk ORDER BY id",
               "SELECT name, sql FROM sqlite_schema ORDER BY name"]
    for query in queries:
        here = subprocess.run(["sqlite3", DB, query], capture_output=True, text=True).stdout.split("\n")[:-1]
        there = ["|".join("" if value is None else str(value) for value in row) for row in primary.run(query)]
        if here != there:
            fail(f"the end differs from the primary: {query}: {len(here)} and {len(there)} rows")
    sound = subprocess.run(["sqlite3", DB, "PRAGMA integrity_check"], capture_output=True, text=True)
    if sound.stdout != "ok\n":
        fail(f"the end is not sound: {sound.stdout} {sound.stderr}")


def main():
    print(f"soak: seed {SEED}, {SECONDS} s, {FOLDER}", flush=True)
    rng = random.Random(SEED)
    primary, pause = Primary(), threading.Event()
    pause.set()
    primary.run("CREATE TABLE acc(id INTEGER PRIMARY KEY, v)", "CREATE TABLE seq(n)",
                "CREATE TABLE junk(id INTEGER PRIMARY KEY, b)", "CREATE INDEX long ON junk(length(b))",
                "INSERT INTO seq VALUES (0)",
                "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 100) "
                "INSERT INTO acc SELECT n, 1000 FROM c")
    states[0] = {primary.run(DIGEST)[0][1]}
    first = subprocess.run([sys.executable, os.path.join(os.path.dirname(__file__), "syncer.py"),
                            LIBRARY, primary.url, DB, "0.5"], capture_output=True, text=True)
    if '"synced"' not in first.stdout:
        raise SystemExit(f"no first sync: {first}")
    threads = [guarded(write, primary, random.Random(rng.random()), pause)]
    threads += [guarded(read, random.Random(rng.random())) for _ in range(READERS)]
    threads += [guarded(sync, primary, random.Random(rng.random()), i > 0) for i in range(SYNCERS)]
    threads += [guarded(checkpoint, random.Random(rng.random())), guarded(copy, random.Random(rng.random()))]
    threads += [guarded(play_host, primary, random.Random(rng.random()), kind)
                for kind in ("forks", "threads", "links", "careless")]
    threads += [guarded(disturb, primary, random.Random(rng.random()), pause)]
    largest, end = 0, time.monotonic() + SECONDS
    while time.monotonic() < end and not stop.wait(0.2):
        if os.path.exists(DB + "-wal"):
            try:
                largest = max(largest, os.path.getsize(DB + "-wal"))
            except OSError:
                pass
    # An idle shell keeps the log from being deleted with the last reader.
    idle = Shell()
    idle.ask("SELECT count(*) FROM acc")
    stop.set()
    pause.set()
    for thread in threads:
        thread.join(60)
    finish(primary)
    left = os.path.getsize(DB + "-wal") if os.path.exists(DB + "-wal") else 0
    if left > LARGEST_WAL:
        fail(f"-wal has {left} bytes after the readers let go")
    idle.close()
    primary.end(signal.SIGTERM)
    counts.update(readers=READERS, syncers=SYNCERS, database_bytes=os.path.getsize(DB),
                  largest_wal_bytes=largest, last_wal_bytes=left)
    print(f"soak: seed {SEED}, {SECONDS} s: {json.dumps(counts)}; {len(failures)} failures")
    if failures:
        print("left in", FOLDER)
        sys.exit(1)
    subprocess.run(["rm", "-rf", FOLDER], check=True)


main()
