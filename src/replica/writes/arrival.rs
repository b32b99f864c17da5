//! From the primary's "done" to the local file: where a write is to be found.

use super::once::{Ended, open_error};
use super::own_writes::Caught;
use super::{Work, WriteReport};
use crate::error::Result;
use crate::position::Position;
use crate::primary::{Executed, StatementResult};
use crate::replica::Replica;
use crate::units::FrameNo;

/// Where a write is to be found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Arrival {
    /// The primary's last frame after it, where the primary tells.
    pub frame_no: Option<u64>,
    /// That frame in the primary's history; None until the file shows which
    /// history that is, because the answer to a write does not say.
    pub position: Option<Position>,
    /// Whether the local file holds it already.
    pub synced: bool,
    /// Why it does not, if that was an error.
    pub sync_error: Option<String>,
    /// It is part of the open transaction: nobody else sees it yet.
    pub in_transaction: bool,
}

impl Arrival {
    pub fn in_transaction() -> Arrival {
        Arrival { in_transaction: true, ..Arrival::default() }
    }
}

impl Replica {
    /// Lets the primary run something that writes, and brings it back.
    pub(super) fn run_and_arrive(&self, work: Work<'_>, once: bool) -> Result<(Executed, Arrival)> {
        let before = self.syncer.file.position()?;
        let ended = self.send(work, before, once);
        self.bring_back(before, ended)
    }

    /// What a write came to that was sent when the file stood at `before`.
    pub(super) fn report(&self, before: Option<Position>, ended: Ended) -> Result<WriteReport> {
        let (executed, arrival) = self.bring_back(before, ended)?;
        let Executed { results, recovered, .. } = executed;
        Ok(WriteReport { results, arrival, recovered, queued: None })
    }

    fn bring_back(&self, before: Option<Position>, ended: Ended) -> Result<(Executed, Arrival)> {
        let executed = match ended {
            Ended::Known(executed) => self.noted(executed)?,
            Ended::Open(open) => return self.noted(Err(open_error(&open))),
        };
        // What changes the schema counts no rows.
        let reads = |result: &StatementResult| {
            !result.columns.is_empty() && result.rows_affected == Some(0)
        };
        let changed = executed.recovered || !executed.results.iter().all(reads);
        let arrival = self.arrive(before, executed.frame_no, changed);
        Ok((executed, arrival))
    }

    /// What follows a write that succeeded: it is counted and brought back.
    pub(super) fn arrive(
        &self,
        before: Option<Position>,
        frame_no: Option<u64>,
        changed: bool,
    ) -> Arrival {
        self.syncer.counters.lock().wrote(frame_no);
        let mut arrival = Arrival { frame_no, ..Arrival::default() };
        if self.options.read_your_writes {
            match self.catch_up_to(before, frame_no, changed) {
                Ok(Caught::Up(history)) => {
                    arrival.synced = true;
                    let position = |(history, frame)| Position::of_frame(history, FrameNo(frame));
                    arrival.position = history.zip(frame_no).map(position);
                    self.syncer.counters.lock().last_error = None;
                }
                Ok(Caught::Behind) => {}
                Err(error) => arrival.sync_error = Some(error.to_string()),
            }
        }
        self.syncer.note();
        arrival
    }
}
