//! Files that somebody else names: opened without waiting for anybody, and only
//! if they are files, but none that this process has locked. To close a
//! descriptor of such a one would give up all its locks, those of SQLite's
//! connections to a database among them (sqlite.org/howtocorrupt.html 2.2).

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::path::Path;

use crate::host::has_lock_on;

/// Opens it to be read. A pipe without a writer does not keep us waiting, and
/// is an error, as all else is that is no regular file.
pub fn open(path: &Path) -> io::Result<(File, Metadata)> {
    if has_lock_on(path) {
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
