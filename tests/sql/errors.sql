-- The errors that a user can cause, with their codes.
.load $EXTENSION

-- Nothing is attached.
SELECT replica_sync();
SELECT replica_write('DELETE FROM orders');
SELECT replica_set_token('x');

-- Arguments.
SELECT replica_attach(NULL);
SELECT replica_attach(5);
SELECT replica_attach(x'00');
SELECT replica_attach('$URL', 5);
SELECT replica_attach('$URL', NULL, 5);
SELECT replica_attach('$URL', NULL, '[]');
SELECT replica_attach('$URL', NULL, '{"timeout": }');
SELECT replica_attach('$URL', NULL, '{"timeout": "long"}');
SELECT replica_attach('$URL', NULL, '{"timeout": 0}');
SELECT replica_attach('$URL', NULL, '{"live": "yes"}');
SELECT replica_attach('$URL', NULL, '{"on_reset": "never"}');
SELECT replica_attach('$URL', NULL, '{"protocol": "ftp"}');
SELECT replica_attach('$URL', 'line
break');

-- URLs.
SELECT replica_attach('');
SELECT replica_attach('127.0.0.1:8080');
SELECT replica_attach('ftp://127.0.0.1');
SELECT replica_attach('http://');
SELECT replica_attach('http://127.0.0.1:99999');
SELECT replica_attach('http://127.0.0.1?colour=red');
SELECT replica_attach('libsql://127.0.0.1?tls=maybe');

-- The network.
SELECT replica_attach('$NOBODY', NULL, '{"timeout": 1}');
SELECT replica_attach('$TOKENS');
SELECT replica_attach('$TOKENS', 'nonsense');

-- Attached.
SELECT replica_attach('$URL') ->> 'protocol';
SELECT replica_attach('$NOBODY');
SELECT replica_sync(5);
SELECT replica_sync('{"live": true}');
SELECT replica_write();
SELECT replica_write(NULL);
SELECT replica_write(5);
SELECT replica_write('');
SELECT replica_write('-- nothing');
SELECT replica_write('SELECT ?');
SELECT replica_write('SELECT 1', 2);
SELECT replica_write('SELECT 1; SELECT ?', 2);
SELECT replica_write('BEGIN');
SELECT replica_write('BEGIN; DELETE FROM orders; COMMIT');
SELECT replica_write('SELECT ?', 9e999);
SELECT replica_write('SELECT ?', CAST(x'ff' AS TEXT));

-- The primary refuses.
SELECT replica_write('INSERT INTO orders(id) VALUES (1)');
SELECT replica_write('INSERT INTO orders VALUES (1, ''lantern'')');
SELECT replica_write('INSERT INTO orders VALUES (''x'', ''y'')');
SELECT replica_write('DELETE FROM nowhere');
SELECT replica_write('DELETE');
SELECT replica_write('VACUUM');
SELECT replica_write('SELECT 1; DELETE FROM nowhere');

-- SQLite's own.
DELETE FROM orders;
SELECT replica_set_token();
SELECT count(*) FROM orders;
