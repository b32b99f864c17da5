//! Where a feed stands in sqld's log, and what the pages so far add up to.
//!
//! A commit is held back until the next page or the end, because only then is
//! known whether more follows.

use super::Session;
use crate::change::Commit;
use crate::error::{Error, Kind, Result};
use crate::position::Position;
use crate::proto::sqld_log::Frame;
use crate::units::FrameNo;

/// What was handed on.
pub(super) struct Cursor {
    /// Number of the frame that comes next.
    pub next: u64,
    pub frames: u64,
    /// A state of the primary that nobody was told of yet.
    pub pending: Option<Commit>,
    /// The last frame did not end a transaction.
    pub open: bool,
    /// The newest frame that was handed on. A snapshot comes newest frame
    /// first, and segments of a log come side by side: when one breaks off,
    /// this is beyond `next`, and nothing before it is a state of the primary.
    pub newest: Option<u64>,
}

impl Cursor {
    /// Nothing was handed on yet, and frame `next` is wanted.
    pub fn new(next: u64) -> Cursor {
        Cursor { next, frames: 0, pending: None, open: false, newest: None }
    }

    /// Whether a frame of the log is the next one; one that was handed on
    /// already is not, because ranges may overlap.
    pub fn wants(&self, number: u64) -> Result<bool> {
        if number > self.next {
            let text = format!("the primary sent frame {number} where {} comes next", self.next);
            return Err(Error::new(Kind::Protocol, text));
        }
        Ok(number == self.next)
    }

    /// A frame of the log is handed on, which is the next one.
    pub fn took(&mut self, frame: &Frame<'_>, session: &Session) {
        let FrameNo(number) = frame.frame_no;
        self.took_page(number);
        self.next = number + 1;
        self.open = frame.size_after == 0;
        if frame.size_after != 0 {
            self.commit(number, frame.size_after, session);
        }
    }

    /// A page is handed on, wherever it stands in the log.
    pub fn took_page(&mut self, number: u64) {
        self.frames += 1;
        self.newest = self.newest.max(Some(number));
    }

    /// What was handed on is the state after frame `at`, unless there are pages
    /// of a newer one among it.
    pub fn commit(&mut self, at: u64, size: u32, session: &Session) {
        if self.newest <= Some(at) {
            let position = Position::of_frame(session.log, FrameNo(at));
            self.pending = Some(Commit { position, size });
        }
    }
}
