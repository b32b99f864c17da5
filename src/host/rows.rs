//! SQL with arguments on a connection of our own.

use std::ffi::c_int;
use std::{ptr, slice};

use super::api::{rc, sqlite, sqlite3_stmt};
use super::connection::Connection;
use super::value::{Argument, BLOB, FLOAT, INTEGER, Output, TEXT, UTF8, transient};
use crate::error::Result;

/// A statement that is finalized when it is dropped.
struct Prepared(*mut sqlite3_stmt);

impl Drop for Prepared {
    fn drop(&mut self) {
        // SAFETY: prepared by us, finalized once; NULL is allowed.
        unsafe { sqlite!(finalize(self.0)) };
    }
}

impl Connection {
    /// Runs one statement; its rows.
    pub fn rows(&self, sql: &str, arguments: &[Argument<'_>]) -> Result<Vec<Vec<Output>>> {
        let statement = self.prepared(sql)?;
        for (number, argument) in (1..).zip(arguments) {
            self.bind(&statement, number, argument, sql)?;
        }
        let mut rows = Vec::new();
        loop {
            // SAFETY: a statement of this connection, which this thread uses.
            match unsafe { sqlite!(step(statement.0)) } {
                rc::ROW => rows.push(row(&statement)),
                rc::DONE => return Ok(rows),
                code => return Err(self.error(what(sql), code)),
            }
        }
    }

    /// Runs one statement; how many rows it changed.
    pub fn change(&self, sql: &str, arguments: &[Argument<'_>]) -> Result<u64> {
        self.rows(sql, arguments)?;
        // SAFETY: an open connection.
        Ok(u64::try_from(unsafe { sqlite!(changes(self.handle())) }).unwrap_or(0))
    }

    pub fn last_insert_rowid(&self) -> i64 {
        // SAFETY: an open connection.
        unsafe { sqlite!(last_insert_rowid(self.handle())) }
    }

    fn prepared(&self, sql: &str) -> Result<Prepared> {
        let mut statement = ptr::null_mut();
        let length = c_int::try_from(sql.len()).expect("BUG: our own SQL is short");
        // SAFETY: pointer and length describe `sql`; the result is owned below.
        let code = unsafe {
            let rest = ptr::null_mut();
            sqlite!(prepare_v2(self.handle(), sql.as_ptr().cast(), length, &mut statement, rest))
        };
        let statement = Prepared(statement);
        if code == rc::OK { Ok(statement) } else { Err(self.error(what(sql), code)) }
    }

    fn bind(
        &self,
        statement: &Prepared,
        number: c_int,
        argument: &Argument<'_>,
        sql: &str,
    ) -> Result<()> {
        let to = statement.0;
        // SAFETY: a statement that has not been stepped; pointer and length
        // describe the value, which SQLite copies. A blob without bytes is
        // one only where the pointer is not NULL, which a slice's never is.
        let code = unsafe {
            match argument {
                Argument::Null => sqlite!(bind_null(to, number)),
                Argument::Integer(value) => sqlite!(bind_int64(to, number, *value)),
                Argument::Real(value) => sqlite!(bind_double(to, number, *value)),
                Argument::Text(text) => {
                    let (start, length) = (text.as_ptr().cast(), text.len() as u64);
                    sqlite!(bind_text64(to, number, start, length, transient(), UTF8))
                }
                Argument::Blob(bytes) => {
                    let (start, length) = (bytes.as_ptr().cast(), bytes.len() as u64);
                    sqlite!(bind_blob64(to, number, start, length, transient()))
                }
            }
        };
        if code == rc::OK { Ok(()) } else { Err(self.error(what(sql), code)) }
    }
}

/// The first words of a statement, for errors.
fn what(sql: &str) -> &str {
    sql.split_inclusive(' ')
        .take(3)
        .map(str::len)
        .sum::<usize>()
        .checked_sub(1)
        .map_or(sql, |end| sql.get(..end).unwrap_or(sql))
}

fn row(statement: &Prepared) -> Vec<Output> {
    // SAFETY: a statement that stands on a row.
    let count = unsafe { sqlite!(column_count(statement.0)) };
    (0..count).map(|column| value(statement, column)).collect()
}

fn value(statement: &Prepared, column: c_int) -> Output {
    let of = statement.0;
    // SAFETY: a statement that stands on a row, and one of its columns. What
    // the pointers lead to is copied at once; they are asked for before their
    // lengths, as sqlite.org/c3ref/column_blob.html wants.
    unsafe {
        match sqlite!(column_type(of, column)) {
            INTEGER => Output::Integer(sqlite!(column_int64(of, column))),
            FLOAT => Output::Real(sqlite!(column_double(of, column))),
            TEXT => {
                let start = sqlite!(column_text(of, column));
                let bytes = copied(start, sqlite!(column_bytes(of, column)));
                Output::Text(String::from_utf8_lossy(&bytes).into_owned())
            }
            BLOB => {
                let start = sqlite!(column_blob(of, column)).cast::<u8>();
                Output::Blob(copied(start, sqlite!(column_bytes(of, column))))
            }
            _ => Output::Null,
        }
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
