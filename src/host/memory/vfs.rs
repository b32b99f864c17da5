//! The VFS itself (`sqlite3_vfs`): opens databases in memory, and hands
//! everything else on to the VFS that it was laid over.

use std::cell::RefCell;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, Ordering};

use super::bytes::OutOfMemory;
use super::methods::{self, How, OpenFile, guarded_code};
use super::names::{self, File as Name};
use super::store::Store;
use crate::host::api::{self, rc, sqlite};
use crate::host::io_methods::File;

/// Longest name of a database: a URI in which each character may be escaped.
const MAX_NAME: c_int = 4096;

/// sqlite.org/c3ref/c_open_autoproxy.html.
const OPEN_READONLY: c_int = 0x0000_0001;
const OPEN_CREATE: c_int = 0x0000_0004;
const OPEN_DELETEONCLOSE: c_int = 0x0000_0008;
const OPEN_EXCLUSIVE: c_int = 0x0000_0010;

/// sqlite.org/c3ref/vfs.html, version 2.
#[repr(C)]
pub struct Vfs {
    version: c_int,
    file_size: c_int,
    max_name: c_int,
    next: *mut Vfs,
    name: *const c_char,
    /// The VFS below: [`below`].
    data: *mut c_void,
    open: Option<unsafe extern "C" fn(*mut Vfs, *const c_char, File, c_int, *mut c_int) -> c_int>,
    delete: Option<unsafe extern "C" fn(*mut Vfs, *const c_char, c_int) -> c_int>,
    access: Option<unsafe extern "C" fn(*mut Vfs, *const c_char, c_int, *mut c_int) -> c_int>,
    full_name: Option<unsafe extern "C" fn(*mut Vfs, *const c_char, c_int, *mut c_char) -> c_int>,
    dl_open: Option<unsafe extern "C" fn(*mut Vfs, *const c_char) -> *mut c_void>,
    dl_error: Option<unsafe extern "C" fn(*mut Vfs, c_int, *mut c_char)>,
    dl_symbol: Option<unsafe extern "C" fn(*mut Vfs, *mut c_void, *const c_char) -> Symbol>,
    dl_close: Option<unsafe extern "C" fn(*mut Vfs, *mut c_void)>,
    randomness: Option<unsafe extern "C" fn(*mut Vfs, c_int, *mut c_char) -> c_int>,
    sleep: Option<unsafe extern "C" fn(*mut Vfs, c_int) -> c_int>,
    time: Option<unsafe extern "C" fn(*mut Vfs, *mut f64) -> c_int>,
    last_error: Option<unsafe extern "C" fn(*mut Vfs, c_int, *mut c_char) -> c_int>,
    time_ms: Option<unsafe extern "C" fn(*mut Vfs, *mut i64) -> c_int>,
}

type Symbol = Option<unsafe extern "C" fn()>;

thread_local! {
    /// The URI that this thread's `sqlite3_deserialize` is to open.
    static EXPECTED: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// Makes `file:NAME?vfs=replica` known to the host's SQLite, for all of its
/// connections. Without it, replicas in files work as ever.
pub fn register() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        // SAFETY: NUL-terminated names; what is registered is never freed, and
        // neither is the library. Another library's `replica` is left alone.
        unsafe {
            let taken = sqlite!(vfs_find(c"replica".as_ptr()));
            let default: *mut Vfs = sqlite!(vfs_find(ptr::null())).cast();
            if taken.is_null() && !default.is_null() {
                let ours = over(default, c"replica", full_name);
                if sqlite!(vfs_register(ours.cast(), 0)) != rc::OK {
                    api::log_error(rc::ERROR, "replica: its VFS was refused");
                }
            }
        }
    });
}

/// Runs `body` with a VFS of ours registered as `memdb`, SQLite's name for its
/// databases in memory. To this thread it opens `uri`, to all others it is
/// SQLite's own. None if there is no such VFS to lay it over.
pub fn as_memdb<T>(uri: &[u8], body: impl FnOnce() -> T) -> Option<T> {
    /// Made once: connections that it opened for others keep it.
    static IMPOSTOR: AtomicPtr<Vfs> = AtomicPtr::new(ptr::null_mut());
    static ONE_AT_A_TIME: parking_lot::Mutex<()> = parking_lot::Mutex::new(());
    let _one = ONE_AT_A_TIME.lock();
    // SAFETY: as in `register`; it is registered while `body` runs, by one
    // thread at a time, and never changed.
    unsafe {
        let mut impostor = IMPOSTOR.load(Ordering::Acquire);
        if impostor.is_null() {
            let memdb: *mut Vfs = sqlite!(vfs_find(c"memdb".as_ptr())).cast();
            if memdb.is_null() {
                return None;
            }
            impostor = over(memdb, c"memdb", expected_name);
            IMPOSTOR.store(impostor, Ordering::Release);
        }
        if sqlite!(vfs_register(impostor.cast(), 0)) != rc::OK {
            return None;
        }
        let registered = Registered(impostor);
        EXPECTED.set(Some(uri.to_vec()));
        let outcome = body();
        drop(registered);
        Some(outcome)
    }
}

/// Ends what `as_memdb` has begun, also after a panic.
struct Registered(*mut Vfs);

impl Drop for Registered {
    fn drop(&mut self) {
        EXPECTED.set(None);
        // SAFETY: it was registered.
        unsafe { sqlite!(vfs_unregister(self.0.cast())) };
    }
}

/// A VFS over another one, for ever.
///
/// # Safety
/// `below` is registered and stays so.
unsafe fn over(
    below: *mut Vfs,
    name: &'static CStr,
    full_name: unsafe extern "C" fn(*mut Vfs, *const c_char, c_int, *mut c_char) -> c_int,
) -> *mut Vfs {
    // SAFETY: promised by the caller. Temporary files are the default VFS's.
    let (theirs, default) = unsafe {
        let default: *mut Vfs = sqlite!(vfs_find(ptr::null())).cast();
        (&*below, &*default)
    };
    let ours = c_int::try_from(size_of::<OpenFile>()).unwrap_or(c_int::MAX);
    Box::leak(Box::new(Vfs {
        version: 2,
        file_size: ours.max(theirs.file_size).max(default.file_size),
        max_name: MAX_NAME.max(theirs.max_name),
        next: ptr::null_mut(),
        name: name.as_ptr(),
        data: below.cast(),
        open: Some(open),
        delete: Some(delete),
        access: Some(access),
        full_name: Some(full_name),
        dl_open: Some(dl_open),
        dl_error: Some(dl_error),
        dl_symbol: Some(dl_symbol),
        dl_close: Some(dl_close),
        randomness: Some(randomness),
        sleep: Some(sleep),
        time: Some(time),
        last_error: Some(last_error),
        time_ms: Some(time_ms),
    }))
}

/// The VFS that this one was laid over.
///
/// # Safety
/// `vfs` was made by [`over`].
unsafe fn below(vfs: *mut Vfs) -> *mut Vfs {
    // SAFETY: promised by the caller.
    unsafe { (*vfs).data.cast::<Vfs>() }
}

/// # Safety
/// `name` is NULL or NUL-terminated and lives long enough.
unsafe fn bytes<'n>(name: *const c_char) -> Option<&'n [u8]> {
    // SAFETY: promised by the caller.
    (!name.is_null()).then(|| unsafe { CStr::from_ptr(name) }.to_bytes())
}

unsafe extern "C" fn open(
    vfs: *mut Vfs,
    name: *const c_char,
    file: File,
    flags: c_int,
    flags_out: *mut c_int,
) -> c_int {
    // SAFETY: SQLite's arguments: a VFS of ours, a name or NULL, memory for a
    // file of the size that we told, a place for flags or NULL.
    guarded_code(|| unsafe {
        (*file).methods = ptr::null();
        let ours = match bytes(name) {
            Some(name) if names::is_ours(name) => open_ours(name, file, flags),
            _ => {
                let code = match (*below(vfs)).open {
                    Some(open) => open(below(vfs), name, file, flags, flags_out),
                    None => rc::CANTOPEN,
                };
                if code == rc::OK || !name.is_null() {
                    return code;
                }
                // A machine without a writable folder for temporary files.
                open_temporary(file)
            }
        };
        if ours == rc::OK && !flags_out.is_null() {
            *flags_out = flags;
        }
        ours
    })
}

/// # Safety
/// As for [`methods::open`].
unsafe fn open_ours(name: &[u8], file: File, flags: c_int) -> c_int {
    if flags & OPEN_DELETEONCLOSE != 0 {
        // SAFETY: promised by the caller.
        return unsafe { open_temporary(file) };
    }
    // A super-journal would have to survive a crash for the files that name it.
    let Some((uri, which)) = names::parse(name) else { return rc::CANTOPEN };
    let is_expected = EXPECTED.with_borrow(|expected| expected.as_deref() == Some(uri));
    let make = is_expected || flags & OPEN_CREATE != 0;
    let found = Store::find(uri);
    if found.is_some() && flags & OPEN_EXCLUSIVE != 0 {
        return rc::CANTOPEN;
    }
    let store = match found {
        Some(store) => store,
        None if make && which == Name::Database => match Store::find_or_make(uri) {
            Ok(store) => store,
            Err(OutOfMemory) => return rc::IOERR_NOMEM,
        },
        None => return rc::CANTOPEN,
    };
    let how = How { make, read_only: flags & OPEN_READONLY != 0 };
    // SAFETY: promised by the caller.
    if unsafe { methods::open(file, store, which, how) } { rc::OK } else { rc::CANTOPEN }
}

/// # Safety
/// As for [`methods::open`].
unsafe fn open_temporary(file: File) -> c_int {
    let Ok(store) = Store::temporary() else { return rc::IOERR_NOMEM };
    let how = How { make: true, read_only: false };
    // SAFETY: promised by the caller.
    if unsafe { methods::open(file, store, Name::Database, how) } { rc::OK } else { rc::CANTOPEN }
}

unsafe extern "C" fn delete(vfs: *mut Vfs, name: *const c_char, sync: c_int) -> c_int {
    // SAFETY: SQLite's arguments: a VFS of ours and a name.
    guarded_code(|| unsafe {
        let name_bytes = bytes(name).unwrap_or_default();
        if !names::is_ours(name_bytes) {
            return (*below(vfs)).delete.map_or(rc::OK, |delete| delete(below(vfs), name, sync));
        }
        let was_there = names::parse(name_bytes)
            .is_some_and(|(uri, which)| Store::find(uri).is_some_and(|store| store.delete(which)));
        if was_there { rc::OK } else { rc::IOERR_DELETE_NOENT }
    })
}

unsafe extern "C" fn access(
    vfs: *mut Vfs,
    name: *const c_char,
    flags: c_int,
    there: *mut c_int,
) -> c_int {
    // SAFETY: SQLite's arguments: a VFS of ours, a name, a place for the answer.
    guarded_code(|| unsafe {
        let name_bytes = bytes(name).unwrap_or_default();
        if !names::is_ours(name_bytes) {
            return match (*below(vfs)).access {
                Some(access) => access(below(vfs), name, flags, there),
                None => rc::IOERR,
            };
        }
        let found = names::parse(name_bytes)
            .and_then(|(uri, which)| Store::find(uri)?.file(which, false))
            .is_some();
        *there = c_int::from(found);
        rc::OK
    })
}

/// A name with `vfs=replica` in its URI becomes a database in memory; any
/// other is the VFS's below.
unsafe extern "C" fn full_name(
    vfs: *mut Vfs,
    name: *const c_char,
    size: c_int,
    full: *mut c_char,
) -> c_int {
    // SAFETY: SQLite's arguments: a VFS of ours, a name that came through its
    // reading of URIs, and a buffer of that size.
    guarded_code(|| unsafe {
        let chosen = bytes(sqlite!(uri_parameter(name, c"vfs".as_ptr())));
        if chosen == Some(names::VFS.as_bytes()) {
            return copy(&names::uri(bytes(name).unwrap_or_default()), size, full);
        }
        hand_on_name(vfs, name, size, full)
    })
}

/// As `full_name`, where SQLite's own name for the database says nothing.
unsafe extern "C" fn expected_name(
    vfs: *mut Vfs,
    name: *const c_char,
    size: c_int,
    full: *mut c_char,
) -> c_int {
    // SAFETY: SQLite's arguments: a VFS of ours, a name, a buffer of that size.
    guarded_code(|| unsafe {
        match EXPECTED.with_borrow(Clone::clone) {
            Some(uri) => copy(&uri, size, full),
            None => hand_on_name(vfs, name, size, full),
        }
    })
}

/// # Safety
/// The arguments are SQLite's to `xFullPathname` of a VFS of ours.
unsafe fn hand_on_name(vfs: *mut Vfs, name: *const c_char, size: c_int, to: *mut c_char) -> c_int {
    // SAFETY: promised by the caller.
    unsafe {
        match (*below(vfs)).full_name {
            Some(full_name) => full_name(below(vfs), name, size, to),
            None => rc::CANTOPEN,
        }
    }
}

/// # Safety
/// `to` has room for `size` bytes.
unsafe fn copy(name: &[u8], size: c_int, to: *mut c_char) -> c_int {
    if usize::try_from(size).unwrap_or(0) <= name.len() {
        return rc::CANTOPEN;
    }
    // SAFETY: promised by the caller; there is room for the name and a NUL.
    unsafe {
        ptr::copy_nonoverlapping(name.as_ptr(), to.cast::<u8>(), name.len());
        *to.add(name.len()) = 0;
    }
    rc::OK
}

/// Defines callbacks that only hand on to the VFS below, or answer with a
/// value where it has none.
macro_rules! hand_on {
    ($($name:ident($($argument:ident: $type:ty),*) -> $result:ty, else $missing:expr;)*) => {$(
        unsafe extern "C" fn $name(vfs: *mut Vfs, $($argument: $type),*) -> $result {
            // SAFETY: SQLite's arguments, and a VFS of ours.
            guarded($missing, || unsafe {
                match (*below(vfs)).$name {
                    Some(function) => function(below(vfs), $($argument),*),
                    None => $missing,
                }
            })
        }
    )*};
}

hand_on! {
    dl_open(file: *const c_char) -> *mut c_void, else ptr::null_mut();
    dl_error(size: c_int, text: *mut c_char) -> (), else ();
    dl_symbol(library: *mut c_void, name: *const c_char) -> Symbol, else None;
    dl_close(library: *mut c_void) -> (), else ();
    randomness(size: c_int, to: *mut c_char) -> c_int, else 0;
    sleep(microseconds: c_int) -> c_int, else 0;
    time(days: *mut f64) -> c_int, else rc::ERROR;
    last_error(size: c_int, text: *mut c_char) -> c_int, else 0;
}

/// What `body` says, or `otherwise` if it panics.
fn guarded<T>(otherwise: T, body: impl FnOnce() -> T) -> T {
    crate::host::guard::guard(|| Ok(body())).unwrap_or(otherwise)
}

/// Milliseconds since the beginning of the Julian calendar.
unsafe extern "C" fn time_ms(vfs: *mut Vfs, now: *mut i64) -> c_int {
    // SAFETY: SQLite's arguments: a VFS of ours and a place for the number.
    guarded_code(|| unsafe {
        let below = below(vfs);
        if (*below).version >= 2 {
            if let Some(time_ms) = (*below).time_ms {
                return time_ms(below, now);
            }
        }
        let mut days = 0.0;
        let code = (*below).time.map_or(rc::ERROR, |time| time(below, &mut days));
        *now = (days * 86_400_000.0) as i64;
        code
    })
}
