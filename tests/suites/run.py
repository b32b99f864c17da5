"""Suites that others wrote, on replicas of a real sqld, each beside its baseline: run.py LIBRARY

Fetches published packages from PyPI and npm into .tools/suites/ (or SUITES).
SQLAlchemy's dialect suite is in its package and Django's tests are in its
source distribution; of suites that are not published, tests/adapters/ has the
cases in our own words. Prints a table; fails if a replica fails a test that its
baseline passes and that django/exceptions.txt does not name.
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


def node():
    manifest = (HERE / "package.json").read_text()
    folder = SUITES / "replica"

    def install():
        (folder / "package.json").write_text(manifest)
        run("npm", "install", "--no-audit", "--no-fund", "--loglevel=error", cwd=folder)

    return installed(folder, manifest, install)


def environment(**more):
    return {**os.environ, **hosts_free(), "PYTHONPATH": f"{ROOT / 'packages' / 'python'}", **more}


def hosts_free():
    return {name: "" for name in ("REPLICA_TOKEN", "REPLICA_URL", "TURSO_AUTH_TOKEN", "REPLICA_TOKEN_FILE")}


def output(command, patience=900, **more):
    started = time.monotonic()
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=patience, **more)
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
    exceptions = (HERE / "django" / "exceptions.txt").read_text().splitlines()
    return failures[1] - failures[0] - set(exceptions)


def client():
    folder, unexpected = node(), set()
    interpreter = folder / "node_modules" / "node" / "bin" / "node"
    for binding in ("better-sqlite3", "node:sqlite"):
        text, seconds = output([interpreter, "--no-warnings", "--test-reporter=tap", ROOT / "tests" / "adapters" / "libsql.mjs",
                                folder, binding], env=environment())
        passed = len(re.findall(r"^ok ", text, re.MULTILINE))
        failed = re.findall(r"^not ok \d+ - (.*)", text, re.MULTILINE)
        assert passed, text[-2000:]
        row(f"npm package in libsql's place, {binding}", passed, len(failed), 0, seconds)
        unexpected |= set(failed)
    return unexpected


def main():
    os.environ["SQLITE_REPLICA_PATH"] = str(Path(sys.argv[1]).resolve())
    os.environ.setdefault("SQLD", str(ROOT / ".tools" / "sqld"))
    unexpected = set().union(*(suite() for suite in (client, sqlalchemy, django)))
    for test in sorted(unexpected):
        print(f"fails on a replica only: {test}")
    sys.exit(1 if unexpected else 0)


if __name__ == "__main__":
    main()
