-- A transaction on the primary: the stock of an item moves into an order, or
-- nothing happens.
--
--   sqlite3 app.db < sql/transaction.sql
--
-- Edit the URL of your primary and the path of the library. Local reads see
-- the old state until the commit; replica_query reads inside the transaction.
-- The primary ends a transaction that is idle for 10 seconds, or open for 5
-- while another writer waits: prepare what you can before replica_begin.

.bail on
.load ./dist/replica

SELECT replica_attach('http://127.0.0.1:8080', NULL) ->> 'state';

-- One text with several statements is a transaction by itself.
SELECT replica_write('
    CREATE TABLE IF NOT EXISTS stock(item TEXT PRIMARY KEY, n INTEGER CHECK (n >= 0));
    CREATE TABLE IF NOT EXISTS reserved(id INTEGER PRIMARY KEY, item TEXT, n INTEGER);
    INSERT INTO stock VALUES (''lantern'', 10) ON CONFLICT DO UPDATE SET n = 10;
') ->> 'synced';

SELECT replica_begin('immediate');
SELECT replica_write('UPDATE stock SET n = n - :n WHERE item = :item', 3, 'lantern') ->> 'rows_affected';
SELECT replica_write('INSERT INTO reserved(item, n) VALUES (?, ?)', 'lantern', 3) ->> 'last_insert_rowid';
SELECT 'in the transaction: ' || (row ->> 0) FROM replica_query('SELECT n FROM stock WHERE item = ?', '["lantern"]');
SELECT 'here, before: ' || n FROM stock WHERE item = 'lantern';
SELECT replica_commit() ->> 'synced';

SELECT 'here, after: ' || n FROM stock WHERE item = 'lantern';
