//! The function table of the host's SQLite (`sqlite3_api_routines`), kept in a
//! pointer of our own.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, Ordering};

pub use super::ffi::{
    sqlite3, sqlite3_api_routines, sqlite3_context, sqlite3_index_info, sqlite3_module,
    sqlite3_stmt, sqlite3_value, sqlite3_vtab, sqlite3_vtab_cursor,
};

use crate::error::{Error, Kind, Result};

pub use crate::code as rc;

/// Oldest SQLite that keeps our tables out of triggers and views
/// (`SQLITE_VTAB_DIRECTONLY`). `make test-versions` tells the main story in it
/// and in others; `replica_batch` wants 3.33.
pub const MINIMUM_VERSION: (i32, &str) = (3_031_000, "3.31.0");

/// The table's later members, behind those that `sqlite-loadable` (SQLite
/// 3.39) knows. They may be read only where the host is new enough.
#[repr(C)]
struct LaterRoutines {
    known: sqlite3_api_routines,
    /// 3.40.
    value_encoding: Option<unsafe extern "C" fn(*mut sqlite3_value) -> c_int>,
    /// 3.41.
    is_interrupted: Option<unsafe extern "C" fn(*mut sqlite3) -> c_int>,
}

static ROUTINES: AtomicPtr<sqlite3_api_routines> = AtomicPtr::new(ptr::null_mut());

/// Version of the SQLite that the table belongs to.
static VERSION: OnceLock<String> = OnceLock::new();

/// Remembers the host's table.
///
/// A second SQLite library in the process (Python's own beside apsw's, say)
/// brings another table; its connections would then be driven by the first
/// library's functions, so it is refused. Nothing of the first table is called
/// for that.
///
/// # Safety
/// `table` is the pointer that SQLite gave to the entry point.
pub unsafe fn install(table: *mut sqlite3_api_routines) -> Result<()> {
    // SAFETY: members up to libversion_number exist in every SQLite 3.
    let version = unsafe { (*table).libversion_number.map_or(0, |version| version()) };
    if version < MINIMUM_VERSION.0 {
        let text = format!(
            "replica: this SQLite is version {}: at least {} is needed",
            format_args!("{}.{}.{}", version / 1_000_000, version / 1000 % 1000, version % 1000),
            MINIMUM_VERSION.1
        );
        return Err(Error::new(Kind::Misuse, text));
    }
    let first =
        ROUTINES.compare_exchange(ptr::null_mut(), table, Ordering::AcqRel, Ordering::Acquire);
    match first {
        Ok(_) => {
            keep_loaded(table);
            VERSION.get_or_init(libversion);
            Ok(())
        }
        Err(present) if present == table => Ok(()),
        Err(_) => Err(Error::new(
            Kind::Misuse,
            format!(
                "replica: another copy of SQLite (version {}) in this process has already loaded \
                 it; load it from one SQLite library per process",
                VERSION.get().map_or("unknown", String::as_str)
            ),
        )),
    }
}

/// Keeps the library that holds `table` in the process for good, as this one
/// is: Node unmaps an addon, and SQLite with it, when the last thread that uses
/// it ends. Where that is not possible (SQLite is in the program itself, or
/// the system is another one) nothing is done.
#[cfg(unix)]
fn keep_loaded(table: *const sqlite3_api_routines) {
    // SAFETY: zero is a valid value; `dladdr` fills it in if it knows the
    // address, with a name that lives as long as the library, which is now.
    // RTLD_NOLOAD loads nothing. The handle is kept on purpose.
    unsafe {
        let mut library: libc::Dl_info = std::mem::zeroed();
        if libc::dladdr(table.cast(), &mut library) != 0 && !library.dli_fname.is_null() {
            let mode = libc::RTLD_LAZY | libc::RTLD_NOLOAD | libc::RTLD_NODELETE;
            libc::dlopen(library.dli_fname, mode);
        }
    }
}

#[cfg(not(unix))]
fn keep_loaded(_: *const sqlite3_api_routines) {}

/// The table. Only reachable after [`install`]: every safe type of `host/`
/// comes from a callback or a connection, and those come after it.
pub fn routines() -> &'static sqlite3_api_routines {
    let table = ROUTINES.load(Ordering::Acquire);
    assert!(!table.is_null(), "BUG: SQLite called before the entry point");
    // SAFETY: the table is static data of a library that `keep_loaded` keeps.
    unsafe { &*table }
}

/// Calls a function of the table by name.
macro_rules! sqlite {
    ($name:ident($($argument:expr),* $(,)?)) => {
        match $crate::host::api::routines().$name {
            Some(function) => function($($argument),*),
            None => panic!(concat!("the host's SQLite was built without sqlite3_", stringify!($name))),
        }
    };
}
pub(super) use sqlite;

/// `sqlite3_is_interrupted`, where the host has it (3.41).
pub fn is_interrupted(db: *mut sqlite3) -> bool {
    // SAFETY: no arguments.
    if unsafe { sqlite!(libversion_number()) } < 3_041_000 {
        return false;
    }
    let later = ptr::from_ref(routines()).cast::<LaterRoutines>();
    // SAFETY: from 3.41 on the table has this member; `db` is open, as the
    // callers hold a value that lives no longer than the connection.
    unsafe { (*later).is_interrupted.is_some_and(|function| function(db) != 0) }
}

/// Version of the host's SQLite, as in `3.40.1`.
pub fn libversion() -> String {
    // SAFETY: returns a static string.
    unsafe { text(sqlite!(libversion())) }
}

/// Source id of the host's SQLite.
pub fn sourceid() -> String {
    // SAFETY: returns a static string.
    unsafe { text(sqlite!(sourceid())) }
}

/// Whether the host's SQLite may be called from several threads: neither built
/// nor configured (`SQLITE_CONFIG_SINGLETHREAD`) to have no mutexes.
pub fn threadsafe() -> bool {
    // SAFETY: a NUL-terminated string; a mutex may be made at any time, and is
    // freed once. Those that do nothing are one and the same.
    unsafe {
        let built = sqlite!(compileoption_used(c"THREADSAFE=0".as_ptr())) == 0;
        let (one, other) = (sqlite!(mutex_alloc(MUTEX_FAST)), sqlite!(mutex_alloc(MUTEX_FAST)));
        sqlite!(mutex_free(one));
        sqlite!(mutex_free(other));
        built && one != other
    }
}

/// `SQLITE_MUTEX_FAST`.
const MUTEX_FAST: c_int = 0;

/// Four bytes from SQLite's random source, which it seeds from the VFS.
pub fn random_u32() -> u32 {
    let mut bytes = [0_u8; 4];
    // SAFETY: the buffer has the size that is given.
    unsafe { sqlite!(randomness(4, bytes.as_mut_ptr().cast::<c_void>())) };
    u32::from_ne_bytes(bytes)
}

/// A name that nobody else has: 128 random bits, in 32 hex digits.
pub fn random_name() -> String {
    (0..4).map(|_| format!("{:08x}", random_u32())).collect()
}

/// Tells the host's error log (`sqlite3_config(SQLITE_CONFIG_LOG)`), which is
/// nowhere unless the host asked for it.
pub fn log_error(code: i32, message: &str) {
    let message = message.replace('\0', "\u{fffd}");
    if let Ok(message) = std::ffi::CString::new(message) {
        // SAFETY: the format takes one string.
        unsafe { sqlite!(log(code, c"%s".as_ptr(), message.as_ptr())) };
    }
}

/// Whether `sql` ends in a complete statement, as SQLite sees it
/// (`sqlite3_complete`: it knows strings, comments and triggers). Text with a
/// NUL in it is never complete.
pub fn statement_is_complete(sql: &str) -> bool {
    match std::ffi::CString::new(sql) {
        // SAFETY: a NUL-terminated string that outlives the call.
        Ok(sql) => unsafe { sqlite!(complete(sql.as_ptr())) == 1 },
        Err(_) => false,
    }
}

/// Copies a C string of SQLite's; empty for NULL.
///
/// # Safety
/// `chars` is NULL or NUL-terminated and valid during the call.
pub unsafe fn text(chars: *const c_char) -> String {
    if chars.is_null() {
        return String::new();
    }
    // SAFETY: promised by the caller.
    unsafe { CStr::from_ptr(chars) }.to_string_lossy().into_owned()
}

/// A copy of `message` in memory that SQLite frees, NULs replaced; NULL when
/// there is no memory.
pub fn sqlite_string(message: &str) -> *mut c_char {
    let bytes = message.replace('\0', "\u{fffd}").into_bytes();
    // SAFETY: the allocation holds the bytes and one NUL.
    unsafe {
        let copy = sqlite!(malloc64(bytes.len() as u64 + 1)).cast::<u8>();
        if !copy.is_null() {
            ptr::copy_nonoverlapping(bytes.as_ptr(), copy, bytes.len());
            *copy.add(bytes.len()) = 0;
        }
        copy.cast::<c_char>()
    }
}
