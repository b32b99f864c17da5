//! Syncing: pull from where the file is, follow a reset, report.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::counters::Counters;
use super::drain::{Drained, Watch, drain};
use super::health::Health;
use super::report::SyncReport;
use super::streams::Streams;
use crate::delivery::{self, Delivered, Delivery};
use crate::error::{Error, Kind, Result};
use crate::host::{HostDb, threadsafe};
use crate::options::{OnReset, SyncOptions};
use crate::patience::{Cancelled, Patience};
use crate::position::Position;
use crate::primary::{Begin, Primary, Until};
use crate::store::assembly::{Assembly, Base, Taken, overtaken};
use crate::store::file::ReplicaFile;

/// How often a pull starts over because another process changed the file's
/// history meanwhile.
const ATTEMPTS: usize = 5;

/// What brings a primary's pages into a file: of the connection that is
/// attached, and one more of its worker.
pub struct Syncer {
    pub file: ReplicaFile,
    pub primary: Arc<Primary>,
    /// For each wait on the network, unless a call says otherwise.
    pub timeout: Duration,
    pub on_reset: OnReset,
    /// Whether a running call is to end.
    pub cancelled: Cancelled,
    pub counters: Arc<Mutex<Counters>>,
    pub streams: Arc<Streams>,
    /// Tells other processes how this one fares.
    pub health: Arc<Health>,
    /// Is told how far a pull is: frames received, frames to come.
    pub watch: Option<Watch>,
    /// Empties the outbox before each pull; None where there can be none.
    pub delivery: Option<Delivery>,
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
        let (mut file, _) =
            ReplicaFile::open(host, None, Patience { timeout, cancelled: cancelled.clone() })?;
        file.size_limit = self.file.size_limit.beside();
        file.schema.publish_unreadable.set(self.file.schema.publish_unreadable.get());
        file.trust_schema(self.file.schema.trusted.get())?;
        file.keep_log(self.file.keeps_log.get())?;
        Ok(Syncer {
            file,
            primary: self.primary.clone(),
            timeout: self.timeout,
            on_reset: self.on_reset,
            cancelled,
            counters: self.counters.clone(),
            streams: self.streams.clone(),
            health: self.health.clone(),
            watch: None,
            // Who has said that he only reads leaves the outbox to others.
            delivery: self.delivery.clone().filter(|_| !host.is_query_only()),
        })
    }

    /// Sends up what waits in the outbox, and brings the file to what the
    /// primary has then.
    pub fn sync(&self, options: SyncOptions) -> Result<SyncReport> {
        self.counted(|| {
            let delivered = self.deliver_before_pull(options)?;
            Ok(SyncReport { delivered, ..self.pull(options)? })
        })
    }

    /// Brings the file to what the primary has now.
    pub fn sync_down(&self, options: SyncOptions) -> Result<SyncReport> {
        self.counted(|| self.pull(options))
    }

    fn counted(&self, sync: impl FnOnce() -> Result<SyncReport>) -> Result<SyncReport> {
        let started = Instant::now();
        let mut outcome = sync();
        if let Ok(report) = &mut outcome {
            report.duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        }
        self.counters.lock().synced(&outcome);
        self.note();
        outcome
    }

    /// Tells other processes what came of the last contact.
    pub fn note(&self) {
        let counters = self.counters.lock().clone();
        self.health.saw(&counters, || self.frame_no());
    }

    /// The same of the worker, which is at work.
    pub fn note_work(&self) {
        let counters = self.counters.lock().clone();
        self.health.beat(&counters, || self.frame_no());
    }

    /// The last word of this replica.
    pub fn note_end(&self) {
        let mut counters = self.counters.lock().clone();
        counters.worker = None;
        self.health.end(&counters, || self.frame_no());
    }

    fn frame_no(&self) -> Option<u64> {
        self.file.position().ok()??.frame_no().map(|frame| frame.0)
    }

    pub fn patience(&self, options: SyncOptions) -> Patience {
        Patience {
            timeout: options.timeout.unwrap_or(self.timeout),
            cancelled: self.cancelled.clone(),
        }
    }

    /// A pull waits for no decision, and needs none: only where the primary is
    /// away, it would find that, too.
    pub fn deliver_before_pull(&self, options: SyncOptions) -> Result<Option<Delivered>> {
        let Some(delivery) = &self.delivery else { return Ok(None) };
        let patience = self.patience(options);
        match self.deliver(delivery, &patience) {
            Ok(Some(Delivered { error: Some(error), .. })) if is_away(&error) => Err(error),
            Ok(delivered) => Ok(delivered),
            Err(error) if error.kind() == Kind::Interrupted => Err(error),
            Err(error) => Ok(Some(Delivered { error: Some(error), ..Delivered::default() })),
        }
    }

    /// Sends up what waits in the outbox; None where nothing does.
    pub fn deliver(&self, delivery: &Delivery, patience: &Patience) -> Result<Option<Delivered>> {
        if !delivery.place.is_there() {
            return Ok(None);
        }
        let replica = delivery::Replica {
            primary: &self.primary,
            position: self.file.position()?,
            names: &|query| self.file.names(query),
            at_work: &|| {
                if let Some(watch) = &self.watch {
                    watch(0, None);
                }
            },
        };
        delivery.deliver(&replica, patience)
    }

    fn pull(&self, options: SyncOptions) -> Result<SyncReport> {
        let mut report = SyncReport::default();
        let mut why = overtaken();
        for _ in 0..ATTEMPTS {
            match self.pull_once(options, &mut report)? {
                Outcome::Done => return Ok(report),
                Outcome::StartOver(error) => why = error,
            }
        }
        Err(why)
    }

    fn pull_once(&self, options: SyncOptions, report: &mut SyncReport) -> Result<Outcome> {
        let at = self.file.position()?;
        let base = at.map_or(Base::Everything { replaces: None }, Base::Since);
        match self.bring(base, at, options, report)? {
            Brought::UpToDate { .. } => Ok(Outcome::Done),
            Brought::Overtaken => Ok(Outcome::StartOver(overtaken())),
            Brought::Diverged { empty } => self.reset(at, empty, options, report),
            Brought::CannotTell => self.replace(at, options, report),
        }
    }

    /// Pulls everything and leaves alone what is the same already.
    fn replace(
        &self,
        at: Option<Position>,
        options: SyncOptions,
        report: &mut SyncReport,
    ) -> Result<Outcome> {
        match self.bring(Base::Everything { replaces: at }, None, options, report)? {
            // There is nothing on the primary, and something here.
            Brought::UpToDate { moved: false } if at.is_some() => {
                self.reset(at, true, options, report)
            }
            Brought::UpToDate { .. } => Ok(Outcome::Done),
            Brought::Overtaken => Ok(Outcome::StartOver(overtaken())),
            Brought::Diverged { .. } | Brought::CannotTell => Ok(Outcome::StartOver(Error::new(
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
    ) -> Result<Outcome> {
        match options.on_reset.unwrap_or(self.on_reset) {
            OnReset::Error => {
                return Err(Error::new(
                    Kind::NotAllowed,
                    "the primary's history is another one than this replica's (it was restored, wiped \
                 or crashed); to follow it, sync with '{\"on_reset\":\"auto\"}'",
                ));
            }
            OnReset::Auto if empty && !self.file.has_no_table()? => {
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
            report.position = None;
            let mut apply = Assembly::new(&self.file, Base::Everything { replaces: at });
            if apply.replace_with_nothing()? == Taken::Overtaken {
                return Ok(Outcome::StartOver(overtaken()));
            }
            report.pages_written += apply.pages_written();
            return Ok(Outcome::Done);
        }
        self.replace(at, options, report)
    }

    /// Brings what came after `from` into the file, as far as that can be had.
    fn bring(
        &self,
        base: Base,
        from: Option<Position>,
        options: SyncOptions,
        report: &mut SyncReport,
    ) -> Result<Brought> {
        let patience = self.patience(options);
        let begin = self.primary.open(from, Until::Head, &patience)?;
        let Begin::Feed(mut feed) = begin else {
            self.counters.lock().primary_frame_no = None;
            return Ok(match begin {
                Begin::Diverged { empty } => Brought::Diverged { empty },
                _ => Brought::CannotTell,
            });
        };
        if self.would_lose_all(base, feed.tally().total)? {
            return Ok(Brought::UpToDate { moved: false });
        }
        let mut assembly = Assembly::new(&self.file, base);
        let watch = self.watch.as_ref();
        let drained = drain(&mut *feed, &mut assembly, &patience, watch, |_| false);
        report.pages_written += assembly.pages_written();
        let reached = assembly.reached();
        drop(assembly);
        if drained? == Drained::Overtaken {
            return Ok(Brought::Overtaken);
        }
        let tally = feed.tally();
        report.frames_synced += tally.frames;
        report.bytes_received += tally.bytes;
        report.snapshot |= tally.snapshot;
        report.position = reached.or(from);
        self.counters.lock().primary_frame_no = tally.head;
        if reached.is_none() {
            // An empty primary still makes an empty file a replica.
            self.file.become_replica()?;
        }
        Ok(Brought::UpToDate { moved: reached.is_some() })
    }

    /// Whether all there is on the primary are so few pages that no table is
    /// among them, and there are some here.
    fn would_lose_all(&self, base: Base, total: Option<u64>) -> Result<bool> {
        let replaces = matches!(base, Base::Everything { replaces: Some(_) });
        Ok(replaces && total.is_some_and(|total| total <= 1) && !self.file.has_no_table()?)
    }
}

/// Whether an error says that the primary cannot be reached.
fn is_away(error: &Error) -> bool {
    matches!(error.kind(), Kind::Unreachable | Kind::Unavailable | Kind::OutcomeUnknown)
}

/// What one look at the primary came to.
enum Brought {
    UpToDate {
        /// The file came to another position (or was found to be there).
        moved: bool,
    },
    /// Another process put the file into another history meanwhile.
    Overtaken,
    /// The primary's history is not the file's any more.
    Diverged { empty: bool },
    /// Only everything can be had.
    CannotTell,
}

/// How one pull ended.
enum Outcome {
    Done,
    /// From where the file is then; the error, if that does not help.
    StartOver(Error),
}
