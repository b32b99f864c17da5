//! Whether the host's connection can be a replica's: what it was opened with,
//! and whether it can read the file at all.

use std::ffi::{CStr, CString};

use super::api::{rc, sqlite};
use super::descriptors::with_cause;
use super::host_db::HostDb;
use crate::error::{Error, Kind, Result};

/// Ways to open a file in which a connection does not see what others write.
const BLIND: [&CStr; 2] = [c"immutable", c"nolock"];

/// Refuses a connection that would not see what is synced: it takes no locks
/// and does not look at the log.
pub fn check_opening(host: HostDb) -> Result<()> {
    let Some(name) = host.main_name_pointer() else { return Ok(()) };
    for parameter in BLIND {
        // SAFETY: a name that db_filename gave, which knows its parameters, and
        // a NUL-terminated string.
        if unsafe { sqlite!(uri_boolean(name, parameter.as_ptr(), 0)) } != 0 {
            return Err(blind(&format!("was opened with {}=1", parameter.to_string_lossy())));
        }
    }
    if host.main_file()?.is_immutable() {
        return Err(blind("is on a file of which its VFS says that it never changes"));
    }
    Ok(())
}

fn blind(how: &str) -> Error {
    Error::new(
        Kind::BadArgument,
        format!("this connection {how}, so it would not see what is synced; open it without"),
    )
}

/// The ways to files that SQLite brings itself, none of which knows of keys.
const PLAIN: [&CStr; 4] = [c"unix", c"unix-excl", c"win32", c"win32-longpath"];

/// Whether the host's connection may have been given a key, of which ours
/// knows nothing: its SQLite has a codec, or its VFS is not SQLite's own. A
/// name says little about a shim, nor does a shim have to say what is beneath it.
pub fn may_encrypt(host: HostDb) -> bool {
    // SAFETY: a NUL-terminated string.
    let codec = unsafe { sqlite!(compileoption_used(c"HAS_CODEC".as_ptr())) != 0 };
    let is_plain = |name: &CString| PLAIN.contains(&name.as_c_str());
    codec || !host.is_in_memory() && !host.vfs_name().as_ref().is_some_and(is_plain)
}

/// Lets the host's connection read page 1, as its next statement would. That
/// also tells SQLite that the file is read-only, which `BEGIN IMMEDIATE` needs
/// to know. A lock that is taken at the moment, or an authorizer that forbids
/// to look, is no reason to refuse.
pub fn check_reading(host: HostDb) -> Result<()> {
    match host.read_something() {
        Ok(()) => Ok(()),
        Err((code, message)) => match rc::primary(code) {
            rc::CANTOPEN | rc::IOERR | rc::NOTADB => Err(Error::new(
                Kind::Local,
                format!("this connection cannot read the file: {}", with_cause(code, message)),
            )),
            _ => Ok(()),
        },
    }
}
