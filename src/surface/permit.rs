//! What a connection may do: everything, unless it only reads or was locked.
//! All functions pass here before they begin.

use super::Connection;
use crate::error::{Error, Kind, Result};
use crate::replica::Replica;

/// What a function reaches for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Reads, or brings this file up to date.
    Reads,
    /// Writes on the primary.
    Writes,
    /// Says which primary this is, by whose token, and whether it is one at all.
    Governs,
    /// The same, and makes the file writable.
    Promotes,
}

/// What `replica_lock` has taken away. It only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lock {
    #[default]
    None,
    Governing,
    Writing,
}

impl Connection {
    /// Refuses what this connection is not to do.
    pub fn permit(&self, effect: Effect) -> Result<()> {
        let lock = self.lock.get();
        match effect {
            Effect::Reads => return Ok(()),
            Effect::Writes if lock < Lock::Writing => {}
            Effect::Governs | Effect::Promotes if lock < Lock::Governing => {}
            _ => return Err(self.locked()),
        }
        if effect == Effect::Governs {
            return Ok(());
        }
        let reason = if self.host.is_opened_to_read() {
            "this connection was opened to read only; use one that may write"
        } else if self.host.is_query_only() {
            "PRAGMA query_only is on for this connection; switch it off to write"
        } else if !self.may_write() {
            "this connection was attached with '{\"writes\": false}'; attach another one to write"
        } else {
            return Ok(());
        };
        Err(Error::new(Kind::NotAllowed, reason))
    }

    /// Takes away more than what is taken away already.
    pub fn take_away(&self, lock: Lock) {
        self.lock.set(self.lock.get().max(lock));
        if self.lock.get() == Lock::Writing {
            let attached = self.replica.try_borrow();
            attached.iter().flat_map(|attached| attached.iter()).for_each(Replica::forbid_delivery);
        }
    }

    /// Refuses what leads to another content of the file.
    pub fn permit_other_content(&self) -> Result<()> {
        if self.lock.get() == Lock::None { Ok(()) } else { Err(self.locked()) }
    }

    fn locked(&self) -> Error {
        let what = match self.lock.get() {
            Lock::Writing => "replica_lock('writes') was called on this connection",
            _ => "replica_lock() was called on this connection",
        };
        Error::new(Kind::NotAllowed, format!("{what}, which holds until it is closed"))
    }

    /// Whether the attach has said so; true while nothing is attached.
    fn may_write(&self) -> bool {
        let replica = self.replica.try_borrow();
        replica.is_ok_and(|replica| replica.as_ref().is_none_or(|replica| replica.writes()))
    }
}
