"""Packs built libraries: dist.py OUTPUT_FOLDER LIBRARY ...

Writes an archive, a Python wheel and an npm package of each, sqlpkg.json and
SHA256SUMS. One library is one npm package with everything in it. Several are
one for each platform and `sqlite-replica`, which npm completes with the one
that fits. Which platform a library is for, it says itself. Needs nothing but
Python and strip. The same input gives the same bytes. RELEASE_URL names the
folder that the archives will be downloaded from; without it sqlpkg.json points
at the files beside it.
"""

import base64
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from pathlib import Path

from binary import Library

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
SUMMARY = "A SQLite loadable extension: embedded replicas of a libSQL primary (sqld, Turso) in stock SQLite"
ENTRY_POINTS = """[console_scripts]
sqlite-replica = sqlite_replica._cli:main
[sqlalchemy.dialects]
sqlite.replica = sqlite_replica.sqlalchemy:Dialect
sqlite.aioreplica = sqlite_replica.sqlalchemy:AsyncDialect
"""
LICENSES = ["LICENSE-MIT", "LICENSE-APACHE"]


def version():
    return re.search(r'^version = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE).group(1)


def commit_time():
    """The time that all files in the packages carry."""
    if "SOURCE_DATE_EPOCH" in os.environ:
        return int(os.environ["SOURCE_DATE_EPOCH"])
    git = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=ROOT, capture_output=True, text=True)
    return int(git.stdout) if git.returncode == 0 else 315532800  # 1980, the first that zip knows


# The musl of Alpine 3.13 and later; nothing in the library is newer.
MUSL = "1_2"


class Package:
    """A library, and what packages with it are called."""

    def __init__(self, path, folder):
        library = Library(path)
        self.platform = library.platform
        self.system, self.machine = self.platform.split("-")[0], library.machine
        self.libc = {"linux": "musl" if library.is_musl else "glibc"}.get(self.system)
        self.name = "replica" + {"linux": ".so", "darwin": ".dylib", "windows": ".dll"}[self.system]
        self.content = stripped(path, self.name, folder)
        self.minimum = library.minimum

    @property
    def wheel_tag(self):
        arch = {"arm64": "aarch64"}.get(self.machine, self.machine)
        if self.libc == "musl":
            return f"musllinux_{MUSL}_{arch}"
        if self.system == "linux":
            return "manylinux_{}_{}_{}".format(*self.minimum, arch)
        if self.system == "darwin":
            return "macosx_{}_{}_{}".format(*self.minimum, self.machine)
        return {"x86_64": "win_amd64", "arm64": "win_arm64"}[self.machine]

    @property
    def npm(self):
        """What npm and Node call it: (name, os, cpu, libc)."""
        system = {"windows": "win32"}.get(self.system, self.system)
        cpu = {"x86_64": "x64"}.get(self.machine, self.machine)
        suffix = {"glibc": "-gnu", "musl": "-musl", None: ""}[self.libc]
        return f"sqlite-replica-{system}-{cpu}{suffix}", system, cpu, self.libc

    @property
    def needs(self):
        """The sentence for people."""
        if self.libc == "musl":
            return "needs musl 1.2 or newer"
        version = ".".join(map(str, self.minimum))
        return {"linux": f"needs glibc {version} or newer", "darwin": f"built for macOS {version} or newer"}.get(
            self.system, "built for Windows")


def stripped(library, name, folder):
    """Its bytes without the symbols that only a debugger wants."""
    copy = Path(folder) / name
    shutil.copy(library, copy)
    if name.endswith(".so"):
        # A strip that does not know the processor leaves it as it is.
        subprocess.run(["strip", "--strip-all", copy], capture_output=True)
    return copy.read_bytes()


def sources(language):
    """The files of a package as they lie in its folder here: name -> bytes."""
    folder = HERE / language
    files = [file for file in sorted(folder.rglob("*")) if file.is_file() and "__pycache__" not in file.parts]
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def tar_gz(path, files, mtime):
    """files: name -> bytes."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(content), mtime
            info.mode = 0o755 if name.endswith((".so", ".dylib", ".dll")) else 0o644
            tar.addfile(info, io.BytesIO(content))
    path.write_bytes(gzip.compress(packed.getvalue(), mtime=mtime))


def wheel(path, files, tag, mtime):
    """A wheel is a zip file with a list of its files and their checksums (packaging.python.org, PEP 427)."""
    info = f"sqlite_replica-{version()}.dist-info"
    files = dict(files)
    for name in LICENSES:
        files[f"{info}/licenses/{name}"] = (ROOT / name).read_bytes()
    files[f"{info}/METADATA"] = "\n".join([
        "Metadata-Version: 2.4", "Name: sqlite-replica", f"Version: {version()}", f"Summary: {SUMMARY}",
        "License-Expression: MIT OR Apache-2.0", *[f"License-File: {name}" for name in LICENSES],
        "Keywords: sqlite,libsql,turso,replica,extension", "Requires-Python: >=3.8",
        "Description-Content-Type: text/markdown", "", (HERE / "README.md").read_text()]).encode()
    files[f"{info}/WHEEL"] = (
        f"Wheel-Version: 1.0\nGenerator: sqlite-replica\nRoot-Is-Purelib: false\nTag: py3-none-{tag}\n").encode()
    files[f"{info}/entry_points.txt"] = ENTRY_POINTS.encode()
    record = ""
    for name, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        record += f"{name},sha256={digest},{len(content)}\n"
    files[f"{info}/RECORD"] = (record + f"{info}/RECORD,,\n").encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, time.gmtime(mtime)[:6])
            entry.external_attr = (0o100755 if name.endswith((".so", ".dylib")) else 0o100644) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            packed.writestr(entry, content)


def manifest(package=None, **more):
    """package.json as it lies here, with what is known only now."""
    manifest = {"version": version(), "description": SUMMARY, "license": "MIT OR Apache-2.0", **more}
    if package:
        _, system, cpu, libc = package.npm
        manifest.update(os=[system], cpu=[cpu], **({"libc": [libc]} if libc else {}))
    return manifest


def npm_package(path, files, manifest, mtime):
    texts = {license: (ROOT / license).read_bytes() for license in LICENSES}
    everything = {"package.json": json.dumps(manifest, indent=2).encode(),
                  "README.md": (HERE / "README.md").read_bytes(), **files, **texts}
    tar_gz(path, {f"package/{name}": content for name, content in everything.items()}, mtime)
    return path


def npm_packages(output, packages, mtime):
    """One with its library inside, or one without and those that it names."""
    files, name = sources("npm"), json.loads((HERE / "npm" / "package.json").read_text())["name"]
    base = json.loads(files.pop("package.json"))
    main = output / f"{name}-{version()}.tgz"
    if len(packages) == 1:
        (package,) = packages
        return [npm_package(main, {**files, package.name: package.content}, {**base, **manifest(package)}, mtime)]
    made = []
    for package in packages:
        own = manifest(package, name=package.npm[0])
        own["description"] = f"The library of the package {name} for {package.platform}"
        made.append(npm_package(output / f"{package.npm[0]}-{version()}.tgz", {package.name: package.content}, own, mtime))
    wanted = {package.npm[0]: version() for package in packages}
    return [npm_package(main, files, {**base, **manifest(optionalDependencies=wanted)}, mtime), *made]


def functions():
    """The names that loading adds, from the list that a test compares with a real shell."""
    return sorted(set(re.findall(r"\breplica_\w+", (ROOT / "tests/sql/surface.txt").read_text())))


def sqlpkg(archives):
    """archives: platform -> file."""
    def name(platform):
        return platform.replace("x86_64", "amd64")

    return json.dumps({
        "owner": "sqlite-replica",
        "name": "replica",
        "version": version(),
        "license": "MIT OR Apache-2.0",
        "description": SUMMARY,
        "keywords": ["libsql", "turso", "replica", "sync"],
        "symbols": functions(),
        "assets": {
            "path": os.environ.get("RELEASE_URL", "."),
            "files": {name(platform): archive.name for platform, archive in archives.items()},
            "checksums": {archive.name: "sha256-" + hashlib.sha256(archive.read_bytes()).hexdigest()
                          for archive in archives.values()},
        },
    }, indent=2).encode() + b"\n"


def main():
    output = Path(sys.argv[1])
    output.mkdir(parents=True, exist_ok=True)
    for old in [*output.glob("replica-v*"), *output.glob("sqlite[-_]replica-*")]:
        old.unlink()
    with tempfile.TemporaryDirectory() as folder:
        packages = sorted((Package(path, folder) for path in map(Path, sys.argv[2:])), key=lambda package: package.platform)
    mtime = commit_time()
    licenses = {license: (ROOT / license).read_bytes() for license in LICENSES}

    archives, made = {}, []
    for package in packages:
        archive = output / f"replica-v{version()}-loadable-{package.platform}.tar.gz"
        tar_gz(archive, {package.name: package.content, **licenses}, mtime)
        archives[package.platform] = archive
        whl = output / f"sqlite_replica-{version()}-py3-none-{package.wheel_tag}.whl"
        wheel(whl, {**sources("python"), f"sqlite_replica/{package.name}": package.content}, package.wheel_tag, mtime)
        made += [archive, whl]
        print(f"{package.platform}: {len(package.content) / 1e6:.1f} MB, {package.needs}")
    made += npm_packages(output, packages, mtime)
    (output / "sqlpkg.json").write_bytes(sqlpkg(archives))
    made.append(output / "sqlpkg.json")
    sums = "".join(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in made)
    (output / "SHA256SUMS").write_text(sums)
    for file in [*made, output / "SHA256SUMS"]:
        print(f"{file.stat().st_size:>9}  {file}")


if __name__ == "__main__":
    main()
