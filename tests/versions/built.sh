#!/usr/bin/env bash
# Replicas in memory on SQLites that were built otherwise: built.sh LIBRARY SQLD FOLDER [BUILD...]
#
# SQLite's source is the one of a crate that run.sh fetches. Each build takes
# the place of the library that the system's Python is linked to, and runs the
# cases of tests/python/memory.py: with assertions on, with checks of every
# argument, with the address sanitizer, and without what `:memory:` needs.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$3"
library=$(realpath "$1") sqld=$2 folder=$(realpath "$3")
shift 3
[ $# -gt 0 ] || set -- debug armor asan omitted

say() { echo "built: $*"; }
skip() { say "skipped: $*"; exit 0; }

python=/usr/bin/python3
"$python" -c 'import sqlite3; sqlite3.Connection.enable_load_extension' 2>/dev/null || skip "no $python whose sqlite3 loads extensions"
ldd "$("$python" -c 'import _sqlite3; print(_sqlite3.__file__)')" | grep -q 'libsqlite3\.so\.0' || skip "$python has its own SQLite"

# The newest of the sources that are there.
source=$(ls -d "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/libsqlite3-sys-*/sqlite3 2>/dev/null | sort -V | tail -n 1)
[ -n "$source" ] || skip "no source of SQLite; run tests/versions/run.sh first"

# What Debian's build has and Python's module needs.
common="-DSQLITE_ENABLE_COLUMN_METADATA -DSQLITE_ENABLE_DBSTAT_VTAB -DSQLITE_ENABLE_FTS5 -DSQLITE_ENABLE_RTREE
    -DSQLITE_ENABLE_LOAD_EXTENSION -DSQLITE_ENABLE_UNLOCK_NOTIFY -DSQLITE_THREADSAFE=1 -DSQLITE_USE_URI"
flags() {
    case $1 in
        debug) echo "-O1 -g -DSQLITE_DEBUG -DSQLITE_ENABLE_API_ARMOR -DSQLITE_ENABLE_EXPENSIVE_ASSERT" ;;
        armor) echo "-O2 -DSQLITE_ENABLE_API_ARMOR" ;;
        asan) echo "-O1 -g -DSQLITE_DEBUG -fsanitize=address -fno-omit-frame-pointer" ;;
        omitted) echo "-O2 -DSQLITE_OMIT_DESERIALIZE" ;;
        *) say "there is no build $1"; exit 1 ;;
    esac
}

# Not what measures memory or time, which such a build has other than usual.
cases="story promote refusals attach_within attach_beside_a_backup shared_cache backups old_statements sharing replaced disk beside_memdb readers fork no_file"

work=$(mktemp -d)
trap 'kill "${server:-}" 2>/dev/null || true; rm -rf "$work"' EXIT
port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$sqld" --db-path "$work/primary" --http-listen-addr "127.0.0.1:$port" --no-welcome >"$work/log" 2>&1 &
server=$!
for _ in $(seq 100); do
    if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then break; fi
    sleep 0.1
done

for build in "$@"; do
    place=$folder/$build
    mkdir -p "$place" "$work/$build"
    if [ ! -e "$place/libsqlite3.so.0" ]; then
        # Python's module is not loaded without these; nothing calls them.
        : >"$place/beside.c"
        [ "$build" != omitted ] || echo 'int sqlite3_serialize(void) { return 0; } int sqlite3_deserialize(void) { return 1; }' >"$place/beside.c"
        # shellcheck disable=SC2046,SC2086
        gcc $(flags "$build") $common -shared -fPIC -o "$place/libsqlite3.so.0" "$source/sqlite3.c" "$place/beside.c" -lm -ldl -lpthread
    fi
    ahead=
    [ "$build" != asan ] || ahead=$(gcc -print-file-name=libasan.so)
    [ "$build" != omitted ] || cases=omitted
    (
        cd "$work/$build"
        # Python itself leaves memory to the end of the process.
        export ASAN_OPTIONS=detect_leaks=0 LD_PRELOAD=$ahead LD_LIBRARY_PATH=$place
        "$python" -c 'import sqlite3, sys; sys.exit(sys.argv[1] not in open("/proc/self/maps").read())' "$place" \
            || { say "$build: $python has another SQLite"; exit 1; }
        for case in $cases; do
            "$python" -B "$here/../python/memory.py" "$library" "http://127.0.0.1:$port" "$case" >"$work/said" 2>&1 \
                || { cat "$work/said"; say "$build: $case failed"; exit 1; }
        done
        say "$build: $("$python" -c 'import sqlite3; print("SQLite", sqlite3.sqlite_version)'): $cases: ok"
    )
done
