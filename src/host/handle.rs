//! What both kinds of connections, the host's and our own, are asked by way of
//! their handle.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::ptr;

use super::api::{rc, sqlite, sqlite3, sqlite3_stmt, text};
use super::descriptors::with_cause;
use super::file::DatabaseFile;
use super::io_methods::sqlite3_file;
use crate::error::{Error, Kind, Result};

pub(super) const MAIN: *const c_char = c"main".as_ptr();

/// sqlite.org/c3ref/c_fcntl_begin_atomic_write.html.
pub(super) const FCNTL_FILE_POINTER: c_int = 7;
pub(super) const FCNTL_PERSIST_WAL: c_int = 10;
pub(super) const FCNTL_VFS_POINTER: c_int = 27;
pub(super) const FCNTL_JOURNAL_POINTER: c_int = 28;

/// One number of the header: needs neither the schema nor a table.
pub(super) const READ_SOMETHING: &str = "PRAGMA main.user_version";

/// Runs one statement; the first column of its first row, or the code of the
/// error.
pub(super) fn first_value(
    db: *mut sqlite3,
    sql: &str,
) -> std::result::Result<Option<String>, c_int> {
    let c_sql = CString::new(sql).expect("BUG: our own SQL has no NUL");
    let mut statement: *mut sqlite3_stmt = ptr::null_mut();
    // SAFETY: an open connection; the statement is finalized below on every
    // path; the column's text is copied before that.
    unsafe {
        let prepared = sqlite!(prepare_v2(db, c_sql.as_ptr(), -1, &mut statement, ptr::null_mut()));
        if prepared != rc::OK {
            return Err(prepared);
        }
        let mut first = None;
        let mut code = sqlite!(step(statement));
        if code == rc::ROW {
            first = Some(text(sqlite!(column_text(statement, 0)).cast()));
            while code == rc::ROW {
                code = sqlite!(step(statement));
            }
        }
        sqlite!(finalize(statement));
        if code == rc::DONE { Ok(first) } else { Err(code) }
    }
}

pub(super) fn database_file<'c>(db: *mut sqlite3) -> Result<DatabaseFile<'c>> {
    let file = control(db, FCNTL_FILE_POINTER).map(|file| file.cast::<sqlite3_file>());
    // SAFETY: the file belongs to the connection, which the callers' results
    // borrow.
    file.and_then(|file| unsafe { DatabaseFile::new(file) }).ok_or_else(|| {
        Error::new(Kind::Local, "this VFS gives no access to the database file; use SQLite's own")
    })
}

/// A `sqlite3_file_control` that writes a pointer.
pub(super) fn control(db: *mut sqlite3, operation: c_int) -> Option<*mut c_void> {
    let mut pointer: *mut c_void = ptr::null_mut();
    // SAFETY: the three operations used write one pointer.
    let code =
        unsafe { sqlite!(file_control(db, MAIN, operation, (&raw mut pointer).cast::<c_void>())) };
    (code == rc::OK && !pointer.is_null()).then_some(pointer)
}

/// What SQLite says of its last error.
pub(super) fn error(db: *mut sqlite3, code: c_int) -> Error {
    // SAFETY: a handle from open_v2, or NULL, which errmsg takes too.
    let message = unsafe { text(sqlite!(errmsg(db))) };
    let kind = match rc::primary(code) {
        rc::BUSY | rc::LOCKED => Kind::Busy,
        _ => Kind::Local,
    };
    Error::new(kind, with_cause(code, message))
}

/// A file name of SQLite's as a path: UTF-8 on Windows, any bytes elsewhere.
pub(super) fn path_of(name: &CStr) -> PathBuf {
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        Path::new(std::ffi::OsStr::from_bytes(name.to_bytes())).to_owned()
    }
    #[cfg(not(unix))]
    {
        Path::new(&*name.to_string_lossy()).to_owned()
    }
}
