"""Proves of each library what tests/symbols.sh proves of this machine's, and
the oldest system that it runs on: binaries.py FOLDER

FOLDER holds a folder for each platform, as `make cross` makes them.
"""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "packages"))
from binary import Library  # noqa: E402  (the folder is no package)

ENTRY_POINTS = {"sqlite3_extension_init", "sqlite3_replica_init"}
# What a package of the platform promises (packages/dist.py).
OLDEST = {"linux": (2, 17), "darwin": (11, 0), "windows": (6, 2)}
# Texts that only SQLite's core has.
CORE = rb"%s at line %d of \[%\.10s\]|malformed database schema \(|near \"%T\": syntax error"


def findings(name, library):
    if library.platform != name:
        yield f"is a library for {library.platform}"
    missing = ENTRY_POINTS - library.exports
    if missing:
        yield f"does not export {sorted(missing)}"
    # zig's linker keeps no list of exports for macOS; none of them may be SQLite's.
    more = {symbol for symbol in library.exports - ENTRY_POINTS if library.format != "macho" or symbol.startswith("sqlite3")}
    if more:
        yield f"exports {len(more)} symbols more: {sorted(more)[:5]}"
    # SQLite is called through the table that the host hands over, never by name.
    asked = sorted(symbol for symbol in library.imports if symbol.lower().startswith("sqlite"))
    if asked:
        yield f"expects the host to export {asked}"
    if re.search(CORE, library.data):
        yield "contains text of SQLite's core"
    oldest = OLDEST.get(name.split("-")[0])
    if library.is_musl:
        if library.needed - {"libc.so"}:
            yield f"needs {sorted(library.needed)}"
    elif library.minimum is None or library.minimum > oldest:
        yield f"needs version {library.minimum}, and its package promises {oldest}"


def main():
    failed = 0
    libraries = sorted(Path(sys.argv[1]).glob("*/replica.*"))
    for path in libraries:
        library = Library(path)
        found = list(findings(path.parent.name, library))
        failed += bool(found)
        version = "musl" if library.is_musl else ".".join(map(str, library.minimum or ()))
        said = "; ".join(found) or f"ok: {len(library.exports)} exports, no SQLite, from {version} on, needs {', '.join(sorted(library.needed))}"
        print(f"{path.parent.name:18} {said}")
    if not libraries:
        print("skipped: no library is there; run make cross")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
