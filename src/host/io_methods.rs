//! An open file as C sees it (sqlite.org/c3ref/io_methods.html): those of the
//! host, and ours in memory.

use std::ffi::{c_int, c_void};

/// SQLite's open file: a pointer to its methods, then what the VFS adds.
#[repr(C)]
pub struct sqlite3_file {
    pub(super) methods: *const Methods,
}

pub(super) type File = *mut sqlite3_file;

/// `sqlite3_io_methods`, version 2.
#[repr(C)]
pub(super) struct Methods {
    pub(super) version: c_int,
    pub(super) close: Option<unsafe extern "C" fn(File) -> c_int>,
    pub(super) read: Option<unsafe extern "C" fn(File, *mut c_void, c_int, i64) -> c_int>,
    pub(super) write: Option<unsafe extern "C" fn(File, *const c_void, c_int, i64) -> c_int>,
    pub(super) truncate: Option<unsafe extern "C" fn(File, i64) -> c_int>,
    pub(super) sync: Option<unsafe extern "C" fn(File, c_int) -> c_int>,
    pub(super) file_size: Option<unsafe extern "C" fn(File, *mut i64) -> c_int>,
    pub(super) lock: Option<unsafe extern "C" fn(File, c_int) -> c_int>,
    pub(super) unlock: Option<unsafe extern "C" fn(File, c_int) -> c_int>,
    pub(super) check_reserved_lock: Option<unsafe extern "C" fn(File, *mut c_int) -> c_int>,
    pub(super) file_control: Option<unsafe extern "C" fn(File, c_int, *mut c_void) -> c_int>,
    pub(super) sector_size: Option<unsafe extern "C" fn(File) -> c_int>,
    pub(super) device_characteristics: Option<unsafe extern "C" fn(File) -> c_int>,
    pub(super) shm_map:
        Option<unsafe extern "C" fn(File, c_int, c_int, c_int, *mut *mut c_void) -> c_int>,
    pub(super) shm_lock: Option<unsafe extern "C" fn(File, c_int, c_int, c_int) -> c_int>,
    pub(super) shm_barrier: Option<unsafe extern "C" fn(File)>,
    pub(super) shm_unmap: Option<unsafe extern "C" fn(File, c_int) -> c_int>,
}

/// `SQLITE_SHM_*` (sqlite.org/c3ref/c_shm_exclusive.html).
pub(super) const SHM_UNLOCK: c_int = 1;
pub(super) const SHM_LOCK: c_int = 2;
pub(super) const SHM_SHARED: c_int = 4;
pub(super) const SHM_EXCLUSIVE: c_int = 8;
