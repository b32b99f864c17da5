-- The session of the README.
.load $EXTENSION
SELECT replica_version();
SELECT replica_attach('$URL', NULL);
SELECT * FROM orders WHERE id = 7;
SELECT replica_write('INSERT INTO orders(item) VALUES (?) RETURNING id', 'kite');
SELECT * FROM orders WHERE item = 'kite';
SELECT replica_sync();

-- Several statements are one transaction.
SELECT replica_write('INSERT INTO orders(item) VALUES (''rope'');
  UPDATE orders SET item = upper(item) WHERE id = 7;
  SELECT count(*) AS n FROM orders');
SELECT * FROM orders;

-- Results compose with SQLite's JSON functions.
SELECT replica_write('DELETE FROM orders WHERE id > 7') ->> '$.rows_affected';

-- The file is read-only for everything else.
INSERT INTO orders(item) VALUES ('stray');
CREATE TABLE mine(x);

-- Attaching again is no error; detaching leaves a replica.
SELECT replica_attach('$URL') ->> 'frame_no';
SELECT replica_detach();
SELECT replica_detach();
SELECT * FROM orders;
SELECT count(*) FROM replica_status;
