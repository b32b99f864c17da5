//! Writes without a network: into the outbox, and what may be asked of it.

use super::to_be_queued;
use crate::clock::now_unix_ms;
use crate::delivery::{Delivered, Delivery, done, fence};
use crate::error::{Error, Kind, Result};
use crate::host::Beside;
use crate::options::{DeliverOptions, SyncOptions};
use crate::outbox::{Counts, Discarded, Outbox, Row};
use crate::position::Position;
use crate::primary::{Fate, Once, Statement};
use crate::replica::Replica;
use crate::sqltext::parameters::Arguments;
use crate::write_id::WriteId;

/// A write that waits in the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queued {
    pub number: i64,
    pub id: WriteId,
}

/// What became of an entry that was to be discarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discard {
    Discarded,
    /// It had taken effect already.
    Delivered,
}

impl Replica {
    /// Queues a write, without a network: when this returns it is on the disk.
    pub fn enqueue(&self, sql: &str, args: Arguments) -> Result<Queued> {
        self.push(&to_be_queued(sql, args)?, None)
    }

    /// `sent`: the id and the digest under which it may have arrived already.
    pub(super) fn push(
        &self,
        statements: &[Statement],
        sent: Option<(&WriteId, &str)>,
    ) -> Result<Queued> {
        let outbox = Outbox::find_or_make(self.outbox_place()?, self.options.busy_timeout)?;
        let position = self.position_token()?;
        let (number, id) = outbox.push(statements, sent, position.as_deref(), now_unix_ms())?;
        Ok(Queued { number, id })
    }

    /// Where the file stands; None where that cannot be compared with anything.
    fn position_token(&self) -> Result<Option<String>> {
        Ok(self.syncer.file.position()?.and_then(Position::token))
    }

    fn delivery(&self) -> Result<&Delivery> {
        self.syncer.delivery.as_ref().ok_or_else(outbox_in_memory)
    }

    fn outbox_place(&self) -> Result<&Beside> {
        Ok(&self.delivery()?.place)
    }

    /// The outbox, if there is one.
    pub(in crate::replica) fn outbox(&self) -> Result<Option<Outbox>> {
        match &self.syncer.delivery {
            Some(delivery) => Outbox::find(&delivery.place, self.options.busy_timeout),
            None => Ok(None),
        }
    }

    /// Whether there may be one, at the price of a look at a folder.
    pub(in crate::replica) fn has_outbox(&self) -> bool {
        self.syncer.delivery.as_ref().is_some_and(|delivery| delivery.place.is_there())
    }

    /// The same for who asks about an entry.
    fn present_outbox(&self) -> Result<Outbox> {
        let none = || Error::new(Kind::BadArgument, "nothing was ever queued for this database");
        self.outbox()?.ok_or_else(none)
    }

    /// Everything in the outbox, in order.
    pub fn queued(&self) -> Result<Vec<Row>> {
        self.outbox()?.map_or_else(|| Ok(Vec::new()), |outbox| outbox.list())
    }

    /// What waits in it, in order.
    pub fn pending(&self) -> Result<Vec<Row>> {
        self.outbox()?.map_or_else(|| Ok(Vec::new()), |outbox| outbox.waiting())
    }

    /// How much is in it; None where that cannot be said.
    pub(in crate::replica) fn queue_counts(&self) -> Option<Counts> {
        match self.outbox() {
            Ok(outbox) => outbox.map_or_else(|| Some(Counts::default()), |it| it.counts().ok()),
            Err(_) => None,
        }
    }

    /// Keeps this connection and its worker from emptying the outbox.
    pub fn forbid_delivery(&self) {
        if let Some(delivery) = &self.syncer.delivery {
            delivery.forbid();
        }
    }

    /// Delivers what waits. An error where the primary keeps it from that.
    pub fn deliver(&self, options: DeliverOptions) -> Result<Delivered> {
        let mut delivery = self.delivery()?.clone();
        delivery.after_reset = options.after_reset.unwrap_or(delivery.after_reset);
        let patience =
            self.syncer.patience(SyncOptions { timeout: options.timeout, on_reset: None });
        let report = self.syncer.deliver(&delivery, &patience);
        let report = self.noted(report)?.unwrap_or_default();
        match report.error {
            Some(error) => self.noted(Err(error)),
            None => Ok(report),
        }
    }

    /// Queues an entry once more that was set aside.
    pub fn retry(&self, number: i64) -> Result<Queued> {
        let position = self.position_token()?;
        let id = self.present_outbox()?.retry(number, position.as_deref())?;
        Ok(Queued { number, id })
    }

    /// Takes an entry out for good. One that may be under way is asked for, in
    /// a way that keeps it from happening later.
    pub fn discard(&self, number: i64) -> Result<Discard> {
        let outbox = self.present_outbox()?;
        let row = match outbox.discard(number, false, now_unix_ms())? {
            Discarded::Done => return Ok(Discard::Discarded),
            Discarded::MayHaveHappened(row) => row,
        };
        let patience = self.syncer.patience(SyncOptions::default());
        let once = Once { id: row.id, digest: row.digest, settled: 0, after: None };
        let fate = fence(&once, &self.syncer.primary, &patience).map_err(|error| {
            error.context(&format!(
                "entry {number} may be under way, so the primary has to be asked"
            ))
        })?;
        if let Fate::Committed(noted) = fate {
            outbox.turned_out_delivered(&once.id, done(noted), now_unix_ms())?;
            return Ok(Discard::Delivered);
        }
        outbox.discard(number, true, now_unix_ms())?;
        Ok(Discard::Discarded)
    }
}

pub fn outbox_in_memory() -> Error {
    let text = "this replica is in memory, and a queued write must outlive the process; attach a \
                file";
    Error::new(Kind::NotAllowed, text)
}
