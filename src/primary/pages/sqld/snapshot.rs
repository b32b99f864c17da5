//! The frames that sqld's log no longer holds: each page once, and the newest
//! frame first.

use std::result::Result as StdResult;

use super::frames::{Frames, Method, Step};
use super::{Refusal, Session, Sqld};
use crate::error::{Error, Kind, Result};
use crate::patience::Patience;
use crate::primary::link::Backoff;
use crate::proto::sqld_log::Frame;

pub(super) struct Snapshot {
    frames: Frames,
    /// Older frames say what has been handed on already.
    first: u64,
    newest: Option<u64>,
    before: Option<u64>,
    /// Stands on the last frame only.
    size: Option<u32>,
}

impl Snapshot {
    pub fn ask(
        sqld: &Sqld,
        first: u64,
        session: &Session,
        patience: &Patience,
    ) -> StdResult<Snapshot, Refusal> {
        let frames = Frames::ask(sqld, Method::Snapshot, first, session, patience)?;
        Ok(Snapshot { frames, first, newest: None, before: None, size: None })
    }

    pub fn bytes(&self) -> u64 {
        self.frames.bytes()
    }

    pub fn frame(&self) -> Result<Frame<'_>> {
        self.frames.frame()
    }

    /// Moves to the next frame that is wanted, or to the end.
    pub fn advance(&mut self, sqld: &Sqld, patience: &Patience) -> StdResult<Step, Refusal> {
        loop {
            let step = self.frames.advance(sqld, patience, false)?;
            if step != Step::Frame {
                return Ok(step);
            }
            let frame = self.frames.frame()?;
            let number = frame.frame_no.0;
            if self.size.is_some() {
                return Err(absurd("goes on after its end").into());
            }
            if self.before.is_some_and(|before| number >= before) {
                return Err(absurd("is out of order").into());
            }
            self.before = Some(number);
            self.newest = self.newest.or(self.before);
            self.size = Some(frame.size_after).filter(|size| *size != 0);
            if number >= self.first {
                return Ok(Step::Frame);
            }
        }
    }

    /// The frame that it leads to, and the size of the database there.
    pub fn result(&self) -> Result<(u64, u32)> {
        let newest = self.newest.filter(|newest| *newest >= self.first);
        let newest = newest.ok_or_else(|| absurd("holds nothing that was asked for"))?;
        let size = self.size.ok_or_else(|| absurd("has no end"))?;
        Ok((newest, size))
    }
}

fn absurd(text: &str) -> Error {
    Error::new(Kind::Protocol, format!("the primary's snapshot {text}"))
}

/// Waits until a primary that is busy with its snapshots is asked again.
pub fn wait_for_one(retry: &mut Backoff<'_>, patience: &Patience) -> Result<()> {
    if retry.wait() {
        return Ok(());
    }
    if (patience.cancelled)() {
        let text = "interrupted while waiting for the primary";
        return Err(Error::new(Kind::Interrupted, text));
    }
    let seconds = patience.timeout.as_secs_f64();
    let text = format!("the primary did not finish a snapshot within {seconds} s");
    Err(Error::new(Kind::Unavailable, text))
}
