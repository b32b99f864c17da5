//! The worker: the thread that keeps a replica fresh.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use super::counters::WorkerState;
use super::drain::Drained;
use super::follow::{Followed, Opened};
use super::streams::{HELD_BACK, PROOF};
use super::syncer::Syncer;
use super::trouble_log::TroubleLog;
use crate::error::{Error, Kind, Result};
use crate::host::guard::guard;
use crate::host::{log_error, random_u32};
use crate::options::SyncOptions;
use crate::patience::Patience;
use crate::position::Position;
use crate::thread::Thread;

/// A stream that is silent for this long (at first for less) is compared with
/// what a pull finds: a cable that was pulled sends no goodbye.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Waits between attempts after errors: doubled from the first to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(10);

/// A stream that ends sooner than this after it began was not worth opening.
const SHORT_LIFE: Duration = Duration::from_secs(1);

/// A stream that was idle for longer may have been forgotten by a firewall.
const FORGOTTEN: Duration = Duration::from_secs(30);

/// How often a primary that has no stream is asked instead.
const POLL: Duration = Duration::from_millis(500);

/// The same where each question is billed and nothing changes.
const LONGEST_POLL: Duration = Duration::from_secs(10);

/// When a worker pulls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// As often as that.
    Every(Duration),
    /// All the time, by a stream.
    Live,
}

/// The thread that keeps a file fresh. It ends when this is dropped.
pub struct Worker {
    closing: Arc<AtomicBool>,
    close: Sender<()>,
    thread: Option<Thread<()>>,
}

impl Worker {
    /// Starts it. `syncer` has a connection of its own, and its waits end when
    /// `closing` is set.
    pub fn start(
        syncer: Syncer,
        closing: Arc<AtomicBool>,
        schedule: Schedule,
        log: Option<TroubleLog>,
    ) -> Result<Worker> {
        let (close, closed) = channel();
        let thread = Thread::start(move || run(&syncer, schedule, log.as_ref(), &closed))?;
        Ok(Worker { closing, close, thread: Some(thread) })
    }
}

impl Schedule {
    /// How often it pulls, where it does not follow.
    pub fn interval(self) -> Option<Duration> {
        match self {
            Schedule::Every(interval) => Some(interval),
            Schedule::Live => None,
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::Relaxed);
        let _ = self.close.send(());
        if let Some(thread) = self.thread.take() {
            // A panic was reported where it happened, and a thread that does
            // not end in time ends later.
            let _ = thread.join();
        }
    }
}

fn run(syncer: &Syncer, schedule: Schedule, log: Option<&TroubleLog>, closed: &Receiver<()>) {
    let (mut failures, mut course) = (0, Course::default());
    let trouble = Trouble { log, since: Cell::new(None) };
    loop {
        let outcome = guard(|| match schedule {
            Schedule::Every(interval) => pull(syncer, interval, &trouble),
            Schedule::Live => follow(syncer, &mut course, &trouble),
        });
        // Also of what a call that was ended in the middle has come to.
        syncer.note_work();
        let pause = match outcome {
            Ok(pause) => {
                failures = 0;
                pause
            }
            Err(error) if error.kind() == Kind::Interrupted => return,
            Err(error) => {
                trouble.report(syncer, &error, failures);
                if error.kind() == Kind::Panic {
                    return;
                }
                failures += 1;
                (FIRST_PAUSE * 2_u32.pow(failures.min(10))).min(LAST_PAUSE)
            }
        };
        if closed.recv_timeout(jittered(pause)) != Err(RecvTimeoutError::Timeout) {
            return;
        }
    }
}

/// Many replicas that lost their primary together do not come back together.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(0.9 + 0.2 * f64::from(random_u32()) / f64::from(u32::MAX))
}

/// Tells of what goes wrong, once, and of its end.
struct Trouble<'a> {
    log: Option<&'a TroubleLog>,
    since: Cell<Option<Instant>>,
}

impl Trouble<'_> {
    fn is_over(&self, syncer: &Syncer) {
        if let (Some(since), Some(log)) = (self.since.take(), self.log) {
            let (path, lasted) = (syncer.file.path().display(), since.elapsed().as_secs_f64());
            log.add(&format!(
                "replica {path}: in touch with the primary again after {lasted:.1} s"
            ));
        }
    }

    fn report(&self, syncer: &Syncer, error: &Error, failures: u32) {
        report(syncer, error);
        syncer.note_work();
        // The host's log may need a lock of the host, which whoever closes
        // holds: nothing of ours is locked here, and an end is not reported.
        if failures > 0 || (syncer.cancelled)() {
            return;
        }
        let text = format!("replica {}: {error}", syncer.file.path().display());
        log_error(error.code(), &text);
        if self.since.get().is_none() {
            self.since.set(Some(Instant::now()));
            self.log.inspect(|log| log.add(&text));
        }
    }
}

fn report(syncer: &Syncer, error: &Error) {
    let state = match error.kind() {
        Kind::Panic => WorkerState::Failed,
        _ => WorkerState::Reconnecting,
    };
    let mut counters = syncer.counters.lock();
    counters.failed(error);
    counters.worker = Some(state);
}

/// One pull, unless somebody else has just made one; how long to wait then.
fn pull(syncer: &Syncer, interval: Duration, trouble: &Trouble) -> Result<Duration> {
    let last = syncer.counters.lock().last_sync;
    let fresh_for = last.map_or(Duration::ZERO, |last| interval.saturating_sub(last.elapsed()));
    if !fresh_for.is_zero() {
        return Ok(fresh_for);
    }
    syncer.counters.lock().worker = Some(WorkerState::Syncing);
    syncer.sync(SyncOptions::default())?;
    trouble.is_over(syncer);
    syncer.counters.lock().worker = Some(WorkerState::Idle);
    Ok(interval)
}

/// Catches up, then follows the primary's stream to its end; how long to wait
/// before the next one.
fn follow(syncer: &Syncer, course: &mut Course, trouble: &Trouble) -> Result<Duration> {
    let brought = syncer.sync(SyncOptions::default())?;
    course.quiet = if brought.frames_synced == 0 { course.quiet.saturating_add(1) } else { 0 };
    trouble.is_over(syncer);
    let patience = syncer.patience(SyncOptions::default());
    let held_back = syncer.streams.are_held_back();
    let opened = match held_back {
        true => Opened::HeldBack,
        false => {
            let patience = Patience { timeout: HEARTBEAT.min(patience.timeout), ..patience };
            syncer.follow(syncer.file.position()?, &patience)?
        }
    };
    let mut stream = match opened {
        Opened::Followed(stream) => stream,
        Opened::PullFirst => return Ok(FIRST_PAUSE),
        Opened::NoStream => {
            syncer.counters.lock().worker = Some(WorkerState::Polling);
            return Ok(next_poll(syncer.primary.bills_requests(), course.quiet));
        }
        Opened::HeldBack => return Ok(poll_instead(syncer)),
    };
    let opened = Instant::now();
    {
        let mut counters = syncer.counters.lock();
        counters.worker = Some(WorkerState::Live);
        counters.held_back = None;
    }
    syncer.note_work();
    let ending = watch(syncer, &mut stream)?;
    match ending {
        Ending::Late if stream.has_brought() => course.late = 0,
        Ending::Late => course.late += 1,
        Ending::Over => {}
    }
    match ending {
        // One that has never brought anything is held back, unless it was
        // merely idle for so long that something in between forgot it.
        Ending::Late if course.late > 1 || course.late > 0 && opened.elapsed() < FORGOTTEN => {
            Ok(poll_instead(syncer))
        }
        // One that was good for a while is opened again at once.
        _ if opened.elapsed() >= SHORT_LIFE => {
            course.hurried = 0;
            Ok(Duration::ZERO)
        }
        // A primary that ends each stream at once is not asked in a hurry.
        _ => {
            course.hurried += 1;
            Ok((FIRST_PAUSE * 2_u32.pow((course.hurried - 1).min(10))).min(LAST_PAUSE))
        }
    }
}

fn poll_instead(syncer: &Syncer) -> Duration {
    if !syncer.streams.are_held_back() {
        syncer.streams.hold_back();
    }
    let mut counters = syncer.counters.lock();
    counters.worker = Some(WorkerState::Polling);
    counters.hold_back(HELD_BACK);
    POLL
}

/// How following a stream ended.
enum Ending {
    Over,
    /// It does not bring what there is.
    Late,
}

/// What the streams before were like.
#[derive(Default)]
struct Course {
    /// So many in a row ended as soon as they began.
    hurried: u32,
    /// So many in a row brought nothing, although there was something.
    late: u32,
    /// So many pulls in a row found nothing new.
    quiet: u32,
}

fn next_poll(billed: bool, quiet: u32) -> Duration {
    if billed { (POLL * 2_u32.pow(quiet.min(5))).min(LONGEST_POLL) } else { POLL }
}

/// Brings what the stream brings, and sees to it that this is all there is.
fn watch(syncer: &Syncer, stream: &mut Followed) -> Result<Ending> {
    let patience = Patience { timeout: PROOF, ..syncer.patience(SyncOptions::default()) };
    let mut silent_since = Instant::now();
    let mut look_after = PROOF;
    // What a pull has found, and when: it has to come by the stream, too.
    let mut owed: Option<(u64, Instant)> = None;
    let mut delivered = Instant::now();
    loop {
        if delivered.elapsed() >= PROOF {
            syncer.deliver_before_pull(SyncOptions::default())?;
            delivered = Instant::now();
        }
        match stream.bring(syncer, &patience, |_| true)? {
            Drained::Enough => silent_since = Instant::now(),
            Drained::End | Drained::Overtaken => return Ok(Ending::Over),
            Drained::Idle => {}
        }
        syncer.note_work();
        let pulled = syncer.streams.take_owed();
        if let Some(pulled) = pulled {
            owed.get_or_insert((pulled, Instant::now()));
        }
        let at = stream.at().and_then(Position::frame_no).map(|frame| frame.0);
        match owed {
            Some((frame, _)) if at >= Some(frame) => owed = None,
            Some((_, since)) if since.elapsed() >= 2 * PROOF => return Ok(Ending::Late),
            _ => {}
        }
        if owed.is_none() && silent_since.elapsed() >= look_after {
            owed = found_beside(syncer)?.map(|frame| (frame, Instant::now()));
            silent_since = Instant::now();
            look_after = (look_after * 2).min(HEARTBEAT);
        }
    }
}

/// Asks the primary the ordinary way what is new: the last frame, if there is
/// something that the stream has not brought.
fn found_beside(syncer: &Syncer) -> Result<Option<u64>> {
    let timeout = Some(HEARTBEAT.min(syncer.timeout));
    let report = syncer.sync(SyncOptions { timeout, ..SyncOptions::default() })?;
    Ok(report.frame_no().filter(|_| report.frames_synced > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_billed_for_questions_asks_less_and_less_while_nothing_changes() {
        let polls =
            |billed| [0, 1, 2, 4, 5, u32::MAX].map(|quiet| next_poll(billed, quiet).as_millis());
        assert_eq!(polls(true), [500, 1000, 2000, 8000, 10_000, 10_000]);
        assert_eq!(polls(false), [500; 6]);
    }
}
