#!/usr/bin/env bash
# The main story in hosts with old SQLites: run.sh LIBRARY SQLD FOLDER [VERSION...]
#
# VERSION is a release of the crate libsqlite3-sys, each of which bundles one
# SQLite. They are fetched from crates.io and built below FOLDER, once.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
library=$(realpath "$1") sqld=$2 folder=$3
shift 3
# Below the oldest that works, the oldest, and some on the way to today.
[ $# -gt 0 ] || set -- 0.16.0 0.17.3 0.18.0 0.20.1 0.22.2 0.24.2 0.25.2 0.26.0 0.28.0 0.30.1
mkdir -p "$folder"

host() {
    local place=$folder/$1
    if [ ! -x "$place/old-host" ]; then
        mkdir -p "$place"
        cp -r "$here/src" "$place/"
        sed "s/=VERSION/=$1/" "$here/Cargo.toml" >"$place/Cargo.toml"
        CARGO_TARGET_DIR=$place/target cargo build --quiet --manifest-path "$place/Cargo.toml"
        mv "$place/target/debug/old-host" "$place/old-host"
        rm -rf "$place/target"
    fi
}

work=$(mktemp -d)
trap 'kill "${server:-}" 2>/dev/null || true; rm -rf "$work"' EXIT
port=$("${PYTHON:-python3}" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
url=http://127.0.0.1:$port
"$sqld" --db-path "$work/primary" --http-listen-addr "127.0.0.1:$port" --no-welcome >"$work/log" 2>&1 &
server=$!
for _ in $(seq 100); do
    if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then break; fi
    sleep 0.1
done

for version in "$@"; do
    host "$version"
    # In a file, and in memory by both its names.
    for database in "$work/$version.db" 'file:story?vfs=replica' :memory:; do
        fill='DROP TABLE IF EXISTS t; CREATE TABLE t(id INTEGER PRIMARY KEY, v, b); CREATE INDEX i ON t(v);
            WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 500)
            INSERT INTO t SELECT n, n * 7 % 13, randomblob(700) FROM c'
        "${PYTHON:-python3}" - "$url" "$fill" <<'END'
import json, sys, urllib.request
body = {"requests": [{"type": "sequence", "sql": sys.argv[2]}, {"type": "close"}]}
answer = json.load(urllib.request.urlopen(sys.argv[1] + "/v3/pipeline", json.dumps(body).encode()))
assert answer["results"][0]["type"] == "ok", answer
END
        "$folder/$version/old-host" "$library" "$url" "$database"
    done
done
