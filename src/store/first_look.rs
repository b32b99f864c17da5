//! What a file is, as far as its first bytes tell, and what is said of one that
//! is somebody's. Nothing is locked or changed here.

use std::path::Path;

use super::draft::later_version;
use crate::error::{Error, Kind, Result};
use crate::host::HostDb;
use crate::units::PAGE_SIZE;
use crate::wal::page1::{self, Owner};

/// What the first bytes of a file say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    Replica,
    /// At most one page without a stamp: SQLite has to say more.
    Small,
    Foreign,
}

/// Reads the header through the descriptor that the host has open anyway, so
/// that a foreign file is not even locked.
pub fn look_at_bytes(host: HostDb) -> Result<Look> {
    let file = host.main_file()?;
    let size = file.size()?;
    let mut header = [0; 100];
    file.read(&mut header, 0)?;
    match page1::owner(&header) {
        Owner::Replica(_) => Ok(Look::Replica),
        Owner::LaterVersion(version) => Err(later_version(version)),
        Owner::Foreign if size <= PAGE_SIZE as u64 => Ok(Look::Small),
        Owner::Foreign => Ok(Look::Foreign),
    }
}

pub fn holds_data(path: &Path) -> Error {
    Error::new(
        Kind::NotAllowed,
        format!(
            "{} holds data and is not a replica: nothing was changed; attach an empty or new file",
            path.display()
        ),
    )
}

pub fn is_claimed(path: &Path) -> Error {
    Error::new(
        Kind::NotAllowed,
        format!(
            "{} has a user_version or application_id, so it belongs to a program: nothing was \
             changed; attach an empty or new file",
            path.display()
        ),
    )
}
