//! Files that somebody else names: opened without waiting for anybody, and only
//! if they are files, but none that this process has locked. To close a
//! descriptor of such a one would give up all its locks, those of SQLite's
//! connections to a database among them (sqlite.org/howtocorrupt.html 2.2).

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::path::Path;

/// Opens it to be read. A pipe without a writer does not keep us waiting, and
/// is an error, as all else is that is no regular file.
pub fn open(path: &Path) -> io::Result<(File, Metadata)> {
    if is_locked_here(path) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
    }
    let file = options.open(path)?;
    let metadata = file.metadata()?;
    match metadata.is_file() {
        true => Ok((file, metadata)),
        false => Err(io::ErrorKind::InvalidInput.into()),
    }
}

/// Whether this process has a lock on the file. Where the system does not show
/// that (Linux does, in proc_pid_fdinfo(5)), it has none.
#[cfg(unix)]
pub fn is_locked_here(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let identity = |path: &Path| {
        std::fs::metadata(path).ok().map(|found| (found.is_file(), found.dev(), found.ino()))
    };
    let wanted = match identity(path) {
        Some(wanted @ (true, ..)) => wanted,
        _ => return false,
    };
    let Ok(descriptors) = std::fs::read_dir("/proc/self/fd") else { return false };
    descriptors.flatten().any(|entry| {
        let info = Path::new("/proc/self/fdinfo").join(entry.file_name());
        let has_lock = || {
            std::fs::read_to_string(info)
                .is_ok_and(|info| info.lines().any(|line| line.starts_with("lock:")))
        };
        identity(&entry.path()) == Some(wanted) && has_lock()
    })
}

#[cfg(not(unix))]
pub fn is_locked_here(_: &Path) -> bool {
    false
}
