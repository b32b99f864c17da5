//! What SQLite calls when it loads the library.

use std::ffi::{c_char, c_int};

use super::api::{self, rc};
pub use super::ffi::{sqlite3, sqlite3_api_routines};
use super::guard::{guard, silence_panics};
use super::host_db::HostDb;
use super::memory;
use crate::error::Result;

/// Body of an entry point: checks the host, then lets `register` add its
/// functions to the connection.
///
/// Returns `SQLITE_OK_LOAD_PERMANENTLY`: a worker thread may still be inside
/// the library when the connection that loaded it is closed.
///
/// # Safety
/// The arguments are those that SQLite gave to the entry point.
pub unsafe fn load(
    db: *mut sqlite3,
    message: *mut *mut c_char,
    table: *const sqlite3_api_routines,
    register: fn(HostDb) -> Result<()>,
) -> c_int {
    silence_panics();
    let loaded = guard(|| {
        // SAFETY: promised by the caller.
        unsafe { api::install(table.cast_mut())? };
        memory::register();
        // SAFETY: an open connection, promised by the caller.
        register(unsafe { HostDb::new(db) })
    });
    match loaded {
        Ok(()) => rc::OK_LOAD_PERMANENTLY,
        Err(error) => {
            // SAFETY: `message` is NULL or points to a place for a string that
            // SQLite frees with its own allocator. Where the table was
            // refused, an earlier one may be installed: its allocator is
            // another library's, so the text must come from this table.
            unsafe {
                if !message.is_null() {
                    *message = copy_with(&*table, &error.to_string());
                }
            }
            rc::ERROR
        }
    }
}

/// Copies `text` by the allocator of `table`.
///
/// # Safety
/// `table` is a live function table.
unsafe fn copy_with(table: &sqlite3_api_routines, text: &str) -> *mut c_char {
    let Some(malloc) = table.malloc else { return std::ptr::null_mut() };
    // SAFETY: the allocation holds the bytes and one NUL.
    unsafe {
        let copy = malloc(text.len() as c_int + 1).cast::<u8>();
        if !copy.is_null() {
            std::ptr::copy_nonoverlapping(text.as_ptr(), copy, text.len());
            *copy.add(text.len()) = 0;
        }
        copy.cast::<c_char>()
    }
}

/// Defines the library's entry points: the name that SQLite derives from the
/// file name, and the general one.
#[macro_export]
macro_rules! export_entry_points {
    ($register:path) => {
        /// Called by SQLite for `.load ./replica`.
        ///
        /// # Safety
        /// To be called by SQLite only.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn sqlite3_replica_init(
            db: *mut $crate::host::entry::sqlite3,
            message: *mut *mut std::ffi::c_char,
            table: *const $crate::host::entry::sqlite3_api_routines,
        ) -> std::ffi::c_int {
            // SAFETY: the arguments are passed on as they came.
            unsafe { $crate::host::entry::load(db, message, table, $register) }
        }

        /// Called by SQLite where the file has been renamed.
        ///
        /// # Safety
        /// To be called by SQLite only.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn sqlite3_extension_init(
            db: *mut $crate::host::entry::sqlite3,
            message: *mut *mut std::ffi::c_char,
            table: *const $crate::host::entry::sqlite3_api_routines,
        ) -> std::ffi::c_int {
            // SAFETY: the arguments are passed on as they came.
            unsafe { $crate::host::entry::load(db, message, table, $register) }
        }
    };
}
