#!/usr/bin/env bash
# A primary to play with: a real sqld with the table of the README, which stays
# until Ctrl-C. What it holds is kept in .primary/ of this folder.
#   primary.sh [PORT]
set -euo pipefail
cd "$(dirname "$0")/.."
port=${1:-8080}
url=http://127.0.0.1:$port
"$PYTHON" -c 'import socket, sys; socket.socket().bind(("127.0.0.1", int(sys.argv[1])))' "$port" 2>/dev/null || {
    echo "port $port is taken; PORT=9090 takes another one" >&2
    exit 1
}
mkdir -p .primary
"$SQLD" --db-path .primary/data --http-listen-addr "127.0.0.1:$port" --no-welcome >.primary/log 2>&1 &
sqld_pid=$!
trap 'kill "$sqld_pid" 2>/dev/null || true; wait "$sqld_pid" 2>/dev/null || true' EXIT
trap 'exit 130' INT TERM
"$PYTHON" tests/run_sql.py "$url" "CREATE TABLE IF NOT EXISTS orders(id INTEGER PRIMARY KEY, item TEXT, amount INTEGER DEFAULT 1);
INSERT INTO orders(id, item, amount) SELECT * FROM (VALUES (5, 'rope', 20), (6, 'compass', 1), (7, 'lantern', 2))
WHERE NOT EXISTS (SELECT 1 FROM orders);" "$sqld_pid" || { tail -5 .primary/log >&2; exit 1; }
cat <<TEXT
A primary runs at $url with the table orders; Ctrl-C ends it. In another terminal, in this folder:

  sqlite3 app.db
  .load ./dist/replica
  SELECT replica_attach('$url');
  SELECT * FROM orders;
  SELECT replica_write('INSERT INTO orders(item) VALUES (?)', 'kite');
  SELECT replica_help();

It holds .primary/; delete that folder to begin anew, and app.db* with it.
TEXT
wait "$sqld_pid"
