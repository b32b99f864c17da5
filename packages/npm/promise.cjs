// The promise form of the package `libsql`. A call blocks its thread as long as
// the synchronous one does; only its answer comes as a promise.
"use strict";

const { Database: Sync, withModes } = require("./lib/database.cjs");
const { SqliteError } = require("./lib/error.cjs");

class Statement {
  #sync;
  constructor(sync) {
    this.#sync = sync;
  }
  get reader() {
    return this.#sync.reader;
  }
  get source() {
    return this.#sync.source;
  }
  async run(...given) {
    return this.#sync.run(...given);
  }
  async get(...given) {
    return this.#sync.get(...given);
  }
  async all(...given) {
    return this.#sync.all(...given);
  }
  async iterate(...given) {
    const rows = this.#sync.iterate(...given);
    return {
      next: () => rows.next(),
      return: () => rows.return?.() ?? { done: true, value: undefined },
      [Symbol.iterator]() {
        return this;
      },
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }
  columns() {
    return this.#sync.columns();
  }
  raw(on) {
    this.#sync.raw(on);
    return this;
  }
  pluck(on) {
    this.#sync.pluck(on);
    return this;
  }
  safeIntegers(on) {
    this.#sync.safeIntegers(on);
    return this;
  }
  interrupt() {
    this.#sync.interrupt();
    return this;
  }
}

class Database {
  #sync;
  constructor(path, options) {
    this.#sync = new Sync(path, options);
    this.memory = this.#sync.memory;
    this.name = this.#sync.name;
    this.readonly = this.#sync.readonly;
  }
  get open() {
    return this.#sync.open;
  }
  get inTransaction() {
    return this.#sync.inTransaction;
  }
  async prepare(sql) {
    return new Statement(this.#sync.prepare(sql));
  }
  async exec(sql, options) {
    this.#sync.exec(sql, options);
  }
  async run(sql, ...given) {
    return this.#sync.prepare(sql).run(...given);
  }
  async get(sql, ...given) {
    return this.#sync.prepare(sql).get(...given);
  }
  async all(sql, ...given) {
    return this.#sync.prepare(sql).all(...given);
  }
  async iterate(sql, ...given) {
    return (await this.prepare(sql)).iterate(...given);
  }
  async batch(list, options) {
    return this.#sync.batch(list, options);
  }
  async pragma(source, options) {
    return this.#sync.pragma(source, options);
  }
  async sync() {
    return this.#sync.sync();
  }
  async syncUntil(frameNo) {
    return this.#sync.syncUntil(frameNo);
  }
  transaction(action) {
    if (typeof action !== "function") throw new TypeError("Expected first argument to be a function");
    const inMode = (mode) => async (...given) => {
      this.#sync.exec(`BEGIN ${mode}`);
      try {
        const result = await action(...given);
        this.#sync.exec("COMMIT");
        return result;
      } finally {
        if (this.#sync.inTransaction) this.#sync.exec("ROLLBACK");
      }
    };
    return withModes(this, inMode);
  }
  maxWriteReplicationIndex() {
    return this.#sync.maxWriteReplicationIndex();
  }
  defaultSafeIntegers(on) {
    this.#sync.defaultSafeIntegers(on);
    return this;
  }
  loadExtension(path) {
    this.#sync.loadExtension(path);
    return this;
  }
  authorizer(rules) {
    this.#sync.authorizer(rules);
  }
  interrupt() {
    this.#sync.interrupt();
  }
  close() {
    this.#sync.close();
  }
}

const connect = async (path, options) => new Database(path, options);
const Authorization = { ALLOW: 0, DENY: 1 };

module.exports = Database;
Object.assign(module.exports, { Database, connect, SqliteError, Authorization, default: Database });
