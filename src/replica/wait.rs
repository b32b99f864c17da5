//! Waiting until the file has come as far as a frame, by whoever's work: this
//! connection's worker, or another process.

use std::time::{Duration, Instant};

use super::Replica;
use crate::error::{Error, Kind, Result};
use crate::position::Position;
use crate::sync::Syncer;
use crate::units::FrameNo;

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// That many frames of whatever history the file is on.
    Frame(u64),
    /// That frame of that history; the same number of another one is none.
    Position(Position),
}

impl Awaited {
    fn is_held_at(self, at: Position) -> bool {
        match self {
            Awaited::Frame(wanted) => at.frame_no() >= Some(FrameNo(wanted)),
            Awaited::Position(wanted) => at.covers(wanted),
        }
    }

    /// The sentence for a file that has not come so far.
    fn not_held(self, at: Option<Position>, timeout: Duration) -> String {
        let (what, at) = match self {
            Awaited::Frame(wanted) => {
                let at = at.and_then(Position::frame_no);
                let at = at.map_or("none yet".to_owned(), |FrameNo(at)| at.to_string());
                (format!("frame {wanted}"), format!("frame {at}"))
            }
            Awaited::Position(wanted) => {
                let other = at.is_some_and(|at| at.history != wanted.history);
                let at = at.and_then(Position::token).unwrap_or("none yet".to_owned());
                let whose = if other { " of another history" } else { "" };
                let wanted = wanted.token().unwrap_or_default();
                (format!("position {wanted}"), format!("position {at}{whose}"))
            }
        };
        let seconds = timeout.as_secs_f64();
        format!(
            "{what} did not arrive within {seconds} s: the file is at {at}; sync it, or wait longer"
        )
    }
}

impl Replica {
    /// Waits until the file holds it; yields the last frame that it holds then.
    pub fn wait(&self, wanted: Awaited, timeout: Option<Duration>) -> Result<u64> {
        let timeout = timeout.unwrap_or(self.options.timeout);
        match self.syncer.wait_for(wanted, timeout)? {
            Waited::Reached(FrameNo(at)) => Ok(at),
            Waited::Timeout(at) => Err(Error::new(Kind::Busy, wanted.not_held(at, timeout))),
        }
    }
}

/// How a wait ended.
pub enum Waited {
    /// With the last frame that the file holds.
    Reached(FrameNo),
    Timeout(Option<Position>),
}

impl Syncer {
    /// Looks at the file again and again: its position is two reads of memory
    /// and one of a page that is in the cache. A file on another history is
    /// waited for as well: it may still be reset to the one that is meant.
    pub fn wait_for(&self, wanted: Awaited, timeout: Duration) -> Result<Waited> {
        let started = Instant::now();
        loop {
            let position = self.file.position()?;
            let at = position.and_then(Position::frame_no);
            if position.is_some() && at.is_none() {
                return Err(Error::new(
                    Kind::Misuse,
                    "the primary does not number what it commits, so there is no frame to wait \
                     for; sync instead",
                ));
            }
            match at {
                Some(at) if position.is_some_and(|at| wanted.is_held_at(at)) => {
                    return Ok(Waited::Reached(at));
                }
                _ => {}
            }
            let waited = started.elapsed();
            if waited >= timeout {
                return Ok(Waited::Timeout(position));
            }
            if (self.cancelled)() {
                return Err(Error::new(Kind::Interrupted, "interrupted"));
            }
            // What is on its way comes within a millisecond or two; what is
            // not may take its time.
            let pause = (waited / 8).clamp(Duration::from_micros(50), Duration::from_millis(10));
            std::thread::sleep(pause.min(timeout - waited));
        }
    }
}
