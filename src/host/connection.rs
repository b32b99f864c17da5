//! Connections: the host's own, which we only ask, and a second one of ours on
//! the same file, which we drive.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use super::api::{self, rc, sqlite, sqlite3, sqlite3_stmt, text};
use super::descriptors::with_cause;
use super::file::{DatabaseFile, WalFile};
use super::io_methods::sqlite3_file;
use super::lock_proof::LockProof;
use super::memory::Store;
use super::temporary::{TemporaryFile, Vfs};
use crate::error::{Error, Kind, Result};

const MAIN: *const c_char = c"main".as_ptr();

/// sqlite.org/c3ref/c_fcntl_begin_atomic_write.html.
const FCNTL_FILE_POINTER: c_int = 7;
const FCNTL_VFS_POINTER: c_int = 27;
const FCNTL_JOURNAL_POINTER: c_int = 28;

/// sqlite.org/c3ref/c_dbconfig_defensive.html.
const DBCONFIG_TRUSTED_SCHEMA: c_int = 1017;
const DBCONFIG_NO_CKPT_ON_CLOSE: c_int = 1006;

/// The lock bytes of a writer and of readers (sqlite.org/walformat.html 2.3).
const WRITE_LOCK: u8 = 0;
const READ_LOCKS: std::ops::Range<u8> = 3..8;

/// sqlite.org/c3ref/c_open_autoproxy.html. No mutex: a connection of ours is
/// used by one thread at a time, which its owner sees to.
const OPEN_READWRITE: c_int = 0x0000_0002;
const OPEN_CREATE: c_int = 0x0000_0004;
const OPEN_URI: c_int = 0x0000_0040;
const OPEN_NOMUTEX: c_int = 0x0000_8000;
const OPEN_PRIVATECACHE: c_int = 0x0004_0000;

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
    fn main_name(self) -> Option<CString> {
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
        // Not ours to close.
        let borrowed = std::mem::ManuallyDrop::new(Connection { db: self.0, proof: None });
        borrowed.query(sql)
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

/// How far `Connection::checkpoint` goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checkpoint {
    /// As much as possible without waiting for anyone.
    Passive,
    /// All of it, and the log is cut to nothing, if nobody is in the way.
    Truncate,
}

/// A connection of our own on the host's file, through the host's SQLite: the
/// only way to the file that does not drop the host's locks when it is closed
/// (sqlite.org/howtocorrupt.html 2.2).
#[derive(Debug)]
pub struct Connection {
    db: *mut sqlite3,
    /// None for one in memory.
    proof: Option<LockProof>,
}

// SAFETY: `threadsafe()` is checked by whoever moves it to another thread; the
// type is not Sync, so one thread at a time uses it.
unsafe impl Send for Connection {}

impl Connection {
    /// Opens the main database of `host` once more.
    pub fn open_beside(host: HostDb) -> Result<Connection> {
        let path = host
            .main_name()
            .ok_or_else(|| Error::new(Kind::BadArgument, "the main database has no file"))?;
        let mut flags = OPEN_READWRITE | OPEN_NOMUTEX | OPEN_PRIVATECACHE;
        // The name of a database in memory is a URI that says which VFS.
        let in_memory = host.is_in_memory();
        let vfs = if in_memory { None } else { host.vfs_name() };
        let vfs_name = vfs.as_ref().map_or(ptr::null(), |name| name.as_ptr());
        if in_memory {
            flags |= OPEN_URI;
        }
        let mut db = ptr::null_mut();
        // SAFETY: NUL-terminated strings that outlive the call. Where opening
        // fails, the handle still has to be closed, which `Drop` does.
        let code = unsafe { sqlite!(open_v2(path.as_ptr(), &mut db, flags, vfs_name)) };
        let proof = (!in_memory).then(|| LockProof::new(&path_of(&path)));
        let connection = Connection { db, proof };
        match code {
            rc::OK => connection.unlock_between_statements().map(|()| connection),
            code => Err(connection.error("open the database a second time", code)),
        }
    }

    /// Opens a database file that is nobody's main database here, by SQLite's
    /// own VFS.
    pub fn open_file(path: &Path) -> Result<Connection> {
        let nul = |_| Error::new(Kind::BadArgument, "a path has no NUL character");
        let name = CString::new(path.as_os_str().as_encoded_bytes()).map_err(nul)?;
        let mut db = ptr::null_mut();
        let flags = OPEN_READWRITE | OPEN_NOMUTEX | OPEN_PRIVATECACHE;
        // SAFETY: as in `open_beside`.
        let code = unsafe { sqlite!(open_v2(name.as_ptr(), &mut db, flags, ptr::null())) };
        let connection = Connection { db, proof: None };
        match code {
            rc::OK => Ok(connection),
            code => Err(connection.error("open the database", code)),
        }
    }

    /// What the program runs on each new connection (`sqlite3_auto_extension`)
    /// has run on this one, too: one that never gives up its locks would keep
    /// everybody else out. The journal needs no such care: a database that is
    /// a replica lets nobody change it, and an empty one is made one by us.
    fn unlock_between_statements(&self) -> Result<()> {
        match self.query("PRAGMA main.locking_mode=NORMAL")?.as_deref() {
            Some("exclusive") => Err(Error::new(
                Kind::Local,
                "this program makes each connection exclusive (sqlite3_auto_extension), which would \
                 keep all others out; leave the replica's locking_mode at normal",
            )),
            _ => Ok(()),
        }
    }

    /// The database if it is one of ours in memory.
    pub fn in_memory(&self) -> Option<Arc<Store>> {
        self.database_file().ok()?.store()
    }

    /// A database of its own, in memory.
    pub fn open_in_memory() -> Result<Connection> {
        let mut db = ptr::null_mut();
        let flags = OPEN_READWRITE | OPEN_CREATE | OPEN_NOMUTEX | OPEN_PRIVATECACHE;
        // SAFETY: as in `open_beside`.
        let code = unsafe { sqlite!(open_v2(c":memory:".as_ptr(), &mut db, flags, ptr::null())) };
        let connection = Connection { db, proof: None };
        match code {
            rc::OK => Ok(connection),
            code => Err(connection.error("open a database in memory", code)),
        }
    }

    pub(super) fn handle(&self) -> *mut sqlite3 {
        self.db
    }

    /// As somebody's connection: to add functions to it, to open its file once
    /// more.
    pub fn as_host(&self) -> HostDb {
        HostDb(self.db)
    }

    /// How long SQLite's own statements wait for locks.
    pub fn set_busy_timeout(&self, timeout: Duration) {
        let milliseconds = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: an open connection.
        unsafe { sqlite!(busy_timeout(self.db, milliseconds)) };
    }

    /// Runs one statement and returns the first column of its first row.
    pub fn query(&self, sql: &str) -> Result<Option<String>> {
        first_value(self.db, sql).map_err(|code| self.error(sql, code))
    }

    /// Makes SQLite open the log and the wal-index, and rebuild the index if a
    /// writer died: a read transaction that reads one number of the header.
    pub fn read_something(&self) -> Result<()> {
        self.query(READ_SOMETHING).map(|_| ())
    }

    /// Refuses to go on where this process does not hold the locks that SQLite
    /// believes it holds, or the log is not the one that others see. To be
    /// asked in WAL mode, after [`Connection::read_something`], before each
    /// write; `writing` says that the WRITE lock is held.
    pub fn check_locks(&self, writing: bool) -> Result<()> {
        let taken = writing.then_some(WRITE_LOCK);
        self.proof.as_ref().map_or(Ok(()), |proof| proof.check(taken))
    }

    /// The same at first sight of a file, when nothing is to be written yet.
    /// Somebody else may be writing; a reader's lock can always be had, but one
    /// that SQLite believes to be held already by this process proves nothing.
    pub fn check_locks_at_first(&self) -> Result<()> {
        self.check_locks(false)?;
        let Some(proof) = &self.proof else { return Ok(()) };
        let database = self.database_file()?;
        for lock in READ_LOCKS {
            if proof.is_conclusive() {
                break;
            }
            if let Some(_shared) = database.try_share(lock)? {
                proof.check(Some(lock))?;
            }
        }
        Ok(())
    }

    /// Copies the log into the database; whether all of it was copied.
    pub fn checkpoint(&self, mode: Checkpoint) -> Result<bool> {
        // The log of nobody else would destroy the database.
        self.check_locks(false)?;
        let mode = match mode {
            Checkpoint::Passive => 0,
            Checkpoint::Truncate => 3,
        };
        let (mut frames, mut copied) = (0, 0);
        // SAFETY: an open connection and places for two numbers.
        let code =
            unsafe { sqlite!(wal_checkpoint_v2(self.db, MAIN, mode, &mut frames, &mut copied)) };
        match code {
            rc::OK => Ok(frames == copied),
            code if rc::primary(code) == rc::BUSY => Ok(false),
            code => Err(self.error("checkpoint", code)),
        }
    }

    /// The database file.
    pub fn database_file(&self) -> Result<DatabaseFile<'_>> {
        database_file(self.db)
    }

    /// A file beside the database that vanishes when it is dropped.
    pub fn temporary_file(&self) -> Result<TemporaryFile> {
        let vfs = control(self.db, FCNTL_VFS_POINTER);
        let name = self.as_host().main_name();
        let (Some(vfs), Some(name)) = (vfs, name) else {
            return Err(Error::new(Kind::Local, "the database has no file to open one beside"));
        };
        // SAFETY: the VFS of an open connection.
        unsafe { TemporaryFile::beside(vfs.cast::<Vfs>(), &name) }
    }

    /// The log; only after [`Connection::read_something`] in WAL mode.
    pub fn wal_file(&self) -> Result<WalFile<'_>> {
        let file = control(self.db, FCNTL_JOURNAL_POINTER).map(|file| file.cast::<sqlite3_file>());
        // SAFETY: the file belongs to this connection, which the result
        // borrows.
        file.and_then(|file| unsafe { WalFile::new(file) })
            .ok_or_else(|| Error::new(Kind::Local, "the write-ahead log is not open"))
    }

    pub(super) fn error(&self, what: &str, code: c_int) -> Error {
        // SAFETY: a handle from open_v2, or NULL, which errmsg takes too.
        let message = unsafe { text(sqlite!(errmsg(self.db))) };
        let kind = match rc::primary(code) {
            rc::BUSY | rc::LOCKED => Kind::Busy,
            _ => Kind::Local,
        };
        Error::new(kind, format!("{what}: {}", with_cause(code, message)))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if !self.db.is_null() && self.check_locks(false).is_err() {
            // The last one to close copies the log into the database, and
            // this log is not the database's any more.
            // SAFETY: an open connection; the operation takes an int and a
            // place for one, which may be NULL.
            unsafe {
                sqlite!(db_config(self.db, DBCONFIG_NO_CKPT_ON_CLOSE, 1, ptr::null_mut::<c_int>()))
            };
        }
        // SAFETY: closed once; all statements are finalized.
        unsafe { sqlite!(close(self.db)) };
    }
}

/// A file name of SQLite's as a path: UTF-8 on Windows, any bytes elsewhere.
fn path_of(name: &CStr) -> PathBuf {
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        Path::new(std::ffi::OsStr::from_bytes(name.to_bytes())).to_owned()
    }
    #[cfg(not(unix))]
    {
        Path::new(&*name.to_string_lossy()).to_owned()
    }
}

/// One number of the header: needs neither the schema nor a table.
const READ_SOMETHING: &str = "PRAGMA main.user_version";

/// Runs one statement; the first column of its first row, or the code of the
/// error.
fn first_value(db: *mut sqlite3, sql: &str) -> std::result::Result<Option<String>, c_int> {
    let c_sql = CString::new(sql).expect("BUG: our own SQL has no NUL");
    let mut statement: *mut sqlite3_stmt = ptr::null_mut();
    // SAFETY: an open connection; the statement is finalized below on every
    // path; the column's text is copied before that.
    unsafe {
        let prepared = sqlite!(prepare_v2(db, c_sql.as_ptr(), -1, &mut statement, ptr::null_mut()));
        if prepared != rc::OK {
            return Err(prepared);
        }
        let mut first = None;
        let mut code = sqlite!(step(statement));
        if code == rc::ROW {
            first = Some(text(sqlite!(column_text(statement, 0)).cast()));
            while code == rc::ROW {
                code = sqlite!(step(statement));
            }
        }
        sqlite!(finalize(statement));
        if code == rc::DONE { Ok(first) } else { Err(code) }
    }
}

fn database_file<'c>(db: *mut sqlite3) -> Result<DatabaseFile<'c>> {
    let file = control(db, FCNTL_FILE_POINTER).map(|file| file.cast::<sqlite3_file>());
    // SAFETY: the file belongs to the connection, which the callers' results
    // borrow.
    file.and_then(|file| unsafe { DatabaseFile::new(file) }).ok_or_else(|| {
        Error::new(Kind::Local, "this VFS gives no access to the database file; use SQLite's own")
    })
}

/// A `sqlite3_file_control` that writes a pointer.
fn control(db: *mut sqlite3, operation: c_int) -> Option<*mut c_void> {
    let mut pointer: *mut c_void = ptr::null_mut();
    // SAFETY: the three operations used write one pointer.
    let code =
        unsafe { sqlite!(file_control(db, MAIN, operation, (&raw mut pointer).cast::<c_void>())) };
    (code == rc::OK && !pointer.is_null()).then_some(pointer)
}
