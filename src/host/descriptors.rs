//! Whether this process may open any more files: the reason behind most of
//! SQLite's "unable to open database file".

use std::ffi::c_int;
use std::fs::File;

use super::api::rc;

/// SQLite's words for a file that it could not open, with the reason where
/// that is the number of open files.
pub(super) fn with_cause(code: c_int, message: String) -> String {
    let file_trouble = matches!(rc::primary(code), rc::CANTOPEN | rc::IOERR);
    match file_trouble.then(out_of_descriptors).flatten() {
        Some(cause) => format!("{message}: {cause}"),
        None => message,
    }
}

/// Descriptors that SQLite opens for one connection in WAL mode, and some for
/// what is opened beside it.
const WANTED: usize = 8;

/// A sentence, if this process may hardly open any more files.
fn out_of_descriptors() -> Option<String> {
    let device = if cfg!(windows) { "NUL" } else { "/dev/null" };
    let opened: std::io::Result<Vec<File>> = (0..WANTED).map(|_| File::open(device)).collect();
    let error = opened.err()?;
    // EMFILE and ENFILE have these numbers on all systems that we know.
    matches!(error.raw_os_error(), Some(23 | 24)).then(|| match limit() {
        Some(limit) => format!("too many open files (ulimit -n {limit})"),
        None => "too many open files".to_owned(),
    })
}

#[cfg(unix)]
fn limit() -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a place for the two numbers.
    let told = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } == 0;
    told.then_some(limit.rlim_cur)
}

#[cfg(not(unix))]
fn limit() -> Option<u64> {
    None
}
