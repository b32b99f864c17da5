// Orders over HTTP: Fastify and better-sqlite3 on a replica.
//
//   npm install fastify better-sqlite3 ./dist/sqlite-replica-*.tgz
//   REPLICA_URL=http://127.0.0.1:8080 node fastify_app.mjs
//
// Reads are local and fast, so the event loop makes them. A write waits for the
// primary, so a worker thread makes it; its connection is live and keeps the
// file fresh. The token is taken from REPLICA_TOKEN.
import { once } from "node:events";
import { Worker, isMainThread, parentPort } from "node:worker_threads";
import Database from "better-sqlite3";
import Fastify from "fastify";
import { load } from "sqlite-replica";

function open(options) {
  const db = new Database(process.env.APP_DB ?? "app.db");
  load(db);
  db.prepare("SELECT replica_attach(NULL, NULL, ?)").get(JSON.stringify({ timeout: 5, ...options }));
  return db;
}

if (isMainThread) {
  await serve();
} else {
  const db = open({ live: true });
  const write = db.prepare("SELECT replica_write_args(?, ?)").pluck();
  parentPort.on("message", ({ id, sql, args }) => {
    try {
      parentPort.postMessage({ id, result: JSON.parse(write.get(sql, JSON.stringify(args))) });
    } catch (error) {
      parentPort.postMessage({ id, error: { message: error.message, code: error.code } });
    }
  });
  parentPort.postMessage("ready");
}

async function serve() {
  const writer = new Worker(new URL(import.meta.url));
  await once(writer, "message"); // the first sync is done
  const waiting = new Map();
  writer.on("message", ({ id, result, error }) => {
    const { resolve, reject } = waiting.get(id);
    waiting.delete(id);
    error ? reject(Object.assign(new Error(error.message), { code: error.code })) : resolve(result);
  });
  let last = 0;
  const write = (sql, ...args) =>
    new Promise((resolve, reject) => {
      waiting.set(++last, { resolve, reject });
      writer.postMessage({ id: last, sql, args });
    });

  const db = open();
  const items = db.prepare("SELECT item FROM orders ORDER BY id").pluck();
  const health = db.prepare("SELECT healthy, trouble FROM replica_health(NULL, 15)");
  const app = Fastify();
  app.get("/orders", () => items.all());
  app.post("/orders", async (request, reply) => {
    const { last_insert_rowid } = await write("INSERT INTO orders(item) VALUES (?)", request.body.item);
    return reply.code(201).send({ id: last_insert_rowid });
  });
  app.get("/health", (request, reply) => {
    const { healthy, trouble } = health.get();
    return reply.code(healthy ? 200 : 503).send({ trouble });
  });
  app.setErrorHandler((error, request, reply) => {
    const status = error.code?.startsWith("SQLITE_CONSTRAINT") ? 409 : error.code?.startsWith("SQLITE_") ? 503 : 500;
    return reply.code(status).send({ error: error.message });
  });
  process.on("SIGTERM", async () => {
    await app.close();
    await writer.terminate();
    db.close();
  });
  await app.listen({ port: Number(process.env.PORT ?? 3000), host: "127.0.0.1" });
}
