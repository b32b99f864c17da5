//! With `offline_writes`: a write whose primary cannot be reached is queued,
//! and so are those behind it, until the queue is empty again: they stay in
//! order.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::once::{Ended, LeftOpen, open_error};
use super::queue::Queued;
use super::{Work, WriteReport};
use crate::error::{Error, Kind, Result};
use crate::options::SyncOptions;
use crate::primary::Statement;
use crate::replica::Replica;
use crate::sqltext::statement::Head;

/// A primary that was away is tried again by a write no sooner than after so
/// many times of what the last attempt took, within these bounds.
const PAUSE_FACTOR: u32 = 4;
const LEAST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// When the primary is worth trying again.
#[derive(Default)]
pub struct Retreat(Cell<Option<Instant>>);

impl Retreat {
    fn holds(&self) -> bool {
        self.0.get().is_some_and(|until| Instant::now() < until)
    }

    fn begin(&self, took: Duration) {
        let pause = (took * PAUSE_FACTOR).clamp(LEAST_PAUSE, LONGEST_PAUSE);
        self.0.set(Some(Instant::now() + pause));
    }

    fn end(&self) {
        self.0.set(None);
    }
}

impl Replica {
    /// Runs a write, or queues it where the options say so and the primary
    /// cannot be reached.
    pub(super) fn run_or_queue(&self, statements: &[Statement]) -> Result<WriteReport> {
        let reads = statements.iter().all(|one| Head::of(&one.sql).only_reads());
        if !self.options.offline_writes || reads || self.has_open_transaction() {
            return self.run(Work::Script(statements));
        }
        if !self.nothing_waits()? {
            return Ok(queued(self.push(statements, None)?));
        }
        let before = self.syncer.file.position()?;
        let (work, started) = (Work::Script(statements), Instant::now());
        let ended = self.send(work, before, true);
        let error = match &ended {
            Ended::Known(Err(error)) if is_away(error) => error.clone(),
            Ended::Open(open) if open.cause.kind() != Kind::Interrupted => open_error(open),
            _ => return self.report(before, ended),
        };
        self.retreat.begin(started.elapsed());
        let _ = self.noted::<()>(Err(error.clone()));
        let sent = match ended {
            Ended::Open(LeftOpen { id, digest, .. }) => Some((id, digest)),
            Ended::Known(_) => None,
        };
        let sent = sent.as_ref().map(|(id, digest)| (id, digest.as_str()));
        match self.push(statements, sent) {
            Ok(entry) => {
                // What this connection writes from now on is not to overtake it
                // under the same name.
                self.ids.begin_anew();
                Ok(queued(entry))
            }
            Err(why) => Err(error.and(&format!("it could not be queued either: {why}"))),
        }
    }

    /// Whether the queue is empty, if need be by emptying it now.
    fn nothing_waits(&self) -> Result<bool> {
        let Some(outbox) = self.outbox()? else { return Ok(true) };
        let (Some(delivery), true) = (&self.syncer.delivery, outbox.has_waiting()?) else {
            return Ok(true);
        };
        if self.retreat.holds() {
            return Ok(false);
        }
        let started = Instant::now();
        let patience = self.syncer.patience(SyncOptions::default());
        let report = self.syncer.deliver(delivery, &patience)?.unwrap_or_default();
        match report.error {
            Some(error) => {
                self.retreat.begin(started.elapsed());
                let _ = self.noted::<()>(Err(error));
            }
            None => self.retreat.end(),
        }
        // The queue says it, and nobody else: what is not allowed delivers
        // nothing.
        Ok(!outbox.has_waiting()?)
    }
}

fn is_away(error: &Error) -> bool {
    matches!(error.kind(), Kind::Unreachable | Kind::Unavailable)
}

fn queued(entry: Queued) -> WriteReport {
    WriteReport { queued: Some(entry), ..WriteReport::default() }
}
