// Node with better-sqlite3: story LIBRARY URL DATABASE
import assert from "node:assert/strict";
import Database from "better-sqlite3";

const [library, url, database] = process.argv.slice(2);

function openReplica(path, options = {}) {
  const db = new Database(path);
  db.loadExtension(library);
  db.prepare("SELECT replica_attach(?, NULL, ?)").get(url, JSON.stringify(options));
  return db;
}

// Runs one statement on the primary; it is readable here afterwards.
function write(db, sql, ...args) {
  const marks = ", ?".repeat(args.length);
  return JSON.parse(db.prepare(`SELECT replica_write(?${marks})`).pluck().get(sql, ...args));
}

let db = openReplica(database);
console.log("step: load", db.prepare("SELECT replica_version()").pluck().get());
console.log("step: attach", db.prepare("SELECT frame_no FROM replica_status").pluck().get());

assert.equal(db.prepare("SELECT item FROM orders WHERE id = ?").get(7).item, "lantern");
console.log("step: read");

assert.equal(write(db, "INSERT INTO orders(item) VALUES (?)", "kite").rows_affected, 1);
assert.deepEqual(db.prepare("SELECT * FROM orders WHERE item = ?").get("kite"), { id: 8, item: "kite" });
console.log("step: write");

assert.deepEqual(write(db, "INSERT INTO orders(item) VALUES (?) RETURNING id", "drum").rows, [[9]]);
console.log("step: returning");

assert.throws(
  () => write(db, "INSERT INTO orders(item) VALUES (?)", "kite"),
  (error) => error instanceof Database.SqliteError && error.code === "SQLITE_CONSTRAINT_UNIQUE",
);
console.log("step: constraint");

assert.throws(
  () => db.prepare("INSERT INTO orders(item) VALUES ('stray')").run(),
  (error) => error.code === "SQLITE_READONLY",
);
console.log("step: readonly");

const other = openReplica(database + "-other");
write(other, "INSERT INTO orders(item) VALUES (?)", "rope");
db.prepare("SELECT replica_sync()").get();
assert.equal(db.prepare("SELECT count(*) FROM orders WHERE item = 'rope'").pluck().get(), 1);
console.log("step: sync");

db.close();
db = openReplica(database, { live: true });
const { frame_no } = write(other, "INSERT INTO orders(item) VALUES (?)", "flute");
db.prepare("SELECT replica_wait(?, 10)").get(frame_no);
assert.equal(db.prepare("SELECT count(*) FROM orders WHERE item = 'flute'").pluck().get(), 1);
console.log("step: live");

db.close();
other.close();
