-- Attach, read, write, sync: the tour of the README.
--
--   sqlite3 app.db < sql/quickstart.sql
--
-- Edit the URL of your primary and, where the primary wants one, put its
-- token in place of NULL. The primary needs a table orders(id, item).

.echo on
.load ./dist/replica

-- app.db becomes a replica; on a new file this does the first sync.
SELECT replica_attach('http://127.0.0.1:8080', NULL);

-- Reads are local.
SELECT * FROM orders WHERE id = 7;

-- Writes run on the primary and are readable here when they return.
SELECT replica_write('INSERT INTO orders(item) VALUES (?) RETURNING id', 'kite');
SELECT * FROM orders WHERE item = 'kite';

-- What others wrote.
SELECT replica_sync();

.mode line
SELECT * FROM replica_status;
