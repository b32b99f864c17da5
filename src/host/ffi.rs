//! The names of SQLite's C interface that are not written by hand: types, and
//! nothing that is called.
//!
//! They come from `sqlite-loadable`, of which nothing else is used: its helpers
//! have no panic guard, take user text as a printf format and share one
//! process-wide pointer that each load rewrites.

pub use sqlite_loadable::ext::{
    sqlite3, sqlite3_api_routines, sqlite3_context, sqlite3_index_info, sqlite3_module,
    sqlite3_stmt, sqlite3_value, sqlite3_vtab, sqlite3_vtab_cursor,
};
