//! A file of our own that vanishes when it is closed, through the VFS of the
//! database and beside it, so that it has the room that the database has.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;

use super::api::{random_u32, rc};
use super::file::{Bytes, cause};
use super::io_methods::sqlite3_file;
use crate::error::{Error, Kind, Result};

/// `sqlite3_vfs` as far as `xOpen` (sqlite.org/c3ref/vfs.html).
#[repr(C)]
pub(super) struct Vfs {
    version: c_int,
    file_size: c_int,
    max_path: c_int,
    next: *mut Vfs,
    pub(super) name: *const c_char,
    app_data: *mut c_void,
    open: Option<
        unsafe extern "C" fn(
            *mut Vfs,
            *const c_char,
            *mut sqlite3_file,
            c_int,
            *mut c_int,
        ) -> c_int,
    >,
}

/// `SQLITE_OPEN_READWRITE`, `_CREATE`, `_DELETEONCLOSE`, `_EXCLUSIVE` and
/// `_TEMP_DB`: readable by the owner only, and without locks.
const FLAGS: c_int = 0x2 | 0x4 | 0x8 | 0x10 | 0x200;

pub struct TemporaryFile {
    bytes: Bytes,
    /// What `bytes` points to: as many bytes as the VFS asks for.
    _file: Box<[u64]>,
    /// The VFS keeps a pointer to it.
    _name: Box<[u8]>,
}

impl TemporaryFile {
    /// # Safety
    /// `vfs` is registered, and stays so.
    pub(super) unsafe fn beside(vfs: *mut Vfs, database: &CStr) -> Result<TemporaryFile> {
        let random = format!("-spool-{:08x}{:08x}", random_u32(), random_u32());
        // The parameters of a URI would follow the name: there are none.
        let name = [database.to_bytes(), random.as_bytes(), &[0; 8]].concat().into_boxed_slice();
        // SAFETY: promised by the caller.
        let (open, size) = unsafe { ((*vfs).open, (*vfs).file_size) };
        let Some(open) = open else { return Err(cannot("this VFS has no xOpen")) };
        let words = usize::try_from(size).unwrap_or(0).div_ceil(8).max(1);
        let mut file = vec![0_u64; words].into_boxed_slice();
        let pointer: *mut sqlite3_file = file.as_mut_ptr().cast();
        // SAFETY: the VFS gets the zeroed memory that it asks for, and a name
        // that lives as long as the file.
        let code = unsafe { open(vfs, name.as_ptr().cast(), pointer, FLAGS, ptr::null_mut()) };
        // SAFETY: `pointer` is the memory of the file, whose methods xOpen sets
        // if there is something to close.
        let Some(bytes) = (unsafe { Bytes::new(pointer) }) else {
            return Err(cannot(&cause(code)));
        };
        let file = TemporaryFile { bytes, _file: file, _name: name };
        if code == rc::OK { Ok(file) } else { Err(cannot(&cause(code))) }
    }

    pub fn read(&self, buffer: &mut [u8], at: u64) -> Result<()> {
        self.bytes.read(buffer, at).map_err(|error| error.context("temporary file"))
    }

    pub fn write(&self, bytes: &[u8], at: u64) -> Result<()> {
        self.bytes.write(bytes, at).map_err(|error| error.context("temporary file"))
    }

    /// Cuts what is from `size` on. A file that stays as long takes more room
    /// for a while, and nothing else.
    pub fn shorten(&self, size: u64) {
        let _ = self.bytes.truncate(size);
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        self.bytes.close();
    }
}

fn cannot(cause: &str) -> Error {
    let text = format!("cannot open a temporary file beside the database: {cause}");
    Error::new(Kind::Local, text)
}
