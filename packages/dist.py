"""Packs a built library: dist.py LIBRARY OUTPUT_FOLDER

Writes an archive, a Python wheel, an npm package, sqlpkg.json and SHA256SUMS.
Needs nothing but Python, strip and (on Linux) objdump. The same input gives
the same bytes. RELEASE_URL names the folder that the archive will be
downloaded from; without it sqlpkg.json points at the file beside it.
"""

import base64
import gzip
import hashlib
import io
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from pathlib import Path

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


def target(library):
    """(operating system, processor) as Node and Go say it, from the name of the file and this machine."""
    system = {".so": "linux", ".dylib": "darwin", ".dll": "windows"}[library.suffix]
    machine = platform.machine().lower()
    return system, {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}[machine]


def glibc(library):
    """The newest version of glibc whose symbols the library needs: (2, 17)."""
    table = subprocess.run(["objdump", "-T", library], capture_output=True, text=True, check=True).stdout
    # A weak symbol may be missing; rustc's library asks for newer ones so.
    strong = [line for line in table.splitlines() if "*UND*" in line and not re.match(r"\S+\s+w", line)]
    return max(tuple(map(int, found.split("."))) for found in re.findall(r"GLIBC_([\d.]+)", "\n".join(strong)))[:2]


def platform_tag(library):
    """What a wheel with this library may call itself, and the sentence for people."""
    system, machine = target(library)
    if system == "linux":
        major, minor = glibc(library)
        arch = {"arm64": "aarch64"}.get(machine, machine)
        return f"manylinux_{major}_{minor}_{arch}", f"needs glibc {major}.{minor} or newer"
    if system == "darwin":
        return f"macosx_11_0_{machine}", "built for macOS 11 or newer"
    return {"x86_64": "win_amd64", "arm64": "win_arm64"}[machine], "built for Windows"


def stripped(library, folder):
    """A copy without the symbols that only a debugger wants."""
    copy = folder / f"replica{library.suffix}"
    shutil.copy(library, copy)
    if library.suffix == ".so":
        subprocess.run(["strip", "--strip-all", copy], check=True)
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


def npm_manifest(system, machine):
    """package.json as it lies here, with what is known only now."""
    manifest = json.loads((HERE / "npm" / "package.json").read_text())
    manifest.update(version=version(), description=SUMMARY, license="MIT OR Apache-2.0")
    manifest["os"] = [{"windows": "win32"}.get(system, system)]
    manifest["cpu"] = [{"x86_64": "x64"}.get(machine, machine)]
    if system == "linux":
        manifest["libc"] = ["glibc"]
    return json.dumps(manifest, indent=2).encode()


def functions():
    """The names that loading adds, from the list that a test compares with a real shell."""
    return sorted(set(re.findall(r"\breplica_\w+", (ROOT / "tests/sql/surface.txt").read_text())))


def sqlpkg(archive, system, machine):
    platform_name = f"{system}-{ {'x86_64': 'amd64'}.get(machine, machine)}"
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
            "files": {platform_name: archive.name},
            "checksums": {archive.name: "sha256-" + hashlib.sha256(archive.read_bytes()).hexdigest()},
        },
    }, indent=2).encode() + b"\n"


def main():
    library, output = Path(sys.argv[1]), Path(sys.argv[2])
    output.mkdir(parents=True, exist_ok=True)
    for old in [*output.glob("replica-v*"), *output.glob("sqlite[-_]replica-*")]:
        old.unlink()
    system, machine = target(library)
    tag, needs = platform_tag(library)
    mtime, name = commit_time(), f"replica{library.suffix}"
    with tempfile.TemporaryDirectory() as folder:
        content = stripped(library, Path(folder))
    licenses = {license: (ROOT / license).read_bytes() for license in LICENSES}
    readme = (HERE / "README.md").read_bytes()

    archive = output / f"replica-v{version()}-loadable-{system}-{machine}.tar.gz"
    tar_gz(archive, {name: content, **licenses}, mtime)
    whl = output / f"sqlite_replica-{version()}-py3-none-{tag}.whl"
    wheel(whl, {**sources("python"), f"sqlite_replica/{name}": content}, tag, mtime)
    npm = output / f"sqlite-replica-{version()}.tgz"
    node = {f"package/{file}": text for file, text in sources("npm").items()}
    tar_gz(npm, {**node, "package/package.json": npm_manifest(system, machine), "package/README.md": readme,
                 f"package/{name}": content, **{f"package/{file}": text for file, text in licenses.items()}}, mtime)
    (output / "sqlpkg.json").write_bytes(sqlpkg(archive, system, machine))
    made = [archive, whl, npm, output / "sqlpkg.json"]
    sums = "".join(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in made)
    (output / "SHA256SUMS").write_text(sums)
    print(f"{name}: {len(content) / 1e6:.1f} MB, {needs}")
    for file in [*made, output / "SHA256SUMS"]:
        print(f"{file.stat().st_size:>9}  {file}")


if __name__ == "__main__":
    main()
