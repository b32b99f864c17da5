"""Installs what `make dist` made, each into an empty place, and uses it from there: packages.py DIST

The archive is checked and its library loaded into the sqlite3 shell; the wheel
goes into a new virtual environment, the npm package into an empty folder. Each
then tells the story of tests/hosts/ with the library that it brought.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "hosts"))
import run as hosts  # noqa: E402  (the folder is no package)

DIST = Path(sys.argv[1]).resolve()
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "NODE_", "REPLICA_"))}


def only(pattern):
    (found,) = DIST.glob(pattern)
    return found


def output(*command, cwd=None):
    done = subprocess.run([str(part) for part in command], cwd=cwd, env=CLEAN, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout.strip()


def tells_the_story(command, library):
    with hosts.Primary() as primary:
        steps, said, ended = hosts.tell(command, Path(library), primary)
    assert steps == hosts.STEPS, f"{ended}\n{said}"


def checksums(folder):
    for line in (DIST / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split()
        assert hashlib.sha256((DIST / name).read_bytes()).hexdigest() == digest, name


def archive(folder):
    with tarfile.open(only("replica-v*.tar.gz")) as tar:
        tar.extractall(folder)
    (library,) = folder.glob("replica.*")
    assert (folder / "LICENSE-MIT").exists()
    tells_the_story(["bash", *hosts.story("shell.sh")], library)


def sqlpkg(folder):
    package = json.loads((DIST / "sqlpkg.json").read_text())
    (name,) = package["assets"]["files"].values()
    digest = hashlib.sha256((DIST / name).read_bytes()).hexdigest()
    assert package["assets"]["checksums"] == {name: f"sha256-{digest}"}, package
    assert "replica_attach" in package["symbols"], package


def wheel(folder):
    system = hosts.Setup(install=False).system_python()
    output(system, "-m", "venv", folder / "venv")
    python = folder / "venv" / "bin" / "python"
    # pip itself judges whether the tag fits this machine; nothing is fetched.
    output(python, "-m", "pip", "install", "--quiet", "--no-index", "--disable-pip-version-check", only("*.whl"))
    path = output(folder / "venv" / "bin" / "sqlite-replica", cwd=folder)
    assert path == output(python, "-m", "sqlite_replica", cwd=folder) and Path(path).is_relative_to(folder), path
    code = ("import sqlite3, sqlite_replica; db = sqlite3.connect(':memory:'); sqlite_replica.load(db); "
            "print(db.execute('SELECT replica_version()').fetchone()[0], sqlite_replica.loadable_path())")
    assert output(python, "-c", code, cwd=folder).split()[1] == path
    code = ("import importlib.metadata as m; names = [e.name for e in m.distribution('sqlite-replica').entry_points]; "
            "print(*sorted(names))")
    assert output(python, "-c", code, cwd=folder) == "sqlite-replica sqlite.aioreplica sqlite.replica"
    assert "keeps FILE" in output(folder / "venv" / "bin" / "sqlite-replica", "--help", cwd=folder)
    tells_the_story([python, *hosts.story("python_stdlib.py")], path)
    output(python, "-m", "pip", "uninstall", "--quiet", "--yes", "sqlite-replica")
    assert not Path(path).parent.exists()


def npm(folder):
    if not shutil.which("npm"):
        return "npm is not installed (Debian: npm)"
    (folder / "package.json").write_text('{"private": true}')
    manifest = json.loads((ROOT / "tests" / "hosts" / "package.json").read_text())
    # better-sqlite3 compiles for minutes; Node's own sqlite needs a new Node.
    output("npm", "install", "--no-audit", "--no-fund", "--loglevel=error", only("sqlite-replica-*.tgz"),
           f"node@{manifest['dependencies']['node']}", cwd=folder)
    node = folder / "node_modules" / "node" / "bin" / "node"
    code = """
        import { getLoadablePath, load } from "sqlite-replica";
        import { DatabaseSync } from "node:sqlite";
        const db = new DatabaseSync(":memory:", { allowExtension: true });
        load(db);
        console.log(db.prepare("SELECT replica_version() AS v").get().v, getLoadablePath());
    """
    (folder / "use.mjs").write_text(code)
    version, path = output(node, "--no-warnings", "use.mjs", cwd=folder).split()
    assert output(node, folder / "node_modules" / ".bin" / "sqlite-replica", cwd=folder) == path
    assert re.fullmatch(r"v\d+\.\d+\.\d+", version) and Path(path).is_relative_to(folder), path
    tells_the_story([node, "--no-warnings", *hosts.story("node_builtin.mjs")], path)
    return None


def main():
    passed = failed = skipped = 0
    for test in (checksums, archive, sqlpkg, wheel, npm):
        with tempfile.TemporaryDirectory(prefix="replica-package-") as folder:
            try:
                reason = test(Path(folder).resolve())
            except AssertionError as error:
                failed += 1
                print(f"{test.__name__:10} failed: {error}")
                continue
        skipped, passed = skipped + bool(reason), passed + (not reason)
        print(f"{test.__name__:10} {f'skipped: {reason}' if reason else 'ok'}")
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
