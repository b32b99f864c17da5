//! The host's own connection, which we only ask.

use std::ffi::{CStr, CString, c_char, c_int};
use std::path::PathBuf;
use std::ptr;
use std::sync::Arc;

use super::api::{self, sqlite, sqlite3, text};
use super::file::DatabaseFile;
use super::handle::{
    FCNTL_VFS_POINTER, MAIN, READ_SOMETHING, control, database_file, error, first_value, path_of,
};
use super::memory::Store;
use super::temporary::Vfs;
use crate::error::{Error, Kind, Result};

/// sqlite.org/c3ref/c_dbconfig_defensive.html.
const DBCONFIG_TRUSTED_SCHEMA: c_int = 1017;

/// The connection that loaded us. It belongs to the host: nothing is executed
/// on it but one question (`is_query_only`), one read at the end of an attach,
/// and what makes it see its schema and its transactions.
#[derive(Clone, Copy, Debug)]
pub struct HostDb(*mut sqlite3);

// SAFETY: from another thread only `is_interrupted` is called, which SQLite
// allows there, and only while a callback of the connection is running.
unsafe impl Send for HostDb {}
// SAFETY: as above.
unsafe impl Sync for HostDb {}

impl HostDb {
    /// # Safety
    /// `db` is open and outlives the value.
    pub unsafe fn new(db: *mut sqlite3) -> HostDb {
        HostDb(db)
    }

    pub(super) fn handle(self) -> *mut sqlite3 {
        self.0
    }

    /// Tells open connections apart.
    pub fn identity(self) -> usize {
        self.0 as usize
    }

    /// Absolute path of the main database; None for a temporary or in-memory
    /// one.
    pub fn main_path(self) -> Option<PathBuf> {
        self.main_name().map(|name| path_of(&name))
    }

    /// The same as SQLite has it, byte by byte: a name need not be UTF-8.
    pub(super) fn main_name(self) -> Option<CString> {
        // SAFETY: NUL-terminated, and copied at once.
        let name = self.main_name_pointer().map(|name| unsafe { CStr::from_ptr(name) }.to_owned());
        name.filter(|name| !name.is_empty())
    }

    /// SQLite's own name of the main database, behind which it keeps the
    /// parameters that it was opened with.
    pub(super) fn main_name_pointer(self) -> Option<*const c_char> {
        // SAFETY: an open connection.
        let name = unsafe { sqlite!(db_filename(self.0, MAIN)) };
        (!name.is_null()).then_some(name)
    }

    /// Reads one number of the header of the main database, on the host's own
    /// connection; the code and the words of an error.
    pub(super) fn read_something(self) -> std::result::Result<(), (c_int, String)> {
        match first_value(self.0, READ_SOMETHING) {
            Ok(_) => Ok(()),
            // SAFETY: an open connection.
            Err(code) => Err((code, unsafe { text(sqlite!(errmsg(self.0))) })),
        }
    }

    /// Whether the main database is one of ours in memory.
    pub fn is_in_memory(self) -> bool {
        self.store().is_some()
    }

    /// The main database if it is one of ours in memory.
    pub fn store(self) -> Option<Arc<Store>> {
        self.main_file().ok()?.store()
    }

    /// Name of the VFS that the main database was opened with.
    pub(super) fn vfs_name(self) -> Option<CString> {
        let vfs = control(self.0, FCNTL_VFS_POINTER)?.cast::<Vfs>();
        // SAFETY: a registered VFS (sqlite.org/c3ref/vfs.html), whose name is
        // a NUL-terminated string.
        unsafe {
            let name = (*vfs).name;
            (!name.is_null()).then(|| CStr::from_ptr(name).to_owned())
        }
    }

    /// The main database's file as this connection has it open, to look at its
    /// raw bytes without a lock.
    pub fn main_file(&self) -> Result<DatabaseFile<'_>> {
        database_file(self.0)
    }

    /// Keeps the schema of the file from calling what the host has not marked
    /// as innocuous: functions of the application, the shell's `edit()`
    /// (`SQLITE_DBCONFIG_TRUSTED_SCHEMA`). Statements that are prepared already
    /// are prepared anew.
    pub fn distrust_schema(self) {
        let nowhere = ptr::null_mut::<c_int>();
        // SAFETY: an open connection. The operation takes an int and a place
        // for the setting that results, which may be NULL. It is known since
        // the oldest SQLite that is accepted.
        unsafe { sqlite!(db_config(self.0, DBCONFIG_TRUSTED_SCHEMA, 0 as c_int, nowhere)) };
    }

    /// Runs a statement on the host's own connection, which may be in the
    /// middle of another one.
    pub fn run(self, sql: &str) -> Result<()> {
        self.ask(sql).map(|_| ())
    }

    /// The same; the first column of its first row.
    pub(super) fn ask(self, sql: &str) -> Result<Option<String>> {
        first_value(self.0, sql).map_err(|code| error(self.0, code).context(sql))
    }

    /// Refuses a connection whose locks of its main database stay taken, which
    /// nobody else could then read or change.
    pub fn refuse_exclusive(self) -> Result<()> {
        // Where it may not be asked, the locks will be found taken.
        match self.ask("PRAGMA main.locking_mode").unwrap_or_default().as_deref() {
            Some("exclusive") => Err(Error::new(
                Kind::Busy,
                "this connection keeps its database to itself (PRAGMA locking_mode = EXCLUSIVE); \
                 set it to NORMAL, read something, and attach again",
            )),
            _ => Ok(()),
        }
    }

    /// Whether no transaction is open on it.
    pub fn is_autocommit(self) -> bool {
        // SAFETY: an open connection.
        unsafe { sqlite!(get_autocommit(self.0)) != 0 }
    }

    /// Makes SQLite look whether the schema has changed: some PRAGMAs answer
    /// from what it has in memory. Not in a transaction, whose state this would
    /// fix.
    pub fn refresh_schema(self) {
        if self.is_autocommit() {
            // Where it cannot be read, whoever reads next is told.
            let _ = self.run("SELECT 1 FROM main.sqlite_master LIMIT 1");
        }
    }

    fn is_interrupted(&self) -> bool {
        api::is_interrupted(self.0)
    }

    /// A question that other threads may ask while a callback is running:
    /// has `sqlite3_interrupt` been called? Always false before SQLite 3.41.
    pub fn interrupted(self) -> Arc<dyn Fn() -> bool + Send + Sync> {
        Arc::new(move || self.is_interrupted())
    }
}
