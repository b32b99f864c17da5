//! Whether the host has said that its connection is only to read.
//!
//! `sqlite3_db_readonly` does not tell: a replica is read-only to SQLite
//! whoever opens it.

use std::ffi::c_int;
use std::ptr;

use super::api::{rc, sqlite, sqlite3_stmt};
use super::host_db::HostDb;

impl HostDb {
    /// Whether the file was opened to be read only: `SQLITE_OPEN_READONLY`,
    /// `mode=ro`, or no rights to do more.
    pub fn is_opened_to_read(self) -> bool {
        // SAFETY: a NUL-terminated string.
        let debugged = unsafe { sqlite!(compileoption_used(c"DEBUG".as_ptr())) != 0 };
        // Such a SQLite asserts that each write has a byte.
        !debugged && self.main_file().is_ok_and(|file| !file.takes_writes())
    }

    /// Whether `PRAGMA query_only` is on. An authorizer that denies to ask is
    /// left in peace.
    pub fn is_query_only(self) -> bool {
        let sql = c"PRAGMA query_only".as_ptr();
        let mut statement: *mut sqlite3_stmt = ptr::null_mut();
        // SAFETY: an open connection, inside a callback of it; the statement
        // is finalized on every path, also where it is NULL.
        unsafe {
            let mut on: c_int = 0;
            let code = sqlite!(prepare_v2(self.handle(), sql, -1, &mut statement, ptr::null_mut()));
            if code == rc::OK && sqlite!(step(statement)) == rc::ROW {
                on = sqlite!(column_int(statement, 0));
            }
            sqlite!(finalize(statement));
            on != 0
        }
    }
}
