// The npm package in the place of the package `libsql`: libsql.mjs FOLDER BINDING.
// In the folder's node_modules are better-sqlite3, @libsql/client and drizzle-orm,
// published as they are; a folder of this run's own has the sources under test beside
// them. A process stays with one SQLite, so each binding has a run of its own.
import assert from "node:assert/strict";
import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { execFileSync, spawn } from "node:child_process";
import test from "node:test";
import { pathToFileURL } from "node:url";
import { READ_WRITE, countingWayTo, folderWith, startPrimary } from "./primary.mjs";

const root = new URL("../../", import.meta.url);
const folder = folderWith(path.resolve(process.argv[2]), ["libsql", "sqlite-replica"]);
const binding = (process.env.SQLITE_REPLICA_BINDING = process.argv[3]);
const require = createRequire(path.join(folder, "package.json"));
const Database = require("libsql");
const { connect } = require("libsql/promise");
const { createClient } = await import(pathToFileURL(require.resolve("@libsql/client")));

const primary = await startPrimary();
test.after(() => primary.stop());
let number = 0;
const newFile = () => path.join(primary.folder, `app${number++}.db`);

const open = (options = {}) => new Database(newFile(), { syncUrl: primary.url, ...options });
async function withTable(columns = "id INTEGER PRIMARY KEY, x", options) {
  const table = `t${number++}`;
  await primary.execute(`CREATE TABLE ${table}(${columns})`);
  return { db: open(options), table };
}

test("writes go to the primary and are readable here", async () => {
  const { db, table } = await withTable();
  const insert = db.prepare(`INSERT INTO ${table}(x) VALUES (?)`);
  assert.equal(insert.reader, false);
  assert.deepEqual({ ...insert.run("kite") }, { changes: 1, lastInsertRowid: 1, duration: 0 });
  assert.deepEqual({ ...insert.run(["rope"]) }, { changes: 1, lastInsertRowid: 2, duration: 0 });
  assert.deepEqual(db.prepare(`SELECT x FROM ${table} ORDER BY id`).pluck().all(), ["kite", "rope"]);
  assert.deepEqual(await primary.rows(`SELECT x FROM ${table} ORDER BY id`), [["kite"], ["rope"]]);
  db.close();
  assert.equal(db.open, false);
  assert.throws(() => db.prepare("SELECT 1"), { name: "TypeError", message: "The database connection is not open" });
});

test("every value comes back as it went, from the file and from the primary", async () => {
  const { db, table } = await withTable();
  const values = [9223372036854775807n, -9223372036854775808n, 9007199254740993n, 0.1, -1e300, "", "ä€😀", null,
    Buffer.from([]), Buffer.from([0, 255, 128])];
  const insert = db.prepare(`INSERT INTO ${table}(x) VALUES (?) RETURNING x`).raw().safeIntegers();
  assert.equal(insert.reader, true);
  for (const value of values) assert.deepEqual(insert.get(value), [value]);
  const select = db.prepare(`SELECT x FROM ${table} ORDER BY id`).pluck().safeIntegers();
  assert.deepEqual(select.all(), values);
  db.exec("BEGIN");
  assert.deepEqual(select.all(), values);
  assert.deepEqual([...select.iterate()], values);
  db.exec("ROLLBACK");
  assert.equal(typeof db.prepare(`SELECT id FROM ${table}`).pluck().get(), "number");
  db.close();
});

test("a blob has a buffer of its own", async () => {
  const { db, table } = await withTable();
  db.prepare(`INSERT INTO ${table}(x) VALUES (?)`).run(Buffer.from("secret-free"));
  const read = db.prepare(`SELECT x FROM ${table}`).pluck();
  assert.equal(read.get().buffer.byteLength, 11);
  db.exec("BEGIN");
  assert.equal(read.get().buffer.byteLength, 11);
  db.exec("COMMIT");
  db.close();
});

test("names, numbers and many arguments", async () => {
  const { db, table } = await withTable("a, b, c");
  db.prepare(`INSERT INTO ${table} VALUES (:a, @b, $c)`).run({ a: 1n, b: "b", c: null, unused: 1 });
  db.prepare(`INSERT INTO ${table} VALUES (?2, ?1, ?)`).run("one", "two", true);
  assert.throws(() => db.prepare(`INSERT INTO ${table} VALUES (:a, :b, 1)`).run({ a: 1 }), RangeError);
  assert.throws(() => db.prepare(`INSERT INTO ${table} VALUES (?, 1, 1)`).run([[1]]), TypeError);
  assert.deepEqual(await primary.rows(`SELECT * FROM ${table}`), [[1n, "b", null], ["two", "one", 1]]);
  assert.equal(db.prepare(`SELECT b FROM ${table} WHERE a = :key`).pluck().get({ key: "two" }), "one");
  assert.deepEqual(db.prepare("SELECT :b, @a, ?1").raw().get({ a: "one", b: "two" }), ["two", "one", "two"]);
  assert.equal(db.prepare(`SELECT b FROM ${table} WHERE a = ?1`).pluck().get({ 1: "two" }), "one");
  assert.throws(() => db.exec(`BEGIN; DROP TABLE IF EXISTS ${table}; CREATE TABLE ${table}(a, b, c); SELECT 1; COMMIT; SYNTAX ERROR`),
    { message: 'near "SYNTAX": syntax error' });
  const many = Array.from({ length: 600 }, (_, at) => `v'${at}`);
  const rows = Array.from({ length: 200 }, () => "(?, ?, ?)").join(", ");
  assert.equal(db.prepare(`INSERT INTO ${table} VALUES ${rows}`).run(many).changes, 200);
  assert.equal(db.prepare(`SELECT count(*) FROM ${table}`).pluck().get(), 200);
  db.close();
});

test("transactions, savepoints and what an error leaves", async () => {
  const { db, table } = await withTable("x UNIQUE");
  const insert = db.prepare(`INSERT INTO ${table} VALUES (?)`);
  const all = db.transaction((values) => values.forEach((value) => insert.run(value)));
  all(["a", "b"]);
  assert.equal(db.inTransaction, false);
  assert.throws(() => all.immediate(["c", "a"]), { code: "SQLITE_CONSTRAINT_UNIQUE", rawCode: 2067,
    message: `UNIQUE constraint failed: ${table}.x` });
  assert.equal(db.inTransaction, false);
  db.exec(`SAVEPOINT one; INSERT INTO ${table} VALUES ('d'); SAVEPOINT two; INSERT INTO ${table} VALUES ('e');
    ROLLBACK TO two; RELEASE one`);
  assert.equal(db.inTransaction, false);
  assert.throws(() => db.exec("COMMIT"), Database.SqliteError);
  const left = db.prepare(`SELECT x FROM ${table} ORDER BY x`).pluck().all();
  assert.deepEqual(left, ["a", "b", "d"]);
  assert.deepEqual(await primary.rows(`SELECT x FROM ${table} ORDER BY x`), left.map((value) => [value]));
  db.exec("BEGIN READONLY");
  assert.throws(() => insert.run("f"), { code: "SQLITE_READONLY" });
  db.exec("COMMIT");
  db.close();
});

test("scripts keep what came before an error; triggers are one statement", async () => {
  const { db, table } = await withTable();
  db.exec(`CREATE TRIGGER tr${table} AFTER INSERT ON ${table} BEGIN
    UPDATE ${table} SET x = CASE WHEN x THEN 'yes;' ELSE 'no' END WHERE id = new.id; END;
    INSERT INTO ${table}(x) VALUES (1); -- ; and a comment`);
  assert.throws(() => db.exec(`INSERT INTO ${table}(x) VALUES (0); SYNTAX ERROR; DELETE FROM ${table}`),
    { message: 'near "SYNTAX": syntax error', code: "SQLITE_ERROR" });
  assert.deepEqual(await primary.rows(`SELECT x FROM ${table} ORDER BY id`), [["yes;"], ["no"]]);
  db.exec("CREATE TEMP TABLE mine(x); INSERT INTO mine VALUES (1)");
  assert.equal(db.prepare("SELECT x FROM mine").pluck().get(), 1);
  db.close();
});

test("columns say where they come from, also of a table that only the transaction has", async () => {
  const { db, table } = await withTable("id INTEGER PRIMARY KEY, name TEXT");
  assert.deepEqual(db.prepare(`SELECT name AS n FROM ${table}`).columns(),
    [{ name: "n", column: "name", table, database: "main", type: "TEXT" }]);
  db.exec(`BEGIN; CREATE TABLE fresh${table}(q)`);
  const read = db.prepare(`SELECT q FROM fresh${table}`);
  assert.deepEqual(read.columns().map((column) => column.name), ["q"]);
  assert.deepEqual(read.all(), []);
  db.exec("ROLLBACK");
  db.exec(`CREATE INDEX ix${table} ON ${table}(name)`);
  assert.deepEqual(db.pragma(`index_list(${table})`).map((index) => index.name), [`ix${table}`]);
  db.close();
});

test("a write in the middle of an iteration is seen, and the iteration goes on", async () => {
  const { db, table } = await withTable();
  db.exec(`INSERT INTO ${table}(x) VALUES (1), (2), (3)`);
  const count = () => db.prepare(`SELECT count(*) FROM ${table}`).pluck().get();
  const rows = db.prepare(`SELECT x FROM ${table} ORDER BY id`).pluck().iterate();
  assert.equal(rows.next().value, 1);
  db.prepare(`INSERT INTO ${table}(x) VALUES (4)`).run();
  assert.equal(count(), 4);
  assert.deepEqual([...rows], [2, 3]);
  for (const x of db.prepare(`SELECT x FROM ${table}`).pluck().iterate()) if (x === 1) break;
  await primary.execute(`DELETE FROM ${table}`);
  const left = db.prepare("SELECT 1 UNION ALL SELECT 2").iterate();
  left.next();
  db.sync();
  assert.equal(count(), 0);
  db.close();
});

test("values that SQLite does not have, and a wrong number of them, are refused", async () => {
  const { db, table } = await withTable("a, b");
  for (const sql of [`INSERT INTO ${table} VALUES (?, ?)`, "SELECT ?, ?"]) {
    const statement = db.prepare(sql);
    const run = (...given) => (statement.reader ? statement.get(...given) : statement.run(...given));
    for (const wrong of [new Date(0), {}, Symbol.iterator, [1], () => 1]) assert.throws(() => run([wrong, 1]), TypeError, String(wrong));
    for (const list of [[1], [1, 2, 3], []]) assert.throws(() => run(list), `${list}`);
  }
  assert.deepEqual(await primary.rows(`SELECT * FROM ${table}`), []);
  db.close();
});

test("transactions in transactions are savepoints", async () => {
  const { db, table } = await withTable();
  const insert = db.prepare(`INSERT INTO ${table}(x) VALUES (?)`);
  const inner = db.transaction((value) => {
    insert.run(value);
    if (value === "bad") throw new Error("no");
  });
  db.transaction(() => {
    inner("one");
    assert.throws(() => inner("bad"), { message: "no" });
    inner("two");
  })();
  assert.equal(db.inTransaction, false);
  assert.deepEqual(await primary.rows(`SELECT x FROM ${table} ORDER BY id`), [["one"], ["two"]]);
  db.close();
});

test("a write takes the requests of replica_write, and a script or a batch no more", async () => {
  const { db: bare, table } = await withTable();
  bare.close();
  const way = await countingWayTo(primary.url);
  // A program of its own, as a call blocks this thread and with it the way.
  const once = async (action) => {
    const options = JSON.stringify({ syncUrl: way.url });
    writeFileSync(path.join(folder, "counted.cjs"), `const Database = require("libsql"); const db = new Database(${JSON.stringify(newFile())}, ${options}); ${action}; db.close();`);
    const before = way.count;
    await new Promise((ended) => spawn(process.execPath, ["counted.cjs"], { cwd: folder, stdio: "inherit" }).on("exit", ended));
    return way.count - before;
  };
  // The least of some: a pull that comes before the primary's log has the write is made again.
  const counted = async (action) => {
    const counts = [];
    for (let times = 0; times < 3; times++) counts.push(await once(action));
    return Math.min(...counts);
  };
  const nothing = await counted("0");
  const write = (await counted(`db.native.prepare("SELECT replica_write('INSERT INTO ${table}(x) VALUES (1)')").get()`)) - nothing;
  assert.ok(write > 0);
  for (const action of [
    `db.prepare("INSERT INTO ${table}(x) VALUES (?)").run(1)`,
    `db.exec("INSERT INTO ${table}(x) VALUES (1); BEGIN; INSERT INTO ${table}(x) VALUES (2); COMMIT; DELETE FROM ${table}")`,
    `db.batch(["INSERT INTO ${table}(x) VALUES (1)", { sql: "INSERT INTO ${table}(x) VALUES (?)", args: [2] }], "write")`,
  ]) {
    assert.equal((await counted(action)) - nothing, write, action);
  }
  assert.equal(await counted(`db.prepare("SELECT count(*) FROM ${table}").get()`), nothing);
  way.stop();
});

test("reads need no primary", async () => {
  const gone = await startPrimary();
  const file = newFile();
  new Database(file, { syncUrl: gone.url }).close();
  gone.stop();
  const db = new Database(file, { syncUrl: gone.url, replica: { timeout: 1 } });
  assert.equal(db.prepare("SELECT 1 AS one").get().one, 1);
  assert.throws(() => db.exec("CREATE TABLE unreachable(x)"), { code: "SQLITE_CANTOPEN" });
  db.close();
});

test("a read of what only the primary has asks the primary", async () => {
  const { db, table } = await withTable();
  await primary.execute(`CREATE TABLE later${table}(x); INSERT INTO later${table} VALUES (1)`);
  assert.deepEqual(db.prepare(`SELECT x FROM later${table}`).all(), [{ x: 1 }]);
  assert.deepEqual(db.prepare("SELECT vector_extract(vector('[1,2]'))").pluck().all(), ["[1,2]"]);
  assert.throws(() => db.prepare("SELECT * FROM missing").all(), { message: "no such table: missing", code: "SQLITE_ERROR" });
  db.exec(`CREATE UNIQUE INDEX u${table} ON ${table}(x); BEGIN; INSERT INTO ${table}(x) VALUES (1)`);
  assert.throws(() => db.exec(`INSERT OR ROLLBACK INTO ${table}(x) VALUES (1)`), { code: "SQLITE_CONSTRAINT_UNIQUE" });
  assert.equal(db.inTransaction, false);
  db.close();
});

test("without syncUrl it is an ordinary database", () => {
  const db = new Database(":memory:", {});
  assert.equal(db.memory, true);
  db.exec("CREATE TABLE t(x)");
  db.transaction(() => db.prepare("INSERT INTO t VALUES (?)").run(5))();
  assert.deepEqual(db.prepare("SELECT x FROM t").all(), [{ x: 5 }]);
  assert.throws(() => db.sync(), { code: "SQLITE_MISUSE" });
  db.close();
});

test("the promise form", async () => {
  const db = await connect(newFile(), { syncUrl: primary.url });
  await db.exec("CREATE TABLE promised(x)");
  const results = await db.batch([{ sql: "INSERT INTO promised VALUES (?), (2)", args: [1] }, "SELECT x FROM promised"], "write");
  assert.deepEqual(results.map((result) => [result.rowsAffected, result.rows]), [[2, []], [0, [{ x: 1 }, { x: 2 }]]]);
  await assert.rejects(db.transaction(async () => {
    await db.run("DELETE FROM promised");
    throw new Error("no");
  })());
  const seen = [];
  for await (const row of await db.iterate("SELECT x FROM promised")) seen.push(row.x);
  assert.deepEqual(seen, [1, 2]);
  assert.deepEqual(await primary.rows("SELECT x FROM promised"), [[1], [2n]]);
  db.close();
});

test("sync brings what others wrote", async () => {
  const db = new Database(newFile(), { syncUrl: primary.url });
  await primary.execute("CREATE TABLE others(x); INSERT INTO others VALUES (1)");
  const { frames_synced, frame_no } = db.sync();
  assert.ok(frames_synced > 0 && frame_no > 0);
  assert.deepEqual(db.syncUntil(frame_no), { frame_no });
  assert.equal(db.prepare("SELECT x FROM others").pluck().get(), 1);
  db.close();
});

test("interrupt() ends what iterators have left, and a time for a query is refused", async () => {
  const { db, table } = await withTable();
  const insert = db.prepare(`INSERT INTO ${table}(x) VALUES (?)`);
  for (const value of [1, 2, 3]) insert.run(value);
  const interrupted = { name: "SqliteError", code: "SQLITE_INTERRUPT", message: "interrupted" };
  for (const begin of ["", "BEGIN"]) {
    if (begin) db.exec(begin);
    const select = db.prepare(`SELECT x FROM ${table} ORDER BY id`).pluck();
    const [mine, others] = [select.iterate(), db.prepare(`SELECT id FROM ${table}`).pluck().iterate()];
    assert.deepEqual([mine.next().value, others.next().value], [1, 1]);
    select.interrupt();
    assert.throws(() => mine.next(), interrupted);
    assert.deepEqual(mine.next(), { done: true, value: undefined });
    assert.equal(others.next().value, 2);
    db.interrupt();
    assert.throws(() => [...others], interrupted);
    db.interrupt();
    assert.deepEqual(select.all(), [1, 2, 3]);
  }
  db.exec("COMMIT");
  const refused = { code: "SQLITE_MISUSE", message: /^queryTimeout: .*; leave it out/ };
  const select = db.prepare(`SELECT x FROM ${table} WHERE id = ?`).pluck();
  for (const method of ["run", "get", "all", "iterate"]) assert.throws(() => select[method](1, { queryTimeout: 5 }), refused);
  assert.throws(() => db.exec("SELECT 1", { queryTimeout: 5 }), refused);
  assert.throws(() => open({ defaultQueryTimeout: 5 }), refused);
  assert.throws(() => new Database(":memory:", { defaultQueryTimeout: 5 }), refused);
  assert.equal(select.get(1, { queryTimeout: 0 }), 1);
  assert.equal(db.prepare("SELECT :queryTimeout").pluck().get({ queryTimeout: 5 }), 5);
  db.close();
  const later = await connect(newFile(), { syncUrl: primary.url });
  await assert.rejects(later.all(`SELECT x FROM ${table}`, { queryTimeout: 5 }), refused);
  const rows = await later.iterate(`SELECT x FROM ${table}`);
  later.interrupt();
  assert.throws(() => rows.next(), interrupted);
  later.close();
});

test("values at the edge go as they are or are refused, one by one and in a batch", async () => {
  const { db, table } = await withTable();
  const insert = `INSERT INTO ${table}(x) VALUES (?)`;
  const empty = Buffer.alloc(0);
  // node:sqlite makes a NULL of an empty buffer that it has seen before.
  const given = [Infinity, -Infinity, NaN, undefined, 2n ** 63n - 1n, "half \ud83d", "a\0b", empty, empty];
  const kinds = [[Infinity, "real"], [-Infinity, "real"], [null, "null"], [null, "null"], [2n ** 63n - 1n, "integer"],
    ["half \ufffd", "text"], ["a\0b", "text"], [empty, "blob"], [empty, "blob"]];
  for (const value of given) db.prepare(insert).run(value);
  for (const value of given) db.batch([{ sql: insert, args: [value] }, { sql: `${insert} RETURNING x`, args: [value] }], "write");
  // What node:sqlite reads of a text ends at its first NUL.
  const select = db.prepare(`SELECT CASE WHEN instr(x, char(0)) THEN hex(x) ELSE x END, typeof(x) FROM ${table} ORDER BY id`).raw().safeIntegers();
  const expected = kinds.map(([value, kind]) => [value === "a\0b" ? "610062" : value, kind]);
  assert.deepEqual(select.all(), [...expected, ...expected.flatMap((each) => [each, each])]);
  const before = await primary.rows(`SELECT count(*) FROM ${table}`);
  for (const value of [2n ** 63n, -(2n ** 63n) - 1n, Symbol("s"), () => 1, new Map(), new Date(0)]) {
    assert.throws(() => db.prepare(insert).run(value), /too (?:big|large)|can only bind/);
    assert.throws(() => db.batch([{ sql: insert, args: [1] }, { sql: insert, args: [value] }], "write"), /too big|can only bind/);
    assert.throws(() => db.prepare(`SELECT ${"?,".repeat(200)}?`).all(...Array(200).fill(1), value), /too (?:big|large)|can only bind/);
  }
  assert.deepEqual(await primary.rows(`SELECT count(*) FROM ${table}`), before);
  db.prepare(`\ufeff${insert}`).run(1);
  db.exec(`\ufeff${insert.replace("?", "2")}; ${insert.replace("?", "3")}`);
  const limited = `DELETE FROM ${table} WHERE x < ? RETURNING x ORDER BY x DESC LIMIT ?`;
  if (binding === "better-sqlite3") {
    // node:sqlite was built without it.
    db.batch([{ sql: limited, args: [3, 1] }, { sql: insert, args: [2] }], "write");
    db.exec(`${insert.replace("?", "7")}; DELETE FROM ${table} WHERE x = 7 ORDER BY id LIMIT 1`);
    assert.deepEqual(db.prepare(limited).raw().all(4, 1), [[3]]);
    db.prepare(insert).run(3);
  }
  for (const nothing of ["", " ; ", "-- nothing"]) {
    assert.equal(db.exec(nothing), db);
    assert.throws(() => db.prepare(nothing), { name: "RangeError", message: "The supplied SQL string contains no statements" });
  }
  const late = db.transaction(async () => void db.prepare(insert).run("late"));
  assert.throws(() => late(), { name: "TypeError", message: "Transaction function cannot return a promise" });
  assert.deepEqual(await primary.rows(`SELECT count(*) FROM ${table}`), [[before[0][0] + 3n]]);
  assert.throws(() => open({ fileMustExist: true }), { code: "SQLITE_CANTOPEN" });
  db.close();
});

test("offline: a write that finds no primary is queued, and a sync delivers it once", async () => {
  const away = await startPrimary();
  try {
    await away.execute("CREATE TABLE o(id INTEGER PRIMARY KEY, x UNIQUE)");
    const file = newFile();
    const url = { url: `file:${file}`, syncUrl: away.url };
    const insert = (client, value) => client.execute({ sql: "INSERT INTO o(x) VALUES (?) RETURNING id", args: [value] });
    const client = createClient({ ...url, offline: true });
    assert.deepEqual((await insert(client, "there")).rows.map((row) => row.id), [1]);
    await away.leave();
    const { rows, rowsAffected } = await insert(client, "queued");
    assert.deepEqual([rows, rowsAffected], [[], 0]);
    await client.executeMultiple("INSERT INTO o(x) VALUES ('a script'); UPDATE o SET x = x || '!' WHERE x = 'queued'");
    // What is all or nothing needs the primary, and without the option every write does.
    await assert.rejects(client.batch(["INSERT INTO o(x) VALUES ('batch')"], "write"), { code: "SQLITE_CANTOPEN" });
    const other = createClient(url);
    await assert.rejects(insert(other, "refused"), { code: "SQLITE_CANTOPEN" });
    other.close();
    assert.deepEqual((await client.execute("SELECT x FROM o")).rows.map(({ x }) => x), ["there"]);
    client.close();
    // Another process, and the network is still away.
    const later = new Database(file, { syncUrl: away.url, offline: true });
    assert.equal(later.prepare("SELECT count(*) FROM replica_outbox WHERE state = 'pending'").pluck().get(), 3);
    await away.comeBack();
    later.sync();
    // A transaction whose primary goes away is over when it is rolled back.
    later.exec("BEGIN; INSERT INTO o(x) VALUES ('too late')");
    await away.leave();
    assert.throws(() => later.exec("COMMIT"), { code: "SQLITE_CANTOPEN" });
    assert.equal(later.inTransaction, true);
    later.exec("ROLLBACK");
    assert.equal(later.inTransaction, false);
    await away.comeBack();
    later.transaction(() => later.exec("UPDATE o SET x = 'a script' WHERE x = 'a script'"))();
    const expected = [["there"], ["queued!"], ["a script"]];
    assert.deepEqual(await away.rows("SELECT x FROM o ORDER BY id"), expected);
    assert.deepEqual(later.prepare("SELECT x FROM o ORDER BY id").raw().all(), expected);
    later.close();
  } finally {
    away.stop();
  }
});

test("a database in memory is a replica too", async () => {
  const table = `t${number++}`;
  await primary.execute(`CREATE TABLE ${table}(id INTEGER PRIMARY KEY, x); INSERT INTO ${table}(x) VALUES ('before')`);
  for (const name of [":memory:", "file::memory:?cache=shared", ""]) {
    const db = new Database(name, { syncUrl: primary.url });
    assert.equal(db.memory, true);
    const select = db.prepare(`SELECT x FROM ${table} ORDER BY id`).pluck();
    const before = select.all();
    db.exec("BEGIN");
    db.prepare(`INSERT INTO ${table}(x) VALUES (?)`).run(name);
    assert.deepEqual(select.all(), [...before, name]);
    db.exec("COMMIT");
    await primary.execute(`INSERT INTO ${table}(x) VALUES ('theirs')`);
    assert.ok(db.sync().frames_synced > 0);
    assert.deepEqual(select.all(), (await primary.rows(`SELECT x FROM ${table} ORDER BY id`)).map(([x]) => x));
    assert.deepEqual(select.all().slice(-2), [name, "theirs"]);
    db.close();
  }
  assert.throws(() => createClient({ url: ":memory:", syncUrl: primary.url }), { code: "URL_INVALID" });
  const [client, second] = [0, 1].map(() => createClient({ url: "file::memory:app", syncUrl: primary.url }));
  await client.execute(`INSERT INTO ${table}(x) VALUES ('client')`);
  // After a transaction the client opens another connection, which shares what is there under the name.
  const transaction = await client.transaction("write");
  await transaction.execute(`DELETE FROM ${table} WHERE x = 'client'`);
  await transaction.commit();
  for (const each of [client, second]) assert.equal((await each.execute(`SELECT count(*) AS n FROM ${table}`)).rows[0].n, 7);
  assert.deepEqual(readdirSync(".").filter((name) => name.includes("memory")), []);
  for (const each of [client, second]) each.close();
  const later = await connect(":memory:", { syncUrl: primary.url });
  assert.equal((await later.get(`SELECT count(*) AS n FROM ${table}`)).n, 7);
  later.close();
});

test("the code of the documentation, with a real token", async () => {
  const guarded = await startPrimary({ token: READ_WRITE });
  try {
    await guarded.execute("CREATE TABLE orders(id INTEGER PRIMARY KEY, item TEXT); INSERT INTO orders VALUES (7, 'lantern')");
    const page = readFileSync(new URL("docs/from-libsql-client.md", root), "utf8");
    const block = page.split("```js\n").map((part) => part.split("```")[0]).find((part) => part.startsWith("import { createClient }"));
    const url = guarded.url.replace("http://", "libsql://") + "?tls=0";
    const program = block.replace('"libsql://..."', JSON.stringify(url)).replace('authToken: "..."', `authToken: "${READ_WRITE}"`);
    assert.ok(program.includes(url) && program.includes(READ_WRITE));
    mkdirSync(path.join(folder, "program"), { recursive: true });
    writeFileSync(path.join(folder, "program", "main.mjs"),
      `${program}\nconst { rows } = await client.execute("SELECT item FROM orders");
      await client.execute({ sql: "INSERT INTO orders(item) VALUES (?)", args: ["kite"] });
      console.log(rows[0].item, (await client.execute("SELECT count(*) AS n FROM orders")).rows[0].n);`);
    for (const name of ["replica.db", "replica.db-wal", "replica.db-shm", "replica.db-replica"]) {
      rmSync(path.join(folder, "program", name), { force: true });
    }
    const output = execFileSync(process.execPath, ["main.mjs"], { cwd: path.join(folder, "program"), encoding: "utf8" });
    assert.equal(output.trim(), "lantern 2");
    assert.deepEqual(await guarded.rows("SELECT item FROM orders ORDER BY id"), [["lantern"], ["kite"]]);
  } finally {
    guarded.stop();
  }
});

test("@libsql/client: batch, transactions, migrate and errors", async () => {
  const client = createClient({ url: `file:${newFile()}`, syncUrl: primary.url, intMode: "bigint" });
  await client.executeMultiple("CREATE TABLE c(id INTEGER PRIMARY KEY, x UNIQUE); INSERT INTO c(x) VALUES (9007199254740993)");
  const { rows } = await client.execute("SELECT x FROM c");
  assert.equal(rows[0].x, 9007199254740993n);
  const [inserted] = await client.batch([{ sql: "INSERT INTO c(x) VALUES (:v)", args: { v: "two" } }], "write");
  assert.deepEqual([inserted.rowsAffected, inserted.lastInsertRowid], [1, 2n]);
  const failed = client.batch(["INSERT INTO c(x) VALUES ('three')", "INSERT INTO c(x) VALUES ('two')"], "write");
  await assert.rejects(failed, { code: "SQLITE_CONSTRAINT", extendedCode: "SQLITE_CONSTRAINT_UNIQUE", rawCode: 2067, statementIndex: 1 });
  await primary.execute("CREATE TABLE d(c INTEGER REFERENCES c(id) ON DELETE CASCADE); INSERT INTO d VALUES (1), (2)");
  await client.migrate(["CREATE TABLE new_c(id INTEGER PRIMARY KEY, x UNIQUE, y)", "INSERT INTO new_c(id, x) SELECT id, x FROM c",
    "DROP TABLE c", "ALTER TABLE new_c RENAME TO c"]);
  assert.deepEqual(await primary.rows("SELECT count(*) FROM d"), [[2n]]);
  await assert.rejects(client.execute("INSERT INTO d VALUES (77)"), { extendedCode: "SQLITE_CONSTRAINT_FOREIGNKEY" });
  const keys = new Database(newFile(), { syncUrl: primary.url });
  keys.exec("PRAGMA foreign_keys = ON; BEGIN; PRAGMA foreign_keys = OFF");
  assert.equal(keys.pragma("foreign_keys", { simple: true }), 1);
  keys.close();
  const transaction = await client.transaction("write");
  await transaction.execute("INSERT INTO c(x) VALUES ('four')");
  assert.equal((await transaction.execute("SELECT count(*) AS n FROM c")).rows[0].n, 3n);
  await transaction.rollback();
  assert.equal(transaction.closed, true);
  const reading = await client.transaction("read");
  assert.equal((await reading.execute("SELECT count(*) AS n FROM c")).rows[0].n, 2n);
  await assert.rejects(reading.execute("DELETE FROM c"));
  reading.close();
  assert.deepEqual(await primary.rows("SELECT count(*) FROM c"), [[2n]]);
  client.close();
});

test("drizzle-orm's libsql driver", async () => {
  const { drizzle } = await import(pathToFileURL(require.resolve("drizzle-orm/libsql")));
  const { blob, integer, sqliteTable, text } = await import(pathToFileURL(require.resolve("drizzle-orm/sqlite-core")));
  const { eq } = await import(pathToFileURL(require.resolve("drizzle-orm")));
  const notes = sqliteTable("notes", { id: integer().primaryKey(), title: text().notNull(), at: integer({ mode: "timestamp" }), data: blob() });
  await primary.execute("CREATE TABLE notes(id INTEGER PRIMARY KEY, title TEXT NOT NULL, at INTEGER, data BLOB)");
  const client = createClient({ url: `file:${newFile()}`, syncUrl: primary.url });
  const db = drizzle({ client });
  const at = new Date(1700000000000);
  const [made] = await db.insert(notes).values({ title: "a", at, data: Buffer.from("bytes") }).returning();
  assert.deepEqual([made.id, made.title, made.at], [1, "a", at]);
  await db.transaction(async (inner) => {
    await inner.insert(notes).values(Array.from({ length: 100 }, (_, n) => ({ title: `n${n}` })));
    await inner.update(notes).set({ title: "z" }).where(eq(notes.id, 1));
  });
  assert.equal((await db.select().from(notes).where(eq(notes.id, 1)))[0].title, "z");
  assert.deepEqual(await primary.rows("SELECT count(*), max(title) FROM notes"), [[101n, "z"]]);
  client.close();
});

test("drizzle-orm's migrations", async () => {
  const { drizzle } = await import(pathToFileURL(require.resolve("drizzle-orm/libsql")));
  const { migrate } = await import(pathToFileURL(require.resolve("drizzle-orm/libsql/migrator")));
  const migrationsFolder = path.join(primary.folder, "drizzle");
  mkdirSync(path.join(migrationsFolder, "meta"), { recursive: true });
  const step = (idx, tag, sql) => {
    writeFileSync(path.join(migrationsFolder, `${tag}.sql`), sql);
    return { idx, version: "6", when: idx + 1, tag, breakpoints: true };
  };
  const entries = [step(0, "0000_one", "CREATE TABLE `dp`(`id` integer PRIMARY KEY, `n` text);\n--> statement-breakpoint\nCREATE TABLE `dc`(`p` integer REFERENCES `dp`(`id`) ON DELETE CASCADE);")];
  const journal = () => writeFileSync(path.join(migrationsFolder, "meta", "_journal.json"), JSON.stringify({ version: "7", dialect: "sqlite", entries }));
  journal();
  const client = createClient({ url: `file:${newFile()}`, syncUrl: primary.url });
  const db = drizzle({ client });
  await migrate(db, { migrationsFolder });
  await client.batch(["INSERT INTO dp VALUES (1, 'a')", "INSERT INTO dc VALUES (1)"], "write");
  entries.push(step(1, "0001_two", ["PRAGMA foreign_keys=OFF", "CREATE TABLE `__new_dp`(`id` integer PRIMARY KEY, `n` text NOT NULL)", "INSERT INTO `__new_dp` SELECT `id`, `n` FROM `dp`",
    "DROP TABLE `dp`", "ALTER TABLE `__new_dp` RENAME TO `dp`", "PRAGMA foreign_keys=ON"].join(";--> statement-breakpoint\n")));
  journal();
  await migrate(db, { migrationsFolder });
  await migrate(db, { migrationsFolder });
  assert.deepEqual(await primary.rows("SELECT (SELECT count(*) FROM dp), (SELECT count(*) FROM dc), (SELECT count(*) FROM __drizzle_migrations)"), [[1n, 1n, 2n]]);
  await assert.rejects(client.execute("INSERT INTO dp VALUES (2, NULL)"), { extendedCode: "SQLITE_CONSTRAINT_NOTNULL" });
  client.close();
});

test("bundled and packed: the library's place, or a sentence that says what to do", () => {
  const esbuild = path.join(folder, "node_modules", "esbuild", "bin", "esbuild");
  const work = path.join(primary.folder, "bundle");
  mkdirSync(path.join(work, "app.asar.unpacked"), { recursive: true });
  writeFileSync(path.join(folder, "bundle.mjs"), 'import { getLoadablePath } from "sqlite-replica"; console.log(getLoadablePath());');
  const environment = { ...process.env };
  delete environment.SQLITE_REPLICA_PATH;
  const run = (file) => execFileSync(process.execPath, [file], { env: environment, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }).trim();
  for (const format of ["esm", "cjs"]) {
    const file = path.join(work, format === "esm" ? "out.mjs" : "out.cjs");
    execFileSync(esbuild, ["bundle.mjs", "--bundle", "--platform=node", `--format=${format}`, `--outfile=${file}`, "--log-level=error"], { cwd: folder });
    assert.throws(() => run(file), /is not in .*mark sqlite-replica as external/);
    writeFileSync(path.join(work, "replica.so"), "");
    assert.equal(run(file), path.join(work, "replica.so"));
    rmSync(path.join(work, "replica.so"));
  }
  const packed = path.join(work, "app.asar", "node_modules", "sqlite-replica");
  cpSync(new URL("packages/npm", root), packed, { recursive: true });
  writeFileSync(path.join(packed, "replica.so"), "");
  const unpacked = packed.replace("app.asar", "app.asar.unpacked");
  mkdirSync(unpacked, { recursive: true });
  writeFileSync(path.join(unpacked, "replica.so"), "");
  writeFileSync(path.join(packed, "say.cjs"), 'console.log(require("./index.cjs").getLoadablePath())');
  assert.equal(run(path.join(packed, "say.cjs")), path.join(unpacked, "replica.so"));
});

test("the types are those of the package", () => {
  const typescript = path.join(folder, "node_modules", "typescript", "bin", "tsc");
  writeFileSync(path.join(folder, "types.mts"), `
    import Database, { load, getLoadablePath, SqliteError, type Options } from "sqlite-replica";
    import { connect } from "sqlite-replica/promise";
    const options: Options = { syncUrl: "http://x", binding: "node:sqlite", replica: { live: true } };
    const db = new Database("app.db", options);
    const changes: number = db.prepare("INSERT INTO t VALUES (?)").run(5n).changes;
    const frame: number | undefined = db.sync().frame_no;
    const twice = db.transaction((n: number) => n * 2).immediate(2) + changes + (frame ?? 0);
    load(db); getLoadablePath().length; twice.toFixed();
    connect("app.db").then(async (other) => (await other.get("SELECT ?", 1)) instanceof SqliteError);
    // @ts-expect-error: a misspelt option
    new Database("app.db", { syncurl: "x" });
  `);
  execFileSync(process.execPath, [typescript, "--noEmit", "--strict", "--module", "nodenext", "--target", "es2022", "--typeRoots", "none", "types.mts"], { cwd: folder, stdio: "inherit" });
});
