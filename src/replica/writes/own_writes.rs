//! The stream that brings back what this connection writes.
//!
//! The pull does not wait for the write: the stream is opened beside the first
//! write and kept for the next ones, so that a write and its way back cost one
//! round trip together. Nobody waits for the stream longer than a pull would
//! take: what it does not bring in a moment is pulled, and a stream that still
//! has not brought it a second later is held back by something in between, and
//! done without.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::Work;
use super::once::Ended;
use crate::error::Result;
use crate::options::SyncOptions;
use crate::patience::Patience;
use crate::position::{Fingerprint, Position};
use crate::replica::Replica;
use crate::replica::wait::{Awaited, Waited};
use crate::sync::Drained;
use crate::sync::follow::{Followed, Opened, open};
use crate::sync::reaper;
use crate::sync::streams::PROOF;
use crate::thread::{Thread, closing_flag};
use crate::units::FrameNo;

/// A stream that was not used for this long is closed: what would gather in it
/// comes faster by a pull, and an idle connection is to hold nothing.
const STREAM_IDLE: Duration = Duration::from_secs(5);

/// How long a stream is waited for at least, and how often the time that the
/// write itself took. The worker's stream has a thread to wake.
const LEAST_GRACE: Duration = Duration::from_millis(50);
const GRACE_FACTOR: u32 = 4;

/// A stream that is late so many times in a row is held back, too: one write
/// pushes out what came of the one before.
const MISSES: u32 = 3;

const LEAST_WORKER_GRACE: Duration = Duration::from_millis(200);

/// The stream of one connection.
#[derive(Default)]
pub struct OwnWrites(Arc<Slot>);

#[derive(Default)]
struct Slot(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    stream: Stream,
    used: Option<Instant>,
    /// How long the last write took.
    took: Duration,
    /// A frame that was pulled, because the stream did not bring it at once.
    owed: Option<(u64, Instant)>,
    /// So many writes in a row had to be pulled.
    misses: u32,
}

#[derive(Default)]
enum Stream {
    #[default]
    None,
    Opening(Opening),
    Open(Followed),
}

/// A stream whose answer has not begun. Dropped, it is given up.
struct Opening {
    opened: Receiver<Result<Opened>>,
    closing: Arc<AtomicBool>,
    thread: Option<Thread<()>>,
}

impl Drop for Opening {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for OwnWrites {
    fn drop(&mut self) {
        reaper::forget();
    }
}

impl reaper::Idle for Slot {
    fn close_if_idle(&self) -> bool {
        // Who holds it is using it.
        let Some(mut inner) = self.0.try_lock() else { return true };
        let idle = inner.used.is_none_or(|used| used.elapsed() >= STREAM_IDLE);
        if !idle {
            return !matches!(inner.stream, Stream::None);
        }
        let stream = std::mem::take(&mut inner.stream);
        drop(inner);
        drop(stream);
        false
    }
}

impl Replica {
    /// Lets the primary run it, and opens the stream at the same time if there
    /// is none yet.
    pub(super) fn send(&self, work: Work<'_>, before: Option<Position>, once: bool) -> Ended {
        let patience = self.patience();
        let OwnWrites(slot) = &self.own_writes;
        if !self.options.live && self.options.read_your_writes {
            self.open_stream(before, &patience);
        }
        let started = Instant::now();
        let ended = match once {
            true => self.send_once(work, &patience),
            false => Ended::Known(work.alone(&self.syncer.primary, &patience)),
        };
        let mut inner = slot.0.lock();
        (inner.took, inner.used) = (started.elapsed(), Some(Instant::now()));
        ended
    }

    fn open_stream(&self, before: Option<Position>, patience: &Patience) {
        let OwnWrites(slot) = &self.own_writes;
        let mut inner = slot.0.lock();
        let unused = inner.used.is_some_and(|used| used.elapsed() >= STREAM_IDLE);
        if unused {
            inner.stream = Stream::None;
        }
        if !matches!(inner.stream, Stream::None) || self.syncer.streams.are_held_back() {
            return;
        }
        let (closing, cancelled) = closing_flag();
        let patience = Patience { timeout: patience.timeout, cancelled };
        let (sender, opened) = sync_channel(1);
        let primary = self.syncer.primary.clone();
        let thread = Thread::start(move || {
            // Nobody waits any more: the stream is closed by being dropped.
            let _ = sender.send(open(&primary, before, &patience));
        });
        if let Ok(thread) = thread {
            (inner.owed, inner.used) = (None, Some(Instant::now()));
            inner.stream = Stream::Opening(Opening { opened, closing, thread: Some(thread) });
            let idle: Arc<dyn reaper::Idle> = slot.clone();
            reaper::watch(Arc::downgrade(&idle));
        }
    }

    /// Waits until the file holds `frame_no`.
    pub(super) fn catch_up_to(
        &self,
        before: Option<Position>,
        frame_no: Option<u64>,
        changed: bool,
    ) -> Result<Caught> {
        let history = |position: Option<Position>| position.map(|position| position.history);
        let at = before.and_then(Position::frame_no).map(|frame| frame.0);
        match frame_no {
            Some(frame_no) if Some(frame_no) > at => {
                let arrived = if self.options.live {
                    self.wait_for_worker(before, frame_no)?
                } else {
                    self.read_stream(before, frame_no)
                };
                if arrived {
                    // Where the file was empty, it is on its first history.
                    let now = before.map_or_else(|| self.syncer.file.position(), |at| Ok(Some(at)));
                    return Ok(Caught::Up(history(now?)));
                }
            }
            // Nothing was changed, and the file was up to date.
            Some(frame_no) if Some(frame_no) == at && !changed => {
                return Ok(Caught::Up(history(before)));
            }
            // A primary whose log ends before ours, or does not count.
            _ => {}
        }
        let report = self.syncer.sync_down(SyncOptions::default())?;
        if let (true, Some(frame_no)) = (self.options.live, frame_no) {
            self.syncer.streams.owe(frame_no);
        }
        Ok(match frame_no {
            Some(wanted) if report.frame_no() < Some(wanted) => Caught::Behind,
            _ => Caught::Up(history(report.position)),
        })
    }

    fn grace(&self, least: Duration) -> Duration {
        let OwnWrites(slot) = &self.own_writes;
        let took = slot.0.lock().took;
        (took * GRACE_FACTOR).max(least)
    }

    /// Of the history that the file was on: where the write has begun another
    /// one, or the first, the pull finds it.
    fn wait_for_worker(&self, before: Option<Position>, frame_no: u64) -> Result<bool> {
        let Some(before) = before.filter(|_| !self.syncer.streams.are_held_back()) else {
            return Ok(false);
        };
        let wanted = Position::of_frame(before.history, FrameNo(frame_no));
        let waited =
            self.syncer.wait_for(Awaited::Position(wanted), self.grace(LEAST_WORKER_GRACE))?;
        Ok(matches!(waited, Waited::Reached(_)))
    }

    /// Reads the stream up to `frame_no`; false if it did not come that way.
    fn read_stream(&self, before: Option<Position>, frame_no: u64) -> bool {
        let until = Instant::now() + self.grace(LEAST_GRACE);
        let OwnWrites(slot) = &self.own_writes;
        let mut inner = slot.0.lock();
        let outcome = match inner.owed {
            // It has had its time.
            Some((owed, _)) => self.read_up_to(&mut inner.stream, before, owed, Instant::now()),
            None => Read::There,
        };
        let outcome = match outcome {
            Read::There => {
                inner.owed = None;
                self.read_up_to(&mut inner.stream, before, frame_no, until)
            }
            outcome => outcome,
        };
        inner.used = Some(Instant::now());
        match outcome {
            Read::There => {
                inner.misses = 0;
                return true;
            }
            Read::NotYet => {
                inner.misses += 1;
                let (_, since) = *inner.owed.get_or_insert((frame_no, Instant::now()));
                if since.elapsed() < PROOF && inner.misses < MISSES {
                    return false;
                }
                inner.misses = 0;
                self.syncer.streams.hold_back();
            }
            Read::Over => {}
        }
        // Any trouble here is met again, and reported, by the pull.
        inner.owed = None;
        inner.stream = Stream::None;
        false
    }

    fn read_up_to(
        &self,
        stream: &mut Stream,
        before: Option<Position>,
        frame_no: u64,
        until: Instant,
    ) -> Read {
        // Even what has come already takes a moment to read.
        let left = || until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        if let Stream::Opening(opening) = stream {
            *stream = match opening.opened.recv_timeout(left()) {
                Ok(Ok(Opened::Followed(followed))) => Stream::Open(followed),
                Err(RecvTimeoutError::Timeout) => return Read::NotYet,
                Ok(Ok(Opened::HeldBack)) => {
                    self.syncer.streams.hold_back();
                    return Read::Over;
                }
                _ => return Read::Over,
            };
        }
        let Stream::Open(followed) = stream else { return Read::Over };
        // Frame numbers of two histories say nothing of each other.
        let history = |position: Option<Position>| position.map(|position| position.history);
        if history(followed.at()) != history(before) {
            return Read::Over;
        }
        let there = |position: Position| position.frame_no() >= Some(FrameNo(frame_no));
        if followed.at().is_some_and(there) {
            return Read::There;
        }
        let patience = Patience { timeout: left(), ..self.patience() };
        match followed.bring(&self.syncer, &patience, there) {
            Ok(Drained::Enough) => Read::There,
            Ok(Drained::Idle) => Read::NotYet,
            Ok(Drained::End | Drained::Overtaken) | Err(_) => Read::Over,
        }
    }
}

/// Whether the file holds a write.
pub(super) enum Caught {
    /// It does, on this history; None where it holds nothing.
    Up(Option<Fingerprint>),
    Behind,
}

/// How reading a stream ended.
enum Read {
    There,
    /// It may still come.
    NotYet,
    /// Nothing comes any more.
    Over,
}
