//! What is counted since an attach, and what its worker is at.

use std::time::Instant;

use super::report::SyncReport;
use crate::clock::now_unix_ms;
use crate::error::{Error, Kind, Result};
use crate::primary::Tally;
use crate::store::assembly::Assembly;

/// What a worker is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerState {
    /// Between two pulls.
    Idle,
    /// In a pull.
    Syncing,
    /// Following the primary's stream.
    Live,
    /// To be live, but the primary has no stream: between two pulls.
    Polling,
    /// After an error, waiting to try again.
    Reconnecting,
    /// Ended by an error of its own.
    Failed,
}

/// What is counted since the attach.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// What the worker is at, if there is one.
    pub worker: Option<WorkerState>,
    /// When the primary last answered.
    pub last_contact_unix_ms: Option<i64>,
    pub last_sync: Option<Instant>,
    /// When the file last held all that the primary had.
    pub fresh_unix_ms: Option<i64>,
    pub primary_frame_no: Option<u64>,
    pub last_sync_unix_ms: Option<i64>,
    pub last_sync_ms: Option<u64>,
    pub bytes_received: u64,
    pub frames_received: u64,
    pub pages_written: u64,
    pub syncs: u64,
    pub writes: u64,
    pub last_error: Option<(String, i64)>,
    /// The last attempt to reach the primary got no answer.
    pub out_of_touch: bool,
    /// Why there is no stream, and since when.
    pub held_back: Option<(String, i64)>,
}

impl Counters {
    pub fn synced(&mut self, outcome: &Result<SyncReport>) {
        match outcome {
            Ok(report) => {
                self.syncs += 1;
                self.last_sync_unix_ms = Some(now_unix_ms());
                self.in_touch();
                self.last_sync = Some(Instant::now());
                self.fresh_unix_ms = Some(now_unix_ms());
                self.last_sync_ms = Some(report.duration_ms);
                self.bytes_received += report.bytes_received;
                self.frames_received += report.frames_synced;
                self.pages_written += report.pages_written;
                self.last_error = None;
            }
            Err(error) => self.failed(error),
        }
    }

    /// What a stream has brought, and what came of it.
    pub fn streamed(&mut self, came: &Tally, assembly: &Assembly) {
        self.in_touch();
        self.fresh_unix_ms = Some(now_unix_ms());
        self.bytes_received += came.bytes;
        self.frames_received += came.frames;
        self.pages_written += assembly.pages_written();
        if let Some(reached) = assembly.reached() {
            self.primary_frame_no = reached.frame_no().map(|frame| frame.0);
        }
    }

    /// As `replica_status` says it.
    pub fn state(&self) -> &'static str {
        match self.worker {
            Some(WorkerState::Idle) => "idle",
            Some(WorkerState::Syncing) => "syncing",
            Some(WorkerState::Live) => "live",
            Some(WorkerState::Polling) => "polling",
            Some(WorkerState::Reconnecting) => "reconnecting",
            Some(WorkerState::Failed) => "error",
            None if self.last_error.is_some() => "error",
            None => "idle",
        }
    }

    /// A write, after which the primary is at `frame_no`.
    pub fn wrote(&mut self, frame_no: Option<u64>) {
        self.writes += 1;
        self.answered(frame_no);
    }

    /// The primary has answered, and is at `frame_no` where it says so.
    pub fn answered(&mut self, frame_no: Option<u64>) {
        self.in_touch();
        self.primary_frame_no = frame_no.or(self.primary_frame_no);
    }

    fn in_touch(&mut self) {
        self.last_contact_unix_ms = Some(now_unix_ms());
        self.out_of_touch = false;
    }

    /// Streams are of no use; the reason stands where errors stand, until they
    /// are.
    pub fn hold_back(&mut self, why: &str) {
        self.held_back.get_or_insert_with(|| (why.to_owned(), now_unix_ms()));
    }

    pub fn failed(&mut self, error: &Error) {
        match error.kind() {
            Kind::Unreachable
            | Kind::Unavailable
            | Kind::OutcomeUnknown
            | Kind::TransactionLost => {
                self.out_of_touch = true;
            }
            Kind::Remote(_) | Kind::RemoteBusy | Kind::Auth => self.in_touch(),
            _ => {}
        }
        self.last_error = Some((error.to_string(), now_unix_ms()));
    }
}
