"""The same story told by every host: run.py [--no-install] [--extension PATH] [HOST ...]

A host is a program in this folder: PROGRAM LIBRARY URL DATABASE. It prints
`step: NAME ...` after each step; the last step, `close`, is its own end with
exit status 0. Each host gets a real sqld (the environment variable SQLD) with
the table `orders` and one row. Programs in `memory/` tell a second story, of a
replica without a file that connections and threads share.

A host that is missing is installed: into .tools/hosts/, or by apt-get where we
are root. With --no-install, and where that is not possible, it is skipped with
the reason. Prints a table of hosts and steps; fails if a step of a host that
is there failed, or if no host is there.
"""

import argparse
import json
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TOOLS = Path(os.environ.get("HOSTS_TOOLS", ROOT / ".tools" / "hosts"))
STEPS = ["load", "attach", "read", "write", "returning", "constraint", "readonly", "sync", "live", "close"]
IN_MEMORY = ["load", "attach", "read", "write", "second", "others", "live", "close"]
# A story takes a second; a hang is what we look for.
PATIENCE = 60


class Missing(Exception):
    """Why a host cannot be run here."""


class Setup:
    """Finds or installs what hosts need."""

    def __init__(self, install):
        self.install = install
        self.refused = set()

    def run(self, *command, cwd=None, env=None):
        if not self.install:
            raise Missing("not set up yet, and --no-install was given")
        done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            lines = (done.stderr + done.stdout).strip().splitlines()
            raise Missing(f"{Path(command[0]).name} failed: {lines[-1] if lines else done.returncode}")
        return done.stdout

    def apt(self, test, *packages):
        """Makes `test` (a command that exits with 0, or a path) true."""
        def there():
            if isinstance(test, Path):
                return test.exists()
            return shutil.which(test[0]) and subprocess.run(test, capture_output=True).returncode == 0

        if there():
            return
        names = " ".join(packages)
        if not self.install:
            raise Missing(f"not installed (Debian: {names})")
        if os.geteuid() != 0 or not shutil.which("apt-get"):
            raise Missing(f"not installed, and we are not root: sudo apt-get install {names}")
        say(f"installing {names} with apt-get, because we are root")
        env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        command = ["apt-get", "install", "-qq", "-y", "--no-install-recommends", *packages]
        try:
            self.run(*command, env=env)
        except Missing:
            self.run("apt-get", "update", "-qq", env=env)
            self.run(*command, env=env)
        if not there():
            raise Missing(f"{names} is installed and does not run")

    def python(self):
        """A virtual environment of the system's Python, which may load extensions."""
        python = TOOLS / "python" / "bin" / "python"
        wanted = (HERE / "requirements.txt").read_text()
        mark = TOOLS / "python" / "requirements.txt"
        if mark.exists() and mark.read_text() == wanted:
            return python
        system = self.system_python()
        if self.install:
            say("installing tests/hosts/requirements.txt into .tools/hosts/python")
            self.apt((system, "-c", "import ensurepip"), "python3-venv")
        self.run(system, "-m", "venv", "--clear", TOOLS / "python")
        self.run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
                 "-r", HERE / "requirements.txt")
        mark.write_text(wanted)
        return python

    def system_python(self):
        """Debian's python3 may load extensions; others often may not."""
        for python in ("/usr/bin/python3", "python3"):
            code = "import sqlite3; sqlite3.connect(':memory:').enable_load_extension(True)"
            if shutil.which(python) and subprocess.run([python, "-c", code], capture_output=True).returncode == 0:
                return python
        self.apt(Path("/usr/bin/python3"), "python3")
        raise Missing("this python3 was built without loadable extensions")

    def node_modules(self, package=HERE / "package.json", name="node"):
        """The folder with better-sqlite3 and a newer node."""
        folder = TOOLS / name
        wanted = package.read_text()
        mark = folder / "installed.json"
        if not (mark.exists() and mark.read_text() == wanted):
            self.apt(("npm", "--version"), "nodejs", "npm")
            if self.install:
                say(f"installing {package.relative_to(ROOT)} into .tools/hosts/{name} (better-sqlite3 may compile)")
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(package, folder / "package.json")
            headers = Path(shutil.which("node")).resolve().parent.parent / "include" / "node"
            env = dict(os.environ)
            if headers.exists():  # else node-gyp would want to download them
                env["npm_config_nodedir"] = str(headers.parent.parent)
            self.run("npm", "install", "--no-audit", "--no-fund", "--loglevel=error", cwd=folder, env=env)
            mark.write_text(wanted)
        return folder


    def node(self):
        """A node whose node:sqlite loads extensions."""
        return self.node_modules() / "node_modules" / "node" / "bin" / "node"


def story(name):
    return [str(HERE / name)]


def node_script(folder, name):
    """A module finds its packages from where it is, so it goes there."""
    copy = folder / Path(name).name
    shutil.copy(HERE / name, copy)
    return str(copy)


def shell(setup):
    setup.apt(("sqlite3", "-version"), "sqlite3")
    return ["bash", *story("shell.sh")]


def python_stdlib(setup):
    return [setup.system_python(), *story("python_stdlib.py")]


def python_apsw(setup):
    if subprocess.run([sys.executable, "-c", "import apsw"], capture_output=True).returncode != 0:
        raise Missing("apsw is not installed; `make test-hosts` uses the Python of .tools/venv")
    return [sys.executable, *story("python_apsw.py")]


def python_sqlalchemy(setup):
    return [setup.python(), *story("python_sqlalchemy.py")]


def python_django(setup):
    return [setup.python(), *story("python_django.py")]


def node_better_sqlite3(setup):
    folder = setup.node_modules()
    return ["node", node_script(folder, "node_better_sqlite3.mjs")]


def node_builtin(setup):
    return [setup.node(), "--no-warnings", *story("node_builtin.mjs")]


def runtime(setup, name):
    """Another runtime for JavaScript, from npm."""
    return setup.node_modules(HERE / "runtimes.json", "runtimes") / "node_modules" / ".bin" / name


def deno(setup):
    return [runtime(setup, "deno"), "run", "-A", *story("node_builtin.mjs")]


def bun(setup):
    return [runtime(setup, "bun"), "run", *story("bun.mjs")]


def node_workers(setup):
    folder = setup.node_modules(HERE / "workers.json", "workers")
    node = folder / "node_modules" / "node" / "bin" / "node"
    return [node, node_script(folder, "node_workers.mjs")]


def php(setup):
    setup.apt(("php", "-r", "exit(class_exists('SQLite3') ? 0 : 1);"), "php-cli", "php-sqlite3")
    return ["php", "-d", "sqlite3.extension_dir={folder}", *story("php.php")]


def ruby(setup):
    setup.apt(("ruby", "-rsqlite3", "-e", "0"), "ruby", "ruby-sqlite3")
    return ["ruby", *story("ruby.rb")]


def ruby_activerecord(setup):
    setup.apt(("ruby", "-rsqlite3", "-ractive_record", "-e", "0"), "ruby-activerecord", "ruby-sqlite3")
    return ["ruby", *story("ruby_activerecord.rb")]


def perl(setup):
    setup.apt(("perl", "-MDBD::SQLite", "-e", "0"), "libdbd-sqlite3-perl")
    return ["perl", *story("perl.pl")]


def tcl(setup):
    setup.apt(("sh", "-c", "echo 'exit [catch {package require sqlite3}]' | tclsh"), "tcl", "libsqlite3-tcl")
    return ["tclsh", *story("tcl.tcl")]


def go(setup):
    setup.apt(Path("/usr/share/gocode/src/github.com/mattn/go-sqlite3"), "golang-github-mattn-go-sqlite3-dev")
    setup.apt(("go", "version"), "golang-go")
    program, source = TOOLS / "go" / "story", HERE / "go" / "main.go"
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        # Debian's package lies in GOPATH, without a go.mod.
        env = {**os.environ, "GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOFLAGS": "",
               "GOCACHE": str(TOOLS / "go" / "cache"), "CGO_ENABLED": "1"}
        setup.run("go", "build", "-tags", "libsqlite3", "-o", program, source, env=env)
    return [program]


def java(setup):
    jar = Path("/usr/share/java/xerial-sqlite-jdbc.jar")
    setup.apt(jar, "libxerial-sqlite-jdbc-java")
    setup.apt(("javac", "-version"), "default-jdk-headless")
    classes = TOOLS / "java"
    # The folder with the system's native half of the driver is the second path.
    setup.run("javac", "-cp", jar, "-d", classes, HERE / "java" / "Story.java")
    return ["java", "-Djava.library.path=/usr/lib/x86_64-linux-gnu/jni:/usr/lib/jni", "-cp", f"{jar}:{classes}", "Story"]


def r(setup):
    setup.apt(("Rscript", "-e", "library(RSQLite)"), "r-base-core", "r-cran-rsqlite")
    return ["Rscript", "--vanilla", *story("r.R")]


def rust(setup):
    target = TOOLS / "rust"
    env = {**os.environ, "CARGO_TARGET_DIR": str(target)}
    setup.run("cargo", "build", "--quiet", "--locked", "--manifest-path", HERE / "rust" / "Cargo.toml", env=env)
    return [target / "debug" / "story"]


def memory_shell(setup):
    setup.apt(("sqlite3", "-version"), "sqlite3")
    return ["bash", *story("memory/memory.sh")]


def memory_python_stdlib(setup):
    return [setup.system_python(), *story("memory/memory.py"), "sqlite3"]


def memory_python_apsw(setup):
    return [*python_apsw(setup)[:1], *story("memory/memory.py"), "apsw"]


def memory_node_builtin(setup):
    return [setup.node(), "--no-warnings", *story("memory/memory.mjs"), "node:sqlite"]


def memory_node_better_sqlite3(setup):
    return ["node", node_script(setup.node_modules(), "memory/memory.mjs"), "better-sqlite3"]


def memory_bun(setup):
    return [runtime(setup, "bun"), "run", *story("memory/memory.mjs"), "bun:sqlite"]


def memory_deno(setup):
    return [runtime(setup, "deno"), "run", "--quiet", "--allow-all", *story("memory/memory.mjs"), "node:sqlite"]


HOSTS = {function.__name__: function for function in (
    shell, python_stdlib, python_apsw, python_sqlalchemy, python_django, node_better_sqlite3, node_builtin, node_workers,
    deno, bun, php, ruby, ruby_activerecord, perl, tcl, go, java, r, rust,
    memory_shell, memory_python_stdlib, memory_python_apsw, memory_node_builtin, memory_node_better_sqlite3,
    memory_bun, memory_deno)}


def is_in_memory(name):
    return name.startswith("memory_")


class Primary:
    """A real sqld with one table, killed at the end."""

    TABLE = "CREATE TABLE orders(id INTEGER PRIMARY KEY, item TEXT UNIQUE); INSERT INTO orders VALUES (7, 'lantern')"

    def __init__(self, *flags, token=None):
        self.flags, self.token = flags, token

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="replica-host-")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        self.url = f"http://{self.address}"
        self.start()
        self.execute(self.TABLE)
        return self

    def start(self):
        with open(f"{self.folder}/log", "a") as log:
            self.process = subprocess.Popen(
                [os.environ.get("SQLD", ROOT / ".tools" / "sqld"), "--db-path", f"{self.folder}/primary",
                 "--http-listen-addr", self.address, "--no-welcome", *self.flags], stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def stop(self):
        """As a service manager stops it: its log is whole afterwards."""
        self.process.terminate()
        self.process.wait()

    def execute(self, sql):
        for _ in range(400):
            try:
                return self.ask({"type": "sequence", "sql": sql})
            except OSError:
                # Somebody else took the port in the meantime, or left it just now.
                if self.process.poll() is not None:
                    self.start()
                time.sleep(0.05)
        sys.exit("sqld does not answer:\n" + Path(self.folder, "log").read_text())

    def rows(self, sql):
        """What the primary itself answers: the oracle of these tests."""
        result = self.ask({"type": "execute", "stmt": {"sql": sql}})["result"]
        return [tuple(int(cell["value"]) if cell["type"] == "integer" else cell.get("value") for cell in row)
                for row in result["rows"]]

    def ask(self, request):
        body = json.dumps({"requests": [request, {"type": "close"}]}).encode()
        headers = {"authorization": f"Bearer {self.token}"} if self.token else {}
        with urllib.request.urlopen(urllib.request.Request(f"{self.url}/v3/pipeline", body, headers)) as answer:
            first = json.load(answer)["results"][0]
        assert first["type"] == "ok", first
        return first["response"]

    def __exit__(self, *error):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def say(text):
    print(f"hosts: {text}", file=sys.stderr, flush=True)


def tell(command, extension, primary, in_memory=False):
    """Runs a story; returns the steps that it got through and what it said."""
    database = "app" if in_memory else f"{primary.folder}/app.db"
    command = [str(part).replace("{folder}", str(extension.parent)) for part in command]
    env = {name: value for name, value in os.environ.items() if name not in ("REPLICA_TOKEN", "TURSO_AUTH_TOKEN")}
    try:
        done = subprocess.run([*command, extension, primary.url, database], env=env, cwd=primary.folder, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=PATIENCE)
        output, ended = done.stdout, "" if done.returncode == 0 else f"exit status {done.returncode}"
    except subprocess.TimeoutExpired as error:
        output, ended = (error.stdout or b"").decode(errors="replace"), f"did not end in {PATIENCE} s"
    steps = re.findall(r"^step: (\w+)", output, re.MULTILINE)
    if not ended:
        ended = left_behind(primary) if in_memory else whole(database)
    if not ended:
        steps.append("close")
    return steps, output, ended


def whole(database):
    """What is wrong with the file that a story left, read without the extension."""
    items = sorted(item for (item,) in sqlite3.connect(database).execute("SELECT item FROM orders"))
    if items != ["drum", "flute", "kite", "lantern", "rope"]:
        return f"the file holds {items}"
    (check,) = sqlite3.connect(database).execute("PRAGMA integrity_check").fetchone()
    return "" if check == "ok" else check


def heading(width, steps):
    return f"{'':{width}}  {'  '.join(steps)}"


def left_behind(primary):
    """Files beside the primary's, of a story that was to make none."""
    files = sorted(set(os.listdir(primary.folder)) - {"log", "primary"})
    return f"it left {files}" if files else ""


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--no-install", action="store_true")
    parser.add_argument("--extension", type=Path, default=ROOT / "dist" / "replica.so")
    parser.add_argument("hosts", nargs="*", metavar="HOST", help=", ".join(HOSTS))
    options = parser.parse_args()
    setup = Setup(not options.no_install)
    width = max(map(len, HOSTS))
    skipped, told, failed = 0, 0, 0
    tables = {False: [heading(width, STEPS)], True: [heading(width, IN_MEMORY)]}
    for name in options.hosts or HOSTS:
        in_memory = is_in_memory(name)
        table, wanted = tables[in_memory], IN_MEMORY if in_memory else STEPS
        try:
            command = HOSTS[name](setup)
        except Missing as reason:
            skipped += 1
            table.append(f"{name:{width}}  skipped: {reason}")
            continue
        with Primary() as primary:
            steps, output, ended = tell(command, options.extension.resolve(), primary, in_memory)
        good = steps == wanted
        told, failed = told + 1, failed + (not good)
        cells = "  ".join(("ok" if step in steps else "-").center(len(step)) for step in wanted)
        versions = re.search(r"^step: load \S+ ?(.*)", output, re.MULTILINE)
        table.append(f"{name:{width}}  {cells}  {versions.group(1) if versions else ''}".rstrip())
        if not good:
            say(f"{name} failed: {ended or 'steps ' + ' '.join(steps)}\n{output}")
    print(*(line for table in tables.values() if len(table) > 1 for line in table), sep="\n")
    print(f"{told - failed} passed, {failed} failed, {skipped} skipped")
    sys.exit(0 if told and not failed else 1)


if __name__ == "__main__":
    main()
