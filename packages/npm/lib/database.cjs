// The class that stands in for that of the package `libsql`: better-sqlite3's
// ways, and an embedded replica where `syncUrl` is given.
"use strict";

const { opener } = require("./bindings.cjs");
const { SqliteError, attempt } = require("./error.cjs");
const { load } = require("./library.cjs");
const { Primary } = require("./primary.cjs");
const { classify, withoutLimit } = require("./sql.cjs");
const { Statement } = require("./statement.cjs");
const { positioned, refuseQueryTimeout } = require("./values.cjs");

const isInfinite = (value) => value === Infinity || value === -Infinity;
const isInMemory = (path) => /^(?:file:)?:memory:/.test(path) || path === "";

function attachOptions(path, options) {
  // The transaction on the primary is ended here, and by nobody else.
  const given = { local_transactions: false, ...options.replica, read_your_writes: options.readYourWrites ?? true };
  if (options.syncPeriod) given.sync_interval = options.syncPeriod;
  if (options.namespace) given.namespace = options.namespace;
  if (options.offline) given.offline_writes = true;
  if (options.timeout) given.busy_timeout = options.timeout / 1000;
  // @libsql/client refuses ":memory:" with a syncUrl, and not ":memory:NAME".
  const shared = /^(?:file:)?:memory:([^?]+)/.exec(path);
  if (shared) given.share = shared[1];
  return JSON.stringify(given);
}

class Database {
  #isSafe = false;
  primary = null;
  // As `open`, which asks the binding.
  isOpen = true;
  // Iterators that have not reached their ends.
  reading = new Set();

  constructor(path, options = {}) {
    options ??= {};
    if (options.encryptionKey) {
      throw new SqliteError("a replica is a plain SQLite file: put it on an encrypted disk instead", "SQLITE_MISUSE");
    }
    refuseQueryTimeout(options.defaultQueryTimeout);
    const open = opener(options.binding);
    this.memory = isInMemory(path);
    this.name = path;
    this.readonly = options.readonly ?? false;
    const file = this.memory ? ":memory:" : path.replace(/^file:(?:\/\/(?=\/))?/, "");
    // libsql does not wait for locks unless it is told to; beside a replica's file others may sync.
    const timeout = options.timeout ?? (options.syncUrl ? 5000 : 0);
    this.native = attempt(() => open(file, { ...options, timeout }));
    if (options.syncUrl) this.#attach(options);
  }

  #attach(options) {
    try {
      load(this.native);
      this.primary = new Primary(this.native, () => this.reading.forEach((rows) => rows.takeIn()));
      const token = options.authToken || options.syncAuth || null;
      this.primary.ask("SELECT replica_attach(?, ?, ?)", options.syncUrl, token, attachOptions(this.name, options));
    } catch (error) {
      this.native.close();
      throw error;
    }
  }

  get open() {
    return this.native.open;
  }

  get inTransaction() {
    return this.native.open && (this.native.inTransaction || (this.primary?.inTransaction ?? false));
  }

  check() {
    if (!this.isOpen) throw new TypeError("The database connection is not open");
  }

  // BEGIN READONLY is a snapshot of the file, which needs no network.
  control(what) {
    const isSnapshot = this.#inSnapshot();
    if (this.primary !== null && !isSnapshot && !(what.kind === "begin" && what.name === "READONLY")) {
      return this.primary.control(what);
    }
    const name = what.name && `"${what.name.replaceAll('"', '""')}"`;
    const text = {
      begin: `BEGIN ${what.name === "READONLY" ? "" : what.name}`, commit: "COMMIT", rollback: "ROLLBACK",
      savepoint: `SAVEPOINT ${name}`, release: `RELEASE ${name}`, "rollback to": `ROLLBACK TO ${name}`,
    }[what.kind];
    attempt(() => this.native.exec(text));
  }

  // The extension begins a local transaction beside the primary's; that is none of ours.
  #inSnapshot() {
    return this.native.inTransaction && !this.primary?.inTransaction;
  }

  refuseInSnapshot({ kind }) {
    if (this.#inSnapshot() && kind !== "read") {
      throw new SqliteError("attempt to write in a read-only transaction", "SQLITE_READONLY");
    }
  }

  prepare(sql) {
    this.check();
    return new Statement(this, sql, this.#isSafe);
  }

  exec(script, options) {
    this.check();
    refuseQueryTimeout(options?.queryTimeout);
    if (this.primary === null) {
      if (classify(script).name === "READONLY") this.#execute(script);
      else attempt(() => this.native.exec(script));
      return this;
    }
    const parts = this.primary.split(script);
    const isSent = parts.length > 1 && !this.#inSnapshot() && this.primary.takesScript(parts.map(classify));
    const spelled = parts.map(withoutLimit);
    const sent = spelled.every((text, at) => text === parts[at]) ? script : spelled.join(";\n");
    if (!isSent || !this.primary.runScript(sent)) for (const sql of parts) this.#execute(sql);
    return this;
  }

  #execute(sql) {
    const statement = this.prepare(sql);
    if (statement.reader) statement.all();
    else statement.run();
  }

  pragma(source, options) {
    if (typeof source !== "string") throw new TypeError("Expected first argument to be a string");
    if (options != null && typeof options !== "object") throw new TypeError("Expected second argument to be an options object");
    const statement = this.prepare(`PRAGMA ${source}`);
    if (!statement.reader) return statement.run() && [];
    return options?.simple ? statement.pluck().get() : statement.all();
  }

  transaction(action) {
    if (typeof action !== "function") throw new TypeError("Expected first argument to be a function");
    const inMode = (mode) => (...given) => {
      const { begin, commit, rollback } = endsOf(this.inTransaction, mode);
      this.exec(begin);
      try {
        const result = action(...given);
        if (typeof result?.then === "function") throw new TypeError("Transaction function cannot return a promise");
        this.exec(commit);
        return result;
      } catch (error) {
        if (this.inTransaction) this.exec(rollback);
        throw error;
      }
    };
    return withModes(this, inMode);
  }

  // Statements one after the other, and a result for each. Writes with a mode, which means all or nothing, are one request.
  batch(list, options) {
    if (!Array.isArray(list)) throw new TypeError("Expected first argument to be an array of statements");
    const { mode, raw = false } = typeof options === "string" ? { mode: options } : (options ?? {});
    const begin = beginOf(mode);
    if (begin === null || this.inTransaction) return list.map((each) => this.#resultOf(each, raw));
    const pairs = list.map((each) => (typeof each === "string" ? [each] : [each.sql, each.args]));
    if (this.primary !== null && begin !== "BEGIN READONLY" && this.primary.takesTogether(pairs.map(([sql]) => classify(sql)))) {
      const bound = pairs.map(([sql, args]) => [sql, positioned(sql, args === undefined ? [] : [args])]);
      // They go as JSON, which has no infinity.
      if (!bound.some(([, values]) => values.some(isInfinite))) return this.#resultsTogether(bound, raw);
    }
    return withRollback(this, begin, () => list.map((each) => this.#resultOf(each, raw)));
  }

  #resultsTogether(bound, raw) {
    return this.primary.runTogether(bound, this.#isSafe).map(({ columns, rows, changes }, at) => {
      if (columns.length === 0) return { columns, columnTypes: [], rows, rowsAffected: changes };
      const columnTypes = this.prepare(bound[at][0]).columns().map(({ type }) => type ?? "");
      const shaped = raw ? rows : rows.map((row) => Object.fromEntries(columns.map((name, place) => [name, row[place]])));
      return { columns, columnTypes, rows: shaped, rowsAffected: 0 };
    });
  }

  #resultOf(each, raw) {
    const { sql, args } = typeof each === "string" ? { sql: each } : each;
    const statement = this.prepare(sql);
    const given = args === undefined ? [] : [args];
    if (!statement.reader) {
      return { columns: [], columnTypes: [], rows: [], rowsAffected: statement.run(...given).changes };
    }
    const rows = (raw ? statement.raw() : statement).all(...given);
    const columns = statement.columns();
    return { columns: columns.map((column) => column.name), columnTypes: columns.map((column) => column.type ?? ""), rows, rowsAffected: 0 };
  }

  sync() {
    this.check();
    if (this.primary === null) throw new SqliteError("this database has no syncUrl, so there is nothing to sync with", "SQLITE_MISUSE");
    return this.primary.sync();
  }

  syncUntil(frameNo) {
    const { frame_no } = this.sync();
    if (frame_no === undefined || frame_no < frameNo) {
      throw new SqliteError(`the primary is at frame ${frame_no}, before ${frameNo}`, "SQLITE_BUSY");
    }
    return { frame_no };
  }

  maxWriteReplicationIndex() {
    return this.primary?.maxFrameNo;
  }

  defaultSafeIntegers(on = true) {
    this.#isSafe = on;
    return this;
  }

  loadExtension(path) {
    this.native.loadExtension(path);
    return this;
  }

  // What the binding has, it has here: on this connection, not on the primary.
  function(...given) {
    this.native.function(...given);
    return this;
  }
  aggregate(...given) {
    this.native.aggregate(...given);
    return this;
  }
  table(...given) {
    this.native.table(...given);
    return this;
  }

  backup() {
    throw new Error("not implemented: use VACUUM INTO");
  }
  serialize() {
    throw new Error("not implemented");
  }
  authorizer() {
    throw new Error("not implemented");
  }
  unsafeMode() {
    throw new Error("not implemented");
  }
  // What iterators have left. Every other call has ended before its thread can call this.
  interrupt() {
    for (const rows of this.reading) rows.interrupt();
  }

  close() {
    if (this.native.open && this.primary?.inTransaction) {
      try {
        this.primary.end("rollback");
      } catch {
        // The primary ends what is left of it by itself.
      }
    }
    this.native.close();
    this.isOpen = false;
    return this;
  }
}

// A transaction in a transaction is a savepoint, as in better-sqlite3.
function endsOf(isNested, mode) {
  if (!isNested) return { begin: `BEGIN ${mode}`, commit: "COMMIT", rollback: "ROLLBACK" };
  const name = '"_transaction"';
  return { begin: `SAVEPOINT ${name}`, commit: `RELEASE ${name}`, rollback: `ROLLBACK TO ${name}; RELEASE ${name}` };
}

function withModes(database, inMode) {
  const modes = { default: "", deferred: "DEFERRED", immediate: "IMMEDIATE", exclusive: "EXCLUSIVE" };
  const functions = Object.fromEntries(Object.entries(modes).map(([name, mode]) => [name, inMode(mode)]));
  for (const each of Object.values(functions)) Object.assign(each, functions, { database });
  return functions.default;
}

function beginOf(mode) {
  if (mode == null) return null;
  const known = { write: "IMMEDIATE", immediate: "IMMEDIATE", exclusive: "EXCLUSIVE", read: "READONLY", deferred: "DEFERRED", "": "DEFERRED" };
  const found = known[String(mode).toLowerCase()];
  if (found === undefined) throw new TypeError(`Invalid batch mode: ${mode}`);
  return `BEGIN ${found}`;
}

function withRollback(database, begin, action) {
  database.exec(begin);
  try {
    const result = action();
    database.exec("COMMIT");
    return result;
  } finally {
    if (database.inTransaction) database.exec("ROLLBACK");
  }
}

module.exports = { Database, withModes };
