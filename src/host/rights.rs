//! Whose the files beside a database are. SQLite's log and its index belong to
//! the user who opened the database first, and have the mode of the database.

use std::path::Path;

/// A sentence, if this user may not write one of them: who made it and what
/// keeps that from happening. Nothing is opened, because closing would give up
/// SQLite's locks.
#[cfg(unix)]
pub fn made_by_another_user(database: &Path) -> Option<String> {
    use std::ffi::CString;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::MetadataExt;

    ["-shm", "-wal"].into_iter().find_map(|suffix| {
        let mut path = database.as_os_str().to_owned();
        path.push(suffix);
        let owner = Path::new(&path).metadata().ok()?.uid();
        let name = CString::new(path.as_bytes()).ok()?;
        // SAFETY: a NUL-terminated string; nothing but the rights is looked at.
        let denied = unsafe {
            libc::faccessat(libc::AT_FDCWD, name.as_ptr(), libc::W_OK, libc::AT_EACCESS) != 0
        };
        denied.then(|| {
            format!(
                "{} belongs to uid {owner}, who opened the database first; close it there, and let \
                 both users share a group that may write the database (chmod g+w)",
                path.to_string_lossy()
            )
        })
    })
}

#[cfg(not(unix))]
pub fn made_by_another_user(_: &Path) -> Option<String> {
    None
}

/// Whether a file beside a database belongs to somebody who may not change the
/// database itself.
#[cfg(unix)]
pub fn is_a_strangers(file: &Path, database: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;

    let (Ok(file), Ok(database)) = (file.symlink_metadata(), database.metadata()) else {
        return false;
    };
    // SAFETY: asks for a number.
    let us = unsafe { libc::geteuid() };
    let shared = database.mode() & 0o022 != 0;
    !shared && ![0, us, database.uid()].contains(&file.uid())
}

#[cfg(not(unix))]
pub fn is_a_strangers(_: &Path, _: &Path) -> bool {
    false
}
