// A replica without a file, shared by worker threads: story LIBRARY URL NAME
//
// In Node with better-sqlite3 where that is installed, else with node:sqlite;
// in Deno with node:sqlite, in Bun with bun:sqlite.
import assert from "node:assert/strict";
import process from "node:process";
import { Worker, isMainThread, parentPort, workerData } from "node:worker_threads";

// Each of these opens `:memory:` and returns how one value is asked for.
const bindings = {
  async "bun:sqlite"() {
    const { Database } = await import("bun:sqlite");
    return (library) => {
      const db = new Database(":memory:");
      db.loadExtension(library);
      return { ask: (sql, ...args) => Object.values(db.query(sql).get(...args))[0], close: () => db.close() };
    };
  },
  async "better-sqlite3"() {
    const { default: Database } = await import("better-sqlite3");
    return (library) => {
      const db = new Database(":memory:");
      db.loadExtension(library);
      return { ask: (sql, ...args) => db.prepare(sql).pluck().get(...args), close: () => db.close() };
    };
  },
  async "node:sqlite"(name) {
    // Bun 1.3 would want to resolve a name that it can see.
    const { DatabaseSync } = await import(name);
    return (library) => {
      const db = new DatabaseSync(":memory:", { allowExtension: true });
      db.loadExtension(library);
      return { ask: (sql, ...args) => Object.values(db.prepare(sql).get(...args))[0], close: () => db.close() };
    };
  },
};

async function opener({ binding, library, url, name }) {
  const openMemory = await bindings[binding](binding);
  // All connections of the process that give the name have one replica.
  return (options = {}) => {
    const db = openMemory(library);
    db.ask("SELECT replica_attach(?, NULL, ?)", url, JSON.stringify({ share: name, ...options }));
    return db;
  };
}

const COUNT = "SELECT count(*) FROM orders";

async function inWorker(settings) {
  const db = (await opener(settings))({ first_sync: false });
  parentPort.postMessage(db.ask(COUNT));
  // Then a frame of another thread's write, which nobody here syncs.
  parentPort.on("message", (frame) => {
    db.ask("SELECT replica_wait(?, 10)", frame);
    const count = db.ask(COUNT);
    db.close();
    parentPort.postMessage(count);
  });
}

async function story(settings) {
  const open = await opener(settings);
  const write = (db, sql, ...args) =>
    JSON.parse(db.ask(`SELECT replica_write(?${", ?".repeat(args.length)})`, sql, ...args));

  const db = open({ live: true });
  const versions = `${settings.binding}, SQLite ${db.ask("SELECT sqlite_version()")}`;
  console.log("step: load", db.ask("SELECT replica_version()"), versions);
  assert.equal(db.ask("SELECT path FROM replica_status"), `file:${settings.name}?vfs=replica`);
  console.log("step: attach");
  assert.equal(db.ask("SELECT item FROM orders WHERE id = 7"), "lantern");
  console.log("step: read");
  assert.equal(write(db, "INSERT INTO orders(item) VALUES (?)", "kite").rows_affected, 1);
  assert.throws(() => db.ask("INSERT INTO orders(item) VALUES ('stray') RETURNING id"), /readonly/);
  console.log("step: write");

  const second = open({ first_sync: false });
  assert.equal(second.ask(COUNT), 2);
  console.log("step: second");

  const workers = Array.from({ length: 3 }, () => new Worker(new URL(import.meta.url), { workerData: settings }));
  const answer = (worker) =>
    new Promise((resolve, reject) => {
      worker.once("message", resolve);
      worker.once("error", reject);
    });
  for (const count of await Promise.all(workers.map(answer))) assert.equal(count, 2);
  const { frame_no } = write(second, "INSERT INTO orders(item) VALUES (?)", "drum");
  const counts = workers.map(answer);
  workers.forEach((worker) => worker.postMessage(frame_no));
  for (const count of await Promise.all(counts)) assert.equal(count, 3);
  await Promise.all(workers.map((worker) => worker.terminate()));
  console.log("step: others");

  // What somebody else writes arrives by itself.
  const response = await fetch(`${settings.url}/v2/pipeline`, {
    method: "POST",
    body: JSON.stringify({
      requests: [
        { type: "execute", stmt: { sql: "INSERT INTO orders(item) VALUES ('rope'), ('flute')" } },
        { type: "close" },
      ],
    }),
  });
  assert.equal((await response.json()).results[0].type, "ok");
  const deadline = Date.now() + 20_000;
  while (second.ask(COUNT) < 5) {
    assert.ok(Date.now() < deadline, "live brings it");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  console.log("step: live");
  db.close();
  assert.equal(second.ask(COUNT), 5);
  second.close();
}

if (isMainThread) {
  const [binding, library, url, name] = process.argv.slice(2);
  await story({ binding, library, url, name });
} else {
  await inWorker(workerData);
}
