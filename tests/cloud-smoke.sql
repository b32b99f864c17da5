-- Five minutes against the real Turso Cloud, for somebody with an account:
--
--     turso db create smoke
--     export REPLICA_URL=$(turso db show smoke --url)
--     export REPLICA_TOKEN=$(turso db tokens create smoke)
--     sqlite3 smoke.db < tests/cloud-smoke.sql
--
-- Each line prints what the comment before it says. Anything else is worth a
-- report, with the output of the last line.
.load ./dist/replica
.headers off
-- turso (or sqld, on the older platform)
SELECT replica_attach() ->> 'protocol';
-- 1
SELECT replica_write('CREATE TABLE IF NOT EXISTS smoke(id INTEGER PRIMARY KEY, x)') ->> 'synced';
-- 1
SELECT replica_write('INSERT INTO smoke(x) VALUES (?)', 'hello') ->> 'synced';
-- hello
SELECT x FROM smoke ORDER BY id DESC LIMIT 1;
-- ["hello"]
SELECT row FROM replica_query('SELECT x FROM smoke ORDER BY id DESC LIMIT 1');
-- 0 (nothing is new)
SELECT replica_sync() ->> 'frames_synced';
-- UNIQUE constraint failed: smoke.id
SELECT replica_write('INSERT INTO smoke(id, x) VALUES ((SELECT max(id) FROM smoke), 0)');
-- 70 seconds of silence, as a balancer cuts them; then 1
.shell sleep 70
SELECT replica_write('INSERT INTO smoke(x) VALUES (?)', 'after a pause') ->> 'synced';
-- ok
PRAGMA integrity_check;
-- idle|
SELECT state, last_error FROM replica_status;
SELECT replica_debug();
