// What the package libsql promises, in our own words after the test files sync.test.js and
// async.test.js of libsql-js: libsql_js.mjs FOLDER baseline|replica sync|promise. The
// cases await everything, which is nothing to the synchronous form. Left out are those
// that interrupt a query in the middle of a step: no binding here can do that.
import { assert, isReplica, newFile, require, syncUrl, test, thrown } from "./place.mjs";

const isPromise = process.argv[4] === "promise";
const module = require(isPromise ? "libsql/promise" : "libsql");
const { SqliteError } = module;
// libsql 0.5 has no connect().
const connect = async (path, options) => (module.connect ? module.connect(path, options) : new module(path, options));
const file = newFile();

const withUsers = (action) => async () => {
  const db = await connect(file, { syncUrl });
  try {
    await db.exec("DROP TABLE IF EXISTS users; CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT, email TEXT)");
    await db.exec("INSERT INTO users (id, name, email) VALUES (1, 'Alice', 'alice@example.org')");
    await db.exec("INSERT INTO users (id, name, email) VALUES (2, 'Bob', 'bob@example.com')");
    await action(db);
  } finally {
    if (db.open) db.close();
  }
};
const users = [{ id: 1, name: "Alice", email: "alice@example.org" }, { id: 2, name: "Bob", email: "bob@example.com" }];
const raw = users.map(Object.values);
const ALL = "SELECT * FROM users";
const rowsOf = async (iterator) => {
  const rows = [];
  for await (const row of await iterator) rows.push(row);
  return rows;
};
const plain = (value) => JSON.parse(JSON.stringify(value));

test("a database in memory says so", async () => assert.equal((await connect(":memory:")).memory, true));
test("prepare() of what is no SQL", withUsers(async (db) => {
  const error = await thrown(() => db.prepare("SYNTAX ERROR"));
  assert.ok(error instanceof SqliteError);
  assert.equal(error.message, 'near "SYNTAX": syntax error');
}));
if (!isPromise) test("run() of a SELECT changes nothing", withUsers((db) => assert.equal(db.prepare("SELECT 1").run().changes, 0)));
for (const [name, values, given] of [["positions", "?, ?", ["Carol", "carol@example.net"]], ["names", "@name, @email", { name: "Carol", email: "carol@example.net" }]]) {
  test(`run() with ${name}`, withUsers(async (db) => {
    const { changes, lastInsertRowid } = await (await db.prepare(`INSERT INTO users(name, email) VALUES (${values});`)).run(given);
    assert.deepEqual([changes, lastInsertRowid], [1, 3]);
    const select = await db.prepare("SELECT * FROM users WHERE id = 3");
    for (let times = 0; times < 2; times++) assert.deepEqual(await select.raw().get(), [3, "Carol", "carol@example.net"]);
  }));
}
test("get() without a row", withUsers(async (db) => assert.equal(await (await db.prepare(`${ALL} WHERE id = 0`)).get(), undefined)));
test("get() without arguments", withUsers(async (db) => {
  const select = await db.prepare(ALL);
  assert.equal((await select.get()).name, "Alice");
  assert.deepEqual(await select.raw().get(), raw[0]);
}));
test("get() with positions", withUsers(async (db) => {
  const select = await db.prepare(`${ALL} WHERE id = ?`);
  for (const nothing of [0, [0]]) assert.equal(await select.get(nothing), undefined);
  for (const at of [0, 1]) assert.equal((await select.get(at + 1)).name, users[at].name);
  const numbered = await db.prepare(`${ALL} WHERE id = ?1`);
  for (const [id, name] of [[0, undefined], [1, "Alice"], [2, "Bob"]]) assert.equal((await numbered.get({ 1: id }))?.name, name);
}));
for (const mark of [":", "@", "$"]) {
  test(`get() with ${mark}name`, withUsers(async (db) => {
    assert.deepEqual(await (await db.prepare(`SELECT ${mark}b, ${mark}a`)).raw().get({ a: "a", b: "b" }), ["b", "a"]);
    const select = await db.prepare(`${ALL} WHERE id = ${mark}id`);
    for (const [id, name] of [[0, undefined], [1, "Alice"], [2, "Bob"]]) assert.equal((await select.get({ id }))?.name, name);
  }));
}
test("get() raw", withUsers(async (db) => assert.deepEqual(await (await db.prepare(`${ALL} WHERE id = ?`)).raw().get(1), raw[0])));
test("iterate() over nothing", withUsers(async (db) => {
  const select = await db.prepare(`${ALL} WHERE id = 0`);
  for (const given of [[], [[]], [{}]]) assert.equal((await (await select.iterate(...given)).next()).done, true);
}));
test("iterate() over rows", withUsers(async (db) => assert.deepEqual((await rowsOf((await db.prepare(ALL)).iterate())).map((row) => row.id), [1, 2])));
test("iterate() left in the middle", withUsers(async (db) => {
  for await (const row of await (await db.prepare(ALL)).iterate()) if (row.id === 1) break;
  assert.equal((await (await db.prepare("INSERT INTO users(name) VALUES ('Carol')")).run()).changes, 1);
}));
for (const [name, sql, given] of [["iterate", `${ALL} WHERE id = ?`, [[1, 2, 3]]], ["run", "INSERT INTO users(name) VALUES (?)", [[1, 2, 3]]]]) {
  test(`${name}() refuses a list as a value`, withUsers(async (db) => {
    const statement = await db.prepare(sql);
    const error = await thrown(async () => (name === "iterate" ? rowsOf(statement.iterate(given)) : statement.run(given)));
    assert.equal(error.message, "SQLite3 can only bind numbers, strings, bigints, buffers, and null");
  }));
}
for (const [name, set, expected] of [
  ["objects", (select) => select, users], ["raw", (select) => select.raw(), raw], ["pluck", (select) => select.pluck(), [1, 2]],
  ["raw with safe integers", (select) => select.safeIntegers().raw(), raw.map(([id, ...rest]) => [BigInt(id), ...rest])],
]) {
  test(`all(): ${name}`, withUsers(async (db) => {
    const rows = await set(await db.prepare(ALL)).all();
    assert.deepEqual(name === "objects" ? plain(rows) : rows, expected);
  }));
}
test("all() with safe integers by default", withUsers(async (db) => {
  db.defaultSafeIntegers();
  assert.deepEqual((await (await db.prepare(ALL)).raw().all()).map((row) => row[0]), [1n, 2n]);
}));
test("raw() of what gives no rows", withUsers(async (db) => {
  const insert = await db.prepare("INSERT INTO users (id, name, email) VALUES (?, ?, ?)");
  assert.equal((await thrown(() => insert.raw())).message, "The raw() method is only for statements that return data");
}));
test("a Float32Array is a blob", withUsers(async (db) => {
  const array = new Float32Array([1, 2, 3]);
  await db.exec("DROP TABLE IF EXISTS t; CREATE TABLE t (value BLOB)");
  await (await db.prepare("INSERT INTO t VALUES (?)")).run([array]);
  assert.deepEqual((await (await db.prepare("SELECT value FROM t")).raw().get())[0], Buffer.from(array.buffer));
}));
if (!isPromise) {
  test("a vector index finds what is near", withUsers((db) => {
    db.exec("DROP TABLE IF EXISTS v; CREATE TABLE v (embedding FLOAT32(8)); CREATE INDEX v_idx ON v (libsql_vector_idx(embedding))");
    const insert = db.prepare("INSERT INTO v VALUES (?)");
    for (const sign of [1, -1]) insert.run([new Float32Array(8).fill(sign)]);
    const select = db.prepare("SELECT embedding FROM vector_top_k('v_idx', vector('[2,2,2,2,2,2,2,2]'), 1) n JOIN v ON n.rowid = v.rowid");
    assert.deepEqual(select.raw().get()[0], Buffer.from(new Float32Array(8).fill(1).buffer));
    db.exec("DROP TABLE v");
  }));
  test("numbers come back", withUsers((db) => {
    const select = db.prepare("SELECT ?").raw();
    for (const number of [1, Number.MIN_VALUE, Number.MAX_VALUE, Number.MAX_SAFE_INTEGER]) assert.deepEqual(select.get(number), [number]);
    assert.deepEqual(select.get(9007199254740991n), [9007199254740991]);
  }));
}
test("columns() say where they are from", withUsers(async (db) => {
  assert.deepEqual((await db.prepare("SELECT 1")).columns().map(plain), [{ name: "1", column: null, table: null, database: null, type: null }]);
  const columns = (await db.prepare(`${ALL} WHERE id = ?`)).columns();
  const own = (name, type) => ({ name, column: name, table: "users", database: "main", type });
  assert.deepEqual(columns.map(plain), [own("id", "INTEGER"), own("name", "TEXT"), own("email", "TEXT")]);
}));
for (const mode of ["default", "immediate"]) {
  test(`transaction(), ${mode}`, withUsers(async (db) => {
    const insert = await db.prepare("INSERT INTO users(name, email) VALUES (:name, :email)");
    const all = db.transaction(isPromise
      ? async (list) => { assert.equal(db.inTransaction, true); for (const user of list) await insert.run(user); }
      : (list) => { assert.equal(db.inTransaction, true); for (const user of list) insert.run(user); });
    assert.equal(db.inTransaction, false);
    await (mode === "default" ? all : all[mode])(["Joey", "Sally", "Junior"].map((name) => ({ name, email: `${name}@example.org` })));
    assert.equal(db.inTransaction, false);
    assert.deepEqual((await rowsOf((await db.prepare(`${ALL} WHERE id > 2`)).iterate())).map((row) => row.name), ["Joey", "Sally", "Junior"]);
  }));
}
test("transaction() that throws leaves nothing", withUsers(async (db) => {
  const insert = await db.prepare("INSERT INTO users(name) VALUES ('gone')");
  const fail = db.transaction(isPromise ? async () => { await insert.run(); throw new Error("no"); } : () => { insert.run(); throw new Error("no"); });
  assert.equal((await thrown(() => fail())).message, "no");
  assert.equal((await (await db.prepare(ALL)).all()).length, 2);
}));
test("pragma()", withUsers(async (db) => {
  await db.pragma("cache_size = 2000");
  assert.deepEqual((await db.pragma("cache_size")).map(plain), [{ cache_size: 2000 }]);
}));
for (const [sql, message] of [["SYNTAX ERROR", 'near "SYNTAX": syntax error'], ["SELECT * FROM missing_table", "no such table: missing_table"]]) {
  test(`exec() of ${sql}`, withUsers(async (db) => {
    const error = await thrown(() => db.exec(sql));
    assert.ok(error instanceof SqliteError);
    assert.deepEqual([error.message, error.code, error.rawCode], [message, "SQLITE_ERROR", 1]);
  }));
}
for (const how of ["prepare", "exec"]) {
  test(`${how}() after close()`, withUsers(async (db) => {
    db.close();
    const error = await thrown(() => db[how]("SELECT 1"));
    assert.ok(error instanceof TypeError);
    assert.equal(error.message, "The database connection is not open");
  }));
}
test("timeout waits for a lock", async () => {
  const path = newFile();
  const [holder, other] = [await connect(path), await connect(path, { timeout: 600 })];
  await holder.exec("CREATE TABLE t(x)");
  await holder.exec("BEGIN IMMEDIATE");
  const started = Date.now();
  const error = await thrown(() => other.exec("INSERT INTO t VALUES (1)"));
  assert.equal(error.code, "SQLITE_BUSY");
  assert.ok(Date.now() - started > 300);
  holder.close();
  other.close();
});
for (const [sql, reader] of [
  [`${ALL} WHERE id = ?`, true], ["INSERT INTO users (name, email) VALUES (?, ?)", false], ["UPDATE users SET name = ? WHERE id = ?", false], ["DELETE FROM users WHERE id = ?", false],
  ["INSERT INTO users (name, email) VALUES (?, ?) RETURNING *", true], ["UPDATE users SET name = ? WHERE id = ? RETURNING *", true], ["DELETE FROM users WHERE id = ? RETURNING *", true],
]) {
  test(`reader of ${sql} is ${reader}`, withUsers(async (db) => assert.equal((await db.prepare(sql)).reader, reader)));
}
test("batch() gives a result for each", withUsers(async (db) => {
  const results = await db.batch([{ sql: "INSERT INTO users (id, name) VALUES (?, ?)", args: [3, "Carol"] }, { sql: "UPDATE users SET email = ? WHERE id = ?", args: ["new", 1] }, "SELECT id, name FROM users ORDER BY id"]);
  assert.deepEqual(plain(results[0]), { columns: [], columnTypes: [], rows: [], rowsAffected: 1 });
  assert.equal(results[1].rowsAffected, 1);
  assert.deepEqual([results[2].columns, results[2].rowsAffected, results[2].rows.map((row) => row.name)], [["id", "name"], 0, ["Alice", "Bob", "Carol"]]);
  assert.equal(results[0].toJSON, undefined);
}));
test("batch() with names", withUsers(async (db) => assert.equal((await db.batch([{ sql: `${ALL} WHERE id = :id`, args: { id: 2 } }]))[0].rows[0].name, "Bob")));
test("batch() raw", withUsers(async (db) => assert.deepEqual((await db.batch([{ sql: `${ALL} WHERE id = ?`, args: [1] }], { raw: true }))[0].rows, [raw[0]])));
test("batch() with a mode is all or nothing", withUsers(async (db) => {
  await thrown(() => db.batch([{ sql: "INSERT INTO users (id) VALUES (?)", args: [10] }, { sql: "INSERT INTO users (id) VALUES (?)", args: [1] }], "write"));
  assert.equal((await (await db.prepare("SELECT count(*) AS c FROM users WHERE id = 10")).get()).c, 0);
}));
test("batch() of no list", withUsers(async (db) => assert.ok((await thrown(() => db.batch("SELECT 1"))) instanceof TypeError)));
if (isPromise) {
  test("a thousand writes at once on one connection", withUsers(async (db) => {
    const insert = await db.prepare("INSERT INTO users(name) VALUES (:name)");
    await Promise.all(Array.from({ length: 1000 }, () => insert.run({ name: "Alice" })));
    assert.equal((await (await db.prepare(ALL)).all()).length, 1002);
  }));
  for (const [name, values, given] of [["positions", "?, ?", ["Carol", "c@example.net"]], ["names", ":name, :email", [{ name: "Carol", email: "c@example.net" }]]]) {
    test(`Database.run() with ${name}`, withUsers(async (db) => {
      const { changes, lastInsertRowid } = await db.run(`INSERT INTO users(name, email) VALUES (${values})`, ...given);
      assert.deepEqual([changes, lastInsertRowid], [1, 3]);
      assert.equal((await db.get("SELECT name FROM users WHERE id = ?", 3)).name, "Carol");
    }));
  }
  test("Database.get() without a row", withUsers(async (db) => assert.equal(await db.get(`${ALL} WHERE id = ?`, 0), undefined)));
  test("Database.get() with names", withUsers(async (db) => assert.equal((await db.get(`${ALL} WHERE id = :id`, { id: 1 })).name, "Alice")));
  test("Database.all()", withUsers(async (db) => assert.deepEqual(plain(await db.all(ALL)), users)));
  test("Database.all() with positions", withUsers(async (db) => assert.deepEqual(plain(await db.all(`${ALL} WHERE id = ?`, 1)), [users[0]])));
  test("Database.iterate()", withUsers(async (db) => assert.deepEqual(plain(await rowsOf(db.iterate(ALL))), users)));
  test("Database.iterate() with positions", withUsers(async (db) => assert.deepEqual(plain(await rowsOf(db.iterate(`${ALL} WHERE id = ?`, 2))), [users[1]])));
}
if (isReplica) {
  test("sync() says what it brought", withUsers(async (db) => assert.ok((await db.sync()).frame_no > 0)));
}
