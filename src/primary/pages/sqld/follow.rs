//! sqld's `LogEntries`: one request whose answer never ends, a frame for each
//! page that the primary commits, milliseconds after it did.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::cursor::Cursor;
use super::frames::{Frames, Method, Step};
use super::{Refusal, Session, Sqld, first_missing};
use crate::change::Change;
use crate::error::{Kind, Result};
use crate::patience::Patience;
use crate::position::Position;
use crate::primary::pages::{Begin, Feed, Next, Tally};

/// sqld begins the answer at once, whether or not there is a frame to put into
/// it. One that has not begun by then is held back by something in between.
const HEAD: Duration = Duration::from_secs(2);

struct LogStream {
    sqld: Arc<Sqld>,
    session: Session,
    frames: Frames,
    at: Cursor,
    /// The current frame waits for the commit before it to be handed on.
    kept: bool,
}

/// Opens the stream from the frame after `from` on.
pub(super) fn open(sqld: Arc<Sqld>, from: Option<Position>, patience: &Patience) -> Result<Begin> {
    let opening = Patience { timeout: HEAD.min(patience.timeout), ..patience.clone() };
    let known = sqld.session.lock().clone();
    let fits = |session: &Session| from.is_none_or(|from| session.holds(from));
    let mut fresh = false;
    let mut session = match known.filter(fits) {
        Some(session) => session,
        None => {
            fresh = true;
            sqld.hello(patience, &mut 0)?
        }
    };
    loop {
        if !fits(&session) {
            return Ok(Begin::Diverged { empty: session.head.is_none() });
        }
        let next = first_missing(from);
        let asked = Instant::now();
        match Frames::ask(&sqld, Method::Stream, next, &session, &opening) {
            Ok(frames) => {
                let at = Cursor::new(next);
                return Ok(Begin::Feed(Box::new(LogStream {
                    sqld,
                    session,
                    frames,
                    at,
                    kept: false,
                })));
            }
            // A pull can take the snapshot that stands in for those frames.
            Err(Refusal::NeedSnapshot | Refusal::NoSnapshot) => return Ok(Begin::CannotTell),
            // Only a session that was remembered may be out of date.
            Err(Refusal::NoHello) if !fresh => {
                fresh = true;
                session = sqld.hello(patience, &mut 0)?;
            }
            // The primary has just answered other requests at once.
            Err(Refusal::Error(error))
                if error.kind() == Kind::Unavailable && asked.elapsed() >= opening.timeout =>
            {
                return Ok(Begin::HeldBack);
            }
            Err(refusal) => return Err(sqld.unexpected(refusal)),
        }
    }
}

impl LogStream {
    /// Whether the next frame is there, what is known already left out.
    fn advance(&mut self, patience: &Patience) -> std::result::Result<Step, Refusal> {
        loop {
            // In the middle of a transaction the rest of it is on its way.
            let step = self.frames.advance(&self.sqld, patience, !self.at.open)?;
            if step != Step::Frame || self.at.wants(self.frames.frame()?.frame_no.0)? {
                return Ok(step);
            }
        }
    }

    /// The same of frames that have come already.
    fn advance_here(&mut self) -> Result<bool> {
        while self.frames.advance_here()? {
            if self.at.wants(self.frames.frame()?.frame_no.0)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Feed for LogStream {
    fn next(&mut self, patience: &Patience) -> Result<Next<'_>> {
        if !self.kept {
            if let Some(commit) = self.at.pending.take() {
                self.kept = self.advance_here()?;
                return Ok(Next::Change(commit.change(self.kept)));
            }
            match self.advance(patience) {
                Ok(Step::Frame) => {}
                Ok(Step::Idle) => return Ok(Next::Idle),
                Ok(Step::End) => return Ok(Next::End),
                // A stream that is idle is cut by whatever stands in between,
                // after a minute or so: nothing is lost by that.
                Err(Refusal::Error(error))
                    if error.kind() == Kind::Unavailable && !self.at.open =>
                {
                    return Ok(Next::End);
                }
                Err(Refusal::Error(error)) => return Err(error),
                // A pull tells how to go on.
                Err(_) => return Ok(Next::End),
            }
        }
        self.kept = false;
        let frame = self.frames.frame()?;
        self.at.took(&frame, &self.session);
        Ok(Next::Change(Change::Page(frame.page, frame.image)))
    }

    fn tally(&self) -> Tally {
        Tally { frames: self.at.frames, bytes: self.frames.bytes(), ..Tally::default() }
    }
}
