//! One pull from sqld's replication log: from a position to the primary's
//! head, by batches of frames and, where the log was compacted, snapshots.
//!
//! With a session that is still valid, a pull that finds nothing new is one
//! request. Frames reach the sink as they arrive. A commit is held back until
//! the next frame or the end, because only then is known whether more follows.

use super::cursor::Progress;
use super::ranges::{self, Stretch};
use super::{Backoff, Method, Refusal, Session, Sqld, Wanted, first_missing};
use crate::change::Sink;
use crate::error::{Error, Kind, Result};
use crate::patience::Patience;
use crate::position::Position;
use crate::primary::{PullEnd, Pulled};

/// sqld answers a batch with this many frames, or up to the end of the
/// transaction that they end in; with fewer only at the head of its log.
pub(super) const BATCH: u64 = 1024;

/// A primary that keeps forgetting us is not asked more often than this.
const MAX_HELLOS: u32 = 4;

/// The sink is told of progress each time this many frames have come.
const PROGRESS: u64 = 256;

pub(super) struct Pull<'a> {
    sqld: &'a Sqld,
    sink: &'a mut dyn Sink,
    patience: &'a Patience,
    from: Option<Position>,
    at: Progress,
    hellos: u32,
    /// Frames of the batch that was read last, None if something else was.
    last_batch: Option<u64>,
    /// The head as a hello of this very pull told it.
    head: Option<u64>,
    bytes: u64,
    snapshot: bool,
}

/// What to pull with, or that there is nothing to pull.
enum Start {
    Session(Session),
    End(PullEnd),
}

impl<'a> Pull<'a> {
    pub(super) fn new(
        sqld: &'a Sqld,
        from: Option<Position>,
        sink: &'a mut dyn Sink,
        patience: &'a Patience,
    ) -> Pull<'a> {
        let next = first_missing(from);
        let at = Progress::new(next);
        Pull {
            sqld,
            sink,
            patience,
            from,
            at,
            hellos: 0,
            last_batch: None,
            head: None,
            bytes: 0,
            snapshot: false,
        }
    }

    pub(super) fn run(mut self) -> Result<Pulled> {
        let mut session = match self.start()? {
            Start::Session(session) => session,
            Start::End(end) => return Ok(self.pulled(end)),
        };
        let (mut resumed_at, mut retry) = (None, None);
        loop {
            let before = self.at.next;
            let read = match self.long_stretch(&session) {
                Some(last) => self.ranges(&session, last).map(|()| None),
                None => self.batch(&session).map(Some),
            };
            self.last_batch = read.as_ref().map_or(None, |frames| *frames);
            let step = match read {
                Ok(None) => Ok(!self.at.open && self.head.is_some() && self.is_at_head()),
                Ok(Some(frames)) => self.after_batch(frames, before, &mut session),
                Err(Refusal::NeedSnapshot) => self.after_snapshot(&mut session),
                Err(refusal) => Err(refusal),
            };
            match step {
                Ok(true) => break,
                Ok(false) => retry = None,
                Err(Refusal::NoHello) => match self.hello_again(&session)? {
                    Start::Session(new) => session = new,
                    Start::End(end) => return Ok(self.pulled(end)),
                },
                Err(Refusal::NoSnapshot) => {
                    let patience = self.patience;
                    self.wait(
                        retry.get_or_insert_with(|| Backoff::new(patience, patience.timeout)),
                    )?;
                }
                // Frames come in order: where an answer broke off, the next
                // one can go on, as long as each brings something.
                Err(Refusal::Error(error))
                    if error.kind() == Kind::Unavailable
                        && !self.at.sink_failed
                        && self.at.frames > 0
                        && resumed_at.is_none_or(|at| self.at.next > at) =>
                {
                    resumed_at = Some(self.at.next);
                }
                Err(refusal) => return Err(self.sqld.unexpected(refusal)),
            }
        }
        if self.at.newest > self.at.next.checked_sub(1) {
            let text = "the primary's log changed while it was being read; try again";
            return Err(Error::new(Kind::Unavailable, text));
        }
        if let Some(head) = self.head.or(session.head).filter(|head| *head >= self.at.next) {
            let text = format!("the primary has frame {head} but sends none from {}", self.at.next);
            return Err(Error::new(Kind::Protocol, text));
        }
        self.remember_head(&session);
        if let Some(commit) = self.at.pending.take() {
            self.sink.commit(commit, false)?;
        }
        Ok(self.pulled(PullEnd::UpToDate))
    }

    /// A remembered session will do, unless it cannot vouch for `from`: its
    /// log must be the same, and have reached that far when it was last seen.
    /// While its token is valid, the server has not restarted since.
    fn start(&mut self) -> Result<Start> {
        let known = self.sqld.session.lock().clone();
        match (known, self.from) {
            (Some(session), None) => Ok(Start::Session(session)),
            (Some(session), Some(from)) if session.holds(from) => Ok(Start::Session(session)),
            _ => self.hello(),
        }
    }

    /// Says hello and compares what the primary has with `from`.
    fn hello(&mut self) -> Result<Start> {
        self.hellos += 1;
        let session = self.sqld.hello(self.patience, &mut self.bytes)?;
        self.head = session.head;
        let empty = session.head.is_none();
        Ok(match self.from {
            None if empty => Start::End(PullEnd::UpToDate),
            Some(from) if !session.holds(from) => Start::End(PullEnd::Diverged { empty }),
            _ => Start::Session(session),
        })
    }

    /// The server no longer knows `before`: it was restarted or configured
    /// anew. If the sink holds frames of it, the log must still be the same.
    fn hello_again(&mut self, before: &Session) -> Result<Start> {
        if self.hellos >= MAX_HELLOS {
            return Err(self.sqld.unexpected(Refusal::NoHello));
        }
        let start = self.hello()?;
        if self.at.frames == 0 {
            return Ok(start);
        }
        match start {
            Start::Session(session)
                if session.log == before.log && session.head >= self.at.next.checked_sub(1) =>
            {
                Ok(Start::Session(session))
            }
            _ => Err(Error::new(
                Kind::Unavailable,
                "the primary began a new history while the old one was being read; try again",
            )),
        }
    }

    /// The end of a stretch that is long enough to be read in ranges: the head,
    /// as far as it is known. While the session's token is valid, the log has
    /// not gone back behind it. A batch comes first, and tells whether this is
    /// a place of long transactions.
    fn long_stretch(&self, session: &Session) -> Option<u64> {
        self.last_batch.filter(|frames| *frames <= ranges::LONG)?;
        let last = self.head.or(session.head)?;
        (last + 1 >= self.at.next + ranges::WORTH).then_some(last)
    }

    fn ranges(&mut self, session: &Session, last: u64) -> std::result::Result<(), Refusal> {
        let first = first_missing(self.from);
        let stretch = Stretch { sqld: self.sqld, session, first, last, patience: self.patience };
        stretch.read(&mut self.at, self.sink, &mut self.bytes)
    }

    /// One batch; yields how many frames it had.
    fn batch(&mut self, session: &Session) -> std::result::Result<u64, Refusal> {
        let Pull { sqld, sink, patience, at, bytes, head, from, .. } = self;
        let first = first_missing(*from);
        let total = head.or(session.head).map(|head| (head + 1).saturating_sub(first));
        let mut count = 0;
        let wanted =
            Wanted { method: Method::Batch, next: at.next, session, patience, enough: None };
        sqld.frames(&wanted, bytes, &mut |frame| {
            count += 1;
            at.take(frame, session, *sink)?;
            if at.frames % PROGRESS == 0 {
                sink.progress(at.next - first, total);
            }
            Ok(())
        })?;
        Ok(count)
    }

    /// Whether the pull is complete after a batch of so many frames that was
    /// asked for from `before` on.
    fn after_batch(
        &mut self,
        frames: u64,
        before: u64,
        session: &mut Session,
    ) -> std::result::Result<bool, Refusal> {
        let absurd = |text: &str| Err(Error::new(Kind::Protocol, text).into());
        if self.at.open && frames == 0 {
            return absurd("the primary's log ends in the middle of a transaction");
        }
        let stands_still = self.at.next == before;
        if stands_still && (self.at.open || frames >= BATCH) {
            return absurd("the primary sends frames again that it has sent before");
        }
        if self.at.open {
            return Ok(false);
        }
        if frames < BATCH {
            return Ok(true);
        }
        self.bound(session)?;
        Ok(self.is_at_head())
    }

    /// A primary that is written to all the time has no end: a long pull goes
    /// to where the head was near its beginning.
    fn bound(&mut self, session: &mut Session) -> std::result::Result<(), Refusal> {
        if self.head.is_none() {
            match self.hello_again(session)? {
                Start::Session(new) => *session = new,
                Start::End(_) => return Err(Refusal::NoHello),
            }
        }
        Ok(())
    }

    fn is_at_head(&self) -> bool {
        self.head < Some(self.at.next)
    }

    /// Takes a snapshot; whether the pull is complete after it.
    fn after_snapshot(&mut self, session: &mut Session) -> std::result::Result<bool, Refusal> {
        self.bound(session)?;
        self.snapshot(session)?;
        Ok(self.is_at_head() && self.at.newest < Some(self.at.next))
    }

    /// A snapshot that is being written, or merged with others, is there a
    /// moment later.
    fn wait(&self, retry: &mut Backoff<'_>) -> Result<()> {
        if retry.wait() {
            return Ok(());
        }
        if (self.patience.cancelled)() {
            let text = "interrupted while waiting for the primary";
            return Err(Error::new(Kind::Interrupted, text));
        }
        let seconds = self.patience.timeout.as_secs_f64();
        let text = format!("the primary did not finish a snapshot within {seconds} s");
        Err(Error::new(Kind::Unavailable, text))
    }

    /// The frames that the log no longer holds, each page once and the newest
    /// frame first.
    fn snapshot(&mut self, session: &Session) -> std::result::Result<(), Refusal> {
        let Pull { sqld, sink, patience, at, bytes, .. } = self;
        let (next, mut newest, mut before, mut size) = (at.next, None, None, None);
        let absurd =
            |text: &str| Error::new(Kind::Protocol, format!("the primary's snapshot {text}"));
        let wanted = Wanted { method: Method::Snapshot, next, session, patience, enough: None };
        sqld.frames(&wanted, bytes, &mut |frame| {
            let number = frame.frame_no.0;
            if size.is_some() {
                return Err(absurd("goes on after its end"));
            }
            if before.is_some_and(|before| number >= before) {
                return Err(absurd("is out of order"));
            }
            before = Some(number);
            newest = newest.or(before);
            size = Some(frame.size_after).filter(|size| *size != 0);
            // Older frames say what the sink has already.
            if number >= next {
                at.page(frame, *sink)?;
                if at.frames % PROGRESS == 0 {
                    sink.progress(at.frames, None);
                }
            }
            Ok(())
        })?;
        let newest = newest.filter(|newest| *newest >= next);
        let newest = newest.ok_or_else(|| absurd("holds nothing that was asked for"))?;
        let size = size.ok_or_else(|| absurd("has no end"))?;
        at.next = newest + 1;
        at.commit(newest, size, session);
        at.open = false;
        self.snapshot = true;
        Ok(())
    }

    /// A later pull may start from here with the same session.
    fn remember_head(&self, session: &Session) {
        let last = self.at.next.checked_sub(1);
        let mut known = self.sqld.session.lock();
        if let Some(known) = known.as_mut().filter(|known| known.token == session.token) {
            known.head = known.head.max(last);
        }
    }

    fn pulled(&self, end: PullEnd) -> Pulled {
        let last = match end {
            PullEnd::UpToDate => self.at.next.checked_sub(1),
            PullEnd::Diverged { .. } | PullEnd::Unknown => None,
        };
        Pulled {
            end,
            head: self.head.max(last),
            frames: self.at.frames,
            bytes: self.bytes,
            snapshot: self.snapshot,
        }
    }
}
