#!/usr/bin/env bash
# The sqlite3 shell: story LIBRARY URL DATABASE
set -euo pipefail
library=$1 url=$2 database=$3
step() { echo "step: $*"; }

# One shell, one connection; .load wants the path without quotes.
output=$(sqlite3 -batch -bail -init /dev/null "$database" <<SQL
.load $library
SELECT 'step: load ' || replica_version();
SELECT 'step: attach ' || (replica_attach('$url', NULL) ->> 'frame_no');
SELECT 'step: read ' || item FROM orders WHERE id = 7;
SELECT 'step: write ' || (replica_write('INSERT INTO orders(item) VALUES (?)', 'kite') ->> 'rows_affected');
SELECT 'step: returning ' || (replica_write('INSERT INTO orders(item) VALUES (?) RETURNING id', 'drum') ->> '$.rows[0][0]');
SELECT item FROM orders WHERE id = 9;
SQL
)
echo "$output"
[[ $output == *drum ]]

# Each call below is a new connection: attaching again needs no first sync.
sql() {
    sqlite3 -batch -bail -init /dev/null "$1" ".load $library" "SELECT replica_attach('$url') ->> 'path'" "$2" 2>&1
}

# An error: a sentence on stderr, the code in parentheses, exit status not 0.
if error=$(sql "$database" "SELECT replica_write('INSERT INTO orders(item) VALUES (?)', 'kite')"); then exit 1; fi
[[ $error == *"UNIQUE constraint failed: orders.item (19)"* ]]
step constraint

# A plain write is refused, with or without the extension.
if error=$(sqlite3 "$database" "INSERT INTO orders(item) VALUES ('stray')" 2>&1); then exit 1; fi
[[ $error == *"attempt to write a readonly database"* ]]
step readonly

# Another replica writes; this one syncs.
sql "$database-other" "SELECT replica_write('INSERT INTO orders(item) VALUES (?)', 'rope')" >"$database-log"
[[ $(sql "$database" "SELECT replica_sync() ->> 'frames_synced' > 0" | tail -1) == 1 ]]
[[ $(sqlite3 "$database" "SELECT count(*) FROM orders WHERE item = 'rope'") == 1 ]]
step sync

# A live replica: the other one's frame arrives by itself.
mkfifo "$database-pipe"
sqlite3 -batch -bail -init /dev/null "$database" <"$database-pipe" >"$database-live" &
exec 3>"$database-pipe"
echo ".load $library" >&3
echo "SELECT replica_attach('$url', NULL, '{\"live\": true}');" >&3
frame=$(sql "$database-other" "SELECT replica_write('INSERT INTO orders(item) VALUES (?)', 'flute') ->> 'frame_no'" | tail -1)
echo "SELECT replica_wait($frame, 10) >= $frame; SELECT item FROM orders WHERE item = 'flute';" >&3
exec 3>&-
wait $!
[[ $(tail -1 "$database-live") == flute ]]
step live
