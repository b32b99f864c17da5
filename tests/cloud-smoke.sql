-- Five minutes against the real Turso Cloud, for somebody with an account:
--
--     turso db create smoke
--     export REPLICA_URL=$(turso db show smoke --url)
--     export REPLICA_TOKEN=$(turso db tokens create smoke)
--     sqlite3 smoke.db < tests/cloud-smoke.sql
--
-- and then the same with a database that is encrypted, in a new file, with its
-- key in TURSO_DB_REMOTE_ENCRYPTION_KEY.
--
-- Each statement prints the line before it, and one of them an error. Anything
-- else is worth a report: the whole output, in which no token is.
.load ./dist/replica
.headers off
-- prints: turso
SELECT replica_attach() ->> 'protocol';
-- prints: 1
SELECT replica_write('DROP TABLE IF EXISTS smoke; CREATE TABLE smoke(id INTEGER PRIMARY KEY, x)') ->> 'synced';
-- prints: 1
SELECT replica_write('INSERT INTO smoke(x) VALUES (?)', 'hello') ->> 'synced';
-- prints: hello
SELECT x FROM smoke ORDER BY id DESC LIMIT 1;
-- prints: ["hello"]
SELECT row FROM replica_query('SELECT x FROM smoke ORDER BY id DESC LIMIT 1');
-- nothing is new; prints: 0
SELECT replica_sync() ->> 'frames_synced';
-- prints: 1
SELECT replica_write('UPDATE smoke SET x = ''changed''') ->> 'rows_affected';
-- prints an error: UNIQUE constraint failed: smoke.id
SELECT replica_write('INSERT INTO smoke(id, x) VALUES (1, 0)');
-- A transaction over several requests; each prints: 1
SELECT replica_begin() IS NULL;
SELECT replica_write('INSERT INTO smoke(x) VALUES (2)') ->> 'in_transaction';
SELECT replica_write('INSERT INTO smoke(x) VALUES (3); SELECT 1') IS NOT NULL;
SELECT replica_commit() ->> 'synced';
-- prints: 3
SELECT count(*) FROM smoke;
-- A batch of more than one request; prints: 1
SELECT replica_batch('INSERT INTO smoke(x) VALUES (?)', printf('%0300d', value)) ->> 'synced' FROM generate_series(1, 5000);
-- prints: 5000
SELECT count(*) FROM smoke WHERE length(x) = 300;
-- 70 seconds of silence, as a balancer cuts them; then prints: 1
.shell sleep 70
SELECT replica_write('INSERT INTO smoke(x) VALUES (?)', 'after a pause') ->> 'synced';
-- prints: ok
PRAGMA integrity_check;
-- prints: idle|
SELECT state, last_error FROM replica_status;
-- For a report:
SELECT bytes_received, pages_written, syncs, writes FROM replica_status;
SELECT replica_debug();
