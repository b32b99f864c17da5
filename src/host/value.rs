//! Values that cross between SQLite and this library.

use std::ffi::c_int;
use std::slice;

use super::api::{sqlite, sqlite3_context, sqlite3_value};
use crate::error::{Error, Kind, Result};

/// An SQL value that a function or table got as an argument, borrowed for the
/// time of the call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Argument<'a> {
    Null,
    Integer(i64),
    Real(f64),
    /// As SQLite holds it: not necessarily UTF-8.
    Text(&'a [u8]),
    Blob(&'a [u8]),
}

/// An SQL value that a function or table returns.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
    Blob(Vec<u8>),
    /// JSON text with the subtype that makes `json()` and `->>` nest it.
    Json(String),
}

impl From<Option<i64>> for Output {
    fn from(value: Option<i64>) -> Output {
        value.map_or(Output::Null, Output::Integer)
    }
}

impl From<Option<String>> for Output {
    fn from(value: Option<String>) -> Output {
        value.map_or(Output::Null, Output::Text)
    }
}

/// `sqlite3_value_type`.
const INTEGER: c_int = 1;
const FLOAT: c_int = 2;
const TEXT: c_int = 3;
const BLOB: c_int = 4;

/// Subtype of JSON text (sqlite.org/json1.html, "The JSON subtype").
const JSON_SUBTYPE: u32 = b'J' as u32;

const UTF8: u8 = 1;

/// Reads the arguments of a callback. Fails where SQLite has no memory to hand
/// one out: what is left of it would be an empty value.
///
/// # Safety
/// `values` points to `count` values that stay valid for `'a`.
pub unsafe fn arguments<'a>(
    count: c_int,
    values: *mut *mut sqlite3_value,
) -> Result<Vec<Argument<'a>>> {
    (0..usize::try_from(count).unwrap_or(0))
        // SAFETY: promised by the caller.
        .map(|i| unsafe { argument(*values.add(i)) })
        .collect()
}

/// # Safety
/// `value` is a value that stays valid and unconverted for `'a`.
unsafe fn argument<'a>(value: *mut sqlite3_value) -> Result<Argument<'a>> {
    // SAFETY: promised by the caller. The pointer is asked for before the
    // length, as sqlite.org/c3ref/value_blob.html wants; a blob's length may be
    // asked for before that too, because nothing converts a blob.
    unsafe {
        Ok(match sqlite!(value_type(value)) {
            INTEGER => Argument::Integer(sqlite!(value_int64(value))),
            FLOAT => Argument::Real(sqlite!(value_double(value))),
            TEXT => {
                // Also an empty text has a NUL behind it to point to.
                let start = sqlite!(value_text(value));
                Argument::Text(bytes(start, sqlite!(value_bytes(value)), start.is_null())?)
            }
            BLOB => {
                // Zeros that are only counted are written out by value_blob().
                let length = sqlite!(value_bytes(value));
                let start = sqlite!(value_blob(value)).cast::<u8>();
                Argument::Blob(bytes(start, length, start.is_null() && length > 0)?)
            }
            _ => Argument::Null,
        })
    }
}

/// # Safety
/// `start` is NULL or points to `length` bytes that stay valid for `'a`.
unsafe fn bytes<'a>(start: *const u8, length: c_int, is_missing: bool) -> Result<&'a [u8]> {
    if is_missing {
        return Err(Error::new(Kind::Local, "out of memory: an argument cannot be read"));
    }
    Ok(match usize::try_from(length) {
        // SAFETY: promised by the caller.
        Ok(length) if !start.is_null() => unsafe { slice::from_raw_parts(start, length) },
        _ => &[],
    })
}

/// Makes `output` the result of a function or of a table's column.
///
/// # Safety
/// `context` is the one of the running callback.
pub unsafe fn set_result(context: *mut sqlite3_context, output: &Output) {
    // SAFETY: promised by the caller; texts are copied by SQLite
    // (SQLITE_TRANSIENT) before the call returns.
    unsafe {
        match output {
            Output::Null => sqlite!(result_null(context)),
            Output::Integer(value) => sqlite!(result_int64(context, *value)),
            Output::Real(value) => sqlite!(result_double(context, *value)),
            Output::Text(text) => set_text(context, text),
            Output::Blob(bytes) => set_blob(context, bytes),
            Output::Json(text) => {
                set_text(context, text);
                sqlite!(result_subtype(context, JSON_SUBTYPE));
            }
        }
    }
}

/// `SQLITE_TRANSIENT`: SQLite copies what it is given.
fn transient() -> Option<unsafe extern "C" fn(*mut std::ffi::c_void)> {
    // SAFETY: -1 as sqlite.org/c3ref/c_static.html has it, never called as a
    // function.
    unsafe { std::mem::transmute(-1_isize) }
}

/// # Safety
/// `context` is the one of the running callback.
unsafe fn set_text(context: *mut sqlite3_context, text: &str) {
    // SAFETY: pointer and length describe `text`.
    unsafe {
        sqlite!(result_text64(context, text.as_ptr().cast(), text.len() as u64, transient(), UTF8));
    }
}

/// # Safety
/// `context` is the one of the running callback.
unsafe fn set_blob(context: *mut sqlite3_context, bytes: &[u8]) {
    // SAFETY: pointer and length describe `bytes`.
    unsafe {
        sqlite!(result_blob64(context, bytes.as_ptr().cast(), bytes.len() as u64, transient()));
    }
}

/// Makes `error` the result of a function, with `name` in front of its text.
///
/// The text is set before the code: setting the text resets the code.
///
/// # Safety
/// `context` is the one of the running callback.
pub unsafe fn set_error(context: *mut sqlite3_context, name: &str, error: &Error) {
    let text = format!("{name}: {error}").replace('\0', "\u{fffd}");
    let length = c_int::try_from(text.len()).unwrap_or(c_int::MAX);
    // SAFETY: pointer and length describe `text`, which SQLite copies.
    unsafe {
        sqlite!(result_error(context, text.as_ptr().cast(), length));
        sqlite!(result_error_code(context, error.code()));
    }
}
