-- A CSV file into a table of the primary, all rows or none.
--
--   sqlite3 app.db < sql/bulk-load.sql
--
-- Edit the URL of your primary, the path of the library, and the .import line
-- (here the script writes a small file of its own first). An error names the
-- row, and nothing is applied. For one transaction per day rather than one in
-- all, add GROUP BY day: a primary ends one that takes more than 5 seconds
-- while another writer waits for it.

.bail on
.load ./dist/replica

SELECT replica_attach('http://127.0.0.1:8080', NULL) ->> 'state';
SELECT replica_write('CREATE TABLE IF NOT EXISTS readings(day TEXT, sensor INTEGER, value REAL)') ->> 'synced';

-- A temporary table is local: the replica itself is read-only.
CREATE TEMP TABLE staging(day TEXT, sensor INTEGER, value REAL);
.mode csv
.once /tmp/replica-bulk-load.csv
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
SELECT date('2024-01-01', (i / 100) || ' days'), i % 7, i / 8.0 FROM n;
.import --schema temp /tmp/replica-bulk-load.csv staging
.mode list

SELECT replica_batch('INSERT INTO readings VALUES (?, ?, ?)', day, sensor, value) ->> 'count' FROM staging;

SELECT count(*) > 0 FROM readings;
