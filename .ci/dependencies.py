#!/usr/bin/env python3
"""Checks what is linked: each dependency has a licence that is known to go
with ours, and none has a known weakness.

Licences are read from `cargo metadata`, without a network. Advisories need
cargo-deny or cargo-audit and a copy of its database; where one of the two is
missing, that is said and is no failure.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

# Each may be linked into a library under MIT or Apache-2.0.
ALLOWED = {
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unicode-DFS-2016",
    "Unlicense",
    "Zlib",
}


# Advisories on crates that run while we are built (of bindgen, which has no newer
# one that sqlite-loadable takes) and are not in the library.
BUILD_ONLY = [
    ("RUSTSEC-2024-0375", "atty"),  # unmaintained
    ("RUSTSEC-2021-0145", "atty"),  # an unaligned read on Windows
]


def is_allowed(expression: str) -> bool:
    """Whether an SPDX expression can be met by what is allowed."""
    # An exception only allows more than its licence does.
    words = re.sub(r"\s+WITH\s+[\w.-]+", "", expression.replace("/", " OR "))
    tokens = re.findall(r"[()]|[\w.+-]+", words)

    def either() -> bool:
        met = both()
        while tokens and tokens[0] == "OR":
            tokens.pop(0)
            met = both() or met
        return met

    def both() -> bool:
        met = one()
        while tokens and tokens[0] == "AND":
            tokens.pop(0)
            met = one() and met
        return met

    def one() -> bool:
        if not tokens:
            return False
        token = tokens.pop(0)
        if token != "(":
            return token in ALLOWED
        met = either()
        return bool(tokens) and tokens.pop(0) == ")" and met

    met = either()
    return met and not tokens


def packages() -> tuple[list[dict], str]:
    """Of all platforms where they are here, else of this one; and which."""
    command = ["cargo", "metadata", "--locked", "--offline", "--format-version", "1"]
    asked = subprocess.run(command, capture_output=True, text=True)
    if asked.returncode == 0:
        return json.loads(asked.stdout)["packages"], "all platforms"
    about = subprocess.run(["rustc", "-vV"], capture_output=True, text=True, check=True).stdout
    platform = re.search(r"^host: (.+)$", about, re.M)[1]
    command += ["--filter-platform", platform]
    asked = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(asked.stdout)["packages"], platform


def check_licences() -> bool:
    found, platform = packages()
    others = [package for package in found if package["source"]]
    bad = [package for package in others if not is_allowed(package["license"] or "")]
    for package in bad:
        licence = package["license"] or package["license_file"] or "none"
        print(f"licences: {package['name']} {package['version']} has {licence}", file=sys.stderr)
    print(f"licences: {len(others) - len(bad)} of {len(others)} dependencies are known to fit ({platform})")
    return not bad


def check_advisories() -> bool:
    """Only against a database that is there: a check needs no network."""
    cargo = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
    accepted = [advisory for advisory, crate in BUILD_ONLY if is_not_linked(crate)]
    if shutil.which("cargo-audit") and (cargo / "advisory-db").is_dir():
        ignored = [f"--ignore={advisory}" for advisory in accepted]
        command = ["cargo-audit", "audit", "--no-fetch", "--deny", "warnings", *ignored]
        return said("cargo-audit", subprocess.run(command).returncode == 0)
    if shutil.which("cargo-deny") and (cargo / "advisory-dbs").is_dir():
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as config:
            config.write(f"[advisories]\nignore = {json.dumps(accepted)}\n")
            config.flush()
            command = ["cargo-deny", "--offline", "--config", config.name, "check", "advisories"]
            return said("cargo-deny", subprocess.run(command).returncode == 0)
    print("advisories: skipped: no cargo-audit or cargo-deny with an advisory database here")
    return True


def said(tool: str, sound: bool) -> bool:
    print(f"advisories: {tool} {'finds nothing' if sound else 'finds what is above'}")
    return sound


def is_not_linked(crate: str) -> bool:
    command = ["cargo", "tree", "--locked", "--offline", "--edges", "normal", "--prefix", "none"]
    asked = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return not any(line.startswith(f"{crate} ") for line in asked.stdout.splitlines())


def check_ourselves() -> None:
    """An allow-list that lets everything through would not be noticed."""
    for good in ["MIT", "MIT/Apache-2.0", "GPL-3.0 OR MIT", "(MIT OR GPL-3.0) AND ISC"]:
        assert is_allowed(good), good
    assert is_not_linked("bindgen") and not is_not_linked("prost")
    for bad in ["", "GPL-3.0", "MIT AND GPL-3.0", "(MIT", "MIT MIT", "LGPL-2.1 WITH x"]:
        assert not is_allowed(bad), bad


if __name__ == "__main__":
    check_ourselves()
    results = [check_licences(), check_advisories()]
    sys.exit(0 if all(results) else 1)
