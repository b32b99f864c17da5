//! A database of our own beside the host's: opened by the host's SQLite, in the
//! VFS of the main database, under its name with something behind it.
//!
//! No link is followed. A new file is readable by those who may read the main
//! database, and appears under its name when it is whole.

use std::ffi::{CString, c_int};
use std::path::{Path, PathBuf};
use std::ptr;

use super::api::{random_u32, rc, sqlite};
use super::connection::{
    Connection, HostDb, OPEN_CREATE, OPEN_NOMUTEX, OPEN_PRIVATECACHE, OPEN_READWRITE, OPEN_URI,
    path_of,
};
use crate::error::{Error, Kind, Result};

/// sqlite.org/c3ref/c_open_autoproxy.html, since 3.31.
const OPEN_NOFOLLOW: c_int = 0x0100_0000;

/// Where such a file is. It knows how to open it, from any thread.
#[derive(Clone, Debug)]
pub struct Beside {
    database: CString,
    name: CString,
    vfs: Option<CString>,
}

impl HostDb {
    /// The place of a file named like the main database with `ending` behind
    /// it; None where the main database is not in a file.
    pub fn beside(self, ending: &str) -> Option<Beside> {
        if self.is_in_memory() {
            return None;
        }
        let database = self.main_name()?;
        let name = CString::new([database.to_bytes(), ending.as_bytes()].concat()).ok()?;
        Some(Beside { database, name, vfs: self.vfs_name() })
    }
}

impl Beside {
    pub fn path(&self) -> PathBuf {
        path_of(&self.name)
    }

    /// Whether anything is there; a link counts, wherever it leads.
    pub fn is_there(&self) -> bool {
        std::fs::symlink_metadata(self.path()).is_ok()
    }

    /// Opens what is there.
    pub fn open(&self) -> Result<Connection> {
        let flags = OPEN_READWRITE | OPEN_NOMUTEX | OPEN_PRIVATECACHE | OPEN_NOFOLLOW;
        self.open_as(&self.name, flags)
    }

    /// Makes the file by `fill`, in a file of another name first. Somebody who
    /// was quicker is no error, and his file stays.
    pub fn create(&self, fill: impl FnOnce(&Connection) -> Result<()>) -> Result<()> {
        let random = format!(".{:08x}{:08x}.tmp", random_u32(), random_u32());
        let temporary = [self.name.to_bytes(), random.as_bytes()].concat();
        let temporary = CString::new(temporary).expect("BUG: two names without a NUL");
        // With the mode and, for root, the owner of the main database.
        let uri = format!("file:{}?modeof={}", in_uri(&temporary), in_uri(&self.database));
        let uri = CString::new(uri).expect("BUG: a NUL would be written as %00");
        let flags = OPEN_READWRITE
            | OPEN_CREATE
            | OPEN_URI
            | OPEN_NOMUTEX
            | OPEN_PRIVATECACHE
            | OPEN_NOFOLLOW;
        let path = path_of(&temporary);
        let filled = self.open_as(&uri, flags).and_then(|connection| fill(&connection));
        let named = filled.and_then(|()| give_name(&path, &self.path()));
        // Where it has its name, this is the other one.
        let _ = std::fs::remove_file(&path);
        named
    }

    fn open_as(&self, name: &CString, flags: c_int) -> Result<Connection> {
        let vfs = self.vfs.as_ref().map_or(ptr::null(), |name| name.as_ptr());
        let mut db = ptr::null_mut();
        // SAFETY: NUL-terminated strings that outlive the call. Where opening
        // fails, the handle still has to be closed, which `Drop` does.
        let code = unsafe { sqlite!(open_v2(name.as_ptr(), &mut db, flags, vfs)) };
        // SAFETY: the handle comes from open_v2 and is nobody else's.
        let connection = unsafe { Connection::owning(db) };
        match code {
            rc::OK => Ok(connection),
            code => {
                Err(connection
                    .error(&format!("cannot open {}", path_of(&self.name).display()), code))
            }
        }
    }
}

/// Gives a finished file the name that others look for, unless one of that
/// name is there, and sees to it that a power cut does not take the name back.
fn give_name(from: &Path, to: &Path) -> Result<()> {
    let cannot = |error: std::io::Error| {
        Error::new(Kind::Local, format!("cannot make {}: {error}", to.display()))
    };
    let named = match std::fs::hard_link(from, to) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => return Ok(()),
        // A file system without hard links.
        Err(_) if std::fs::symlink_metadata(to).is_err() => std::fs::rename(from, to),
        named => named,
    };
    named.map_err(cannot)?;
    #[cfg(unix)]
    {
        let folder = to.parent().unwrap_or(Path::new("."));
        std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(cannot)?;
    }
    Ok(())
}

/// A file name as a part of a URI (sqlite.org/uri.html).
fn in_uri(name: &CString) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
    let letter = |byte: &u8| match plain(*byte) {
        true => char::from(*byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    name.to_bytes().iter().map(letter).collect()
}

/// Whether the process with this number may still be there. One of another
/// user, or of another name space, is there as far as anybody can say.
#[cfg(unix)]
pub fn may_be_running(process: u32) -> bool {
    let Ok(process) = i32::try_from(process) else { return true };
    // SAFETY: signal 0 is sent to nobody.
    let sent = unsafe { libc::kill(process, 0) };
    sent == 0 || std::io::Error::last_os_error().raw_os_error() != Some(libc::ESRCH)
}

#[cfg(not(unix))]
pub fn may_be_running(_: u32) -> bool {
    true
}
