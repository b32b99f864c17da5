//! A sync that can be watched: it runs on a thread of its own, and says how
//! far it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use super::report::SyncReport;
use super::syncer::Syncer;
use crate::error::{Error, Kind, Result};
use crate::host::HostDb;
use crate::options::SyncOptions;
use crate::thread::{Thread, closing_flag};
use crate::units::PAGE_SIZE;

/// Time between two reports, so that a gigabyte is not a flood of rows.
const PERIOD: Duration = Duration::from_millis(50);

/// How often a waiting reader asks whether its host was interrupted.
const POLL: Duration = Duration::from_millis(50);

/// How far a sync is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// `pull` while frames arrive, `done` in the last report.
    pub phase: &'static str,
    pub frames_done: u64,
    /// None while the primary has not said how many there are.
    pub frames_total: Option<u64>,
    /// Of frames, without what wraps them.
    pub bytes: u64,
    pub elapsed_ms: u64,
}

/// A running sync. Dropping it ends the sync; what was not published by then
/// is pulled again by the next one.
pub struct WatchedSync {
    reports: Receiver<Progress>,
    closing: Arc<AtomicBool>,
    thread: Option<Thread<Result<SyncReport>>>,
    started: Instant,
    interrupted: Arc<dyn Fn() -> bool + Send + Sync>,
}

/// What reports to `sender`, now and then. A reader that does not keep up
/// misses some: the sync does not wait for it.
fn watch(sender: SyncSender<Progress>) -> Box<dyn Fn(u64, Option<u64>) + Send> {
    let started = Instant::now();
    let last = std::cell::Cell::new(None::<Instant>);
    Box::new(move |done, total| {
        if last.get().is_some_and(|last| last.elapsed() < PERIOD) {
            return;
        }
        last.set(Some(Instant::now()));
        let _ = sender.try_send(progress("pull", done, total, started));
    })
}

fn progress(phase: &'static str, done: u64, total: Option<u64>, started: Instant) -> Progress {
    Progress {
        phase,
        frames_done: done,
        frames_total: total,
        bytes: done * PAGE_SIZE as u64,
        elapsed_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
    }
}

impl WatchedSync {
    /// Starts a sync with a connection of its own beside `host` and `syncer`.
    pub fn start(syncer: &Syncer, host: HostDb, options: SyncOptions) -> Result<WatchedSync> {
        let (closing, cancelled) = closing_flag();
        let mut syncer = syncer.beside(host, cancelled)?;
        let (sender, reports) = sync_channel(64);
        syncer.watch = Some(watch(sender));
        let thread = Thread::start(move || syncer.sync(options))?;
        Ok(WatchedSync {
            reports,
            closing,
            thread: Some(thread),
            started: Instant::now(),
            interrupted: host.interrupted(),
        })
    }

    /// The next report; the one of phase `done` is the last, then None.
    pub fn next_report(&mut self) -> Result<Option<Progress>> {
        loop {
            if self.thread.is_none() {
                return Ok(None);
            }
            match self.reports.recv_timeout(POLL) {
                Ok(report) => return Ok(Some(report)),
                Err(RecvTimeoutError::Timeout) if (self.interrupted)() => {
                    self.closing.store(true, Ordering::Relaxed);
                    return Err(Error::new(Kind::Interrupted, "interrupted"));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.end(),
            }
        }
    }

    fn end(&mut self) -> Result<Option<Progress>> {
        let Some(thread) = self.thread.take() else { return Ok(None) };
        let report = thread.join()??;
        let frames = report.frames_synced;
        Ok(Some(progress("done", frames, Some(frames), self.started)))
    }
}

impl Drop for WatchedSync {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
