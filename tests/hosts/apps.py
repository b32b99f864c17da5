"""Whole programs on a replica: apps.py [--no-install] [--extension PATH] [APP ...]

Each program of apps/ serves the same orders over HTTP, in its own framework, and
is taken through one story: it reads the file, its writes are read by all its
workers when they return, a constraint is a 409, a primary that goes away ends
writes with a 503 and turns `/health` while reads go on, one that
comes back ends both, and SIGTERM ends the program. What the primary holds at the
end is compared with the file, read without the extension.

What is missing is installed or skipped with the reason, as in run.py.
"""

import argparse
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from run import HERE, ROOT, TOOLS, Missing, Primary, Setup, say

APPS = HERE / "apps"
# A crowded machine takes its time; what never comes is what we look for.
PATIENCE = 60


def python(setup):
    """A virtual environment with what requirements.txt names."""
    folder = TOOLS / "apps"
    mark, wanted = folder / "installed", (APPS / "requirements.txt").read_text()
    if not (mark.exists() and mark.read_text() == wanted):
        system = setup.system_python()
        if setup.install:
            say("installing tests/hosts/apps/requirements.txt into .tools/hosts/apps")
            setup.apt((system, "-c", "import ensurepip"), "python3-venv")
        setup.run(system, "-m", "venv", "--clear", folder)
        setup.run(folder / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check",
                  "-r", APPS / "requirements.txt")
        mark.write_text(wanted)
    return folder / "bin" / "python"


def package():
    """The Python package as pip would install it, with the names by which SQLAlchemy finds it."""
    folder = TOOLS / "apps-package"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "packages" / "python", folder)
    sys.path.insert(0, str(ROOT / "packages"))
    from dist import ENTRY_POINTS
    info = folder / "sqlite_replica-0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sqlite-replica\nVersion: 0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    return {"PYTHONPATH": str(folder)}


def gunicorn(setup, app, port):
    command = [python(setup), "-m", "gunicorn", "-c", APPS / "gunicorn_conf.py", "--chdir", APPS,
               "--bind", f"127.0.0.1:{port}", "--threads", "2", f"{app}:app"]
    return [command], package()


def flask(setup, port):
    return gunicorn(setup, "flask_app", port)


def django(setup, port):
    return gunicorn(setup, "django_app", port)


def fastify(setup, port):
    folder = setup.node_modules(APPS / "package.json", "fastify")
    package = folder / "node_modules" / "sqlite-replica"
    shutil.rmtree(package, ignore_errors=True)
    shutil.copytree(ROOT / "packages" / "npm", package)
    shutil.copy(APPS / "fastify_app.mjs", folder)
    return [["node", folder / "fastify_app.mjs"]], {}


def rails(setup, port):
    setup.apt(("ruby", "-rsqlite3", "-raction_controller/railtie", "-ractive_record", "-rpuma", "-e", "0"),
              "ruby-railties", "ruby-activerecord", "ruby-actionpack", "ruby-sqlite3", "puma")
    return [["puma", "-w", "2", "-t", "1:2", "-C", APPS / "rails_puma.rb", "-b", f"tcp://127.0.0.1:{port}",
             APPS / "rails_app.ru"]], {}


def php(setup, port, program):
    setup.apt(("php", "-r", "exit(class_exists('SQLite3') && class_exists('PDO') ? 0 : 1);"), "php-cli", "php-sqlite3")
    follow = [setup.system_python(), "-m", "sqlite_replica", "follow", "{database}"]
    serve = ["php", "-d", "sqlite3.extension_dir={libraries}", "-S", f"127.0.0.1:{port}", APPS / program]
    return [follow, serve], {**package(), "PHP_CLI_SERVER_WORKERS": "2"}


def pdo(setup, port):
    return php(setup, port, "pdo_app.php")


def laravel(setup, port):
    autoload = Path("/usr/share/php/Illuminate/autoload.php")
    setup.apt(autoload, "php-laravel-framework")
    commands, env = php(setup, port, "laravel_app.php")
    return commands, {**env, "VENDOR_AUTOLOAD": str(autoload)}


def go(setup, port):
    setup.apt(Path("/usr/share/gocode/src/github.com/mattn/go-sqlite3"), "golang-github-mattn-go-sqlite3-dev")
    setup.apt(("go", "version"), "golang-go")
    program, source = TOOLS / "go" / "orders", APPS / "go_app" / "main.go"
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        env = {**os.environ, "GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOFLAGS": "",
               "GOCACHE": str(TOOLS / "go" / "cache"), "CGO_ENABLED": "1"}
        setup.run("go", "build", "-tags", "libsqlite3", "-o", program, source, env=env)
    return [[program]], {}


PROGRAMS = {function.__name__: function for function in (flask, django, fastify, rails, pdo, laravel, go)}


class Running:
    """The processes of one program, each in a group of its own, ended at the end."""

    def __init__(self, commands, env, folder, port, extension):
        self.url, self.log, self.processes = f"http://127.0.0.1:{port}", folder / "app.log", []
        libraries = folder / "libraries"
        libraries.mkdir()
        shutil.copy(extension, libraries / "replica.so")
        places = {"{database}": str(folder / "app.db"), "{libraries}": str(libraries)}
        env = {**os.environ, **env, "APP_DB": str(folder / "app.db"), "PORT": str(port), "PYTHONUNBUFFERED": "1",
               "REPLICA_LIBRARY": str(libraries / "replica.so"), "SQLITE_REPLICA_PATH": str(libraries / "replica.so")}
        for command in commands:
            words = [str(word) for word in command]
            for place, value in places.items():
                words = [word.replace(place, value) for word in words]
            with open(self.log, "a") as log:
                self.processes.append(subprocess.Popen(
                    words, env=env, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    start_new_session=True))

    def ask(self, path, item=None):
        """Status and body; each on a connection of its own, so that all workers take part."""
        body = None if item is None else json.dumps({"item": item}).encode()
        headers = {"content-type": "application/json", "connection": "close"}
        try:
            with urllib.request.urlopen(urllib.request.Request(self.url + path, body, headers), timeout=PATIENCE) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null")

    def until(self, what, question, right):
        deadline, found = time.monotonic() + PATIENCE, None
        while time.monotonic() < deadline:
            for process in self.processes:
                assert process.poll() is None, f"{what}: the program has ended ({process.returncode})"
            try:
                found = question()
                if right(found):
                    return found
            except OSError as error:
                found = error
            time.sleep(0.1)
        raise AssertionError(f"{what}: {found}")

    def end(self):
        """By SIGTERM, as service managers do; whether that was enough."""
        for process in self.processes:
            process.terminate()
        late = []
        for process in self.processes:
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                late.append(process.args[0])
        self.kill()
        assert not late, f"{late} did not end by SIGTERM"

    def kill(self):
        for process in self.processes:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()


def story(program, primary, database):
    """One program's life; raises what goes wrong."""
    ok = lambda answer: answer[0] == 200
    program.until("it serves", lambda: program.ask("/orders"), lambda answer: answer == (200, ["lantern"]))
    program.until("it is healthy", lambda: program.ask("/health"), ok)
    status, body = program.ask("/orders", "kite")
    # Some also tell how many there are now: no cache may answer that.
    assert (status, body["id"], body.get("orders", 2)) == (201, 8, 2), (status, body)
    for _ in range(12):
        assert program.ask("/orders") == (200, ["lantern", "kite"]), "a worker does not see the write"
    status, body = program.ask("/orders", "kite")
    assert status == 409 and "UNIQUE" in body["error"], (status, body)
    # Somebody else's write arrives by itself.
    primary.execute("INSERT INTO orders(item) VALUES ('rope')")
    program.until("what others write", lambda: program.ask("/orders"), lambda answer: answer == (200, ["lantern", "kite", "rope"]))
    primary.stop()
    status, body = program.ask("/orders", "drum")
    assert status == 503 and "cannot reach the primary" in body["error"], (status, body)
    assert program.ask("/orders") == (200, ["lantern", "kite", "rope"])
    program.until("trouble is told", lambda: program.ask("/health"), lambda answer: answer[0] == 503 and answer[1]["trouble"])
    primary.start()
    program.until("it is well again", lambda: program.ask("/health"), ok)
    assert program.ask("/orders", "flute")[0] == 201
    expected = ["lantern", "kite", "rope", "flute"]
    program.until("all is there", lambda: program.ask("/orders"), lambda answer: answer == (200, expected))
    program.end()
    held = primary.rows("SELECT id, item FROM orders ORDER BY id")
    file = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    assert file.execute("SELECT id, item FROM orders ORDER BY id").fetchall() == held, held
    assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--no-install", action="store_true")
    parser.add_argument("--extension", type=Path, default=ROOT / "dist" / "replica.so")
    parser.add_argument("apps", nargs="*", metavar="APP", help=", ".join(PROGRAMS))
    options = parser.parse_args()
    setup, counts = Setup(not options.no_install), {"ok": 0, "failed": 0, "skipped": 0}
    for name in options.apps or PROGRAMS:
        port = free_port()
        try:
            commands, env = PROGRAMS[name](setup, port)
        except Missing as reason:
            counts["skipped"] += 1
            print(f"{name:8} skipped: {reason}", flush=True)
            continue
        with Primary() as primary:
            folder = Path(primary.folder)
            env = {**env, "REPLICA_URL": primary.url, "REPLICA_TOKEN": ""}
            program = Running(commands, env, folder, port, options.extension.resolve())
            begun, outcome = time.monotonic(), "ok"
            try:
                story(program, primary, folder / "app.db")
            except (AssertionError, OSError, KeyError, TypeError) as error:
                outcome = "failed"
                say(f"{name}: {type(error).__name__}: {error}\n{program.log.read_text()}")
            finally:
                program.kill()
            counts[outcome] += 1
            print(f"{name:8} {outcome} ({time.monotonic() - begun:.1f} s)", flush=True)
    print(", ".join(f"{count} {outcome}" for outcome, count in counts.items()))
    sys.exit(0 if counts["ok"] and not counts["failed"] else 1)


if __name__ == "__main__":
    main()
