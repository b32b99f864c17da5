//! SQLite's result codes by their names (sqlite.org/rescode.html): the ones that
//! this extension returns, meets in the host, or is told by a primary. Which of
//! them a host may see, and for what, is decided in `error`.

pub const OK: i32 = 0;
pub const OK_LOAD_PERMANENTLY: i32 = 256;
pub const ERROR: i32 = 1;
pub const INTERNAL: i32 = 2;
pub const PERM: i32 = 3;
pub const ABORT: i32 = 4;
pub const BUSY: i32 = 5;
pub const LOCKED: i32 = 6;
pub const NOMEM: i32 = 7;
pub const READONLY: i32 = 8;
pub const INTERRUPT: i32 = 9;
pub const IOERR: i32 = 10;
pub const IOERR_SHORT_READ: i32 = 522;
pub const CORRUPT: i32 = 11;
pub const FULL: i32 = 13;
pub const CANTOPEN: i32 = 14;
pub const PROTOCOL: i32 = 15;
pub const SCHEMA: i32 = 17;
pub const TOOBIG: i32 = 18;
pub const CONSTRAINT: i32 = 19;
pub const CONSTRAINT_CHECK: i32 = 275;
pub const CONSTRAINT_COMMITHOOK: i32 = 531;
pub const CONSTRAINT_FOREIGNKEY: i32 = 787;
pub const CONSTRAINT_FUNCTION: i32 = 1043;
pub const CONSTRAINT_NOTNULL: i32 = 1299;
pub const CONSTRAINT_PRIMARYKEY: i32 = 1555;
pub const CONSTRAINT_TRIGGER: i32 = 1811;
pub const CONSTRAINT_UNIQUE: i32 = 2067;
pub const CONSTRAINT_VTAB: i32 = 2323;
pub const CONSTRAINT_ROWID: i32 = 2579;
pub const CONSTRAINT_PINNED: i32 = 2835;
pub const CONSTRAINT_DATATYPE: i32 = 3091;
pub const MISMATCH: i32 = 20;
pub const MISUSE: i32 = 21;
pub const AUTH: i32 = 23;
pub const RANGE: i32 = 25;
pub const NOTADB: i32 = 26;
pub const ROW: i32 = 100;
pub const DONE: i32 = 101;
pub const NOTFOUND: i32 = 12;
pub const IOERR_NOMEM: i32 = 3082;
pub const IOERR_DELETE_NOENT: i32 = 5898;

/// The primary code of an extended one.
pub const fn primary(code: i32) -> i32 {
    code & 0xff
}
