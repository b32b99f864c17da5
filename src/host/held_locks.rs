//! Which locks this process has on a file, by the descriptors that it has open
//! on it.
//!
//! Linux tells all of them in `/proc/thread-self/fdinfo`. A quicker answer comes
//! from the question for a conflicting lock (`F_OFD_GETLK`), where the one
//! holder that it names happens to be this process. Nothing is opened for either
//! but files of `/proc`, so no lock is lost by looking.

use std::cell::RefCell;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Tells a file from every other one.
pub type Identity = (u64, u64);

/// A file by its name, with the descriptor that was last seen with its lock.
#[derive(Debug)]
pub struct LockedFile {
    pub path: PathBuf,
    descriptor: RefCell<Option<PathBuf>>,
}

impl LockedFile {
    pub fn new(path: PathBuf) -> LockedFile {
        LockedFile { path, descriptor: RefCell::default() }
    }

    /// The file that its name leads to.
    pub fn identity(&self) -> Option<Identity> {
        identity(&self.path)
    }

    /// Whether this process has a lock on the byte of the file. Where the
    /// system does not show locks, it has none.
    pub fn holds(&self, file: Identity, byte: u64) -> bool {
        let is_it = |descriptor: &PathBuf| {
            identity(descriptor) == Some(file) && shows_lock(descriptor, byte)
        };
        let known = |descriptor: &PathBuf| names_us(descriptor, file, byte) || is_it(descriptor);
        if self.descriptor.borrow().as_ref().is_some_and(known) {
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

    /// Whether this process has a lock on the byte of any file that has or had
    /// this name: of one that was deleted, Linux says `NAME (deleted)`.
    pub fn was_ever_locked(&self, byte: u64) -> bool {
        let name = self.path.as_os_str().as_encoded_bytes();
        descriptors().any(|descriptor| {
            let target = fs::read_link(&descriptor).unwrap_or_default();
            target.as_os_str().as_encoded_bytes().starts_with(name) && shows_lock(&descriptor, byte)
        })
    }
}

/// Whether this process has any lock on the file that the name leads to.
pub fn has_lock_on(path: &Path) -> bool {
    let Some(file) = identity(path) else { return false };
    let is_locked =
        |descriptor: &Path| locks(descriptor).lines().any(|line| line.starts_with("lock:"));
    descriptors().any(|descriptor| identity(&descriptor) == Some(file) && is_locked(&descriptor))
}

#[cfg(unix)]
pub fn identity(path: &Path) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

#[cfg(not(unix))]
pub fn identity(_: &Path) -> Option<Identity> {
    None
}

/// The open descriptors of this process, as paths that lead to the files.
fn descriptors() -> impl Iterator<Item = PathBuf> {
    fs::read_dir("/proc/thread-self/fd").into_iter().flatten().flatten().map(|entry| entry.path())
}

/// Whether a lock of this process on `byte` is filed under the descriptor.
fn shows_lock(descriptor: &Path, byte: u64) -> bool {
    locks(descriptor).lines().any(|line| covers(line, byte))
}

/// What the system tells of the descriptor; nothing where it tells nothing.
fn locks(descriptor: &Path) -> String {
    let mut info = String::with_capacity(4096);
    let number = descriptor.file_name().unwrap_or_default();
    let _ = File::open(Path::new("/proc/thread-self/fdinfo").join(number))
        .and_then(|mut file| file.read_to_string(&mut info));
    info
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

/// Whether the descriptor leads to the file, and the kernel names this process
/// where it is asked who stands against a lock on the byte. If it names another
/// holder, or none, that says nothing.
#[cfg(target_os = "linux")]
fn names_us(descriptor: &Path, file: Identity, byte: u64) -> bool {
    let number = descriptor.file_name().and_then(|name| name.to_str()?.parse().ok());
    let Some(number) = number else { return false };
    // SAFETY: structures of plain numbers.
    let (mut status, mut lock): (libc::stat, libc::flock) = unsafe { std::mem::zeroed() };
    lock.l_type = libc::F_WRLCK as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    lock.l_start = byte as libc::off_t;
    lock.l_len = 1;
    // SAFETY: both only look, into places for what they find. A number that was
    // closed meanwhile is an error, and one that leads elsewhere is another
    // file.
    let answered = unsafe {
        libc::fstat(number, &mut status) == 0
            && (status.st_dev, status.st_ino) == file
            && libc::fcntl(number, libc::F_OFD_GETLK, &mut lock) == 0
    };
    answered
        && lock.l_type != libc::F_UNLCK as libc::c_short
        && u32::try_from(lock.l_pid) == Ok(std::process::id())
}

#[cfg(not(target_os = "linux"))]
fn names_us(_: &Path, _: Identity, _: u64) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_fdinfo_says_which_bytes_are_locked() {
        let shared = "lock:\t1: POSIX  ADVISORY  READ 4711 08:01:1234 1073741826 1073742335";
        assert!(covers(shared, 1073741826));
        assert!(!covers(shared, 1073741825));
        assert!(covers("lock:\t2: POSIX  ADVISORY  WRITE 0 00:2e:99 0 EOF", 1073741826));
        // A waiting one, one of another kind, and no lock at all.
        assert!(!covers("lock:\t1: -> POSIX  ADVISORY  READ 1 08:01:1 0 EOF", 5));
        assert!(!covers("lock:\t1: FLOCK  ADVISORY  WRITE 1 08:01:1 0 EOF", 5));
        assert!(!covers("flags:\t0100002", 5));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_lock_is_seen_by_both_ways_until_a_close_takes_it_away() {
        use std::os::fd::AsRawFd;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let file = File::create(&path).unwrap();
        // SAFETY: a structure of plain numbers.
        let mut lock: libc::flock = unsafe { std::mem::zeroed() };
        lock.l_type = libc::F_WRLCK as libc::c_short;
        (lock.l_start, lock.l_len) = (7, 1);
        // SAFETY: an open descriptor and a lock that is filled in.
        assert_eq!(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLK, &lock) }, 0);
        let locked = LockedFile::new(path.clone());
        let it = locked.identity().unwrap();
        let known = PathBuf::from(format!("/proc/thread-self/fd/{}", file.as_raw_fd()));
        // Found by a search, and then by the descriptor.
        assert!(locked.holds(it, 7) && locked.holds(it, 7));
        assert!(names_us(&known, it, 7) && shows_lock(&known, 7));
        assert!(!names_us(&known, it, 8) && !locked.holds(it, 8));
        // Another file's locks are none of this one.
        assert!(!names_us(&known, (it.0, it.1 + 1), 7));
        drop(File::open(&path).unwrap());
        assert!(!names_us(&known, it, 7) && !locked.holds(it, 7));
    }
}
