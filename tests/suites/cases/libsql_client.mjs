// What @libsql/client promises of a file, in our own words after its test file
// client.test.ts: libsql_client.mjs FOLDER baseline|replica. All cases share one
// file, so each makes the tables that it uses anew.
import { assert, isReplica, load, newFile, syncUrl, test, thrown } from "./place.mjs";

const { createClient, LibsqlBatchError, LibsqlError } = await load("@libsql/client");
const url = `file:${newFile()}`;
const open = (more = {}) => createClient({ url, syncUrl, ...more });

const withClient = (action, more) => async () => {
  const client = open(more);
  try {
    await action(client);
  } finally {
    client.close();
  }
};
const one = (client, sql, args = []) => client.execute({ sql, args }).then(({ rows }) => rows[0][0]);
const fresh = (client, ...more) => client.batch(["DROP TABLE IF EXISTS t", "CREATE TABLE t(a)", ...more], "write");
const refused = async (action, code) => {
  const error = await thrown(action);
  assert.ok(error instanceof LibsqlError, String(error));
  if (code) assert.equal(error.code, code);
  return error;
};

// createClient()
for (const [name, config, code, words] of [
  ["a scheme that is not known", { url: "ftp://localhost" }, "URL_SCHEME_NOT_SUPPORTED", /"ftp:"/],
  ["a parameter that is not known", { url: "ws://localhost?foo=bar" }, "URL_PARAM_NOT_SUPPORTED", /"foo"/],
  ["tls beside ws:", { url: "ws://localhost?tls=1" }, "URL_INVALID", /TLS/],
  ["no tls beside wss:", { url: "wss://localhost?tls=0" }, "URL_INVALID", /TLS/],
  ["tls beside http:", { url: "http://localhost?tls=1" }, "URL_INVALID", /TLS/],
  ["no tls beside https:", { url: "https://localhost?tls=0" }, "URL_INVALID", /TLS/],
  ["libsql: without tls and port", { url: "libsql://localhost?tls=0" }, "URL_INVALID", /port/],
  ["tls that is neither", { url: "libsql://localhost?tls=yes" }, "URL_INVALID", /"tls".*"yes"/],
]) {
  test(`createClient() refuses ${name}`, async () => {
    const error = await refused(() => createClient(config), code);
    assert.match(error.message, words);
  });
}
test("createClient() refuses a text", async () => assert.match((await thrown(() => createClient("ws://localhost"))).message, /as object, got string/));
test("createClient() refuses an unknown intMode", async () => assert.match((await thrown(() => open({ intMode: "foo" }))).message, /"foo"/));
test("createClient() takes :memory:", () => createClient({ url: ":memory:" }).close());

// execute()
const shapes = [
  ["a value", "SELECT 42", [[42]], ["42"], [""]],
  ["a row", "SELECT 1 AS one, 'two' AS two, 0.5 AS three", [[1, "two", 0.5]], ["one", "two", "three"], ["", "", ""]],
  ["rows", "VALUES (1, 'one'), (2, 'two'), (3, 'three')", [[1, "one"], [2, "two"], [3, "three"]], ["column1", "column2"], ["", ""]],
];
for (const [name, sql, rows, columns, columnTypes] of shapes) {
  test(`execute() gives ${name}`, withClient(async (client) => {
    const result = await client.execute(sql);
    assert.deepEqual(result.rows.map((row) => Array.from(row)), rows);
    assert.deepEqual([result.columns, result.columnTypes], [columns, columnTypes]);
    assert.deepEqual(Object.keys(result.rows[0]), columns);
  }));
}
test("execute() of what is wrong", withClient((client) => refused(() => client.execute("SELECT foobar"))));
test("execute() takes the arguments beside the text", withClient(async (client) =>
  assert.equal((await client.execute("SELECT ?", ["beside"])).rows[0][0], "beside")));
for (const [name, sql, count] of [
  ["INSERT", "INSERT INTO t VALUES (1), (2)", 2],
  ["DELETE", "DELETE FROM t WHERE a >= 3", 3],
  ["UPDATE", "UPDATE t SET a = a + 1", 5],
  ["WITH ... INSERT", "WITH x(a) AS (SELECT 2 * a FROM t) INSERT INTO t SELECT a + 1 FROM x", 5],
]) {
  test(`rowsAffected of ${name}`, withClient(async (client) => {
    await fresh(client, "INSERT INTO t VALUES (1), (2), (3), (4), (5)");
    assert.equal((await client.execute(sql)).rowsAffected, count);
  }));
}
test("lastInsertRowid finds the row", withClient(async (client) => {
  await fresh(client, "INSERT INTO t VALUES ('one'), ('two')");
  const { lastInsertRowid } = await client.execute("INSERT INTO t VALUES ('three')");
  assert.equal(await one(client, "SELECT a FROM t WHERE rowid = ?", [lastInsertRowid]), "three");
}));
test("RETURNING gives rows", withClient(async (client) => {
  await fresh(client);
  const { columns, columnTypes, rows } = await client.execute("INSERT INTO t VALUES (1) RETURNING 42 AS x, 'foo' AS y");
  assert.deepEqual([columns, columnTypes, rows.map((row) => Array.from(row))], [["x", "y"], ["", ""], [[42, "foo"]]]);
}));
test("a database in memory of its own", async () => {
  const client = createClient({ url: ":memory:" });
  await fresh(client, "INSERT INTO t VALUES ('one')");
  const { lastInsertRowid } = await client.execute("INSERT INTO t VALUES ('two')");
  assert.equal(await one(client, "SELECT a FROM t WHERE rowid = ?", [lastInsertRowid]), "two");
  client.close();
});
// The client itself refuses these with a syncUrl.
for (const [name, memory, isShared] of [["shared", "file::memory:?cache=shared", true], ["private", "file::memory:?cache=private", false], ["default", ":memory:", false]]) {
  test(`in memory, ${name} cache, with this file's options: after a transaction the connection is another`, withClient(async (client) => {
    await client.execute("CREATE TABLE in_memory(a)");
    (await client.transaction()).close();
    if (isShared) await client.execute("SELECT * FROM in_memory");
    else await thrown(() => client.execute("SELECT * FROM in_memory"));
  }, { url: memory }));
}

// values
const bytes = Uint8Array.from({ length: 256 }, (_, at) => at ^ 0xab);
const roundtrips = [
  ["text", "boomerang", "boomerang"], ["text with control characters", "a\n\r\t ", "a\n\r\t "],
  ["text beyond ASCII", "žluťoučký kůň 😀", "žluťoučký kůň 😀"],
  ["ArrayBuffer", bytes.buffer, bytes.buffer], ["Uint8Array", bytes, bytes.buffer], ["null", null, null],
  ["true", true, 1], ["false", false, 0], ["Date", new Date("2023-01-02T12:34:56Z"), 1672662896000, "bigint"],
];
for (const intMode of ["number", "bigint", "string"]) {
  for (const number of [0, -2023, 12.345, 1e18, -1e18, Number.MAX_VALUE, -Number.MAX_VALUE, Number.MIN_VALUE]) roundtrips.push([String(number), number, number, intMode]);
  const made = { number: Number, bigint: BigInt, string: String }[intMode];
  for (const truth of [true, false]) roundtrips.push([String(truth), truth, made(truth ? 1n : 0n), intMode]);
  const safe = [0n, -42n];
  const all = [1152921504608088318n, -1152921504594532842n, 9223372036854775807n, -9223372036854775808n];
  for (const integer of intMode === "number" ? [...safe, 9007199254740991n] : [...safe, ...all]) roundtrips.push([`${integer}n`, integer, made(integer), intMode]);
}
for (const [name, given, expected, intMode] of roundtrips) {
  test(`${name} comes back, ${intMode ?? "no intMode"}`, withClient(async (client) => assert.deepEqual(await one(client, "SELECT ?", [given]), expected), { intMode }));
}
for (const [name, given, kind] of [
  ["9007199254740992n as a number", 9007199254740992n, RangeError], ["-1152921504594532842n as a number", -1152921504594532842n, RangeError],
  ["undefined", undefined, TypeError], ["NaN", NaN, RangeError], ["Infinity", Infinity, RangeError], ["an integer of 100 bits", -1267650600228229401496703205376n, RangeError],
]) {
  test(`${name} is refused`, withClient(async (client) => assert.ok((await thrown(() => one(client, "SELECT ?", [given]))) instanceof kind)));
}
for (const integer of [9223372036854775807n, -9223372036854775808n]) {
  test(`${integer} arrives whole`, withClient(async (client) => assert.equal(await one(client, "SELECT ? || ''", [integer]), String(integer))));
}

// ResultSet.toJSON()
test("toJSON() of a SELECT", withClient(async (client) => {
  const json = JSON.parse(JSON.stringify(await client.execute("SELECT 1 AS a")));
  assert.ok([null, "0"].includes(json.lastInsertRowid));
  assert.deepEqual({ ...json, lastInsertRowid: null }, { columns: ["a"], columnTypes: [""], rows: [[1]], rowsAffected: 0, lastInsertRowid: null });
}));
test("toJSON() of an INSERT", withClient(async (client) => {
  await client.batch(["DROP TABLE IF EXISTS t", "CREATE TABLE t(id INTEGER PRIMARY KEY NOT NULL)"], "write");
  assert.deepEqual((await client.execute("INSERT INTO t VALUES (12345)")).toJSON(), { columns: [], columnTypes: [], rows: [], rowsAffected: 1, lastInsertRowid: "12345" });
}));
test("toJSON() of values without a column", withClient(async (client) => {
  const json = (await client.execute("SELECT 42 AS i, 0.5 AS f, NULL AS n, 'foo' AS t, X'626172' AS b")).toJSON();
  assert.deepEqual([json.columns, json.columnTypes, json.rows], [["i", "f", "n", "t", "b"], ["", "", "", "", ""], [[42, 0.5, null, "foo", "YmFy"]]]);
}));
test("toJSON() of a table's row", withClient(async (client) => {
  await client.batch(["DROP TABLE IF EXISTS t", "CREATE TABLE t(i INTEGER, f FLOAT, t TEXT, b BLOB)"], "write");
  await client.execute("INSERT INTO t VALUES (42, 0.5, 'foo', X'626172')");
  const json = (await client.execute("SELECT i, f, t, b FROM t LIMIT 1")).toJSON();
  assert.deepEqual([json.columnTypes, json.rows], [["INTEGER", "FLOAT", "TEXT", "BLOB"], [[42, 0.5, "foo", "YmFy"]]]);
}));
test("toJSON() of a bigint", withClient(async (client) => assert.deepEqual((await client.execute("SELECT 42")).toJSON().rows, [["42"]]), { intMode: "bigint" }));

// arguments
test("? arguments", withClient(async (client) => {
  const { rows } = await client.execute({ sql: "SELECT ?, ?", args: ["one", "two"] });
  assert.deepEqual(Array.from(rows[0]), ["one", "two"]);
}));
for (const sign of [":", "@", "$"]) {
  for (const [name, tail, more] of [["arguments", "", []], ["arguments that stand twice", `, ${sign}b || ${sign}a`, ["twoone"]], ["arguments beside ?1", ", ?1", ["two"]]]) {
    test(`${sign}name ${name}`, withClient(async (client) => {
      const { rows } = await client.execute({ sql: `SELECT ${sign}b, ${sign}a${tail}`, args: { a: "one", [`${sign}b`]: "two" } });
      assert.deepEqual(Array.from(rows[0]), ["two", "one", ...more]);
    }));
  }
}

// batch()
test("batch() of reads", withClient(async (client) => {
  const results = await client.batch(["SELECT 1 + 1", { sql: "SELECT ?", args: ["boomerang"] }, { sql: "VALUES (?), (?)", args: ["big", "ben"] }, ["SELECT ?", ["pair"]]], "read");
  assert.deepEqual(results.map(({ rows }) => rows.map((row) => row[0])), [[2], ["boomerang"], ["big", "ben"], ["pair"]]);
}));
test("batch() runs in its order", withClient(async (client) => {
  const results = await client.batch(["DROP TABLE IF EXISTS t", "CREATE TABLE t(a, b)", "INSERT INTO t VALUES (1, 'one')", "SELECT * FROM t ORDER BY a",
    "INSERT INTO t VALUES (2, 'two')", "SELECT * FROM t ORDER BY a", "DROP TABLE t"], "write");
  assert.deepEqual([3, 5].map((at) => results[at].rows.map((row) => row.b)), [["one"], ["one", "two"]]);
}));
test("a hundred batches at once are a hundred transactions", withClient(async (client) => {
  await client.batch(["DROP TABLE IF EXISTS t1", "DROP TABLE IF EXISTS t2", "CREATE TABLE t1(a)", "CREATE TABLE t2(a)"], "write");
  await Promise.all(Array.from({ length: 100 }, async (_, at) => {
    const results = await client.batch([{ sql: "INSERT INTO t1 VALUES (?)", args: [at] }, { sql: "INSERT INTO t2 VALUES (?)", args: [at * 10] }, "SELECT sum(a) FROM t1", "SELECT sum(a) FROM t2"], "write");
    assert.equal(results[3].rows[0][0], results[2].rows[0][0] * 10);
  }));
  assert.equal(await one(client, "SELECT sum(a) FROM t1"), 4950);
}));
test("batch() with an error", withClient((client) => refused(() => client.batch(["SELECT 1 + 1", "SELECT foobar"], "read"))));
test("an error in batch() undoes all of it", withClient(async (client) => {
  await fresh(client, "INSERT INTO t VALUES ('one')");
  await refused(() => client.batch(["INSERT INTO t VALUES ('two')", "SELECT foobar", "INSERT INTO t VALUES ('three')"], "write"));
  assert.equal(await one(client, "SELECT count(*) FROM t"), 1);
}));
for (const place of [0, 1, 2]) {
  test(`batch() says that statement ${place} failed`, withClient(async (client) => {
    const error = await thrown(() => client.batch([0, 1, 2].map((at) => (at === place ? "SELECT invalid_column" : "SELECT 1")), "read"));
    assert.ok(error instanceof LibsqlBatchError);
    assert.deepEqual([error.name, error.statementIndex, error.code], ["LibsqlBatchError", place, "SQLITE_ERROR"]);
  }));
}
test("batch() of writes says which statement failed, and nothing remains", withClient(async (client) => {
  await client.batch(["DROP TABLE IF EXISTS t", "CREATE TABLE t(a UNIQUE)", "INSERT INTO t VALUES (1)"], "write");
  const error = await thrown(() => client.batch(["INSERT INTO t VALUES (2)", "INSERT INTO t VALUES (3)", "INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (4)"], "write"));
  assert.deepEqual([error.statementIndex, error.code, error.extendedCode], [2, "SQLITE_CONSTRAINT", "SQLITE_CONSTRAINT_UNIQUE"]);
  assert.equal(await one(client, "SELECT count(*) FROM t"), 1);
}));
test("batch() in memory says which statement failed", async () => {
  const client = createClient({ url: ":memory:" });
  await client.execute("CREATE TABLE t(a)");
  assert.equal((await thrown(() => client.batch(["INSERT INTO t VALUES (1)", "SELECT invalid_column FROM t"], "write"))).statementIndex, 1);
  client.close();
});
test("batch() of a thousand statements", withClient(async (client) => {
  const results = await client.batch(Array.from({ length: 1000 }, (_, at) => `SELECT ${at}`), "read");
  assert.ok(results.every(({ rows }, at) => rows[0][0] === at));
}));
test("batch() of the same statement four thousand times", withClient(async (client) => {
  const results = await client.batch(Array.from({ length: 4000 }, (_, at) => ({ sql: `SELECT ?, ${at % 200}`, args: [at] })), "read");
  assert.ok(results.every(({ rows }, at) => rows[0][0] === at && rows[0][1] === at % 200));
}));
test("a deferred batch()", withClient(async (client) => {
  const results = await client.batch(["SELECT 1 + 1", "DROP TABLE IF EXISTS t", "CREATE TABLE t(a)", "INSERT INTO t VALUES (21) RETURNING 2 * a"], "deferred");
  assert.deepEqual([results[0].rows[0][0], results[3].rows[0][0]], [2, 42]);
}));
test("a ROLLBACK ends a batch()", withClient(async (client) => {
  await fresh(client);
  await refused(() => client.batch(["INSERT INTO t VALUES (1)", "ROLLBACK", "INSERT INTO t VALUES (4)"], "write"), "TRANSACTION_CLOSED");
  assert.equal(await one(client, "SELECT count(*) FROM t"), 0);
}));

// transaction()
test("a transaction reads", withClient(async (client) => {
  const transaction = await client.transaction("read");
  const { columns, rows } = await transaction.execute("VALUES (1, 'one'), (2, 'two')");
  assert.deepEqual([columns.length, rows.map((row) => Array.from(row))], [2, [[1, "one"], [2, "two"]]]);
  transaction.close();
}));
for (const [how, left] of [["commit", 2], ["rollback", 0], ["close", 0]]) {
  test(`${how}() ends a transaction`, withClient(async (client) => {
    await fresh(client);
    const transaction = await client.transaction("write");
    await transaction.execute("INSERT INTO t VALUES ('one'), ('two')");
    assert.equal(transaction.closed, false);
    await transaction[how]();
    assert.equal(transaction.closed, true);
    assert.equal(await one(client, "SELECT count(*) FROM t"), left);
    await refused(() => transaction.execute("SELECT 1"), "TRANSACTION_CLOSED");
  }));
}
test("an error does not end a transaction", withClient(async (client) => {
  await fresh(client);
  const transaction = await client.transaction("write");
  await refused(() => transaction.execute("SELECT foo"));
  await transaction.execute("INSERT INTO t VALUES ('one')");
  await refused(() => transaction.execute("SELECT bar"));
  await transaction.commit();
  assert.equal(await one(client, "SELECT count(*) FROM t"), 1);
}));
for (const [name, before, statements] of [
  ["ROLLBACK", [], ["INSERT INTO t VALUES (1), (2)", "ROLLBACK"]],
  ["OR ROLLBACK", [], ["INSERT INTO t VALUES (1), (2)", "INSERT OR ROLLBACK INTO t VALUES (1)"]],
  ["OR ROLLBACK at once", ["INSERT INTO t VALUES (1), (2)"], ["INSERT OR ROLLBACK INTO t VALUES (1)"]],
]) {
  test(`${name} ends a transaction`, withClient(async (client) => {
    await client.batch(["DROP TABLE IF EXISTS t", "CREATE TABLE t(a UNIQUE)", ...before], "write");
    const transaction = await client.transaction("write");
    for (const sql of statements) await transaction.execute(sql).catch((error) => assert.equal(error.code, "SQLITE_CONSTRAINT"));
    await refused(() => transaction.execute("INSERT INTO t VALUES (4)"), "TRANSACTION_CLOSED");
    await refused(() => transaction.commit());
    transaction.close();
    assert.equal(await one(client, "SELECT count(*) FROM t"), 2 * before.length);
  }));
}
for (const how of ["commit", "rollback"]) test(`${how}() of nothing`, withClient(async (client) => (await client.transaction("read"))[how]()));
for (const [name, first] of [["first", []], ["second", ["DROP TABLE IF EXISTS t"]]]) {
  const rest = first.length ? ["CREATE TABLE t(a)"] : ["DROP TABLE IF EXISTS t", "CREATE TABLE t(a)"];
  test(`batch() as the ${name} of a transaction`, withClient(async (client) => {
    const transaction = await client.transaction("write");
    for (const sql of first) await transaction.execute(sql);
    await transaction.batch([...rest, ...[1, 2, 4].map((a) => ({ sql: "INSERT INTO t VALUES (?)", args: [a] }))]);
    assert.equal(await one(transaction, "SELECT sum(a) FROM t"), 7);
    transaction.close();
  }));
  test(`executeMultiple() as the ${name} of a transaction`, withClient(async (client) => {
    const transaction = await client.transaction("write");
    for (const sql of first) await transaction.execute(sql);
    await transaction.executeMultiple([...rest, "INSERT INTO t VALUES (1), (2), (4), (8)"].join("; "));
    assert.equal(await one(transaction, "SELECT sum(a) FROM t"), 15);
    transaction.close();
  }));
}
for (const how of ["batch", "executeMultiple"]) {
  test(`${how}() in a transaction stops at an error, and the transaction goes on`, withClient(async (client) => {
    const transaction = await client.transaction("write");
    const list = ["DROP TABLE IF EXISTS t", "CREATE TABLE t(a UNIQUE)", "INSERT INTO t VALUES (1), (2), (4)", "INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (8), (16)"];
    const error = await refused(() => transaction[how](how === "batch" ? list : list.join("; ")));
    if (how === "batch") assert.equal(error.statementIndex, 3);
    assert.equal(await one(transaction, "SELECT sum(a) FROM t"), 7);
    await transaction.commit();
  }));
}
for (const place of [0, 2]) {
  test(`batch() in a transaction says that statement ${place} failed`, withClient(async (client) => {
    const transaction = await client.transaction("read");
    const error = await thrown(() => transaction.batch([0, 1, 2, 3].map((at) => (at === place ? "SELECT invalid_column" : "SELECT 1"))));
    assert.deepEqual([error.name, error.statementIndex], ["LibsqlBatchError", place]);
    transaction.close();
  }));
}

// executeMultiple()
for (const [name, script, sum, fails] of [
  ["runs them all", "INSERT INTO t VALUES (1), (2), (4), (8)", 15, false],
  ["keeps what came before an error", "INSERT INTO t VALUES (1), (2), (4); INSERT INTO t VALUES (foo()); INSERT INTO t VALUES (8)", 7, true],
  ["may begin and commit", "BEGIN; INSERT INTO t VALUES (1), (2), (4); INSERT INTO t VALUES (8), (16); COMMIT", 31, false],
  ["undoes what an error leaves open", "INSERT INTO t VALUES (0); BEGIN; INSERT INTO t VALUES (1), (2); INSERT INTO t VALUES (foo()); COMMIT", 0, true],
]) {
  test(`executeMultiple() ${name}`, withClient(async (client) => {
    const run = () => client.executeMultiple(`DROP TABLE IF EXISTS t; CREATE TABLE t(a); ${script};`);
    await (fails ? refused(run) : run());
    assert.equal(await one(client, "SELECT sum(a) FROM t"), sum);
  }));
}

// migrate(), timeout, codes, close()
test("migrate() rebuilds a table that others point at", withClient(async (client) => {
  await client.batch(["DROP TABLE IF EXISTS child", "DROP TABLE IF EXISTS t", "CREATE TABLE t(id INTEGER PRIMARY KEY)", "CREATE TABLE child(t REFERENCES t(id) ON DELETE CASCADE)",
    "INSERT INTO t VALUES (1)", "INSERT INTO child VALUES (1)"], "write");
  await client.migrate(["CREATE TABLE new_t(id INTEGER PRIMARY KEY, x)", "INSERT INTO new_t(id) SELECT id FROM t", "DROP TABLE t", "ALTER TABLE new_t RENAME TO t"]);
  assert.equal(await one(client, "SELECT count(*) FROM child"), 1);
  await client.execute("DROP TABLE child");
}));
test("timeout is the busy timeout", async () => {
  const client = createClient({ url: `file:${newFile()}`, timeout: 5000 });
  assert.equal((await client.execute("PRAGMA busy_timeout")).rows[0].timeout, 5000);
  const transaction = await client.transaction("write");
  await transaction.execute("CREATE TABLE t(a)");
  await transaction.commit();
  assert.equal((await client.execute("PRAGMA busy_timeout")).rows[0].timeout, 5000);
  client.close();
});
test("a locked file is waited for as long as timeout says", async () => {
  const file = `file:${newFile()}`;
  const [holder, patient, hasty] = [{}, { timeout: 500 }, {}].map((more) => createClient({ url: file, ...more }));
  await holder.execute("CREATE TABLE t(a)");
  const lock = await holder.transaction("write");
  await lock.execute("INSERT INTO t VALUES (1)");
  await refused(() => hasty.execute("INSERT INTO t VALUES (2)"), "SQLITE_BUSY");
  const started = Date.now();
  await refused(() => patient.execute("INSERT INTO t VALUES (3)"), "SQLITE_BUSY");
  assert.ok(Date.now() - started >= 450);
  await lock.rollback();
  for (const client of [holder, patient, hasty]) client.close();
});
test("what is no SQL has SQLite's code", withClient(async (client) => {
  const { code, rawCode } = await refused(() => client.execute("NOT A VALID SQL"));
  assert.deepEqual([code, rawCode], ["SQLITE_ERROR", 1]);
}));
for (const [name, column, extendedCode, rawCode] of [
  ["a primary key", "id INTEGER PRIMARY KEY, x", "SQLITE_CONSTRAINT_PRIMARYKEY", 1555], ["UNIQUE", "id UNIQUE, x", "SQLITE_CONSTRAINT_UNIQUE", 2067],
  ["NOT NULL", "id, x NOT NULL", "SQLITE_CONSTRAINT_NOTNULL", 1299], ["CHECK", "id, x CHECK (id <> 1)", "SQLITE_CONSTRAINT_CHECK", 275],
]) {
  test(`${name} has its code`, withClient(async (client) => {
    await client.batch(["DROP TABLE IF EXISTS t", `CREATE TABLE t(${column})`], "write");
    const insert = () => client.execute({ sql: "INSERT INTO t VALUES (1, ?)", args: [name === "NOT NULL" ? null : "x"] });
    if (/PRIMARY|UNIQUE/.test(column)) await insert();
    const error = await refused(insert, "SQLITE_CONSTRAINT");
    // libsql 0.5 tells these apart since its plain files do.
    assert.deepEqual([error.extendedCode, error.rawCode], [extendedCode, rawCode]);
  }));
}
test("a closed client refuses", async () => {
  const client = open();
  client.close();
  await refused(() => client.execute("SELECT 1"), "CLIENT_CLOSED");
});
if (isReplica) {
  test("sync() says what it brought", withClient(async (client) => {
    const { frame_no, frames_synced } = await client.sync();
    assert.ok(frame_no > 0 && frames_synced >= 0);
  }));
}
