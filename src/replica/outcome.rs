//! What became of a write whose answer was lost.

use super::Replica;
use crate::error::{Error, Kind, Result};
use crate::options::SyncOptions;
use crate::outbox::State;
use crate::primary::{Fate, Noted};
use crate::write_id::WriteId;

/// What is known of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Committed(Noted),
    /// It did not happen, and no copy of it will be taken any more.
    NotCommitted,
    /// It is no longer recorded.
    Unknown,
    /// It waits in the outbox.
    Queued,
}

impl Replica {
    /// Asks the primary. What has not happened is kept from happening later.
    pub fn outcome(&self, id: &str) -> Result<Outcome> {
        let id = WriteId::parse(id).ok_or_else(|| {
            let text =
                "this is no id of a write; the error of one whose outcome is unknown tells it";
            Error::new(Kind::BadArgument, text)
        })?;
        if let Some(outcome) = self.outcome_in_outbox(&id)? {
            return Ok(outcome);
        }
        let patience = self.syncer.patience(SyncOptions::default());
        let outcome = match self.fate_of(&id, "", &patience)? {
            Fate::Committed(noted) => Outcome::Committed(noted),
            Fate::Refused => Outcome::NotCommitted,
            Fate::Another | Fate::Forgotten | Fate::NotAfter => Outcome::Unknown,
        };
        self.ids.settle(&id);
        Ok(outcome)
    }

    /// Of what is or was queued here, the primary must not be asked: that would
    /// keep it from happening.
    fn outcome_in_outbox(&self, id: &WriteId) -> Result<Option<Outcome>> {
        let Some(outbox) = self.outbox()? else { return Ok(None) };
        Ok(outbox.by_id(id)?.map(|row| match row.state {
            State::Pending | State::Sent => Outcome::Queued,
            State::SetAside | State::Discarded => Outcome::NotCommitted,
            State::Delivered => Outcome::Committed(Noted {
                rows_affected: row.done.rows_affected,
                last_insert_rowid: row.done.last_insert_rowid,
            }),
        }))
    }
}
