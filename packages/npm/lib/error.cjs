// Errors as libsql has them, whichever binding raised them.
"use strict";

const NAMES = {
  1: "ERROR", 2: "INTERNAL", 3: "PERM", 4: "ABORT", 5: "BUSY", 6: "LOCKED", 7: "NOMEM", 8: "READONLY", 9: "INTERRUPT",
  10: "IOERR", 11: "CORRUPT", 12: "NOTFOUND", 13: "FULL", 14: "CANTOPEN", 15: "PROTOCOL", 16: "EMPTY", 17: "SCHEMA",
  18: "TOOBIG", 19: "CONSTRAINT", 20: "MISMATCH", 21: "MISUSE", 22: "NOLFS", 23: "AUTH", 24: "FORMAT", 25: "RANGE",
  26: "NOTADB", 261: "BUSY_RECOVERY", 517: "BUSY_SNAPSHOT", 275: "CONSTRAINT_CHECK", 531: "CONSTRAINT_COMMITHOOK",
  787: "CONSTRAINT_FOREIGNKEY", 1043: "CONSTRAINT_FUNCTION", 1299: "CONSTRAINT_NOTNULL", 1555: "CONSTRAINT_PRIMARYKEY",
  1811: "CONSTRAINT_TRIGGER", 2067: "CONSTRAINT_UNIQUE", 2323: "CONSTRAINT_VTAB", 2579: "CONSTRAINT_ROWID",
  2835: "CONSTRAINT_PINNED", 3091: "CONSTRAINT_DATATYPE",
};
const CODES = Object.fromEntries(Object.entries(NAMES).map(([code, name]) => [`SQLITE_${name}`, Number(code)]));

class SqliteError extends Error {
  constructor(message, code, rawCode) {
    super(message);
    this.name = "SqliteError";
    this.code = code;
    this.rawCode = rawCode ?? CODES[code];
  }
}

// What the binding threw, in SQLite's own words: the caller did not call `replica_write`.
function translated(error, message = error?.message) {
  const code = error?.errcode ?? CODES[error?.code];
  if (code === undefined) return error;
  const name = NAMES[code] ?? NAMES[code & 0xff] ?? "ERROR";
  const text = message.replace(/^replica_(?!attach)\w+: /, "");
  return Object.assign(new SqliteError(text, `SQLITE_${name}`, code), { cause: error });
}

function attempt(action) {
  try {
    return action();
  } catch (error) {
    throw translated(error);
  }
}

module.exports = { SqliteError, attempt, translated };
