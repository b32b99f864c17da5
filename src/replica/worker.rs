//! The worker: the thread that keeps a replica fresh.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use super::follow::Opened;
use super::options::SyncOptions;
use super::status::WorkerState;
use super::sync::{Drained, Syncer};
use crate::error::{Error, Kind, Result};
use crate::host::guard::guard;
use crate::host::{log_error, random_u32};
use crate::patience::Patience;
use crate::thread::Thread;

/// A stream that is silent for this long is asked whether it still lives: a
/// cable that was pulled sends no goodbye.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Waits between attempts after errors: doubled from the first to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(10);

/// How often a primary that has no stream is asked instead.
const POLL: Duration = Duration::from_millis(500);

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
    pub fn start(syncer: Syncer, closing: Arc<AtomicBool>, schedule: Schedule) -> Result<Worker> {
        let (close, closed) = channel();
        let thread = Thread::start(move || run(&syncer, schedule, &closed))?;
        Ok(Worker { closing, close, thread: Some(thread) })
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

fn run(syncer: &Syncer, schedule: Schedule, closed: &Receiver<()>) {
    let mut failures = 0;
    loop {
        let outcome = guard(|| match schedule {
            Schedule::Every(interval) => pull(syncer, interval),
            Schedule::Live => follow(syncer),
        });
        let pause = match outcome {
            Ok(pause) => {
                failures = 0;
                pause
            }
            Err(error) if error.kind() == Kind::Interrupted => return,
            Err(error) => {
                report(syncer, &error, failures);
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

fn report(syncer: &Syncer, error: &Error, failures: u32) {
    let state = match error.kind() {
        Kind::Panic => WorkerState::Failed,
        _ => WorkerState::Reconnecting,
    };
    {
        let mut counters = syncer.counters.lock();
        counters.failed(error);
        counters.worker = Some(state);
    }
    // The host's log may need a lock of the host, which whoever closes holds:
    // nothing of ours is locked here, and an end is not reported.
    if failures == 0 && !(syncer.cancelled)() {
        log_error(error.code(), &format!("replica {}: {error}", syncer.file.path().display()));
    }
}

/// One pull, unless somebody else has just made one; how long to wait then.
fn pull(syncer: &Syncer, interval: Duration) -> Result<Duration> {
    let last = syncer.counters.lock().last_sync;
    let fresh_for = last.map_or(Duration::ZERO, |last| interval.saturating_sub(last.elapsed()));
    if !fresh_for.is_zero() {
        return Ok(fresh_for);
    }
    syncer.counters.lock().worker = Some(WorkerState::Syncing);
    syncer.sync(SyncOptions::default())?;
    syncer.counters.lock().worker = Some(WorkerState::Idle);
    Ok(interval)
}

/// Catches up, then follows the primary's stream to its end; how long to wait
/// before the next one.
fn follow(syncer: &Syncer) -> Result<Duration> {
    let started = Instant::now();
    syncer.sync(SyncOptions::default())?;
    let patience = syncer.patience(SyncOptions::default());
    match syncer.follow(syncer.file.position()?, &patience)? {
        Opened::Followed(mut stream) => {
            syncer.counters.lock().worker = Some(WorkerState::Live);
            let heartbeat = Patience { timeout: HEARTBEAT.min(patience.timeout), ..patience };
            loop {
                match stream.bring(syncer, &heartbeat, |_| true)? {
                    Drained::Enough => {}
                    Drained::Idle if !has_missed_something(syncer)? => {}
                    Drained::Idle | Drained::End | Drained::Overtaken => break,
                }
            }
        }
        Opened::NoStream => {
            syncer.counters.lock().worker = Some(WorkerState::Polling);
            return Ok(POLL);
        }
        Opened::PullFirst => {}
    }
    // A primary that ends each stream at once is not asked in a hurry.
    Ok(FIRST_PAUSE.saturating_sub(started.elapsed()))
}

/// Asks the primary the ordinary way what is new. If it has anything, the
/// stream that did not bring it is dead.
fn has_missed_something(syncer: &Syncer) -> Result<bool> {
    let timeout = Some(HEARTBEAT.min(syncer.timeout));
    let options = SyncOptions { timeout, ..SyncOptions::default() };
    Ok(syncer.sync(options)?.frames_synced > 0)
}
