// A prepared statement that runs in the file or on the primary.
"use strict";

const { SqliteError, attempt, translated } = require("./error.cjs");
const { CONTROL, classify, parameters } = require("./sql.cjs");
const { positioned, withoutOptions } = require("./values.cjs");

// Values that every binding takes as they are.
const isBare = (value) => typeof value === "string" || typeof value === "number" || typeof value === "bigint" || value === null;

// Rows that are fetched one by one. As long as they come from the file, SQLite goes on reading
// the same state of it: before a write the rest is taken in.
class Rows {
  #rows;
  #reading;
  #isInterrupted = false;
  constructor(rows, statement, reading) {
    this.#rows = rows;
    this.statement = statement;
    this.#reading = reading;
    reading.add(this);
  }
  next() {
    if (this.#isInterrupted) {
      this.#isInterrupted = false;
      throw new SqliteError("interrupted", "SQLITE_INTERRUPT");
    }
    const step = attempt(() => this.#rows.next());
    if (step.done) this.#reading.delete(this);
    return step;
  }
  return(value) {
    this.#reading.delete(this);
    this.#rows.return?.();
    return { done: true, value };
  }
  takeIn() {
    this.#reading.delete(this);
    this.#rows = [...this.#rows][Symbol.iterator]();
  }
  // The next row is an error, and there is none behind it.
  interrupt() {
    this.return();
    this.#rows = [][Symbol.iterator]();
    this.#isInterrupted = true;
  }
  [Symbol.iterator]() {
    return this;
  }
}

class Statement {
  #db;
  #what;
  #local = null;
  // It only reads, and the file has all that it reads.
  #isLocalRead = false;
  #isRaw = false;
  #isPluck = false;
  #isSafe = false;
  #columns = null;
  // A read of something that only the primary has: its own functions, a table of a moment ago.
  #isElsewhere = false;
  // A PRAGMA that is to have no effect.
  #isNothing = false;

  constructor(db, sql, isSafe) {
    this.#db = db;
    this.source = sql;
    this.#what = classify(sql);
    this.reader = this.#what.returns;
    // SQLite does what such a PRAGMA says when it is prepared.
    this.#isNothing = this.#what.kind === "pragma" && db.primary?.notePragma(this.#what) === false;
    if (this.#isNothing) this.reader = false;
    else if (!CONTROL.has(this.#what.kind)) this.#prepare(sql);
    this.safeIntegers(isSafe);
  }

  #prepare(sql) {
    try {
      this.#local = attempt(() => this.#db.native.prepare(sql));
      this.#isLocalRead = this.readonly;
      this.reader = this.#local.reader;
    } catch (error) {
      // The primary may know better: its own functions, the tables of its transaction or of a moment ago.
      this.#isElsewhere = this.readonly && this.#db.primary !== null && /^no such (?:table|function|module)/.test(error.message);
      const isSyntax = /syntax error|incomplete input|unrecognized token|more than one statement/.test(error.message);
      if (!this.#isRemote() || isSyntax) throw error;
    }
  }

  get database() {
    return this.#db;
  }
  get readonly() {
    return this.#what.kind === "read";
  }

  #isRemote() {
    return this.#isElsewhere || (this.#db.primary !== null && this.#db.primary.isRemote(this.#what));
  }

  // The short way of nearly all reads, with values that any binding takes.
  #isShort(given) {
    const db = this.#db;
    return this.#isLocalRead && db.isOpen && (db.primary === null || !db.primary.inTransaction) &&
      (given.length === 1 ? isBare(given[0]) : given.every(isBare));
  }

  // What the binding's own statement is given, or null.
  #here(given) {
    if (CONTROL.has(this.#what.kind) || this.#isRemote()) return null;
    this.#db.check();
    if (this.#isNothing) return null;
    this.#db.primary?.refreshSchema(this.#what);
    // It was prepared when only the primary knew its tables.
    if (this.#local === null) this.#prepare(this.source);
    if (given.every(isBare) || (given.length === 1 && Array.isArray(given[0]) && given[0].every(isBare))) return given;
    const values = positioned(this.source, given);
    const names = parameters(this.source);
    if (names.every((name) => name === null)) return values;
    // A binding takes named parameters as an object, and ?5 is one of the name "5".
    const bare = values.filter((_, at) => names[at] === null);
    return [...bare, Object.fromEntries(names.flatMap((name, at) => (name === null ? [] : [[name, values[at] ?? null]])))];
  }

  #there(given) {
    this.#db.check();
    const isControl = CONTROL.has(this.#what.kind);
    if (isControl) this.#db.control(this.#what);
    if (isControl || this.#isNothing) {
      return { columns: [], rows: [], changes: 0, lastInsertRowid: this.#isSafe ? 0n : 0 };
    }
    this.#db.refuseInSnapshot(this.#what);
    return this.#db.primary.run(this.source, positioned(this.source, given), this.#isSafe);
  }

  #shape({ columns, rows }) {
    if (this.#isPluck) return rows.map((row) => row[0]);
    if (this.#isRaw) return rows;
    return rows.map((row) => Object.fromEntries(columns.map((name, at) => [name, row[at]])));
  }

  run(...values) {
    const given = withoutOptions(values, this.source);
    const here = this.#here(given);
    if (here !== null) {
      // better-sqlite3 refuses run() for a statement that returns rows it does not fetch.
      if (this.reader && this.readonly) {
        attempt(() => this.#local.all(...here));
        return { changes: 0, lastInsertRowid: 0, duration: 0 };
      }
      const { changes, lastInsertRowid } = attempt(() => this.#local.run(...here));
      return { changes, lastInsertRowid, duration: 0 };
    }
    const { changes, lastInsertRowid } = this.#there(given);
    return { changes: this.readonly ? 0 : changes, lastInsertRowid, duration: 0 };
  }

  get(...values) {
    if (this.#isShort(values)) {
      try {
        return this.#local.get(...values);
      } catch (error) {
        throw translated(error);
      }
    }
    const given = withoutOptions(values, this.source);
    const here = this.#here(given);
    return here !== null ? attempt(() => this.#local.get(...here)) : this.#shape(this.#there(given))[0];
  }

  all(...values) {
    if (this.#isShort(values)) {
      try {
        return this.#local.all(...values);
      } catch (error) {
        throw translated(error);
      }
    }
    const given = withoutOptions(values, this.source);
    const here = this.#here(given);
    return here !== null ? attempt(() => this.#local.all(...here)) : this.#shape(this.#there(given));
  }

  iterate(...values) {
    const given = withoutOptions(values, this.source);
    const here = this.#here(given);
    const rows = here === null ? this.#shape(this.#there(given))[Symbol.iterator]() : attempt(() => this.#local.iterate(...here));
    return new Rows(rows, this, this.#db.reading);
  }

  columns() {
    if (this.#local !== null) return this.#local.columns();
    this.#columns ??= this.#db.primary.columns(this.source);
    return this.#columns.map(({ name, type }) => ({ name, column: null, table: null, database: null, type }));
  }

  raw(on = true) {
    if (!this.reader) throw new TypeError("The raw() method is only for statements that return data");
    this.#isRaw = on;
    if (on) this.#isPluck = false;
    this.#local?.raw(on);
    return this;
  }

  pluck(on = true) {
    if (!this.reader) throw new TypeError("The pluck() method is only for statements that return data");
    this.#isPluck = on;
    if (on) this.#isRaw = false;
    this.#local?.pluck(on);
    return this;
  }

  safeIntegers(on = true) {
    this.#isSafe = on;
    this.#local?.safeIntegers(on);
    return this;
  }

  // What its iterators have left. Every other call has ended before its thread can call this.
  interrupt() {
    for (const rows of this.#db.reading) if (rows.statement === this) rows.interrupt();
    return this;
  }
}

module.exports = { Statement };
