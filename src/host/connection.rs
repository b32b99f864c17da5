//! A connection of our own on the host's file, which we drive.

use std::ffi::{CStr, CString, c_int, c_void};
use std::path::Path;
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use super::api::{rc, sqlite, sqlite3};
use super::file::{DatabaseFile, WalFile};
use super::handle::{
    FCNTL_JOURNAL_POINTER, FCNTL_PERSIST_WAL, FCNTL_VFS_POINTER, MAIN, READ_SOMETHING, control,
    database_file, error, first_value, path_of,
};
use super::host_db::HostDb;
use super::io_methods::sqlite3_file;
use super::lock_proof::LockProof;
use super::memory::Store;
use super::temporary::{TemporaryFile, Vfs};
use crate::error::{Error, Kind, Result};

/// sqlite.org/c3ref/c_dbconfig_defensive.html.
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
const OPEN_NOFOLLOW: c_int = 0x0100_0000;

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

    /// Opens a file of our own, by its name or its URI. `make`: an empty one,
    /// where there is none. No link is followed.
    pub(super) fn open_own(
        name: &CStr,
        vfs: Option<&CStr>,
        is_uri: bool,
        make: bool,
    ) -> Result<Connection> {
        let mut flags = OPEN_READWRITE | OPEN_NOMUTEX | OPEN_PRIVATECACHE | OPEN_NOFOLLOW;
        flags |= if is_uri { OPEN_URI } else { 0 };
        flags |= if make { OPEN_CREATE } else { 0 };
        let vfs = vfs.map_or(ptr::null(), CStr::as_ptr);
        let mut db = ptr::null_mut();
        // SAFETY: as in `open_beside`.
        let code = unsafe { sqlite!(open_v2(name.as_ptr(), &mut db, flags, vfs)) };
        let connection = Connection { db, proof: None };
        match code {
            rc::OK => Ok(connection),
            code => Err(connection.error("open it", code)),
        }
    }

    /// What the program runs on each new connection (`sqlite3_auto_extension`)
    /// has run on this one, too: one that never gives up its locks, or never
    /// ends its transaction, would keep everybody else out. The journal needs
    /// no such care: a database that is a replica lets nobody change it, and an
    /// empty one is made one by us.
    fn unlock_between_statements(&self) -> Result<()> {
        if !self.as_host().is_autocommit() {
            self.query("ROLLBACK")?;
        }
        match self.query("PRAGMA main.locking_mode=NORMAL")?.as_deref() {
            Some("exclusive") => Err(Error::new(
                Kind::Local,
                "this program makes each connection exclusive (sqlite3_auto_extension), which would \
                 keep all others out; leave the replica's locking_mode at normal",
            )),
            _ => Ok(()),
        }
    }

    /// Leaves the log and its index beside the database when this connection is
    /// the last to be closed: both are needed to read, and who may not make
    /// them reads all the same. The log is cut to nothing.
    pub fn keep_log(&self) -> Result<()> {
        let mut on: c_int = 1;
        let place = (&raw mut on).cast::<c_void>();
        // SAFETY: an open connection; the operation reads and writes one int. A
        // VFS that does not know it keeps no log.
        unsafe { sqlite!(file_control(self.db, MAIN, FCNTL_PERSIST_WAL, place)) };
        self.query("PRAGMA main.journal_size_limit=0").map(|_| ())
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
        // SAFETY: open as long as the value that the caller has of this one.
        unsafe { HostDb::new(self.db) }
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
        error(self.db, code).context(what)
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
