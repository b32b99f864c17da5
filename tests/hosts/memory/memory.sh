#!/usr/bin/env bash
# A replica without a file in the sqlite3 shell: story LIBRARY URL NAME
set -euo pipefail
library=$1 url=$2 name=$3

# `.connection` gives one shell several connections; each `.shell` is another
# process, with a replica of its own.
sqlite3 -batch -init /dev/null :memory: 2>&1 <<SQL
.bail on
.load $library
SELECT 'step: load ' || replica_version() || ' SQLite ' || sqlite_version();
SELECT 'step: attach' WHERE replica_attach('$url', NULL, '{"share": "$name", "live": true}') ->> 'path' = 'file:$name?vfs=replica';
SELECT 'step: read' FROM orders WHERE id = 7 AND item = 'lantern';
.connection 1
.open 'file:$name?vfs=replica'
.load $library
SELECT 'second attached' WHERE replica_attach('$url', NULL, '{"first_sync": false}') ->> 'frame_no' > 0;
SELECT 'step: write' WHERE replica_write('INSERT INTO orders(item) VALUES (?), (?)', 'kite', 'drum') ->> 'rows_affected' = 2;
.connection 0
SELECT 'step: second' WHERE (SELECT count(*) FROM orders) = 3;
.connection 2
.open 'file:$name?vfs=replica'
SELECT 'step: others' WHERE (SELECT count(*) FROM orders) = 3;
.connection 0
CREATE TEMP TABLE before AS SELECT frame_no FROM replica_status;
.shell sqlite3 -batch -init /dev/null :memory: ".load $library" "SELECT replica_attach('$url') ->> 'path', replica_write('INSERT INTO orders(item) VALUES (''rope''), (''flute'')') ->> 'rows_affected'"
SELECT 'waited' WHERE replica_wait((SELECT frame_no + 1 FROM before), 10) > 0;
.connection 2
SELECT 'step: live' WHERE (SELECT count(*) FROM orders) = 5;
SQL
