//! What SQLite calls on an open file in memory (`sqlite3_io_methods`).

use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use super::bytes::OutOfMemory;
use super::locks::{Held, Level, Taken};
use super::names;
use super::store::{Content, Store};
use crate::host::api::rc;
use crate::host::guard::guard;
use crate::host::io_methods::{File, Methods, SHM_EXCLUSIVE, SHM_UNLOCK, sqlite3_file};

/// What an open file is to SQLite: its methods, then what is ours.
#[repr(C)]
pub struct OpenFile {
    file: sqlite3_file,
    handle: Handle,
}

/// One open file.
struct Handle {
    store: Arc<Store>,
    content: Arc<Content>,
    read_only: bool,
    held: Held,
    /// Whether it maps the wal-index.
    maps: bool,
}

static METHODS: Methods = Methods {
    version: 2,
    close: Some(close),
    read: Some(read),
    write: Some(write),
    truncate: Some(truncate),
    sync: Some(sync),
    file_size: Some(file_size),
    lock: Some(lock),
    unlock: Some(unlock),
    check_reserved_lock: Some(check_reserved_lock),
    file_control: Some(file_control),
    sector_size: Some(sector_size),
    device_characteristics: Some(device_characteristics),
    shm_map: Some(shm_map),
    shm_lock: Some(shm_lock),
    shm_barrier: Some(shm_barrier),
    shm_unmap: Some(shm_unmap),
};

/// How a file is opened.
#[derive(Clone, Copy)]
pub struct How {
    /// Where it does not exist, it is made.
    pub make: bool,
    pub read_only: bool,
}

/// Opens `name` of `store` in the place that SQLite has made for it; whether
/// that file exists, or was made.
///
/// # Safety
/// `file` is memory for an [`OpenFile`] that holds none.
pub unsafe fn open(file: File, store: Arc<Store>, name: names::File, how: How) -> bool {
    let Some(content) = store.file(name, how.make) else { return false };
    let read_only = how.read_only;
    let handle = Handle { store, content, read_only, held: Held::default(), maps: false };
    let open = OpenFile { file: sqlite3_file { methods: &METHODS }, handle };
    // SAFETY: promised by the caller; `close` drops it.
    unsafe { ptr::write(file.cast::<OpenFile>(), open) };
    true
}

/// The database that a file belongs to, if it is one of ours.
///
/// # Safety
/// `file` is allocated, and open or without methods.
pub unsafe fn store(file: File) -> Option<Arc<Store>> {
    // SAFETY: promised by the caller; what has our methods is an `OpenFile`.
    unsafe {
        ptr::eq((*file).methods, &METHODS).then(|| (*file.cast::<OpenFile>()).handle.store.clone())
    }
}

/// The body of a method, with its file. A panic is an I/O error.
///
/// # Safety
/// `file` is an [`OpenFile`] that no other call is using.
unsafe fn guarded_file(file: File, body: impl FnOnce(&mut Handle) -> c_int) -> c_int {
    // SAFETY: promised by the caller.
    let handle = unsafe { &mut (*file.cast::<OpenFile>()).handle };
    guarded_code(|| body(handle))
}

/// What `body` says; an I/O error if it panics.
pub fn guarded_code(body: impl FnOnce() -> c_int) -> c_int {
    guard(|| Ok(body())).unwrap_or(rc::IOERR)
}

fn or_busy(outcome: Result<(), Taken>) -> c_int {
    outcome.map_or(rc::BUSY, |()| rc::OK)
}

unsafe extern "C" fn close(file: File) -> c_int {
    // SAFETY: an open file of ours, which SQLite closes once. Its methods are
    // taken away, so that nobody takes it for an open one.
    guarded_code(|| unsafe {
        let mut handle = ptr::read(&raw const (*file.cast::<OpenFile>()).handle);
        (*file).methods = ptr::null();
        handle.store.locks.lock().release_all(&mut handle.held);
        if handle.maps {
            handle.store.unmap();
        }
        rc::OK
    })
}

unsafe extern "C" fn read(file: File, buffer: *mut c_void, count: c_int, at: i64) -> c_int {
    // SAFETY: an open file of ours, and a buffer of that size.
    unsafe {
        guarded_file(file, |handle| {
            let buffer = std::slice::from_raw_parts_mut(buffer.cast::<u8>(), length(count));
            let whole = handle.content.read().read(buffer, offset(at));
            if whole { rc::OK } else { rc::IOERR_SHORT_READ }
        })
    }
}

unsafe extern "C" fn write(file: File, bytes: *const c_void, count: c_int, at: i64) -> c_int {
    // SAFETY: an open file of ours, and that many bytes.
    unsafe {
        guarded_file(file, |handle| {
            if handle.read_only {
                return rc::READONLY;
            }
            let bytes = std::slice::from_raw_parts(bytes.cast::<u8>(), length(count));
            match handle.content.write().write(bytes, offset(at)) {
                Ok(()) => rc::OK,
                Err(OutOfMemory) => rc::IOERR_NOMEM,
            }
        })
    }
}

unsafe extern "C" fn truncate(file: File, size: i64) -> c_int {
    // SAFETY: an open file of ours.
    unsafe {
        guarded_file(file, |handle| {
            handle.content.write().truncate(offset(size));
            rc::OK
        })
    }
}

unsafe extern "C" fn sync(_: File, _: c_int) -> c_int {
    guarded_code(|| rc::OK)
}

unsafe extern "C" fn file_size(file: File, size: *mut i64) -> c_int {
    // SAFETY: an open file of ours, and a place for the number.
    unsafe {
        guarded_file(file, |handle| {
            *size = i64::try_from(handle.content.read().size()).unwrap_or(i64::MAX);
            rc::OK
        })
    }
}

unsafe extern "C" fn lock(file: File, level: c_int) -> c_int {
    // SAFETY: an open file of ours.
    unsafe {
        guarded_file(file, |handle| {
            or_busy(handle.store.locks.lock().raise(&mut handle.held, Level::new(level)))
        })
    }
}

unsafe extern "C" fn unlock(file: File, level: c_int) -> c_int {
    // SAFETY: an open file of ours.
    unsafe {
        guarded_file(file, |handle| {
            handle.store.locks.lock().lower(&mut handle.held, Level::new(level));
            rc::OK
        })
    }
}

unsafe extern "C" fn check_reserved_lock(file: File, reserved: *mut c_int) -> c_int {
    // SAFETY: an open file of ours, and a place for the answer.
    unsafe {
        guarded_file(file, |handle| {
            *reserved = c_int::from(handle.store.locks.lock().is_reserved());
            rc::OK
        })
    }
}

unsafe extern "C" fn file_control(_: File, _: c_int, _: *mut c_void) -> c_int {
    guarded_code(|| rc::NOTFOUND)
}

unsafe extern "C" fn sector_size(_: File) -> c_int {
    guarded_code(|| 4096)
}

/// sqlite.org/c3ref/c_iocap_atomic.html: SAFE_APPEND, SEQUENTIAL and
/// POWERSAFE_OVERWRITE. There is no power cut that anything survives.
unsafe extern "C" fn device_characteristics(_: File) -> c_int {
    guarded_code(|| 0x0200 | 0x0400 | 0x1000)
}

unsafe extern "C" fn shm_map(
    file: File,
    region: c_int,
    size: c_int,
    make: c_int,
    address: *mut *mut c_void,
) -> c_int {
    // SAFETY: an open file of ours, and a place for the address.
    unsafe {
        guarded_file(file, |handle| {
            *address = ptr::null_mut();
            let first = !handle.maps;
            match handle.store.map(length(region), length(size), make != 0, first) {
                Ok(found) => {
                    handle.maps = true;
                    *address = found.unwrap_or(ptr::null_mut()).cast();
                    rc::OK
                }
                Err(OutOfMemory) => rc::IOERR_NOMEM,
            }
        })
    }
}

unsafe extern "C" fn shm_lock(file: File, first: c_int, count: c_int, flags: c_int) -> c_int {
    // SAFETY: an open file of ours.
    unsafe {
        guarded_file(file, |handle| {
            let set = (0..8)
                .filter(|slot| (first..first + count).contains(slot))
                .fold(0, |set, slot| set | 1 << slot);
            let mut locks = handle.store.locks.lock();
            if flags & SHM_UNLOCK != 0 {
                locks.release(&mut handle.held, set);
                rc::OK
            } else if flags & SHM_EXCLUSIVE != 0 {
                or_busy(locks.take(&mut handle.held, set))
            } else {
                or_busy(locks.share(&mut handle.held, set))
            }
        })
    }
}

unsafe extern "C" fn shm_barrier(_: File) {
    let _ = guarded_code(|| {
        fence(Ordering::SeqCst);
        rc::OK
    });
}

unsafe extern "C" fn shm_unmap(file: File, _: c_int) -> c_int {
    // SAFETY: an open file of ours.
    unsafe {
        guarded_file(file, |handle| {
            if std::mem::take(&mut handle.maps) {
                handle.store.unmap();
            }
            rc::OK
        })
    }
}

fn length(count: c_int) -> usize {
    usize::try_from(count).unwrap_or(0)
}

fn offset(at: i64) -> u64 {
    u64::try_from(at).unwrap_or(0)
}
