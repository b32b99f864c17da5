//! Who delivers: one at a time, for as long as he says that he is still at it.
//!
//! It saves the others the work and is not what keeps a write from happening
//! twice: that is its id. So a clock that jumps, a process whose number was
//! given to another one, or one that sleeps for longer than the lease, cost a
//! request and no more.

use super::entry::{Columns, integer, text};
use super::file::Outbox;
use crate::error::Result;
use crate::host::{may_be_running, random_name};

/// How long others wait for one who says nothing any more. Longer than the
/// work between two signs of life, and shorter than anybody's patience.
const LEASE_MS: i64 = 10_000;

/// The right to deliver.
#[derive(Clone, Debug)]
pub struct Lease {
    owner: String,
}

impl Outbox {
    /// Takes the right to deliver; None while somebody else has it.
    pub fn take_lease(&self, now_unix_ms: i64) -> Result<Option<Lease>> {
        self.write(|| {
            let rows = self.connection.rows(
                "SELECT lease_process, lease_until_unix_ms FROM outbox WHERE lease_owner NOTNULL",
                &[],
            )?;
            if let Some(row) = rows.into_iter().next() {
                let mut row = Columns::of(row);
                let (process, until) = (row.number(), row.integer().unwrap_or(0));
                // Nobody takes it for longer: the clock was put back.
                let holds = (1..=LEASE_MS).contains(&until.saturating_sub(now_unix_ms));
                let process = process.and_then(|process| u32::try_from(process).ok());
                if holds && process.is_none_or(may_be_running) {
                    return Ok(None);
                }
            }
            let lease = Lease { owner: random_name() };
            self.connection.change(
                "UPDATE outbox SET lease_owner = ?1, lease_process = ?2, lease_until_unix_ms = ?3",
                &[text(&lease.owner), integer(std::process::id()), integer(now_unix_ms + LEASE_MS)],
            )?;
            Ok(Some(lease))
        })
    }

    /// Whether it was not taken by somebody else. Inside a transaction.
    pub(super) fn holds(&self, lease: &Lease) -> Result<bool> {
        let sql = "SELECT 1 FROM outbox WHERE lease_owner = ?1";
        Ok(!self.connection.rows(sql, &[text(&lease.owner)])?.is_empty())
    }

    /// Says that the deliverer is at work; false where somebody else has taken
    /// it for dead. Inside a transaction.
    pub(super) fn renew(&self, lease: &Lease, now_unix_ms: i64) -> Result<bool> {
        let sql = "UPDATE outbox SET lease_until_unix_ms = ?2 WHERE lease_owner = ?1";
        let arguments = [text(&lease.owner), integer(now_unix_ms + LEASE_MS)];
        Ok(self.connection.change(sql, &arguments)? > 0)
    }

    /// Gives it back, unless somebody else has it meanwhile.
    pub fn end_lease(&self, lease: &Lease) {
        let sql = "UPDATE outbox SET lease_owner = NULL, lease_process = NULL, \
                   lease_until_unix_ms = NULL WHERE lease_owner = ?1";
        // If that fails, it ends by itself.
        let _ = self.connection.change(sql, &[text(&lease.owner)]);
    }
}
