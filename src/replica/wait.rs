//! Waiting until the file has come as far as a frame, by whoever's work: this
//! connection's worker, or another process.

use std::time::{Duration, Instant};

use super::Replica;
use super::sync::Syncer;
use crate::error::{Error, Kind, Result};
use crate::position::Position;

impl Replica {
    /// Waits until the file holds frame `frame_no`; yields the last frame that
    /// it holds then.
    pub fn wait(&self, frame_no: u64, timeout: Option<Duration>) -> Result<u64> {
        let timeout = timeout.unwrap_or(self.options.timeout);
        match self.syncer.wait_for(frame_no, timeout)? {
            Waited::Reached(at) => Ok(at),
            Waited::Timeout(at) => {
                let at = at.map_or("none yet".to_owned(), |at| at.to_string());
                let text = format!(
                    "frame {frame_no} did not arrive within {} s: the file is at frame {at}; sync \
                     it, or wait longer",
                    timeout.as_secs_f64()
                );
                Err(Error::new(Kind::Busy, text))
            }
        }
    }
}

/// How a wait ended, with the last frame that the file holds.
pub enum Waited {
    Reached(u64),
    Timeout(Option<u64>),
}

impl Syncer {
    /// Looks at the file again and again: its position is two reads of memory
    /// and one of a page that is in the cache.
    pub fn wait_for(&self, frame_no: u64, timeout: Duration) -> Result<Waited> {
        let started = Instant::now();
        loop {
            let position = self.file.position()?;
            let at = position.and_then(Position::frame_no).map(|frame| frame.0);
            if position.is_some() && at.is_none() {
                return Err(Error::new(
                    Kind::Misuse,
                    "the primary does not number what it commits, so there is no frame to wait \
                     for; sync instead",
                ));
            }
            match at {
                Some(at) if at >= frame_no => return Ok(Waited::Reached(at)),
                _ => {}
            }
            let waited = started.elapsed();
            if waited >= timeout {
                return Ok(Waited::Timeout(at));
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
