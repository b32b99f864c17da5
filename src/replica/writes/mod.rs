//! Writing: on the primary, and readable here when the call returns.
//!
//! The pull does not wait for the write: a stream of the primary's log is
//! opened beside the first write and kept for the next ones, so that a write
//! and its way back cost one round trip together.

pub mod batch;
pub mod interactive;
mod query;

use std::time::{Duration, Instant};

use crate::error::Result;
use crate::host::statement_is_complete;
use crate::patience::Patience;
use crate::position::Position;
use crate::primary::{Executed, Primary, StatementResult, Stream};
use crate::replica::Replica;
use crate::replica::options::SyncOptions;
use crate::replica::wait::Waited;
use crate::sqltext::script::statements;
use crate::sqltext::value::Value;
use crate::store::assembly::{Assembly, Base};
use crate::thread::at_once;
use crate::units::FrameNo;

/// A stream that was not used for this long is closed by the next write or
/// sync rather than read: what has gathered in it comes faster by a pull.
const STREAM_IDLE: Duration = Duration::from_secs(30);

/// A stream that takes longer to open than this is done without.
const STREAM_OPENING: Duration = Duration::from_secs(5);

/// How long a write waits for the worker's stream before it pulls on its own.
const WORKER_LAG: Duration = Duration::from_secs(1);

/// What a write did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WriteReport {
    /// One per statement.
    pub results: Vec<StatementResult>,
    pub landed: Landed,
}

/// Where a write is to be found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Landed {
    /// The primary's last frame after it, where the primary tells.
    pub frame_no: Option<u64>,
    /// Whether the local file holds it already.
    pub synced: bool,
    /// Why it does not, if that was an error.
    pub sync_error: Option<String>,
    /// It is part of the open transaction: nobody else sees it yet.
    pub in_transaction: bool,
}

impl Landed {
    pub fn in_transaction() -> Landed {
        Landed { in_transaction: true, ..Landed::default() }
    }
}

/// The stream that brings back what a connection writes.
pub struct Echo {
    stream: Box<dyn Stream>,
    used: Instant,
}

impl Replica {
    /// Runs `sql` on the primary, several statements as one transaction, then
    /// waits until the file holds it. Once the primary has run it, no error of
    /// the way back makes it look failed.
    pub fn write(&self, sql: &str, args: Vec<Value>) -> Result<WriteReport> {
        let statements = statements(sql, args, statement_is_complete)?;
        if let Some(results) = self.write_in_transaction(&statements)? {
            return Ok(WriteReport { results, landed: Landed::in_transaction() });
        }
        let (executed, landed) =
            self.run(|primary, patience| primary.execute(&statements, patience))?;
        Ok(WriteReport { results: executed.results, landed })
    }

    /// Lets the primary run something that writes, and brings it back.
    pub(in crate::replica) fn run(
        &self,
        work: impl FnOnce(&dyn Primary, &Patience) -> Result<Executed>,
    ) -> Result<(Executed, Landed)> {
        self.check_no_batch()?;
        let before = self.syncer.file.position()?;
        let executed = self.noted(self.execute(work, before))?;
        // What changes the schema counts no rows.
        let reads = |result: &StatementResult| {
            !result.columns.is_empty() && result.rows_affected == Some(0)
        };
        let changed = !executed.results.iter().all(reads);
        let landed = self.land(before, executed.frame_no, changed);
        Ok((executed, landed))
    }

    /// Remembers an error for the status.
    pub(in crate::replica) fn noted<T>(&self, outcome: Result<T>) -> Result<T> {
        outcome.inspect_err(|error| self.syncer.counters.lock().failed(error))
    }

    pub(in crate::replica) fn patience(&self) -> Patience {
        self.syncer.patience(SyncOptions::default())
    }

    /// What follows a write that succeeded: it is counted and brought back.
    pub(in crate::replica) fn land(
        &self,
        before: Option<Position>,
        frame_no: Option<u64>,
        changed: bool,
    ) -> Landed {
        self.syncer.counters.lock().wrote(frame_no);
        let mut landed = Landed { frame_no, ..Landed::default() };
        if self.options.read_your_writes {
            match self.bring_back(before, frame_no, changed) {
                Ok(synced) => {
                    landed.synced = synced;
                    if synced {
                        self.syncer.counters.lock().last_error = None;
                    }
                }
                Err(error) => landed.sync_error = Some(error.to_string()),
            }
        }
        landed
    }

    /// Lets the primary run it, and opens a stream at the same time if there
    /// is none yet.
    fn execute(
        &self,
        work: impl FnOnce(&dyn Primary, &Patience) -> Result<Executed>,
        before: Option<Position>,
    ) -> Result<Executed> {
        let patience = self.patience();
        let primary = &self.syncer.primary;
        let run = || work(&**primary, &patience);
        if self.options.live || !self.options.read_your_writes {
            return run();
        }
        self.close_idle_echo();
        let mut echo = self.echo.borrow_mut();
        if echo.is_some() {
            return run();
        }
        let timeout = patience.timeout.min(STREAM_OPENING);
        let opening = Patience { timeout, ..patience.clone() };
        let (stream, executed) = at_once(|| primary.follow(before, &opening), run);
        if let Some(Ok(Some(stream))) = stream {
            *echo = Some(Echo { stream, used: Instant::now() });
        }
        executed
    }

    pub(in crate::replica) fn close_idle_echo(&self) {
        self.echo.borrow_mut().take_if(|echo| echo.used.elapsed() >= STREAM_IDLE);
    }

    /// Waits until the file holds `frame_no`; whether it does.
    fn bring_back(
        &self,
        before: Option<Position>,
        frame_no: Option<u64>,
        changed: bool,
    ) -> Result<bool> {
        let at = before.and_then(Position::frame_no).map(|frame| frame.0);
        match frame_no {
            Some(frame_no) if Some(frame_no) > at => {
                let arrived = if self.options.live {
                    let waited = self.syncer.wait_for(frame_no, WORKER_LAG)?;
                    matches!(waited, Waited::Reached(_))
                } else {
                    self.read_echo(before, frame_no)
                };
                if arrived {
                    return Ok(true);
                }
            }
            // Nothing was changed, and the file was up to date.
            Some(frame_no) if Some(frame_no) == at && !changed => return Ok(true),
            // A primary whose log ends before ours, or does not count.
            _ => {}
        }
        let report = self.sync(SyncOptions::default())?;
        Ok(frame_no.is_none_or(|wanted| report.frame_no >= Some(wanted)))
    }

    /// Reads the stream up to `frame_no`; false if it did not come that way.
    fn read_echo(&self, before: Option<Position>, frame_no: u64) -> bool {
        let mut slot = self.echo.borrow_mut();
        let Some(mut echo) = slot.take() else { return false };
        // Frame numbers of two histories say nothing of each other.
        let log = |position: Option<Position>| position.map(|position| position.history);
        if log(echo.stream.position()) != log(before) {
            return false;
        }
        let patience = self.syncer.patience(SyncOptions::default());
        while echo.stream.position().and_then(Position::frame_no) < Some(FrameNo(frame_no)) {
            let base =
                echo.stream.position().map_or(Base::Everything { replaces: None }, Base::Since);
            let mut apply = Assembly::new(&self.syncer.file, base);
            let streamed = echo.stream.next(&mut apply, &patience);
            match streamed {
                Ok(streamed) if !streamed.ended && !streamed.idle => {
                    self.syncer.counters.lock().streamed(&streamed, &apply);
                }
                // Any trouble here is met again, and reported, by the pull.
                _ => return false,
            }
        }
        echo.used = Instant::now();
        *slot = Some(echo);
        true
    }
}
