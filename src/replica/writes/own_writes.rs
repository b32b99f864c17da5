//! The stream that brings back what this connection writes.
//!
//! The pull does not wait for the write: the stream is opened beside the first
//! write and kept for the next ones, so that a write and its way back cost one
//! round trip together.

use std::time::{Duration, Instant};

use super::Work;
use crate::error::Result;
use crate::patience::Patience;
use crate::position::Position;
use crate::primary::Executed;
use crate::replica::Replica;
use crate::replica::follow::{Followed, Opened, open};
use crate::replica::options::SyncOptions;
use crate::replica::sync::Drained;
use crate::replica::wait::Waited;
use crate::thread::at_once;
use crate::units::FrameNo;

/// A stream that was not used for this long is closed by the next write or
/// sync rather than read: what has gathered in it comes faster by a pull.
const STREAM_IDLE: Duration = Duration::from_secs(30);

/// A stream that takes longer to open than this is done without.
const STREAM_OPENING: Duration = Duration::from_secs(5);

/// How long a write waits for the worker's stream before it pulls on its own.
const WORKER_LAG: Duration = Duration::from_secs(1);

pub struct OwnWrites {
    stream: Followed,
    used: Instant,
}

impl Replica {
    /// Lets the primary run it, and opens the stream at the same time if there
    /// is none yet.
    pub(super) fn send(&self, work: Work<'_>, before: Option<Position>) -> Result<Executed> {
        let patience = self.patience();
        let primary = &self.syncer.primary;
        let run = || work.alone(&**primary, &patience);
        if self.options.live || !self.options.read_your_writes {
            return run();
        }
        self.close_idle_stream();
        let mut own_writes = self.own_writes.borrow_mut();
        if own_writes.is_some() {
            return run();
        }
        let timeout = patience.timeout.min(STREAM_OPENING);
        let opening = Patience { timeout, ..patience.clone() };
        let (stream, executed) = at_once(|| open(primary, before, &opening), run);
        if let Some(Ok(Opened::Followed(stream))) = stream {
            *own_writes = Some(OwnWrites { stream, used: Instant::now() });
        }
        executed
    }

    pub(in crate::replica) fn close_idle_stream(&self) {
        self.own_writes.borrow_mut().take_if(|stream| stream.used.elapsed() >= STREAM_IDLE);
    }

    /// Waits until the file holds `frame_no`; whether it does.
    pub(super) fn catch_up_to(
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
                    self.read_stream(before, frame_no)
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
    fn read_stream(&self, before: Option<Position>, frame_no: u64) -> bool {
        let mut slot = self.own_writes.borrow_mut();
        let Some(mut own_writes) = slot.take() else { return false };
        // Frame numbers of two histories say nothing of each other.
        let history = |position: Option<Position>| position.map(|position| position.history);
        if history(own_writes.stream.at()) != history(before) {
            return false;
        }
        let wanted = Some(FrameNo(frame_no));
        let there = |position: Position| position.frame_no() >= wanted;
        if !own_writes.stream.at().is_some_and(there) {
            match own_writes.stream.bring(&self.syncer, &self.patience(), there) {
                Ok(Drained::Enough) => {}
                // Any trouble here is met again, and reported, by the pull.
                _ => return false,
            }
        }
        own_writes.used = Instant::now();
        *slot = Some(own_writes);
        true
    }
}
