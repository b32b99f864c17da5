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
//! Linux tells in `/proc/thread-self/fdinfo` which locks stand behind a
//! descriptor *of this process*, which the question for a conflicting lock
//! (`F_OFD_GETLK`) does not: it names one holder of several. Nothing is opened
//! here but files of `/proc`, so no lock is lost by looking.
//!
//! Where locks are not shown (no `/proc`, a file system that keeps them
//! elsewhere, another system) nothing can be proved, and nothing is refused.
//! That they are shown is learned from the file itself: by a lock that is
//! seen, or by one of the shared memory that the caller has just taken.

use std::cell::{Cell, RefCell};
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Kind, Result};

/// The first byte of SQLite's shared lock on a database (`SHARED_FIRST` in
/// `os.h`: behind the pending and the reserved byte at 1 GiB).
const SHARED_BYTE: u64 = 0x4000_0002;

/// Bytes of the shared memory that are locked (`UNIX_SHM_BASE` and
/// `UNIX_SHM_DMS` in `os_unix.c`): the first of the eight locks, and the byte
/// that keeps others from beginning it anew.
const FIRST_LOCK_BYTE: u64 = 120;
const IN_USE_BYTE: u64 = 128;

/// Tells a file from every other one.
type Identity = (u64, u64);

/// What is known about the locks of one open connection.
#[derive(Debug)]
pub struct LockProof {
    database: Place,
    shared_memory: Place,
    log: PathBuf,
    /// The log that was found when the connection had just read from it.
    log_identity: Cell<Option<Identity>>,
    /// Whether this file's locks are shown to us at all.
    shown: Cell<bool>,
}

/// A file by its name, with the descriptor that was last seen with its lock.
#[derive(Debug)]
struct Place {
    path: PathBuf,
    descriptor: RefCell<Option<PathBuf>>,
}

impl LockProof {
    pub fn new(database: &Path) -> LockProof {
        let beside = |suffix| {
            let mut path = database.as_os_str().to_owned();
            path.push(suffix);
            PathBuf::from(path)
        };
        LockProof {
            database: Place::new(database.to_owned()),
            shared_memory: Place::new(beside("-shm")),
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
        let Some(database) = identity(&self.database.path) else { return Ok(()) };
        let shared_memory = identity(&self.shared_memory.path);
        let held = self.database.holds(database, SHARED_BYTE);
        if held || taken.is_some_and(|lock| self.is_shown(lock)) {
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

    /// Looks for a lock that this process has just taken, also on a file that
    /// has been deleted meanwhile: `<db>-shm (deleted)`.
    fn is_shown(&self, lock: u8) -> bool {
        let name = self.shared_memory.path.as_os_str().as_encoded_bytes();
        descriptors().any(|descriptor| {
            let target = fs::read_link(&descriptor).unwrap_or_default();
            target.as_os_str().as_encoded_bytes().starts_with(name)
                && shows_lock(&descriptor, FIRST_LOCK_BYTE + u64::from(lock))
        })
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

impl Place {
    fn new(path: PathBuf) -> Place {
        Place { path, descriptor: RefCell::default() }
    }

    /// Whether this process has a lock on the byte of the file.
    fn holds(&self, file: Identity, byte: u64) -> bool {
        let is_it = |descriptor: &PathBuf| {
            identity(descriptor) == Some(file) && shows_lock(descriptor, byte)
        };
        if self.descriptor.borrow().as_ref().is_some_and(is_it) {
            return true;
        }
        // Those with the right name first: a look at one on a file system
        // that does not answer would have to wait.
        let (named, others): (Vec<PathBuf>, Vec<PathBuf>) = descriptors()
            .partition(|descriptor| fs::read_link(descriptor).is_ok_and(|to| to == self.path));
        let found = named.into_iter().find(is_it).or_else(|| others.into_iter().find(is_it));
        let holds = found.is_some();
        *self.descriptor.borrow_mut() = found;
        holds
    }
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
fn identity(path: &Path) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

#[cfg(not(unix))]
fn identity(_: &Path) -> Option<Identity> {
    None
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

/// The open descriptors of this process, as paths that lead to the files.
fn descriptors() -> impl Iterator<Item = PathBuf> {
    fs::read_dir("/proc/thread-self/fd").into_iter().flatten().flatten().map(|entry| entry.path())
}

/// Whether a lock of this process on `byte` is filed under the descriptor.
fn shows_lock(descriptor: &Path, byte: u64) -> bool {
    let Some(number) = descriptor.file_name() else { return false };
    fs::read_to_string(Path::new("/proc/thread-self/fdinfo").join(number))
        .is_ok_and(|info| info.lines().any(|line| covers(line, byte)))
}

/// `lock:  1: POSIX  ADVISORY  READ 4711 08:01:1234 1073741826 1073742335`
/// (proc_pid_fdinfo(5)), where the end may be `EOF`.
fn covers(line: &str, byte: u64) -> bool {
    let Some(lock) = line.strip_prefix("lock:") else { return false };
    let words: Vec<&str> = lock.split_whitespace().collect();
    let [_, "POSIX", _, _, .., first, last] = words[..] else { return false };
    let last = if last == "EOF" { Ok(u64::MAX) } else { last.parse() };
    match (first.parse::<u64>(), last) {
        (Ok(first), Ok(last)) => (first..=last).contains(&byte),
        _ => false,
    }
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
    fn a_line_of_fdinfo_says_which_bytes_are_locked() {
        let shared = "lock:\t1: POSIX  ADVISORY  READ 4711 08:01:1234 1073741826 1073742335";
        assert!(covers(shared, SHARED_BYTE));
        assert!(!covers(shared, SHARED_BYTE - 1));
        assert!(covers("lock:\t2: POSIX  ADVISORY  WRITE 0 00:2e:99 0 EOF", SHARED_BYTE));
        // A waiting one, one of another kind, and no lock at all.
        assert!(!covers("lock:\t1: -> POSIX  ADVISORY  READ 1 08:01:1 0 EOF", 5));
        assert!(!covers("lock:\t1: FLOCK  ADVISORY  WRITE 1 08:01:1 0 EOF", 5));
        assert!(!covers("flags:\t0100002", 5));
    }

    #[test]
    fn a_path_with_blanks_is_found_among_the_mounts() {
        assert_eq!(escaped(b"/a b\\c"), b"/a\\040b\\134c");
        assert!(!is_mount_point(Path::new("/no/such/place")));
    }
}
