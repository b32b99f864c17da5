//! A feed from a position to the primary's head: by batches of frames, by
//! segments of a long stretch side by side, and, where the log was compacted,
//! by snapshots.
//!
//! With a session that is still valid, a pull that finds nothing new is one
//! request. Frames are handed on as they arrive.

use std::result::Result as StdResult;
use std::sync::Arc;

use super::cursor::Cursor;
use super::frames::{BATCH, Frames, Method, Step};
use super::limits::{MAX_ROUNDS, check_length, most_frames};
use super::segments::{Rounds, Segments, Stretch, WORTH_FRAMES, too_many_pieces};
use super::snapshot::{Snapshot, wait_for_one};
use super::source::Source;
use super::{Refusal, Session, Sqld, first_missing};
use crate::change::Change;
use crate::error::{Error, Kind, Result};
use crate::patience::Patience;
use crate::position::Position;
use crate::primary::link::Backoff;
use crate::primary::pages::{Begin, Feed, Next, Tally};

/// A primary that keeps forgetting us is not asked more often than this.
const MAX_HELLOS: u32 = 4;

/// A file that has a position is brought forward by stretches of this many
/// frames, each shown when it is complete. With the rest of a transaction that
/// the last one may belong to, they fit the buffer of pages, so no lock is held
/// while they come.
const WINDOW_FRAMES: u64 = 3 * 1024;

struct Pull {
    sqld: Arc<Sqld>,
    session: Session,
    from: Option<Position>,
    at: Cursor,
    source: Source,
    /// The current frame waits for the commit before it to be handed on.
    kept: bool,
    over: bool,
    /// The last that was handed on is a commit.
    between: bool,
    /// Where the last answer that broke off was taken up again.
    resumed_at: Option<u64>,
    rounds: u32,
    /// The same for the lanes of stretches.
    short: Arc<Rounds>,
    hellos: u32,
    /// The head as a hello of this very pull told it.
    head: Option<u64>,
    bytes: u64,
    snapshot: bool,
}

/// What a hello says to a file at some position.
enum Fit {
    Good,
    /// There is nothing, and there was nothing.
    Nothing,
    Diverged {
        empty: bool,
    },
}

fn compare(session: &Session, from: Option<Position>) -> Fit {
    let empty = session.head.is_none();
    match from {
        None if empty => Fit::Nothing,
        Some(from) if !session.holds(from) => Fit::Diverged { empty },
        _ => Fit::Good,
    }
}

/// What a step of a pull came to.
enum Moved {
    /// There is a frame to hand on.
    Frame,
    /// A source has come to its end, and there is more to ask for.
    On,
    End,
    Diverged {
        empty: bool,
    },
}

/// Opens the feed, as far as its first frame: so that nothing was handed on
/// where the history turns out to be another one.
pub(super) fn open(sqld: Arc<Sqld>, from: Option<Position>, patience: &Patience) -> Result<Begin> {
    // A remembered session will do, unless it cannot vouch for `from`: its log
    // must be the same, and have reached that far when it was last seen. While
    // its token is valid, the server has not restarted since.
    let known = sqld.session.lock().clone();
    let known = known.filter(|session| from.is_none_or(|from| session.holds(from)));
    let (mut bytes, mut hellos, mut head) = (0, 0, None);
    let mut over = false;
    let session = match known {
        Some(session) => session,
        None => {
            let session = sqld.hello(patience, &mut bytes)?;
            (hellos, head) = (1, session.head);
            match compare(&session, from) {
                Fit::Good => {}
                Fit::Nothing => over = true,
                Fit::Diverged { empty } => return Ok(Begin::Diverged { empty }),
            }
            session
        }
    };
    let mut pull = Pull {
        sqld,
        session,
        from,
        at: Cursor::new(first_missing(from)),
        source: Source::None,
        kept: false,
        over,
        between: false,
        resumed_at: None,
        rounds: 0,
        short: Arc::new(Rounds::new(MAX_ROUNDS)),
        hellos,
        head,
        bytes,
        snapshot: false,
    };
    if !pull.over {
        match pull.advance(patience)? {
            Moved::Frame => pull.kept = true,
            Moved::End | Moved::On => pull.over = true,
            Moved::Diverged { empty } => return Ok(Begin::Diverged { empty }),
        }
    }
    Ok(Begin::Feed(Box::new(pull)))
}

impl Feed for Pull {
    fn next(&mut self, patience: &Patience) -> Result<Next<'_>> {
        if !self.kept && !self.over {
            self.over = !matches!(self.advance(patience)?, Moved::Frame);
        }
        if let Some(commit) = self.at.pending.take() {
            self.kept = !self.over;
            self.between = true;
            let more = !self.over && self.received() < most_frames(self.from);
            return Ok(Next::Change(commit.change(more)));
        }
        if self.over {
            return Ok(Next::End);
        }
        check_length(self.from, self.received(), self.between)?;
        self.kept = false;
        self.between = false;
        let Pull { source, at, session, .. } = self;
        let frame = source.frame()?;
        match source {
            Source::Batch { .. } | Source::None => at.took(&frame, session),
            Source::Segments(_) | Source::Snapshot(_) => at.took_page(frame.frame_no.0),
        }
        Ok(Next::Change(Change::Page(frame.page, frame.image)))
    }

    fn tally(&self) -> Tally {
        let head = self.head.or(self.session.head);
        let first = first_missing(self.from);
        let reached = self.over.then(|| self.at.next.checked_sub(1)).flatten();
        Tally {
            frames: self.received(),
            total: head.map(|head| (head + 1).saturating_sub(first)).filter(|_| !self.snapshot),
            bytes: self.bytes + self.source.bytes(),
            head: self.head.max(reached),
            snapshot: self.snapshot,
        }
    }
}

impl Pull {
    /// The server no longer knows the session: it was restarted or configured
    /// anew. If frames of it were handed on, the log must still be the same.
    fn hello_again(&mut self, patience: &Patience) -> Result<Moved> {
        if self.hellos >= MAX_HELLOS {
            return Err(self.sqld.unexpected(Refusal::NoHello));
        }
        self.hellos += 1;
        let new = self.sqld.hello(patience, &mut self.bytes)?;
        self.head = new.head;
        if self.at.frames > 0 {
            if new.log == self.session.log && new.head >= self.at.next.checked_sub(1) {
                self.session = new;
                return Ok(Moved::On);
            }
            return Err(Error::new(
                Kind::Unavailable,
                "the primary began a new history while the old one was being read; try again",
            ));
        }
        let fit = compare(&new, self.from);
        self.session = new;
        Ok(match fit {
            Fit::Good => Moved::On,
            Fit::Nothing => Moved::End,
            Fit::Diverged { empty } => Moved::Diverged { empty },
        })
    }

    /// Moves to the next frame, to the end, or finds another history.
    fn advance(&mut self, patience: &Patience) -> Result<Moved> {
        let mut retry = None;
        loop {
            let moved = match self.step(patience) {
                Ok(Moved::On) => {
                    retry = None;
                    continue;
                }
                Ok(moved) => moved,
                Err(refusal) => {
                    self.leave_source();
                    self.after_refusal(refusal, patience, &mut retry)?
                }
            };
            match moved {
                Moved::On => {}
                Moved::End => {
                    self.leave_source();
                    self.check_end()?;
                    return Ok(Moved::End);
                }
                moved => return Ok(moved),
            }
        }
    }

    fn after_refusal<'p>(
        &mut self,
        refusal: Refusal,
        patience: &'p Patience,
        retry: &mut Option<Backoff<'p>>,
    ) -> Result<Moved> {
        if !matches!(refusal, Refusal::NoSnapshot) {
            self.count_round()?;
        }
        match refusal {
            Refusal::NoHello => self.hello_again(patience),
            Refusal::NeedSnapshot => {
                self.know_head(patience)?;
                match Snapshot::ask(&self.sqld, self.at.next, &self.session, patience) {
                    Ok(snapshot) => self.source = Source::Snapshot(snapshot),
                    Err(Refusal::NeedSnapshot) => {
                        return Err(self.sqld.unexpected(Refusal::NeedSnapshot));
                    }
                    Err(refusal) => return self.after_refusal(refusal, patience, retry),
                }
                self.snapshot = true;
                Ok(Moved::On)
            }
            // A snapshot that is being written, or merged with others, is there
            // a moment later.
            Refusal::NoSnapshot => {
                let backoff = retry.get_or_insert_with(|| Backoff::new(patience, patience.timeout));
                wait_for_one(backoff, patience).map(|()| Moved::On)
            }
            // Frames come in order: where an answer broke off, the next one can
            // go on, as long as each brings something.
            Refusal::Error(error)
                if error.kind() == Kind::Unavailable
                    && self.at.frames > 0
                    && self.resumed_at.is_none_or(|at| self.at.next > at) =>
            {
                self.resumed_at = Some(self.at.next);
                Ok(Moved::On)
            }
            refusal => Err(self.sqld.unexpected(refusal)),
        }
    }

    fn count_round(&mut self) -> Result<()> {
        self.rounds += 1;
        if self.rounds > MAX_ROUNDS { Err(too_many_pieces()) } else { Ok(()) }
    }

    /// Frames that it has brought so far.
    fn received(&self) -> u64 {
        self.at.frames + self.source.skipped()
    }

    fn leave_source(&mut self) {
        let source = std::mem::replace(&mut self.source, Source::None);
        self.bytes += source.bytes();
        self.at.frames += source.skipped();
    }

    /// A step of the source that frames come from; asks for one if there is
    /// none.
    fn step(&mut self, patience: &Patience) -> StdResult<Moved, Refusal> {
        let Pull { sqld, source, at, .. } = self;
        match source {
            Source::None => {
                self.source = self.next_source(patience)?;
                Ok(Moved::On)
            }
            Source::Batch { frames, count, .. } => loop {
                if frames.advance(sqld, patience, false)? != Step::Frame {
                    return self.after_batch(patience);
                }
                *count += 1;
                if at.wants(frames.frame()?.frame_no.0)? {
                    return Ok(Moved::Frame);
                }
            },
            Source::Segments(segments) => match segments.advance()? {
                Step::Frame => Ok(Moved::Frame),
                Step::Idle | Step::End => self.after_segments(),
            },
            Source::Snapshot(snapshot) => match snapshot.advance(sqld, patience)? {
                Step::Frame => Ok(Moved::Frame),
                Step::Idle | Step::End => self.after_snapshot(),
            },
        }
    }

    fn next_source(&mut self, patience: &Patience) -> StdResult<Source, Refusal> {
        let stretch = self.long_stretch();
        let Pull { sqld, session, at, .. } = self;
        if let Some(stretch) = stretch {
            let segments = Segments::open(sqld, session, stretch, &self.short, patience);
            return segments.map(Source::Segments);
        }
        let frames = Frames::ask(sqld, Method::Batch, at.next, session, patience)?;
        Ok(Source::Batch { frames, first: at.next, count: 0 })
    }

    /// A stretch that is long enough to be read in segments, up to the head as
    /// far as it is known. While the session's token is valid, the log has not
    /// gone back behind it.
    fn long_stretch(&self) -> Option<Stretch> {
        // What broke off is taken up in order. A service that bills what it
        // prepares is not asked for what may not be read.
        if self.at.newest >= Some(self.at.next) || self.at.open || self.sqld.link.is_at_turso() {
            return None;
        }
        let first = self.at.next;
        let head = self.head.or(self.session.head).filter(|head| *head >= first)?;
        let last = match self.from {
            Some(_) => head.min(first + WINDOW_FRAMES - 1),
            None => head,
        };
        (last + 1 - first >= WORTH_FRAMES).then_some(Stretch { first, last })
    }

    fn after_batch(&mut self, patience: &Patience) -> StdResult<Moved, Refusal> {
        let absurd = |text: &str| Err(Error::new(Kind::Protocol, text).into());
        let (first, frames) = match &self.source {
            Source::Batch { first, count, .. } => (*first, *count),
            _ => (self.at.next, 0),
        };
        self.leave_source();
        if self.at.open && frames == 0 {
            return absurd("the primary's log ends in the middle of a transaction");
        }
        let stands_still = self.at.next == first;
        if stands_still && (self.at.open || frames >= BATCH) {
            return absurd("the primary sends frames again that it has sent before");
        }
        if self.at.open {
            self.count_round()?;
            return Ok(Moved::On);
        }
        if frames < BATCH {
            return Ok(Moved::End);
        }
        self.know_head(patience)?;
        Ok(self.on_or_end())
    }

    fn after_segments(&mut self) -> StdResult<Moved, Refusal> {
        if let Source::Segments(Segments { end: Some((last, size)), .. }) = &self.source {
            let (last, size) = (*last, *size);
            self.at.next = last + 1;
            self.at.open = false;
            self.at.commit(last, size, &self.session);
        }
        self.leave_source();
        Ok(self.on_or_end())
    }

    fn after_snapshot(&mut self) -> StdResult<Moved, Refusal> {
        if let Source::Snapshot(snapshot) = &self.source {
            let (newest, size) = snapshot.result()?;
            self.at.next = newest + 1;
            self.at.commit(newest, size, &self.session);
            self.at.open = false;
        }
        self.leave_source();
        Ok(match self.at.newest < Some(self.at.next) {
            true => self.on_or_end(),
            false => Moved::On,
        })
    }

    /// A primary that is written to all the time has no end: a long pull goes
    /// to where the head was near its beginning.
    fn know_head(&mut self, patience: &Patience) -> Result<()> {
        if self.head.is_some() {
            return Ok(());
        }
        match self.hello_again(patience)? {
            Moved::On => Ok(()),
            _ => Err(self.sqld.unexpected(Refusal::NoHello)),
        }
    }

    fn on_or_end(&self) -> Moved {
        let at_head = self.head.is_some_and(|head| head < self.at.next);
        if !self.at.open && at_head { Moved::End } else { Moved::On }
    }

    /// Whether what was handed on is what the primary said it has.
    fn check_end(&mut self) -> Result<()> {
        if self.at.newest > self.at.next.checked_sub(1) {
            let text = "the primary's log changed while it was being read; try again";
            return Err(Error::new(Kind::Unavailable, text));
        }
        let head = self.head.or(self.session.head);
        if let Some(head) = head.filter(|head| *head >= self.at.next) {
            let text = format!("the primary has frame {head} but sends none from {}", self.at.next);
            return Err(Error::new(Kind::Protocol, text));
        }
        // A later pull may start from here with the same session.
        let last = self.at.next.checked_sub(1);
        if let Some(known) = self.sqld.session.lock().as_mut() {
            if known.token == self.session.token {
                known.head = known.head.max(last);
            }
        }
        Ok(())
    }
}
