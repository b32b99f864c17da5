// The primary as a connection sees it: its transaction, and how a statement is sent.
// Where a statement ends, what went wrong and whether the transaction is still
// there, the extension says.
"use strict";

const { SqliteError, translated } = require("./error.cjs");
const { CONTROL, quoted, withoutLimit } = require("./sql.cjs");
const { asJson, cell, parse } = require("./values.cjs");

// What a SQL function takes beside its first argument (SQLITE_LIMIT_FUNCTION_ARG of old SQLites).
const MOST_ARGUMENTS = 126;
// In a transaction these describe what the transaction sees; all other PRAGMAs are about this connection.
const ABOUT_SCHEMA =
  /^(?:table_info|table_xinfo|table_list|index_list|index_info|index_xinfo|foreign_key_list|foreign_key_check)$/;

const UNPARSED = /^SQL string could not be parsed/;
const MISUSE = 21;

class Primary {
  #native;
  #settle;
  #savepoints = [];
  // A SAVEPOINT outside of a transaction opens one, which ends with it.
  #openedBySavepoint = false;
  // Temporary tables and attached files are this connection's own; until there are any, nobody looks for them.
  #hasLocal = false;
  // PRAGMA foreign_keys = OFF, which SQLite heeds outside of a transaction only.
  #hasForeignKeys = true;
  #lastRowid = 0;
  inTransaction = false;
  maxFrameNo = 0;

  // `settle` takes in what local reads have not fetched yet.
  constructor(native, settle) {
    this.#native = native;
    this.#settle = settle;
  }

  #value(sql, ...values) {
    return Object.values(this.#native.prepare(sql).get(...values))[0];
  }

  // One function of the extension; its errors in SQLite's words.
  ask(sql, ...values) {
    try {
      return this.#value(sql, ...values);
    } catch (error) {
      const parts = JSON.parse(this.#value("SELECT replica_error()") ?? "{}");
      const isOurs = error.message === `${parts.function}: ${parts.text}`;
      if (this.inTransaction && this.#value("SELECT replica_transaction()") === "lost") this.#lost();
      throw translated(error, isOurs && parts.function !== "replica_attach" ? parts.message : error.message);
    }
  }

  // Whether a statement goes to the primary, transaction control not counted.
  isRemote({ kind, aboutReplica, schema, name }) {
    if (kind === "read") return this.inTransaction && !aboutReplica;
    if (kind === "pragma") return this.inTransaction && ABOUT_SCHEMA.test(name);
    if (kind === "local") {
      this.#hasLocal = true;
      return false;
    }
    if (!this.#hasLocal || name === undefined) return true;
    if (schema !== undefined) return schema === "main";
    return !this.ask("SELECT count(*) FROM temp.sqlite_master WHERE name = ? COLLATE NOCASE", name);
  }

  begin(mode) {
    if (this.inTransaction) throw new SqliteError("cannot start a transaction within a transaction", "SQLITE_ERROR");
    const kind = { IMMEDIATE: "immediate", EXCLUSIVE: "immediate" }[mode] ?? "deferred";
    this.ask("SELECT replica_begin(?)", this.#hasForeignKeys ? kind : "migration");
    this.inTransaction = true;
  }

  // SQLite answers PRAGMAs about the schema from its memory; a read makes it look whether it is still the same.
  refreshSchema({ kind, name }) {
    if (kind === "pragma" && ABOUT_SCHEMA.test(name)) this.ask("SELECT count(*) FROM main.sqlite_master LIMIT 1");
  }

  // A PRAGMA runs here; what it means for the primary is remembered. False: it is to do nothing.
  notePragma({ name, value }) {
    if (name !== "foreign_keys" || value === undefined) return true;
    // SQLite does nothing for it in a transaction, and the file is in none while the primary is.
    if (!this.inTransaction) this.#hasForeignKeys = !/^(?:OFF|NO|FALSE|0)$/.test(value);
    return !this.inTransaction;
  }

  // `commit` or `rollback`.
  end(how) {
    if (!this.inTransaction) throw new SqliteError(`cannot ${how} - no transaction is active`, "SQLITE_ERROR");
    this.#settle();
    try {
      this.ask(`SELECT replica_${how}()`);
    } catch (error) {
      // A commit that did not reach the primary can be tried again, as one that SQLite refuses.
      if (this.inTransaction && this.#value("SELECT replica_transaction()") === "none") this.#forget();
      throw error;
    }
    this.#forget();
  }

  // The extension wants to hear that we know.
  #lost() {
    try {
      this.#value("SELECT replica_rollback()");
    } catch {
      // There is nothing left to roll back.
    }
    this.#forget();
  }

  #forget() {
    this.inTransaction = this.#openedBySavepoint = false;
    this.#savepoints = [];
  }

  control({ kind, name }) {
    if (kind === "begin") return this.begin(name);
    if (kind === "commit" || kind === "rollback") return this.end(kind);
    if (kind === "savepoint" && !this.inTransaction) {
      this.begin("DEFERRED");
      this.#openedBySavepoint = true;
    }
    if (!this.inTransaction) throw new SqliteError(`no such savepoint: ${name}`, "SQLITE_ERROR");
    this.run(`${{ savepoint: "SAVEPOINT", release: "RELEASE", "rollback to": "ROLLBACK TO" }[kind]} ${quoted(name)}`, []);
    const last = this.#savepoints.lastIndexOf(name);
    if (kind === "savepoint") this.#savepoints.push(name);
    else this.#savepoints.length = last + (kind === "rollback to");
    if (this.#savepoints.length === 0 && this.#openedBySavepoint) this.end("commit");
  }

  // One statement with its arguments: the one place that sends any.
  run(sql, values, safe = false) {
    if (!this.inTransaction) this.#settle();
    // SQLite takes this mark for a space, and the primary's parser does not.
    sql = withoutLimit(sql.replace(/^\ufeff+/, ""));
    const isLong = values.length > MOST_ARGUMENTS;
    const marks = isLong ? ", ?" : values.map(() => ", ?").join("");
    const text = isLong
      ? this.ask("SELECT replica_write_args(?, ?)", sql, asJson(values))
      : this.ask(`SELECT replica_write(?${marks})`, sql, ...values);
    const answer = parse(text, safe);
    this.#noteFrame(answer);
    return this.#result(answer, safe);
  }

  #noteFrame({ frame_no }) {
    this.maxFrameNo = Math.max(this.maxFrameNo, Number(cell(frame_no ?? 0)));
  }

  // A write that was queued, as the primary is away, has neither rows nor a count yet, and of one whose
  // answer was lost the rows are gone.
  #result({ columns, rows, rows_affected, last_insert_rowid }, safe) {
    // A write that inserts nothing leaves it as it is, and the primary's connection is another each time.
    if (last_insert_rowid) this.#lastRowid = cell(last_insert_rowid) || this.#lastRowid;
    return {
      columns: columns ?? [],
      rows: (rows ?? []).map((row) => row.map(cell)),
      changes: Number(cell(rows_affected ?? 0)),
      lastInsertRowid: safe ? BigInt(this.#lastRowid) : Number(this.#lastRowid),
    };
  }

  // Whether statements can go to the primary in one request: nothing of them is for this connection.
  takesTogether(statements) {
    const isSent = ({ kind }) => kind === "write" || kind === "schema";
    return !this.inTransaction && !this.#hasLocal && this.#hasForeignKeys && statements.every(isSent);
  }

  // [sql, values] each, all or nothing; a result for each.
  runTogether(list, safe = false) {
    this.#settle();
    const texts = list.map(([sql, values]) => `[${JSON.stringify(withoutLimit(sql))},${asJson(values)}]`);
    const answer = parse(this.ask("SELECT replica_write_many(?)", `[${texts.join(",")}]`), safe);
    this.#noteFrame(answer);
    return answer.results.map((result) => this.#result(result, safe));
  }

  split(script) {
    return JSON.parse(this.#value("SELECT replica_split(?)", script));
  }

  // A script that ends what it begins lasts statement by statement, up to the first that fails.
  takesScript(statements) {
    let isOpen = false;
    const sent = statements.filter(({ kind }) => !CONTROL.has(kind));
    for (const { kind } of statements.filter((statement) => CONTROL.has(statement.kind))) {
      if (kind === "begin" || kind === "commit" || kind === "rollback") {
        if (isOpen === (kind === "begin")) return false;
        isOpen = !isOpen;
      } else if (!isOpen) return false;
    }
    return !isOpen && this.takesTogether(sent);
  }

  // Whether it went as a whole. Nothing of it took effect where the primary could not parse
  // it all, or where each write is to happen exactly once.
  runScript(script) {
    this.#settle();
    try {
      this.#noteFrame(JSON.parse(this.ask("SELECT replica_script(?)", script)));
      return true;
    } catch (error) {
      if (UNPARSED.test(error.message) || error.rawCode === MISUSE) return false;
      throw error;
    }
  }

  // The columns of a statement that only the primary can tell.
  columns(sql) {
    return JSON.parse(this.ask("SELECT replica_describe(?)", sql)).columns;
  }

  sync() {
    this.#settle();
    const { frame_no, frames_synced } = JSON.parse(this.ask("SELECT replica_sync()"));
    return { frame_no: frame_no ?? undefined, frames_synced };
  }
}

module.exports = { Primary };
