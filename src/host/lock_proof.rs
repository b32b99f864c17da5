//! A proof that this process holds the locks that SQLite believes it holds,
//! and that the log it has open is the one that others see.
//!
//! POSIX locks belong to a process. SQLite keeps a record of them for each
//! file, and the record can be wrong: a forked child inherits the record and
//! not the locks, and whoever closes a descriptor of his own on the file takes
//! the locks of the whole process away (sqlite.org/howtocorrupt.html 2.2,
//! 2.6). From then on another process may take itself for the last one and
//! delete the log under an open connection. What is written to such a log is
//! seen by nobody; what is copied out of it destroys the database.
//!
//! Where locks are not shown (no `/proc`, a file system that keeps them
//! elsewhere, another system) nothing can be proved, and nothing is refused.
//! That they are shown is learned from the file itself: by a lock that is
//! seen, or by one of the shared memory that the caller has just taken.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};

use super::held_locks::{Identity, LockedFile, identity};
use crate::error::{Error, Kind, Result};

/// The first byte of SQLite's shared lock on a database (`SHARED_FIRST` in
/// `os.h`: behind the pending and the reserved byte at 1 GiB).
const SHARED_BYTE: u64 = 0x4000_0002;

/// Bytes of the shared memory that are locked (`UNIX_SHM_BASE` and
/// `UNIX_SHM_DMS` in `os_unix.c`): the first of the eight locks, and the byte
/// that keeps others from beginning it anew.
const FIRST_LOCK_BYTE: u64 = 120;
const IN_USE_BYTE: u64 = 128;

/// What is known about the locks of one open connection.
#[derive(Debug)]
pub struct LockProof {
    database: LockedFile,
    shared_memory: LockedFile,
    log: PathBuf,
    /// The log that was found when the connection had just read from it.
    log_identity: Cell<Option<Identity>>,
    /// Whether this file's locks are shown to us at all.
    shown: Cell<bool>,
}

impl LockProof {
    pub fn new(database: &Path) -> LockProof {
        let beside = |suffix| {
            let mut path = database.as_os_str().to_owned();
            path.push(suffix);
            PathBuf::from(path)
        };
        LockProof {
            database: LockedFile::new(database.to_owned()),
            shared_memory: LockedFile::new(beside("-shm")),
            log: beside("-wal"),
            log_identity: Cell::new(None),
            shown: Cell::new(false),
        }
    }

    /// Whether a call of [`LockProof::check`] can refuse anything yet.
    pub fn is_conclusive(&self) -> bool {
        self.shown.get()
    }

    /// Refuses to go on where the locks are gone or the log is another one.
    /// The connection has read in WAL mode; `taken` is the one of the eight locks
    /// that it holds at the moment, if it does.
    pub fn check(&self, taken: Option<u8>) -> Result<()> {
        // A database that is no file here (a VFS of its own) is not ours to
        // judge, and one that is gone is noticed elsewhere.
        let Some(database) = self.database.identity() else { return Ok(()) };
        let shared_memory = self.shared_memory.identity();
        let held = self.database.holds(database, SHARED_BYTE);
        let locks_show = |lock| {
            let byte = FIRST_LOCK_BYTE + u64::from(lock);
            self.shared_memory.was_ever_locked(byte)
        };
        if held || (!self.shown.get() && taken.is_some_and(locks_show)) {
            self.shown.set(true);
        }
        if !self.shown.get() {
            return Ok(());
        }
        if !held || shared_memory.is_some_and(|id| !self.shared_memory.holds(id, IN_USE_BYTE)) {
            return Err(lost_locks());
        }
        let log = identity(&self.log);
        if log.is_none() || self.log_identity.get().is_some_and(|known| Some(known) != log) {
            return Err(other_log());
        }
        self.log_identity.set(log);
        Ok(())
    }
}

fn lost_locks() -> Error {
    Error::new(
        Kind::Misuse,
        "this process inherited an open connection to the file by a fork, or has opened and closed \
         the file by itself, so that SQLite's locks on it are gone; open it only after the fork \
         (gunicorn post_fork, puma on_worker_boot), or close all connections to it in this process \
         and open them again",
    )
}

fn other_log() -> Error {
    Error::new(
        Kind::Misuse,
        "the -wal file beside the database was deleted or replaced while it was open; close all \
         connections to the database in this process and open them again",
    )
}

/// Refuses a database that another name leads to: a connection that opens it
/// by that name looks for the log beside *that* name.
pub fn check_only_name(database: &Path) -> Result<()> {
    let refused = |cause| {
        let text = format!("{}: {cause}", database.display());
        Err(Error::new(Kind::NotAllowed, text))
    };
    if link_count(database) > 1 {
        return refused(
            "the file has another name (a hard link), by which its -wal would not be seen; \
             remove that name, or make a copy",
        );
    }
    if is_mount_point(database) {
        return refused(
            "the file is mounted by itself, so that its -wal would not be seen by others; mount \
             the folder that holds it",
        );
    }
    Ok(())
}

#[cfg(unix)]
fn link_count(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).map_or(1, |found| found.nlink())
}

#[cfg(not(unix))]
fn link_count(_: &Path) -> u64 {
    1
}

/// Whether something is mounted at just this path (proc_pid_mountinfo(5)).
fn is_mount_point(path: &Path) -> bool {
    let Ok(mounts) = fs::read("/proc/self/mountinfo") else { return false };
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let escaped = escaped(path.as_os_str().as_encoded_bytes());
    mounts
        .split(|byte| *byte == b'\n')
        .any(|line| line.split(|byte| *byte == b' ').nth(4) == Some(&escaped))
}

/// As the kernel writes a path where blanks separate fields.
fn escaped(path: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(path.len());
    for byte in path {
        match byte {
            b' ' | b'\t' | b'\n' | b'\\' => text.extend(format!("\\{byte:03o}").bytes()),
            byte => text.push(*byte),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_blanks_is_found_among_the_mounts() {
        assert_eq!(escaped(b"/a b\\c"), b"/a\\040b\\134c");
        assert!(!is_mount_point(Path::new("/no/such/place")));
    }
}
