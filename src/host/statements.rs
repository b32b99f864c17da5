//! Statements with arguments on a connection of our own.

use std::ffi::{CString, c_int};
use std::{ptr, slice};

use super::api::{rc, sqlite, sqlite3_stmt};
use super::connection::Connection;
use super::handle::error;
use super::value::{Argument, Output};
use crate::error::{Error, Result};

const UTF8: u8 = 1;

/// `sqlite3_column_type`.
const INTEGER: c_int = 1;
const FLOAT: c_int = 2;
const TEXT: c_int = 3;
const BLOB: c_int = 4;

/// A prepared statement; finalized when it is dropped.
struct Prepared<'c> {
    statement: *mut sqlite3_stmt,
    connection: &'c Connection,
}

impl Connection {
    /// Runs one statement to its end; its rows.
    pub fn rows(&self, sql: &str, arguments: &[Argument]) -> Result<Vec<Vec<Output>>> {
        let statement = Prepared::new(self, sql)?;
        statement.bind(arguments)?;
        let mut rows = Vec::new();
        while statement.step()? {
            rows.push(statement.row());
        }
        Ok(rows)
    }

    /// Runs one statement to its end; how many rows it has changed.
    pub fn change(&self, sql: &str, arguments: &[Argument]) -> Result<u64> {
        self.rows(sql, arguments)?;
        // SAFETY: an open connection.
        let changes = unsafe { sqlite!(changes(self.handle())) };
        Ok(u64::try_from(changes).unwrap_or(0))
    }

    pub fn last_insert_rowid(&self) -> i64 {
        // SAFETY: an open connection.
        unsafe { sqlite!(last_insert_rowid(self.handle())) }
    }
}

impl<'c> Prepared<'c> {
    fn new(connection: &'c Connection, sql: &str) -> Result<Prepared<'c>> {
        let sql = CString::new(sql).expect("BUG: our own SQL has no NUL");
        let mut statement = ptr::null_mut();
        let db = connection.handle();
        // SAFETY: an open connection and a NUL-terminated text that outlives
        // the call.
        let code =
            unsafe { sqlite!(prepare_v2(db, sql.as_ptr(), -1, &mut statement, ptr::null_mut())) };
        let prepared = Prepared { statement, connection };
        if code == rc::OK { Ok(prepared) } else { Err(prepared.error(code)) }
    }

    /// The arguments live until the statement has run: see `Connection::rows`.
    fn bind(&self, arguments: &[Argument]) -> Result<()> {
        for (at, argument) in (1..).zip(arguments) {
            // SAFETY: a prepared statement. Pointer and length describe the
            // argument's bytes, of which SQLite keeps no copy (no destructor is
            // SQLITE_STATIC) and which live as long as the statement runs. An
            // empty slice is not NULL.
            let code = unsafe {
                match argument {
                    Argument::Null => sqlite!(bind_null(self.statement, at)),
                    Argument::Integer(value) => sqlite!(bind_int64(self.statement, at, *value)),
                    Argument::Real(value) => sqlite!(bind_double(self.statement, at, *value)),
                    Argument::Text(bytes) => {
                        let (start, length) = (bytes.as_ptr().cast(), bytes.len() as u64);
                        sqlite!(bind_text64(self.statement, at, start, length, None, UTF8))
                    }
                    Argument::Blob(bytes) => {
                        let (start, length) = (bytes.as_ptr().cast(), bytes.len() as u64);
                        sqlite!(bind_blob64(self.statement, at, start, length, None))
                    }
                }
            };
            if code != rc::OK {
                return Err(self.error(code));
            }
        }
        Ok(())
    }

    fn step(&self) -> Result<bool> {
        // SAFETY: a prepared statement.
        match unsafe { sqlite!(step(self.statement)) } {
            rc::ROW => Ok(true),
            rc::DONE => Ok(false),
            code => Err(self.error(code)),
        }
    }

    /// The row that it stands on.
    fn row(&self) -> Vec<Output> {
        // SAFETY: a prepared statement.
        let count = unsafe { sqlite!(column_count(self.statement)) };
        (0..count).map(|column| self.column(column)).collect()
    }

    fn column(&self, column: c_int) -> Output {
        // SAFETY: a statement that stands on a row, and one of its columns. The
        // pointer is asked for before the length, and its bytes are copied
        // before anything else is asked of the column.
        unsafe {
            match sqlite!(column_type(self.statement, column)) {
                INTEGER => Output::Integer(sqlite!(column_int64(self.statement, column))),
                FLOAT => Output::Real(sqlite!(column_double(self.statement, column))),
                TEXT => {
                    let start = sqlite!(column_text(self.statement, column)).cast::<u8>();
                    let bytes = copied(start, sqlite!(column_bytes(self.statement, column)));
                    Output::Text(String::from_utf8_lossy(&bytes).into_owned())
                }
                BLOB => {
                    let start = sqlite!(column_blob(self.statement, column)).cast::<u8>();
                    Output::Blob(copied(start, sqlite!(column_bytes(self.statement, column))))
                }
                _ => Output::Null,
            }
        }
    }

    fn error(&self, code: c_int) -> Error {
        error(self.connection.handle(), code)
    }
}

impl Drop for Prepared<'_> {
    fn drop(&mut self) {
        // SAFETY: finalized once; NULL is taken too.
        unsafe { sqlite!(finalize(self.statement)) };
    }
}

/// # Safety
/// `start` is NULL or points to `length` bytes.
unsafe fn copied(start: *const u8, length: c_int) -> Vec<u8> {
    match usize::try_from(length) {
        // SAFETY: promised by the caller.
        Ok(length) if !start.is_null() => unsafe { slice::from_raw_parts(start, length) }.to_vec(),
        _ => Vec::new(),
    }
}
