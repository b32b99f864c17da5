//! How a replica fares, noted beside the file in the sidecar, so that another
//! process can ask without attaching and without the network.
//!
//! Whoever is in touch with the primary notes what came of it: at once where
//! it is another outcome than before, else every few seconds. A worker notes
//! that it works as often; that is how its end is seen when it could not say
//! good-bye. Nothing here opens the database, which in a process that has it
//! open would drop SQLite's locks.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::counters::Counters;
use crate::clock::now_unix_ms;
use crate::sidecar::{self, Beside, Sidecar};

/// The same outcome of another contact is noted no more often than that.
const PACE: Duration = Duration::from_secs(5);

/// A worker without a contact says as often that it works.
const BEAT: Duration = Duration::from_secs(15);

/// A worker that is late by more than this on top of its longest wait is gone.
const GRACE: Duration = Duration::from_secs(15);

/// A file that was not known to be fresh for longer is not well, unless the
/// caller says otherwise.
const MAX_AGE: Duration = Duration::from_secs(60);

/// What stands in the sidecar.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Noted {
    /// When the file last held all that the primary had.
    fresh_unix_ms: Option<i64>,
    last_contact_unix_ms: Option<i64>,
    frame_no: Option<u64>,
    primary_frame_no: Option<u64>,
    out_of_touch: bool,
    last_error: Option<String>,
    last_error_unix_ms: Option<i64>,
    worker: Option<NotedWorker>,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct NotedWorker {
    state: String,
    pid: u32,
    /// Tells processes with the same number apart, where the system can.
    started: Option<String>,
    /// In which numbers of processes are counted, a container's or the
    /// machine's.
    pids_of: Option<String>,
    beat_unix_ms: i64,
    /// Within how much of that it will be heard of again.
    due_ms: u64,
    /// How often it pulls, where that is not all the time.
    every_ms: Option<u64>,
}

/// Notes how one replica fares.
pub struct Health {
    sidecar: Arc<Sidecar>,
    /// What a worker says of itself beside its state, if there is one.
    worker: Option<NotedWorker>,
    last: Mutex<Last>,
}

#[derive(Default)]
struct Last {
    at: Option<Instant>,
    contact_unix_ms: Option<i64>,
    beat_unix_ms: Option<i64>,
    /// What was noted, without its times.
    outcome: Option<(&'static str, Option<String>, bool)>,
    /// Something has happened since.
    unsaid: bool,
}

/// How long a worker may be silent, and how often it pulls.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    pub longest_wait: Duration,
    pub every: Option<Duration>,
}

impl Health {
    pub fn new(sidecar: Arc<Sidecar>, habits: Option<Habits>) -> Health {
        let worker = habits.map(|habits| NotedWorker {
            pid: std::process::id(),
            started: started(std::process::id()),
            pids_of: pids_of(),
            due_ms: millis(habits.longest_wait + habits.every.unwrap_or_default() + GRACE),
            every_ms: habits.every.map(millis),
            ..NotedWorker::default()
        });
        Health { sidecar, worker, last: Mutex::default() }
    }

    /// Something was heard of the primary, or not. `frame_no` is that of the file.
    pub fn saw(&self, counters: &Counters, frame_no: impl FnOnce() -> Option<u64>) {
        self.note(counters, frame_no, false);
    }

    /// The same of the worker, which so says that it works.
    pub fn beat(&self, counters: &Counters, frame_no: impl FnOnce() -> Option<u64>) {
        self.last.lock().beat_unix_ms = Some(now_unix_ms());
        self.note(counters, frame_no, false);
    }

    /// The last word; the worker has ended.
    pub fn end(&self, counters: &Counters, frame_no: impl FnOnce() -> Option<u64>) {
        if self.worker.is_some() {
            self.last.lock().beat_unix_ms = None;
            self.note(counters, frame_no, true);
        } else if self.last.lock().unsaid {
            self.note(counters, frame_no, true);
        }
    }

    fn note(&self, counters: &Counters, frame_no: impl FnOnce() -> Option<u64>, now: bool) {
        let error = counters.last_error.as_ref().map(|(text, _)| text.clone());
        let outcome = (counters.state(), error, counters.out_of_touch);
        let Some(worker) = self.is_to_be_said(counters, outcome, now) else { return };
        // Nothing is locked from here on: the host's file system may not answer,
        // and whoever closes this replica meanwhile is not to wait for that.
        let (own, frame_no, at) = (self.worker.as_ref(), frame_no(), now_unix_ms());
        self.sidecar.note(|before| {
            let before = Noted::of(before);
            let keep = before.worker.filter(|before| own.is_none_or(|own| !own.is_same_as(before)));
            // A clock that was put back leaves times that have not come yet.
            let past = |time: Option<i64>| time.filter(|time| *time <= at);
            let noted = Noted {
                fresh_unix_ms: counters.fresh_unix_ms.max(past(before.fresh_unix_ms)),
                last_contact_unix_ms: counters
                    .last_contact_unix_ms
                    .max(past(before.last_contact_unix_ms)),
                frame_no: frame_no.or(before.frame_no),
                primary_frame_no: counters.primary_frame_no.or(before.primary_frame_no),
                out_of_touch: counters.out_of_touch,
                last_error: counters.last_error.as_ref().map(|(text, _)| text.clone()),
                last_error_unix_ms: counters.last_error.as_ref().map(|(_, at)| *at),
                worker: worker.or(keep),
            };
            json!(noted)
        });
    }

    /// What is to be noted of the worker, if anything is to be noted now; what
    /// is not, is left unsaid.
    fn is_to_be_said(
        &self,
        counters: &Counters,
        outcome: (&'static str, Option<String>, bool),
        now: bool,
    ) -> Option<Option<NotedWorker>> {
        let mut last = self.last.lock();
        // To be syncing is no news: it is so for a moment, again and again.
        let is_syncing = outcome.0 == "syncing";
        let is_news = last.outcome.as_ref() != Some(&outcome) && !is_syncing;
        let heard = counters.last_contact_unix_ms != last.contact_unix_ms;
        let wait = if heard && !is_syncing { PACE } else { BEAT };
        let is_due = last.at.is_none_or(|at| at.elapsed() >= wait);
        if !(now || is_news || is_due) {
            last.unsaid = true;
            return None;
        }
        let worker = self.worker.as_ref().zip(last.beat_unix_ms).map(|(worker, beat)| {
            NotedWorker { state: counters.state().to_owned(), beat_unix_ms: beat, ..worker.clone() }
        });
        *last = Last {
            at: Some(Instant::now()),
            contact_unix_ms: counters.last_contact_unix_ms,
            beat_unix_ms: last.beat_unix_ms,
            outcome: Some(outcome),
            unsaid: false,
        };
        Some(worker)
    }
}

impl NotedWorker {
    fn is_same_as(&self, other: &NotedWorker) -> bool {
        (self.pid, &self.started) == (other.pid, &other.started)
    }

    /// Whether it was heard of in time, and its process is there as far as can
    /// be seen from here.
    fn is_alive(&self, now: i64) -> bool {
        let here = self.pids_of.is_some() && self.pids_of == pids_of();
        let in_time = (0..=clamped(self.due_ms)).contains(&now.saturating_sub(self.beat_unix_ms));
        in_time && (!here || started(self.pid) == self.started)
    }
}

/// When a process began, in the kernel's words (proc(5), field 22 of `stat`);
/// None where there is no such process, or no such words.
fn started(pid: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in the second field may hold anything, also brackets.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    // A process that has ended and was not waited for is still listed.
    (*fields.first()? != "Z").then(|| fields.get(19).map(|field| (*field).to_owned()))?
}

fn pids_of() -> Option<String> {
    Some(std::fs::read_link("/proc/self/ns/pid").ok()?.to_string_lossy().into_owned())
}

/// What another process is told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    pub path: PathBuf,
    pub sync_url: Option<String>,
    /// What is wrong, in one sentence.
    pub trouble: Option<String>,
    /// What the worker is at; `gone` where it has ended without a word.
    pub worker: Option<String>,
    pub worker_pid: Option<u32>,
    pub fresh_age_s: Option<f64>,
    pub contact_age_s: Option<f64>,
    pub frame_no: Option<u64>,
    pub primary_frame_no: Option<u64>,
    pub lag_frames: Option<u64>,
    pub last_error: Option<String>,
    pub last_error_unix_ms: Option<i64>,
}

/// How the replica at `path` fares, by what is noted beside it.
pub fn of_file(path: &Path, max_age: Option<Duration>) -> Report {
    // Where a link leads, there the notes are.
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let not_one = |trouble: String| Report {
        path: path.clone(),
        trouble: Some(trouble),
        ..Report::default()
    };
    if !std::fs::metadata(&path).is_ok_and(|found| found.is_file()) {
        return not_one(format!("there is no file {}", path.display()));
    }
    match sidecar::beside(&path) {
        Beside::Nothing => not_one(format!(
            "{} is no replica, or nobody has attached it since it was copied here",
            path.display()
        )),
        Beside::Foreign => not_one(format!(
            "what stands in the place of the notes of {} is not a replica's",
            path.display()
        )),
        Beside::Hidden => not_one(format!("the notes beside {} cannot be read", path.display())),
        Beside::Notes { sync_url, health } => {
            let mut report = Noted::of(&health).report(max_age, now_unix_ms());
            report.path = path;
            report.sync_url = Some(sync_url);
            report
        }
    }
}

impl Noted {
    /// Those of another version are read as far as they are understood.
    fn of(json: &Value) -> Noted {
        Noted::deserialize(json).unwrap_or_default()
    }

    fn report(&self, max_age: Option<Duration>, now: i64) -> Report {
        // A time that has not come yet tells nothing: the clock was put back.
        let past = |at: &i64| *at <= now;
        let age = |at: Option<i64>| at.filter(past).map(|at| (now - at) as f64 / 1000.0);
        let alive = self.worker.as_ref().map(|worker| worker.is_alive(now));
        let every = self.worker.as_ref().and_then(|worker| worker.every_ms).unwrap_or(0);
        let max_age =
            max_age.unwrap_or(MAX_AGE.max(Duration::from_millis(every.saturating_mul(3))));
        let fresh_age_s = age(self.fresh_unix_ms);
        let is_fresh = fresh_age_s.is_some_and(|age| age <= max_age.as_secs_f64());
        let lag = self.primary_frame_no.filter(|_| is_fresh && !self.out_of_touch);
        Report {
            trouble: (!is_fresh).then(|| self.trouble(fresh_age_s, alive)),
            worker: self.worker.as_ref().zip(alive).map(|(worker, alive)| match alive {
                true => worker.state.clone(),
                false => "gone".to_owned(),
            }),
            worker_pid: self.worker.as_ref().map(|worker| worker.pid),
            fresh_age_s,
            contact_age_s: age(self.last_contact_unix_ms),
            frame_no: self.frame_no,
            primary_frame_no: self.primary_frame_no,
            lag_frames: lag.map(|head| head.saturating_sub(self.frame_no.unwrap_or(0))),
            last_error: self.last_error.clone(),
            last_error_unix_ms: self.last_error_unix_ms,
            ..Report::default()
        }
    }

    fn trouble(&self, fresh_age_s: Option<f64>, alive: Option<bool>) -> String {
        let since = match fresh_age_s {
            Some(age) => format!("not known to be fresh for {age:.0} s"),
            None => "never synced, as far as is noted".to_owned(),
        };
        let why = match (alive, &self.worker, &self.last_error) {
            (Some(false), Some(worker), _) => {
                format!("the worker that kept it so (process {}) is gone", worker.pid)
            }
            (_, _, Some(error)) => format!("the last error was: {error}"),
            (Some(true), Some(worker), None) => format!("its worker is at: {}", worker.state),
            _ => "nobody keeps it so".to_owned(),
        };
        format!("{since}: {why}")
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn clamped(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(worker: Option<NotedWorker>) -> Noted {
        Noted {
            fresh_unix_ms: Some(100_000),
            last_contact_unix_ms: Some(101_000),
            frame_no: Some(5),
            primary_frame_no: Some(7),
            worker,
            ..Noted::default()
        }
    }

    fn worker(beat_unix_ms: i64) -> NotedWorker {
        let pid = std::process::id();
        NotedWorker {
            state: "live".into(),
            pid,
            started: started(pid),
            pids_of: pids_of(),
            beat_unix_ms,
            due_ms: 45_000,
            every_ms: None,
        }
    }

    #[test]
    fn what_is_fresh_is_well_and_what_is_old_says_why() {
        let live = noted(Some(worker(101_000)));
        let report = live.report(None, 102_000);
        assert_eq!((report.trouble, report.lag_frames), (None, Some(2)));
        assert_eq!((report.fresh_age_s, report.contact_age_s), (Some(2.0), Some(1.0)));
        assert_eq!(report.worker.as_deref(), Some("live"));
        // A tighter bound, and none that holds.
        let late = live.report(Some(Duration::from_secs(1)), 102_000);
        assert_eq!(
            late.trouble.as_deref(),
            Some("not known to be fresh for 2 s: its worker is at: live")
        );
        assert_eq!(late.lag_frames, None);
        let alone = noted(None).report(None, 161_000);
        assert_eq!(
            alone.trouble.as_deref(),
            Some("not known to be fresh for 61 s: nobody keeps it so")
        );
        let error = Noted { last_error: Some("refused".into()), ..noted(None) };
        assert_eq!(
            error.report(None, 161_000).trouble.as_deref(),
            Some("not known to be fresh for 61 s: the last error was: refused")
        );
        assert_eq!(error.report(None, 102_000).trouble, None, "it is fresh all the same");
        let never = Noted::default().report(None, 102_000).trouble;
        assert_eq!(never.as_deref(), Some("never synced, as far as is noted: nobody keeps it so"));
    }

    #[test]
    fn a_worker_is_gone_when_it_is_silent_or_its_process_is_another_one() {
        let state = |worker: NotedWorker, now| noted(Some(worker)).report(None, now).worker;
        assert_eq!(state(worker(101_000), 146_000).as_deref(), Some("live"));
        assert_eq!(state(worker(101_000), 146_001).as_deref(), Some("gone"));
        let reused = NotedWorker { started: Some("another time".into()), ..worker(101_000) };
        let elsewhere = NotedWorker { pids_of: Some("pid:[1]".into()), ..reused.clone() };
        assert_eq!(state(elsewhere, 102_000).as_deref(), Some("live"), "not to be seen from here");
        if pids_of().is_some() {
            assert_eq!(state(reused, 102_000).as_deref(), Some("gone"));
        }
        // An interval makes more of a delay usual.
        let slow = NotedWorker { every_ms: Some(300_000), due_ms: 400_000, ..worker(101_000) };
        assert_eq!(noted(Some(slow)).report(None, 400_000).trouble, None);
    }
}
