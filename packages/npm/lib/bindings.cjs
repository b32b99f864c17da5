// better-sqlite3 and node:sqlite behind one shape: open, prepare, exec, close.
// Statements of better-sqlite3 are used as they are; node:sqlite's get its ways.
"use strict";

const { SqliteError } = require("./error.cjs");
const { builtin } = require("./library.cjs");
const { parameters } = require("./sql.cjs");

function betterSqlite3() {
  // Not a literal, so that bundlers leave it to Node.
  const name = "better-sqlite3";
  const Native = require(name);
  return (path, { timeout, readonly = false, fileMustExist = false }) => new Native(path, { timeout, readonly, fileMustExist });
}

function nodeSqlite() {
  const { DatabaseSync } = builtin("node:sqlite");
  const { existsSync } = builtin("node:fs");
  return (path, { timeout, readonly = false, fileMustExist = false }) => {
    if (fileMustExist && !existsSync(path)) throw new SqliteError("unable to open database file", "SQLITE_CANTOPEN");
    const native = new DatabaseSync(path, { allowExtension: true, readOnly: readonly, timeout });
    return new OfNode(native);
  };
}

class OfNode {
  constructor(native) {
    this.native = native;
    this.open = true;
  }
  get inTransaction() {
    return this.native.isTransaction;
  }
  prepare(sql) {
    const native = this.native.prepare(sql);
    try {
      return new StatementOfNode(native, sql);
    } catch (error) {
      // Its way to say that there was nothing to prepare.
      throw error.code === "ERR_INVALID_STATE" ? new RangeError("The supplied SQL string contains no statements") : error;
    }
  }
  exec(sql) {
    this.native.exec(sql);
  }
  loadExtension(path) {
    this.native.loadExtension(path);
  }
  function(name, options, action) {
    this.native.function(name, options, action);
  }
  close() {
    if (this.open) this.native.close();
    this.open = false;
  }
}

// Of an empty buffer node:sqlite mostly makes a NULL, but not of no bytes of a longer one.
const EMPTY = new Uint8Array(new ArrayBuffer(1), 0, 0);
const isEmptyView = (value) => ArrayBuffer.isView(value) && value.byteLength === 0;
const owned = (value) => (value instanceof Uint8Array ? Buffer.from(value.buffer) : value);

// A statement of node:sqlite with the modes of better-sqlite3's.
class StatementOfNode {
  constructor(native, sql) {
    this.native = native;
    // In node:sqlite a column's own name is `column`, its name in the result `name`, as in better-sqlite3.
    this.reader = native.columns().length > 0;
    this.wanted = parameters(sql).length;
    this.isRaw = this.isPluck = false;
  }
  raw(on = true) {
    this.isRaw = on;
    if (on) this.isPluck = false;
    this.native.setReturnArrays(this.isRaw || this.isPluck);
    return this;
  }
  pluck(on = true) {
    this.isPluck = on;
    if (on) this.isRaw = false;
    this.native.setReturnArrays(this.isRaw || this.isPluck);
    return this;
  }
  safeIntegers(on = true) {
    this.native.setReadBigInts(on);
    return this;
  }
  columns() {
    return this.native.columns().map(({ name, column, table, database, type }) => ({ name, column, table, database, type }));
  }
  shape(row) {
    if (row === undefined) return undefined;
    if (this.isPluck) return owned(row[0]);
    if (this.isRaw) return row.map(owned);
    const plain = {};
    for (const key in row) plain[key] = owned(row[key]);
    return plain;
  }
  spread(given) {
    let list = given.length === 1 && Array.isArray(given[0]) ? given[0] : given;
    if (list.some(isEmptyView)) list = list.map((value) => (isEmptyView(value) ? EMPTY : value));
    if (list.length === this.wanted) return list;
    // node:sqlite takes what is missing for NULL.
    if (list.length < this.wanted && !list.some((value) => value !== null && typeof value === "object" && !ArrayBuffer.isView(value))) {
      throw new RangeError("Too few parameter values were provided");
    }
    return list;
  }
  run(...given) {
    const { changes, lastInsertRowid } = this.native.run(...this.spread(given));
    return { changes: Number(changes), lastInsertRowid };
  }
  get(...given) {
    return this.shape(this.native.get(...this.spread(given)));
  }
  all(...given) {
    return this.native.all(...this.spread(given)).map((row) => this.shape(row));
  }
  *iterate(...given) {
    for (const row of this.native.iterate(...this.spread(given))) yield this.shape(row);
  }
}

const BINDINGS = { "better-sqlite3": betterSqlite3, "node:sqlite": nodeSqlite };
let found;

// The opener of the binding that was asked for, or of the first that is there.
function opener(wanted = process.env.SQLITE_REPLICA_BINDING) {
  if (wanted !== undefined) {
    if (!BINDINGS[wanted]) throw new TypeError(`binding must be "better-sqlite3" or "node:sqlite", not ${wanted}`);
    return BINDINGS[wanted]();
  }
  const reasons = [];
  for (const name in BINDINGS) {
    if (found) break;
    try {
      found = BINDINGS[name]();
    } catch (error) {
      reasons.push(`${name}: ${error.message.split("\n")[0]}`);
    }
  }
  if (!found) {
    throw new Error(`sqlite-replica: no SQLite to work with (${reasons.join("; ")}); install better-sqlite3, or use Node 22.16 or newer`);
  }
  return found;
}

module.exports = { opener };
