"""Suites, on replicas of a real sqld, each beside its baseline: run.py LIBRARY

Fetches published packages from PyPI and npm into .tools/suites/ (or SUITES).
SQLAlchemy's dialect suite is in its package and Django's tests are in its
source distribution; of suites that no package contains, cases/ has the cases in
our own words. Prints a table; fails if a replica fails a test that its baseline
passes and that an exceptions.txt does not name.
"""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SUITES = Path(os.environ.get("SUITES", ROOT / ".tools" / "suites"))
sys.path.insert(0, str(ROOT / "tests" / "hosts"))
import run as hosts  # noqa: E402  (the folder is no package)

DJANGO = ("basic transactions bulk_create get_or_create update delete many_to_many backends schema introspection "
          "aggregation lookup ordering").split()


def installed(folder, wanted, install):
    """Runs `install` unless the folder was made from just this list."""
    mark = folder / "installed"
    if not (mark.exists() and mark.read_text() == wanted):
        hosts.say(f"installing {folder}")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        install()
        mark.write_text(wanted)
    return folder


def run(*command, **more):
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL, **more)


def python():
    requirements = HERE / "requirements.txt"
    folder = SUITES / "python"

    def install():
        run(hosts.Setup(install=False).system_python(), "-m", "venv", folder)
        pip = [folder / "bin" / "python", "-m", "pip", "--quiet", "--disable-pip-version-check"]
        run(*pip, "install", "-r", requirements)
        django = re.search(r"^Django==.*", requirements.read_text(), re.MULTILINE).group()
        run(*pip, "download", "--no-deps", "--no-binary", ":all:", "-d", folder / "source", django)
        (packed,) = (folder / "source").glob("*.tar.gz")
        with tarfile.open(packed) as tar:
            tar.extractall(folder / "source")

    return installed(folder, requirements.read_text(), install) / "bin" / "python"


def node(name):
    """The packages as they are published: in "replica" the sources under test are put beside them, in "baseline" not."""
    manifest = (HERE / "package.json").read_text()
    folder = SUITES / name

    def install():
        (folder / "package.json").write_text(manifest)
        run("npm", "install", "--no-audit", "--no-fund", "--loglevel=error", cwd=folder)

    return installed(folder, manifest, install)


def environment(**more):
    return {**os.environ, **hosts_free(), "PYTHONPATH": f"{ROOT / 'packages' / 'python'}", **more}


def hosts_free():
    return {name: "" for name in ("REPLICA_TOKEN", "REPLICA_URL", "TURSO_AUTH_TOKEN", "REPLICA_TOKEN_FILE")}


def exceptions(*names):
    """The tests that a written list with reasons names."""
    return {line for name in names for line in (HERE / name).read_text().splitlines() if not line.startswith("#")}


def output(command, patience=900, **more):
    started = time.monotonic()
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=patience,
                          stdin=subprocess.DEVNULL, **more)
    return done.stdout + done.stderr, time.monotonic() - started


def row(name, passed, failed, skipped, seconds):
    print(f"{name:44} {passed:5} passed {failed:4} failed {skipped:4} skipped {seconds:6.1f} s", flush=True)


def sqlalchemy():
    interpreter, failures = python(), []
    with tempfile.TemporaryDirectory() as folder, hosts.Primary() as primary:
        shutil.copytree(HERE / "sqlalchemy", f"{folder}/suite")
        primary.execute("DROP TABLE orders")
        for name, url in (("pysqlite", f"sqlite:///{folder}/base.db"),
                          ("replica", f"sqlite+replica:///{folder}/replica.db?sync_url={primary.url}")):
            text, seconds = output([interpreter, "-m", "pytest", "--dburi", url, "-p", "no:cacheprovider"],
                                   cwd=f"{folder}/suite", env=environment())
            failed = re.findall(r"^(?:FAILED|ERROR) (\S+)", text, re.MULTILINE)
            # The name of the driver is a part of each class's.
            failures.append({test.replace("+replica", "+pysqlite") for test in failed})
            count = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|skipped)", text)}
            assert count.get("passed"), text[-2000:]
            row(f"SQLAlchemy's dialect suite, {name}", count["passed"], len(failed), count.get("skipped", 0), seconds)
    return failures[1] - failures[0]


def django():
    interpreter, failures = python(), []
    (tests,) = (SUITES / "python" / "source").glob("django-*/tests")
    with hosts.Primary() as one, hosts.Primary() as two:
        for primary in (one, two):
            primary.execute("DROP TABLE orders")
        for name, urls in (("sqlite3", " "), ("replica", f"{one.url} {two.url}")):
            with tempfile.TemporaryDirectory() as folder:
                env = environment(SUITE_FOLDER=folder, SUITE_URLS=urls)
                env["PYTHONPATH"] += f":{HERE / 'django'}"
                text, seconds = output([interpreter, "runtests.py", "--settings=replica_settings", "--parallel=1",
                                        "--noinput", *DJANGO], cwd=tests, env=env)
            failed = set(re.findall(r"^(?:ERROR|FAIL): \w+ \(([\w.]+)\)", text, re.MULTILINE))
            ran = re.search(r"Ran (\d+) tests", text)
            assert ran, text[-2000:]
            skipped = int((re.search(r"skipped=(\d+)", text) or [0, 0])[1])
            row(f"Django, {len(DJANGO)} labels, {name}", int(ran[1]) - len(failed) - skipped, len(failed), skipped, seconds)
            failures.append(failed)
    return failures[1] - failures[0] - exceptions("django/exceptions.txt")


def tap(name, script, *arguments):
    """A file of node:test; the names of what failed in it."""
    interpreter = node("replica") / "node_modules" / "node" / "bin" / "node"
    text, seconds = output([interpreter, "--no-warnings", "--test-reporter=tap", script, *arguments], env=environment())
    passed = len(re.findall(r"^ok ", text, re.MULTILINE))
    failed = re.findall(r"^not ok \d+ - (.*)", text, re.MULTILINE)
    assert passed, text[-2000:]
    row(name, passed, len(failed), 0, seconds)
    return set(failed)


def adapter():
    script = ROOT / "tests" / "adapters" / "libsql.mjs"
    bindings = ("better-sqlite3", "node:sqlite")
    return set().union(*(tap(f"npm package, {each}", script, node("replica"), each) for each in bindings))


def libsql():
    unexpected = set()
    for name, *arguments in (("@libsql/client's cases", "libsql_client.mjs"), ("libsql's cases, sync", "libsql_js.mjs", "sync"),
                             ("libsql's cases, promise", "libsql_js.mjs", "promise")):
        script, *more = arguments
        failures = [tap(f"{name}, {what}", HERE / "cases" / script, node(side), side, *more)
                    for what, side in (("libsql on a file", "baseline"), ("replica", "replica"))]
        unexpected |= failures[1] - failures[0]
    return unexpected - exceptions("cases/exceptions.txt")


def kysely():
    """Each case compares a replica with better-sqlite3."""
    failed = tap("Kysely's cases, replica like better-sqlite3", HERE / "cases" / "kysely.mjs", node("replica"), "replica")
    return failed - exceptions("cases/exceptions.txt")


def libsql_python():
    failures = []
    for name, side in (("libsql on a file", "baseline"), ("replica", "replica")):
        text, seconds = output([python(), HERE / "cases" / "libsql_python.py", side], env=environment())
        failed = set(re.findall(r"^(?:ERROR|FAIL): (\w+)", text, re.MULTILINE))
        ran, skipped = re.search(r"Ran (\d+) tests", text), text.count("... skipped")
        assert ran, text[-2000:]
        row(f"Python libsql's cases, {name}", int(ran[1]) - len(failed) - skipped, len(failed), skipped, seconds)
        failures.append(failed)
    return failures[1] - failures[0]


def reads():
    """What a point SELECT costs beside the bare binding; figures, nothing that can fail."""
    interpreter = node("replica") / "node_modules" / "node" / "bin" / "node"
    commands = {"Python, sqlite3": [hosts.Setup(install=False).system_python(), HERE / "reads.py", "sqlite3"],
                "Python, apsw": [sys.executable, HERE / "reads.py", "apsw"]}
    for binding in ("better-sqlite3", "node:sqlite"):
        commands[f"npm, {binding}"] = [interpreter, "--no-warnings", HERE / "reads.mjs", node("replica"), binding]
    for name, command in commands.items():
        print(f"a point SELECT, {name:28} {output(command, env=environment())[0].strip()}", flush=True)
    return set()


def main():
    os.environ["SQLITE_REPLICA_PATH"] = str(Path(sys.argv[1]).resolve())
    os.environ.setdefault("SQLD", str(ROOT / ".tools" / "sqld"))
    unexpected = set().union(*(suite() for suite in (adapter, libsql, libsql_python, kysely, sqlalchemy, django, reads)))
    for test in sorted(unexpected):
        print(f"fails on a replica only: {test}")
    sys.exit(1 if unexpected else 0)


if __name__ == "__main__":
    main()
