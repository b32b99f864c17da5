//! A replica whose first page keeps a SQLite from every statement, `SELECT 1`
//! too: it is made one that was never synced, from a connection to something
//! else. Nothing is asked of the schema, nor of the primary.

use std::path::Path;

use crate::error::{Error, Kind, Result};
use crate::host::{Connection, HostDb};
use crate::options::Options;
use crate::patience::Patience;
use crate::store::assembly::{Assembly, Base, Taken, overtaken};
use crate::store::file::{Contents, ReplicaFile};
use crate::wal::page1;

/// Empties the replica at `path` if its first page is none that every SQLite
/// opens. Whoever attaches it then gets a first sync. Anything else is refused
/// and stays as it is: a sound replica may be the last copy. `caller` is who
/// may interrupt.
pub fn repair(caller: HostDb, path: &Path) -> Result<()> {
    let connection = Connection::open_file(path)?;
    let patience =
        Patience { timeout: Options::default().busy_timeout, cancelled: caller.interrupted() };
    let (file, contents) = ReplicaFile::open(connection.as_host(), None, patience)?;
    if contents != Contents::Replica {
        return Err(no_need("is not a replica"));
    }
    let at = file.position()?;
    if !has_unreadable_first_page(&file)? {
        return Err(no_need("has a first page that can be read; attach it, and sync it"));
    }
    let mut assembly = Assembly::new(&file, Base::Everything { replaces: at });
    if assembly.replace_with_nothing()? == Taken::Overtaken {
        return Err(overtaken());
    }
    file.copy_log()
}

/// Whether there is a SQLite that does not open it.
fn has_unreadable_first_page(file: &ReplicaFile) -> Result<bool> {
    let draft = file.begin()?;
    Ok(page1::refuse(draft.page_1(), draft.size()).is_some())
}

fn no_need(why: &str) -> Error {
    Error::new(Kind::NotAllowed, format!("the file {why}: nothing was changed"))
}
