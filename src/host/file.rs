//! The host's `sqlite3_file` objects: the database, its log, and the shared
//! memory with the locks (sqlite.org/c3ref/io_methods.html).
//!
//! Not `std::fs`: closing any descriptor of a file drops all POSIX locks that
//! the process holds on it.

use std::ffi::{c_int, c_void};
use std::marker::PhantomData;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU32};

use super::api::rc;
use super::descriptors::with_cause;
use super::io_methods::{File, Methods, SHM_EXCLUSIVE, SHM_LOCK, SHM_SHARED, SHM_UNLOCK};
use super::memory::{self, Store};
use crate::error::{Error, Kind, Result};

/// Longest single write: the unix VFS silently cuts what is over 0x1ffff
/// bytes.
const MAX_WRITE: usize = 64 * 1024;

/// `SQLITE_SYNC_NORMAL`, or on Apple's systems `SQLITE_SYNC_FULL`, which makes
/// the drive write what it was given: fsync alone does not, there.
const SYNC: c_int = if cfg!(target_vendor = "apple") { 3 } else { 2 };

/// sqlite.org/c3ref/c_iocap_atomic.html.
const IOCAP_IMMUTABLE: c_int = 0x2000;

/// `SQLITE_FCNTL_HAS_MOVED`.
const FCNTL_HAS_MOVED: c_int = 20;

/// Size of a piece of shared memory, which is a segment of the wal-index.
const REGION: c_int = 32 * 1024;

/// Bytes in an open file, whichever.
#[derive(Clone, Copy)]
pub(super) struct Bytes {
    file: File,
}

impl Bytes {
    /// # Safety
    /// `file` stays allocated for the lifetime of the result.
    pub(super) unsafe fn new(file: File) -> Option<Bytes> {
        // SAFETY: promised by the caller; a closed file has no methods.
        let open = unsafe { !(*file).methods.is_null() };
        open.then_some(Bytes { file })
    }

    /// Closes a file of our own. It must not be used any more.
    pub(super) fn close(&self) {
        if let Some(close) = self.methods().close {
            // SAFETY: an open file, whose owner is dropped.
            unsafe { close(self.file) };
        }
    }

    fn methods(&self) -> &Methods {
        // SAFETY: checked by the constructors to be an open file.
        unsafe { &*(*self.file).methods }
    }

    /// Reads `buffer.len()` bytes; what lies past the end reads as zeros.
    pub(super) fn read(&self, buffer: &mut [u8], at: u64) -> Result<()> {
        let Some(read) = self.methods().read else { return Err(missing("xRead")) };
        for (piece, at) in pieces(buffer.len(), at) {
            let part = &mut buffer[piece];
            // SAFETY: the buffer has the length that is given.
            let code = unsafe {
                read(self.file, part.as_mut_ptr().cast(), part.len() as c_int, at as i64)
            };
            // The VFS fills the rest with zeros after a short read.
            if code != rc::OK && code != rc::IOERR_SHORT_READ {
                return Err(failed("read", code));
            }
        }
        Ok(())
    }

    pub(super) fn write(&self, bytes: &[u8], at: u64) -> Result<()> {
        let Some(write) = self.methods().write else { return Err(missing("xWrite")) };
        for (piece, at) in pieces(bytes.len(), at) {
            let part = &bytes[piece];
            // SAFETY: the buffer has the length that is given.
            let code =
                unsafe { write(self.file, part.as_ptr().cast(), part.len() as c_int, at as i64) };
            if code != rc::OK {
                return Err(failed("write", code));
            }
        }
        Ok(())
    }

    pub(super) fn truncate(&self, size: u64) -> Result<()> {
        let Some(truncate) = self.methods().truncate else { return Err(missing("xTruncate")) };
        // SAFETY: an open file.
        match unsafe { truncate(self.file, i64::try_from(size).unwrap_or(i64::MAX)) } {
            rc::OK => Ok(()),
            code => Err(failed("truncate", code)),
        }
    }

    fn sync(&self) -> Result<()> {
        let Some(sync) = self.methods().sync else { return Err(missing("xSync")) };
        // SAFETY: an open file.
        match unsafe { sync(self.file, SYNC) } {
            rc::OK => Ok(()),
            code => Err(failed("sync", code)),
        }
    }

    fn size(&self) -> Result<u64> {
        let Some(file_size) = self.methods().file_size else { return Err(missing("xFileSize")) };
        let mut size = 0;
        // SAFETY: an open file and a place for the number.
        match unsafe { file_size(self.file, &mut size) } {
            rc::OK => Ok(u64::try_from(size).unwrap_or(0)),
            code => Err(failed("size", code)),
        }
    }
}

/// Cuts `length` bytes at offset `at` into pieces that one call may take.
fn pieces(length: usize, at: u64) -> impl Iterator<Item = (std::ops::Range<usize>, u64)> {
    (0..length)
        .step_by(MAX_WRITE)
        .map(move |start| (start..length.min(start + MAX_WRITE), at + start as u64))
}

fn missing(method: &str) -> Error {
    Error::new(Kind::Local, format!("this VFS has no {method}; use SQLite's own"))
}

fn failed(what: &str, code: c_int) -> Error {
    Error::new(Kind::Local, format!("{what}: {}", cause(code)))
}

/// What a result code of a VFS means.
pub(super) fn cause(code: c_int) -> String {
    match rc::primary(code) {
        rc::FULL => "the disk is full".to_owned(),
        rc::READONLY => "the file is read-only".to_owned(),
        // The whole code of a VFS in memory.
        rc::IOERR if code == rc::IOERR_NOMEM => "there is no memory left".to_owned(),
        _ => with_cause(code, format!("the file system reported an error (SQLite code {code})")),
    }
}

/// The log of an open connection.
#[derive(Clone, Copy)]
pub struct WalFile<'c> {
    bytes: Bytes,
    connection: PhantomData<&'c ()>,
}

impl WalFile<'_> {
    /// # Safety
    /// `file` stays allocated for the lifetime of the result.
    pub(super) unsafe fn new(file: File) -> Option<Self> {
        // SAFETY: promised by the caller.
        let bytes = unsafe { Bytes::new(file) };
        bytes.map(|bytes| WalFile { bytes, connection: PhantomData })
    }

    pub fn read(&self, buffer: &mut [u8], at: u64) -> Result<()> {
        self.bytes.read(buffer, at).map_err(|error| error.context("write-ahead log"))
    }

    pub fn write(&self, bytes: &[u8], at: u64) -> Result<()> {
        self.bytes.write(bytes, at).map_err(|error| error.context("write-ahead log"))
    }

    pub fn sync(&self) -> Result<()> {
        self.bytes.sync().map_err(|error| error.context("write-ahead log"))
    }

    /// Size in bytes.
    pub fn size(&self) -> Result<u64> {
        self.bytes.size().map_err(|error| error.context("write-ahead log"))
    }
}

/// The database file of an open connection, with its shared memory.
#[derive(Clone, Copy)]
pub struct DatabaseFile<'c> {
    bytes: Bytes,
    connection: PhantomData<&'c ()>,
}

impl<'c> DatabaseFile<'c> {
    /// # Safety
    /// `file` stays allocated for the lifetime of the result.
    pub(super) unsafe fn new(file: File) -> Option<Self> {
        // SAFETY: promised by the caller.
        let bytes = unsafe { Bytes::new(file) };
        bytes.map(|bytes| DatabaseFile { bytes, connection: PhantomData })
    }

    pub fn read(&self, buffer: &mut [u8], at: u64) -> Result<()> {
        self.bytes.read(buffer, at).map_err(|error| error.context("database file"))
    }

    pub fn write(&self, bytes: &[u8], at: u64) -> Result<()> {
        self.bytes.write(bytes, at).map_err(|error| error.context("database file"))
    }

    /// Whether the file was opened to be written: whether a write of no bytes
    /// is taken. The kernel looks at how a file was opened before it looks at
    /// how much there is to write.
    pub(super) fn takes_writes(&self) -> bool {
        let nothing = [0_u8; 1];
        self.bytes.methods().write.is_none_or(|write| {
            // SAFETY: an open file; no byte of the buffer is used.
            let code = unsafe { write(self.bytes.file, nothing.as_ptr().cast(), 0, 0) };
            code == rc::OK
        })
    }

    pub fn sync(&self) -> Result<()> {
        self.bytes.sync().map_err(|error| error.context("database file"))
    }

    /// Size in bytes.
    pub fn size(&self) -> Result<u64> {
        self.bytes.size().map_err(|error| error.context("database file"))
    }

    /// The database in memory that it is, if it is one of ours.
    pub(super) fn store(&self) -> Option<Arc<Store>> {
        // SAFETY: an open file.
        unsafe { memory::store(self.bytes.file) }
    }

    /// What it is called if it is in memory.
    pub fn name_in_memory(&self) -> Option<String> {
        self.store().map(|store| store.name())
    }

    /// Whether it is the database `file:NAME?vfs=replica`.
    pub fn is_named_in_memory(&self, name: &str) -> bool {
        self.store().is_some_and(|store| store.is_named(name))
    }

    /// Cuts the file to `size` bytes.
    pub fn truncate(&self, size: u64) -> Result<()> {
        let Some(truncate) = self.bytes.methods().truncate else {
            return Err(missing("xTruncate"));
        };
        // SAFETY: an open file.
        match unsafe { truncate(self.bytes.file, size as i64) } {
            rc::OK => Ok(()),
            code => Err(failed("truncate", code).context("database file")),
        }
    }

    /// Whether the VFS says that nobody changes the file.
    pub fn is_immutable(&self) -> bool {
        self.bytes.methods().device_characteristics.is_some_and(|ask| {
            // SAFETY: an open file.
            unsafe { ask(self.bytes.file) & IOCAP_IMMUTABLE != 0 }
        })
    }

    /// Whether the path leads to another file now, or to none. False where the
    /// VFS cannot tell.
    pub fn has_moved(&self) -> bool {
        let mut moved: c_int = 0;
        self.bytes.methods().file_control.is_some_and(|control| {
            // SAFETY: this operation writes one int.
            let code = unsafe {
                control(self.bytes.file, FCNTL_HAS_MOVED, (&raw mut moved).cast::<c_void>())
            };
            code == rc::OK && moved != 0
        })
    }

    /// Maps segment `number` of the shared memory, making it if need be.
    pub fn shared_memory(&self, number: usize) -> Result<SharedMemory<'c>> {
        let methods = self.bytes.methods();
        let Some(map) = methods.shm_map.filter(|_| methods.version >= 2) else {
            return Err(Error::new(
                Kind::Local,
                "this VFS has no shared memory, so the file cannot be in WAL mode; use SQLite's own",
            ));
        };
        let mut start: *mut c_void = ptr::null_mut();
        // SAFETY: an open file and a place for the pointer.
        let code = unsafe { map(self.bytes.file, number as c_int, REGION, 1, &mut start) };
        if code != rc::OK || start.is_null() {
            return Err(failed("shared memory", code).context("database file"));
        }
        Ok(SharedMemory { start: start.cast(), connection: PhantomData })
    }

    /// Tries to lock `count` of the eight lock bytes from `first` on; None if
    /// somebody else holds one of them.
    pub fn try_lock(&self, first: u8, count: u8) -> Result<Option<SharedLock<'c>>> {
        self.lock(first, count, SHM_EXCLUSIVE)
    }

    /// Tries to hold a lock byte as readers do; None if somebody has it alone.
    pub(super) fn try_share(&self, byte: u8) -> Result<Option<SharedLock<'c>>> {
        self.lock(byte, 1, SHM_SHARED)
    }

    fn lock(&self, first: u8, count: u8, kind: c_int) -> Result<Option<SharedLock<'c>>> {
        let Some(lock) = self.bytes.methods().shm_lock else { return Err(missing("xShmLock")) };
        let (first, count) = (c_int::from(first), c_int::from(count));
        // SAFETY: an open file whose shared memory is mapped.
        match unsafe { lock(self.bytes.file, first, count, SHM_LOCK | kind) } {
            rc::OK => Ok(Some(SharedLock { file: *self, first, count, kind })),
            code if rc::primary(code) == rc::BUSY => Ok(None),
            code => Err(failed("lock", code).context("database file")),
        }
    }

    /// `xShmBarrier`: orders reads and writes of the shared memory.
    pub fn barrier(&self) {
        if let Some(barrier) = self.bytes.methods().shm_barrier {
            // SAFETY: an open file.
            unsafe { barrier(self.bytes.file) };
        }
    }
}

/// 32 KiB of memory that other processes see too.
#[derive(Clone, Copy)]
pub struct SharedMemory<'c> {
    start: *const u8,
    connection: PhantomData<&'c ()>,
}

impl<'c> SharedMemory<'c> {
    /// The first half, as words.
    pub fn words<const N: usize>(&self) -> &'c [AtomicU32; N] {
        const { assert!(N * 4 * 2 == REGION as usize) };
        // SAFETY: half a region, mapped and page-aligned while the connection
        // is open; atomics allow others to write it.
        unsafe { &*self.start.cast() }
    }

    /// The second half, as half words.
    pub fn half_words<const N: usize>(&self) -> &'c [AtomicU16; N] {
        const { assert!(N * 2 * 2 == REGION as usize) };
        // SAFETY: as above.
        unsafe { &*self.start.add(REGION as usize / 2).cast() }
    }
}

/// A lock on bytes of the shared memory; given up when dropped.
pub struct SharedLock<'c> {
    file: DatabaseFile<'c>,
    first: c_int,
    count: c_int,
    /// `SHM_EXCLUSIVE` or `SHM_SHARED`.
    kind: c_int,
}

impl Drop for SharedLock<'_> {
    fn drop(&mut self) {
        if let Some(lock) = self.file.bytes.methods().shm_lock {
            // SAFETY: an open file; the bytes were locked in this way.
            unsafe { lock(self.file.bytes.file, self.first, self.count, SHM_UNLOCK | self.kind) };
        }
    }
}
