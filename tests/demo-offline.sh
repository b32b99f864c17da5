#!/usr/bin/env bash
# Writes without a primary: queued, the program killed, the primary started,
# and everything is there once. demo-offline.sh LIBRARY
set -euo pipefail
library=$(realpath "$1")
tests=$(realpath "$(dirname "$0")")
folder=$(mktemp -d)
sqld_pid=""

finish() {
    if [ -n "$sqld_pid" ]; then
        kill "$sqld_pid" 2>/dev/null || true
        wait "$sqld_pid" 2>/dev/null || true
    fi
    rm -rf "$folder"
}
trap finish EXIT
trap 'exit 130' INT TERM

port=$("$PYTHON" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
url=http://127.0.0.1:$port

start_primary() {
    "$SQLD" --db-path "$folder/primary" --http-listen-addr "127.0.0.1:$port" --no-welcome >>"$folder/log" 2>&1 &
    sqld_pid=$!
    "$PYTHON" "$tests/run_sql.py" "$url" "CREATE TABLE IF NOT EXISTS orders(id INTEGER PRIMARY KEY, item TEXT UNIQUE)" \
        "$sqld_pid" || { cat "$folder/log" >&2; exit 1; }
}

stop_primary() {
    kill "$sqld_pid"
    wait "$sqld_pid" 2>/dev/null || true
    sqld_pid=""
}

# One interactive sqlite3 shell on app.db that has loaded the extension and
# attached the replica, as tests/demo.sh shows it.
session() {
    echo '$ sqlite3 app.db'
    (
        echo ".load ./dist/replica"
        echo "SELECT replica_attach('$url', NULL, '{\"offline_writes\": true, \"timeout\": 5}') ->> 'state';"
        cat
    ) | HOME=$folder sqlite3 -interactive -cmd '.echo on' app.db 2>&1 |
        awk '{ if ($0 != typed) print } sub(/^sqlite> /, "") { typed = $0 }' | sed '$s/^sqlite> $//'
    echo
}

cd "$folder"
mkdir dist
ln -s "$library" dist/replica.so
start_primary
echo "A primary (sqld) runs at $url; the replica makes its first sync."
echo
session <<'SQL'
SELECT replica_write('INSERT INTO orders(item) VALUES (?)', 'rope') ->> 'synced';
SQL
echo "The primary is stopped. Writes go on, and the program is killed (kill -9):"
echo
stop_primary
session <<'SQL' || true
SELECT replica_write('INSERT INTO orders(item) VALUES (?)', 'compass');
SELECT replica_write('INSERT INTO orders(item) VALUES (?)', 'rope') ->> 'queued';   -- there is one already
SELECT replica_enqueue('INSERT INTO orders VALUES (70, ''tent''); INSERT INTO orders VALUES (71, ''kettle'')') ->> 'number';
SELECT item FROM orders;                          -- reads go on: what the primary had
.shell kill -9 $PPID
SQL
echo "Nothing is lost: it waits in app.db-outbox."
echo
session <<'SQL'
SELECT number, state, sql, args FROM replica_outbox;
SQL
echo "The primary is back. One sync takes everything to it, in order, once:"
echo
start_primary
session <<'SQL' | tee output
SELECT replica_sync();
SELECT number, state, attempts, error FROM replica_outbox;
SELECT replica_sync() ->> 'delivered';            -- nothing is left
SELECT group_concat(item, ', ') FROM (SELECT item FROM orders ORDER BY id);
SELECT 'on the primary: ' || c0 FROM replica_query('SELECT group_concat(item, '', '') FROM (SELECT item FROM orders ORDER BY id)');
SQL
grep -q '^rope, compass, tent, kettle$' output
grep -q '^on the primary: rope, compass, tent, kettle$' output
grep -q 'UNIQUE constraint failed: orders.item' output
[ "$(sqlite3 app.db 'PRAGMA integrity_check')" = ok ]
cat <<'TEXT'
Each write is there once; the one that the primary refused is set aside with its error (replica_retry, replica_discard).
docs/offline.md tells the rest.
TEXT
