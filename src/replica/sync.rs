//! Syncing: pull from where the file is, follow a reset, report.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::options::{OnReset, SyncOptions};
use super::status::Counters;
use crate::error::{Error, Kind, Result};
use crate::host::{HostDb, threadsafe};
use crate::patience::{Cancelled, Patience};
use crate::position::Position;
use crate::primary::{Primary, PullEnd};
use crate::store::assembly::{Assembly, Base, Taken, Watch, overtaken};
use crate::store::file::ReplicaFile;

/// How often a pull starts over because another process changed the file's
/// history meanwhile.
const ATTEMPTS: usize = 5;

/// What a sync did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyncReport {
    /// Number of the last frame the file holds now, where the protocol has
    /// such numbers.
    pub frame_no: Option<u64>,
    pub frames_synced: u64,
    pub pages_written: u64,
    /// Bytes of answers, without HTTP headers.
    pub bytes_received: u64,
    /// Whether a snapshot took part.
    pub snapshot: bool,
    /// Whether the file's content was replaced because the primary's history
    /// is another one now.
    pub reset: bool,
    pub duration_ms: u64,
}

/// What brings a primary's pages into a file: of the connection that is
/// attached, and one more of its worker.
pub struct Syncer {
    pub file: ReplicaFile,
    pub primary: Arc<dyn Primary>,
    /// For each wait on the network, unless a call says otherwise.
    pub timeout: Duration,
    pub on_reset: OnReset,
    /// Whether a running call is to end.
    pub cancelled: Cancelled,
    pub counters: Arc<Mutex<Counters>>,
    /// Is told how far a pull is: frames received, frames to come.
    pub watch: Option<Watch>,
}

impl Syncer {
    /// Another one for the same file, with a connection of its own beside
    /// `host`, to be used on another thread.
    pub fn beside(&self, host: HostDb, cancelled: Cancelled) -> Result<Syncer> {
        if !threadsafe() {
            return Err(Error::new(
                Kind::Local,
                "this SQLite was built without threads, so nothing can run beside it; call \
                 replica_sync() instead",
            ));
        }
        let timeout = self.file.lock_timeout();
        let (file, _) =
            ReplicaFile::open(host, Patience { timeout, cancelled: cancelled.clone() })?;
        Ok(Syncer {
            file,
            primary: self.primary.clone(),
            timeout: self.timeout,
            on_reset: self.on_reset,
            cancelled,
            counters: self.counters.clone(),
            watch: None,
        })
    }

    /// Brings the file to what the primary has now.
    pub fn sync(&self, options: SyncOptions) -> Result<SyncReport> {
        let started = Instant::now();
        let mut outcome = self.pull(options);
        if let Ok(report) = &mut outcome {
            report.duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        }
        self.counters.lock().synced(&outcome);
        outcome
    }

    pub fn patience(&self, options: SyncOptions) -> Patience {
        Patience {
            timeout: options.timeout.unwrap_or(self.timeout),
            cancelled: self.cancelled.clone(),
        }
    }

    fn pull(&self, options: SyncOptions) -> Result<SyncReport> {
        let mut report = SyncReport::default();
        for _ in 1..ATTEMPTS {
            match self.pull_once(options, &mut report)? {
                Attempt::Done => return Ok(report),
                Attempt::Conflict(_) => {}
            }
        }
        match self.pull_once(options, &mut report)? {
            Attempt::Done => Ok(report),
            Attempt::Conflict(error) => Err(error),
        }
    }

    fn pull_once(&self, options: SyncOptions, report: &mut SyncReport) -> Result<Attempt> {
        let at = self.file.position()?;
        let base = at.map_or(Base::Everything { replaces: None }, Base::Since);
        match self.pull_into(base, at, options, report)? {
            Step::Conflict(error) => Ok(Attempt::Conflict(error)),
            Step::Pulled { end: PullEnd::Diverged { empty }, .. } => {
                self.reset(at, empty, options, report)
            }
            Step::Pulled { end: PullEnd::Unknown, .. } => self.replace(at, options, report),
            Step::Pulled { end: PullEnd::UpToDate, .. } => Ok(Attempt::Done),
        }
    }

    /// Pulls everything and leaves alone what is the same already.
    fn replace(
        &self,
        at: Option<Position>,
        options: SyncOptions,
        report: &mut SyncReport,
    ) -> Result<Attempt> {
        match self.pull_into(Base::Everything { replaces: at }, None, options, report)? {
            Step::Conflict(error) => Ok(Attempt::Conflict(error)),
            // There is nothing on the primary, and something here.
            Step::Pulled { end: PullEnd::UpToDate, moved: false } if at.is_some() => {
                self.reset(at, true, options, report)
            }
            Step::Pulled { end: PullEnd::UpToDate, .. } => Ok(Attempt::Done),
            Step::Pulled { .. } => Ok(Attempt::Conflict(Error::new(
                Kind::Unavailable,
                "another server answers for the primary each time it is asked; try again",
            ))),
        }
    }

    /// The primary's history is not the file's any more: replaces the content
    /// atomically, where the options allow it.
    fn reset(
        &self,
        at: Option<Position>,
        empty: bool,
        options: SyncOptions,
        report: &mut SyncReport,
    ) -> Result<Attempt> {
        match options.on_reset.unwrap_or(self.on_reset) {
            OnReset::Error => {
                return Err(Error::new(
                    Kind::NotAllowed,
                    "the primary's history is another one than this replica's (it was restored, wiped \
                 or crashed); to follow it, sync with '{\"on_reset\":\"auto\"}'",
                ));
            }
            OnReset::Auto if empty => {
                return Err(Error::new(
                    Kind::NotAllowed,
                    "the primary is empty and this replica is not: it may be the last copy, so nothing \
                 was changed; to empty it too, sync with '{\"on_reset\":\"replace\"}'",
                ));
            }
            OnReset::Auto | OnReset::Replace => {}
        }
        report.reset = true;
        if empty {
            report.frame_no = None;
            let mut apply = Assembly::new(&self.file, Base::Everything { replaces: at });
            if apply.replace_with_nothing()? == Taken::Overtaken {
                return Ok(Attempt::Conflict(overtaken()));
            }
            report.pages_written += apply.pages_written();
            return Ok(Attempt::Done);
        }
        self.replace(at, options, report)
    }

    fn pull_into(
        &self,
        base: Base,
        from: Option<Position>,
        options: SyncOptions,
        report: &mut SyncReport,
    ) -> Result<Step> {
        let mut apply = Assembly::new(&self.file, base).watched_by(self.watch.as_ref());
        let outcome = self.primary.pull(from, &mut apply, &self.patience(options));
        report.pages_written += apply.pages_written();
        let (conflict, reached) = (apply.overtaken(), apply.reached());
        drop(apply);
        let pulled = match outcome {
            Err(error) if conflict => return Ok(Step::Conflict(error)),
            outcome => outcome?,
        };
        report.frames_synced += pulled.frames;
        report.bytes_received += pulled.bytes;
        report.snapshot |= pulled.snapshot;
        self.counters.lock().primary_frame_no =
            pulled.head.filter(|_| pulled.end == PullEnd::UpToDate);
        if pulled.end == PullEnd::UpToDate {
            report.frame_no = reached.or(from).and_then(Position::frame_no).map(|frame| frame.0);
            if reached.is_none() {
                // An empty primary still makes an empty file a replica.
                self.file.become_replica()?;
            }
        }
        Ok(Step::Pulled { end: pulled.end, moved: reached.is_some() })
    }
}

/// What one pull did.
enum Step {
    Pulled {
        end: PullEnd,
        /// The file came to another position (or was found to be there).
        moved: bool,
    },
    /// Another process changed the file's history.
    Conflict(Error),
}

/// How one pull ended.
enum Attempt {
    Done,
    /// Another process changed the file's history; the error if it does so
    /// every time.
    Conflict(Error),
}
