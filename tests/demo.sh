#!/usr/bin/env bash
# The session of the README, run by the real sqlite3 shell against a real sqld
# that lives as long as the demo: demo.sh LIBRARY
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

# A primary on a free port, with a small table.
port=$("$PYTHON" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
url=http://127.0.0.1:$port
"$SQLD" --db-path "$folder/primary" --http-listen-addr "127.0.0.1:$port" --no-welcome >"$folder/log" 2>&1 &
sqld_pid=$!
"$PYTHON" "$tests/run_sql.py" "$url" "CREATE TABLE orders(id INTEGER PRIMARY KEY, item TEXT, amount INTEGER DEFAULT 1);
INSERT INTO orders(id, item, amount) VALUES (5, 'rope', 20), (6, 'compass', 1), (7, 'lantern', 2);" "$sqld_pid" ||
    { cat "$folder/log" >&2; exit 1; }

# One interactive sqlite3 shell on app.db. It is told to repeat what it reads,
# as a terminal would; some builds do so by themselves, hence the awk.
session() {
    echo '$ sqlite3 app.db'
    sed -e "s|http://127.0.0.1:8080|$url|" |
        HOME=$folder sqlite3 -interactive -cmd '.echo on' app.db 2>&1 |
        awk '{ if ($0 != typed) print } sub(/^sqlite> /, "") { typed = $0 }' | sed '$s/^sqlite> $//'
}

cd "$folder"
mkdir dist
ln -s "$library" dist/
echo "A primary (sqld) runs at $url; app.db does not exist yet."
echo
session <<'SQL' | tee output
.load ./dist/replica
SELECT replica_attach('http://127.0.0.1:8080', NULL);
SELECT * FROM orders WHERE id = 7;                -- local
SELECT replica_write('INSERT INTO orders(item) VALUES (?) RETURNING id', 'kite');
SELECT * FROM orders WHERE item = 'kite';         -- own write, read locally
SELECT replica_sync();                            -- what others wrote
.mode line
SELECT * FROM replica_status;
SQL
if grep -q '^[A-Za-z]* \?[Ee]rror' output; then exit 1; fi
echo "Any program reads app.db, without the extension; none can write to it by accident:"
echo
session <<'SQL' | tee output || true
SELECT * FROM orders;
PRAGMA integrity_check;
INSERT INTO orders(item) VALUES ('stray');
SQL
grep -q 'attempt to write a readonly database' output
cat <<'TEXT'

That was all on this machine, and it is gone now. What next:
  make primary     a primary that stays, to type the same by hand (README, "Sixty seconds")
  docs/hosts.md    the same in your language
  docs/apps.md     whole programs: Flask, Django, Fastify, Rails, Laravel, PHP, Go
  docs/recipes.md  cron, many processes, backups, tokens
TEXT
