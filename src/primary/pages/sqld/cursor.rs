//! Frames on their way to the sink, in order: where a pull or a stream stands.
//!
//! A commit is held back until the next page or the end, because only then is
//! known whether more follows.

use super::Session;
use crate::change::{Commit, Sink};
use crate::error::{Error, Kind, Result};
use crate::position::Position;
use crate::proto::sqld_log::Frame;
use crate::units::FrameNo;

/// What the sink has been given.
pub(super) struct Progress {
    /// Number of the frame that comes next.
    pub next: u64,
    pub frames: u64,
    /// A commit that the sink does not know of yet.
    pub pending: Option<Commit>,
    /// The last frame did not end a transaction.
    pub open: bool,
    /// The newest frame that the sink was given. A snapshot comes newest frame
    /// first: when one breaks off, this is beyond `next`, and nothing before
    /// it is a state that the sink could commit.
    pub newest: Option<u64>,
    /// The error came from the sink, so that asking again cannot help.
    pub sink_failed: bool,
}

impl Progress {
    /// Nothing was given yet, and frame `next` is wanted.
    pub fn new(next: u64) -> Progress {
        Progress { next, frames: 0, pending: None, open: false, newest: None, sink_failed: false }
    }

    /// Takes a frame of the log, which must be the next one; what the sink
    /// already has is skipped, because ranges may overlap.
    pub fn take(&mut self, frame: Frame<'_>, session: &Session, sink: &mut dyn Sink) -> Result<()> {
        let number = frame.frame_no.0;
        if number < self.next {
            return Ok(());
        }
        if number > self.next {
            return Err(Error::new(
                Kind::Protocol,
                format!("the primary sent frame {number} where {} comes next", self.next),
            ));
        }
        self.page(frame, sink)?;
        self.next = number + 1;
        self.open = frame.size_after == 0;
        if frame.size_after != 0 {
            self.commit(number, frame.size_after, session);
        }
        Ok(())
    }

    /// What the sink holds is the state after frame `at`, unless it has pages
    /// of a newer one.
    pub fn commit(&mut self, at: u64, size: u32, session: &Session) {
        if self.newest <= Some(at) {
            let position = Position::of_frame(session.log, FrameNo(at));
            self.pending = Some(Commit { position, size });
        }
    }

    pub fn page(&mut self, frame: Frame<'_>, sink: &mut dyn Sink) -> Result<()> {
        let mut give = || {
            if let Some(commit) = self.pending.take() {
                sink.commit(commit, true)?;
            }
            sink.page(frame.page, frame.image)
        };
        let given = give();
        self.sink_failed |= given.is_err();
        self.frames += 1;
        self.newest = self.newest.max(Some(frame.frame_no.0));
        given
    }
}
