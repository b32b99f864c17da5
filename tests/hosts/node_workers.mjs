// Node with better-sqlite3 in worker threads only: story LIBRARY URL DATABASE
//
// better-sqlite3 13 brings its own SQLite in an addon, which Node unmaps when
// the last thread that uses it ends. This library stays loaded, so it has to
// keep the addon. Each step runs in a thread of its own, and crowds of threads
// come and go in between; memory is kept, so that a new mapping comes to lie
// elsewhere.
import assert from "node:assert/strict";
import { Worker, isMainThread, workerData } from "node:worker_threads";

const steps = {
  attach({ open }) {
    const db = open();
    console.log("step: load", db.prepare("SELECT replica_version()").pluck().get());
    console.log("step: attach", db.prepare("SELECT frame_no FROM replica_status").pluck().get());
    db.close();
  },
  read({ open }) {
    const db = open();
    assert.equal(db.prepare("SELECT item FROM orders WHERE id = ?").get(7).item, "lantern");
    console.log("step: read");
    db.close();
  },
  write({ open, write }) {
    const db = open();
    assert.equal(write(db, "INSERT INTO orders(item) VALUES (?)", "kite").rows_affected, 1);
    console.log("step: write");
    assert.deepEqual(write(db, "INSERT INTO orders(item) VALUES (?) RETURNING id", "drum").rows, [[9]]);
    console.log("step: returning");
    db.close();
  },
  errors({ open, write }) {
    const db = open();
    const raises = (code, body) => assert.throws(body, (error) => error.code === code);
    raises("SQLITE_CONSTRAINT_UNIQUE", () => write(db, "INSERT INTO orders(item) VALUES ('kite')"));
    console.log("step: constraint");
    raises("SQLITE_READONLY", () => db.prepare("INSERT INTO orders(item) VALUES ('stray')").run());
    console.log("step: readonly");
    db.close();
  },
  sync({ open, write }) {
    const [db, other] = [open(), open({}, "-other")];
    write(other, "INSERT INTO orders(item) VALUES (?)", "rope");
    db.prepare("SELECT replica_sync()").get();
    assert.equal(db.prepare("SELECT count(*) FROM orders WHERE item = 'rope'").pluck().get(), 1);
    console.log("step: sync");
    db.close();
    other.close();
  },
  live({ open, write }) {
    const [db, other] = [open({ live: true }), open({}, "-other")];
    const { frame_no } = write(other, "INSERT INTO orders(item) VALUES (?)", "flute");
    db.prepare("SELECT replica_wait(?, 10)").get(frame_no);
    assert.equal(db.prepare("SELECT count(*) FROM orders WHERE item = 'flute'").pluck().get(), 1);
    console.log("step: live");
    db.close();
    other.close();
  },
  // One of a crowd: a live replica that is closed, or left to the thread's end.
  passer({ open }, number) {
    const db = open({ live: number % 2 === 0, first_sync: false }, `-${number % 5}`);
    db.prepare("SELECT replica_status.state FROM replica_status").get();
    if (number % 3 > 0) db.close();
  },
};

async function inWorker({ library, url, database, step, number }) {
  const { default: Database } = await import("better-sqlite3");
  const open = (options = {}, suffix = "") => {
    const db = new Database(database + suffix);
    db.loadExtension(library);
    db.prepare("SELECT replica_attach(?, NULL, ?)").get(url, JSON.stringify(options));
    return db;
  };
  const write = (db, sql, ...args) => {
    const marks = ", ?".repeat(args.length);
    return JSON.parse(db.prepare(`SELECT replica_write(?${marks})`).pluck().get(sql, ...args));
  };
  steps[step]({ open, write }, number);
}

function run(step, number = 0) {
  const [library, url, database] = process.argv.slice(2);
  return new Promise((resolve, reject) => {
    const data = { library, url, database, step, number };
    const worker = new Worker(new URL(import.meta.url), { workerData: data });
    worker.on("error", reject);
    worker.on("exit", (code) => (code === 0 ? resolve() : reject(new Error(`exit ${code}`))));
  });
}

if (isMainThread) {
  const kept = [];
  for (const step of Object.keys(steps).filter((name) => name !== "passer")) {
    await run(step);
    for (let crowd = 0; crowd < 3; crowd++) {
      kept.push(new Uint8Array((1 + kept.length) * 700_001).fill(1));
      await Promise.all(Array.from({ length: 5 }, (_, number) => run("passer", number)));
    }
  }
} else {
  await inWorker(workerData);
}
