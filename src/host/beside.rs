//! A database file of our own beside the host's main database: opened through
//! the host's SQLite and its VFS, so that it lies where the database lies and
//! no lock of the host is lost when it is closed.

use std::ffi::{CStr, CString};
use std::path::{Path, PathBuf};

use super::connection::Connection;
use super::handle::path_of;
use super::host_db::HostDb;
use super::rights::is_a_strangers;
use crate::error::Result;

/// Where such a file is, or is to be.
#[derive(Clone, Debug)]
pub struct Beside {
    path: PathBuf,
    database: PathBuf,
    /// What SQLite is given.
    name: CString,
    vfs: Option<CString>,
}

impl Beside {
    /// The file whose name is that of the main database with `ending` behind
    /// it; None where the main database has no file.
    pub fn of(host: HostDb, ending: &CStr) -> Option<Beside> {
        let database = host.main_name().filter(|_| !host.is_in_memory())?;
        let full = [database.to_bytes(), ending.to_bytes()].concat();
        let full = CString::new(full).expect("BUG: two texts without a NUL");
        let name = if cfg!(unix) { uri(&full, &database) } else { full.clone() };
        let (path, database) = (path_of(&full), path_of(&database));
        Some(Beside { path, database, name, vfs: host.vfs_name() })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether there is anything of this name.
    pub fn is_there(&self) -> bool {
        std::fs::symlink_metadata(&self.path).is_ok()
    }

    /// Whether it belongs to somebody who may not change the database itself.
    pub fn is_a_strangers(&self) -> bool {
        is_a_strangers(&self.path, &self.database)
    }

    /// Opens what is there. Nothing is read or locked by that, and no link is
    /// followed.
    pub fn open(&self) -> Result<Connection> {
        Connection::open_own(&self.name, self.vfs.as_deref(), cfg!(unix), false)
    }

    /// The same; makes an empty file where there is none, which those may read
    /// who may read the database.
    pub fn open_or_make(&self) -> Result<Connection> {
        Connection::open_own(&self.name, self.vfs.as_deref(), cfg!(unix), true)
    }
}

/// Says that a new file gets the rights of the database (sqlite.org/uri.html,
/// `modeof`). All but what no URI reads otherwise is escaped.
fn uri(file: &CStr, database: &CStr) -> CString {
    let escaped = |name: &CStr| {
        let mut text = String::new();
        for byte in name.to_bytes() {
            match byte {
                b'/' | b'.' | b'-' | b'_' => text.push(char::from(*byte)),
                byte if byte.is_ascii_alphanumeric() => text.push(char::from(*byte)),
                byte => text.push_str(&format!("%{byte:02X}")),
            }
        }
        text
    };
    let uri = format!("file:{}?modeof={}", escaped(file), escaped(database));
    CString::new(uri).expect("BUG: no NUL was put into it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_escaped_wherever_a_uri_would_read_something_else() {
        let uri = uri(c"/a b/%?#\xff.db-outbox", c"/a b/%?#\xff.db");
        let expected = "file:/a%20b/%25%3F%23%FF.db-outbox?modeof=/a%20b/%25%3F%23%FF.db";
        assert_eq!(uri.to_str(), Ok(expected));
    }
}
