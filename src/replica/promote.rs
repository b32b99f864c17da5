//! Promoting: the replica becomes an ordinary database that anybody may write.
//!
//! One commit like any other: it takes the stamp and the read-only mark off
//! page 1. The primary is not asked and not told.

use super::Replica;
use crate::error::{Error, Kind, Result};
use crate::fault;
use crate::position::Position;
use crate::sidecar;
use crate::store::file::ReplicaFile;
use crate::wal::page1;

/// What was promoted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromoteReport {
    /// Where it stood as a replica.
    pub position: Option<Position>,
}

impl Replica {
    /// Makes the file an ordinary database. The replica is to be dropped then.
    ///
    /// Connections that are open keep SQLite's read-only flag: it is read when
    /// a connection first looks at the file, and stays.
    pub fn promote(&self) -> Result<PromoteReport> {
        let waiting = self.pending()?.len();
        if waiting > 0 {
            let text = format!(
                "{waiting} queued writes wait for the primary, and nobody would deliver them; call \
                 replica_deliver(), or replica_discard(number) for each"
            );
            return Err(Error::new(Kind::NotAllowed, text));
        }
        Ok(PromoteReport { position: self.syncer.file.promote()? })
    }
}

impl ReplicaFile {
    fn promote(&self) -> Result<Option<Position>> {
        let transaction = self.begin()?;
        let position = transaction.stamp().position;
        let size = transaction.size();
        let mut page_1 = Box::new(*transaction.page_1());
        page1::promote(&mut page_1);
        // First, because nobody would remove it later; a replica does not
        // need it.
        sidecar::remove(self);
        fault::point("promote sidecar removed");
        transaction.publish(&page_1, size, true)?;
        // Then the database file says so as well. If a reader is in the way,
        // the log does until the next checkpoint.
        self.copy_log()?;
        Ok(position)
    }
}
