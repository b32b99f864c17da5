"""What people on each platform get of a release: release.py FOLDER

pip and npm themselves choose, for this machine and for the others by their own
options: pip from the folder, npm from a registry on this machine that serves
the packages of the folder and knows no other.
"""

import hashlib
import http.server
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
from pathlib import Path

RELEASE = Path(sys.argv[1]).resolve()
# Name here -> (a system that pip is told of, what npm is told of).
PLATFORMS = {
    "linux-x86_64": ("manylinux_2_17_x86_64", ("linux", "x64", "glibc")),
    "linux-arm64": ("manylinux_2_17_aarch64", ("linux", "arm64", "glibc")),
    "linux-musl-x86_64": ("musllinux_1_2_x86_64", ("linux", "x64", "musl")),
    "linux-musl-arm64": ("musllinux_1_2_aarch64", ("linux", "arm64", "musl")),
    "windows-x86_64": ("win_amd64", ("win32", "x64", None)),
    "darwin-arm64": ("macosx_14_0_arm64", ("darwin", "arm64", None)),
    "darwin-x86_64": ("macosx_12_0_x86_64", ("darwin", "x64", None)),
}


def run(*command, cwd=None):
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout + done.stderr


def released():
    return sorted(json.loads((RELEASE / "sqlpkg.json").read_text())["assets"]["files"])


def pip(folder):
    for platform in released():
        tag = PLATFORMS[platform.replace("amd64", "x86_64")][0]
        into = folder / platform
        code, said = run(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-index", "--no-deps",
                         "--only-binary=:all:", f"--find-links={RELEASE}", f"--platform={tag}", f"--dest={into}", "sqlite-replica")
        assert code == 0, f"{platform}: {said}"
        (wheel,) = into.iterdir()
        system, processor = re.match(r"([a-z]+)\w*?_(x86_64|aarch64|arm64|amd64)$", tag).groups()
        assert f"-{system}" in wheel.name and processor in wheel.name, f"{platform}: {wheel.name}"
    code, said = run(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-index", "--no-deps",
                     "--only-binary=:all:", f"--find-links={RELEASE}", "--platform=win_arm64", f"--dest={folder}", "sqlite-replica")
    assert code != 0, "a machine without a wheel gets none"


class Registry(http.server.BaseHTTPRequestHandler):
    """The two questions that `npm install` asks."""

    def do_GET(self):
        name = self.path.strip("/")
        file = RELEASE / name
        if name.endswith(".tgz") and file.exists():
            return self.answer(200, file.read_bytes())
        for file in RELEASE.glob("*.tgz"):
            with tarfile.open(file) as tar:
                manifest = json.load(tar.extractfile("package/package.json"))
            if manifest["name"] == name:
                manifest["dist"] = {"tarball": f"http://{self.headers['host']}/{file.name}",
                                    "shasum": hashlib.sha1(file.read_bytes()).hexdigest()}
                version = manifest["version"]
                return self.answer(200, json.dumps(
                    {"name": name, "dist-tags": {"latest": version}, "versions": {version: manifest}}).encode())
        self.answer(404, b"{}")

    def answer(self, code, body):
        self.send_response(code)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def npm(folder):
    if not shutil.which("npm"):
        return "npm is not installed (Debian: npm)"
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    registry = f"--registry=http://127.0.0.1:{server.server_port}"

    def install(place, *options):
        place.mkdir()
        (place / "package.json").write_text('{"private": true}')
        code, said = run("npm", "install", "sqlite-replica", registry, f"--cache={folder}/cache", "--no-audit", "--no-fund",
                         "--loglevel=error", *options, cwd=place)
        assert code == 0, said
        return sorted(entry.name for entry in (place / "node_modules").iterdir() if not entry.name.startswith("."))

    for platform in released():
        system, processor, libc = PLATFORMS[platform.replace("amd64", "x86_64")][1]
        options = [f"--os={system}", f"--cpu={processor}", *([f"--libc={libc}"] if libc else [])]
        suffix = {"glibc": "-gnu", "musl": "-musl", None: ""}[libc]
        found = install(folder / platform, *options)
        assert found == ["sqlite-replica", f"sqlite-replica-{system}-{processor}{suffix}"], f"{platform}: {found}"
    # A platform without a library has the package, and is told what to do.
    found = install(folder / "other", "--os=freebsd", "--cpu=x64")
    assert found == ["sqlite-replica"], found
    code, said = run("node", "node_modules/.bin/sqlite-replica", cwd=folder / "other")
    assert code != 0 and "build it with make" in said, said
    # And this machine finds its own.
    install(folder / "own")
    code, path = run("node", "node_modules/.bin/sqlite-replica", cwd=folder / "own")
    assert code == 0 and Path(path.strip()).exists() and "sqlite-replica-" in path, path
    server.shutdown()
    return None


def sqlpkg(folder):
    package = json.loads((RELEASE / "sqlpkg.json").read_text())["assets"]
    assert len(package["files"]) > 1, "one platform is no release"
    for platform, name in package["files"].items():
        digest = hashlib.sha256((RELEASE / name).read_bytes()).hexdigest()
        assert package["checksums"][name] == f"sha256-{digest}", name
        with tarfile.open(RELEASE / name) as tar:
            assert any(re.fullmatch(r"replica\.(so|dylib|dll)", member) for member in tar.getnames()), name


def main():
    failed = 0
    print("platforms:", ", ".join(released()))
    for test in (sqlpkg, pip, npm):
        with tempfile.TemporaryDirectory(prefix="replica-release-") as folder:
            try:
                reason = test(Path(folder))
                print(f"{test.__name__:8} {f'skipped: {reason}' if reason else 'ok'}")
            except AssertionError as error:
                failed += 1
                print(f"{test.__name__:8} failed: {error}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
