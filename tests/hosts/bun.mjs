// Bun's own bun:sqlite: story LIBRARY URL DATABASE
import assert from "node:assert/strict";
import { Database } from "bun:sqlite";

const [library, url, database] = process.argv.slice(2);

function openReplica(path, options = {}) {
  const db = new Database(path);
  db.loadExtension(library);
  db.query("SELECT replica_attach(?, NULL, ?)").get(url, JSON.stringify(options));
  return db;
}

// Runs one statement on the primary; it is readable here afterwards.
function write(db, sql, ...args) {
  const marks = ", ?".repeat(args.length);
  return JSON.parse(db.query(`SELECT replica_write(?${marks}) AS result`).get(sql, ...args).result);
}

let db = openReplica(database);
const version = db.query("SELECT replica_version() AS v").get().v;
console.log("step: load", version, "Bun", Bun.version, "SQLite", db.query("SELECT sqlite_version() AS v").get().v);
console.log("step: attach", db.query("SELECT frame_no FROM replica_status").get().frame_no);

assert.equal(db.query("SELECT item FROM orders WHERE id = ?").get(7).item, "lantern");
console.log("step: read");

assert.equal(write(db, "INSERT INTO orders(item) VALUES (?)", "kite").rows_affected, 1);
assert.equal(db.query("SELECT id FROM orders WHERE item = ?").get("kite").id, 8);
console.log("step: write");

assert.deepEqual(write(db, "INSERT INTO orders(item) VALUES (?) RETURNING id", "drum").rows, [[9]]);
console.log("step: returning");

assert.throws(
  () => write(db, "INSERT INTO orders(item) VALUES (?)", "kite"),
  (error) => error.name === "SQLiteError" && error.code === "SQLITE_CONSTRAINT_UNIQUE",
);
console.log("step: constraint");

assert.throws(() => db.run("INSERT INTO orders(item) VALUES ('stray')"), /readonly/);
console.log("step: readonly");

const other = openReplica(database + "-other");
write(other, "INSERT INTO orders(item) VALUES (?)", "rope");
db.query("SELECT replica_sync()").get();
assert.equal(db.query("SELECT count(*) AS n FROM orders WHERE item = 'rope'").get().n, 1);
console.log("step: sync");

db.close();
db = openReplica(database, { live: true });
const { frame_no } = write(other, "INSERT INTO orders(item) VALUES (?)", "flute");
db.query("SELECT replica_wait(?, 10)").get(frame_no);
assert.equal(db.query("SELECT count(*) AS n FROM orders WHERE item = 'flute'").get().n, 1);
console.log("step: live");

db.close();
other.close();
