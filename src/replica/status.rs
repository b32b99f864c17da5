//! What a replica says of itself.

use std::path::PathBuf;

use super::Replica;
use crate::error::Result;
use crate::position::Position;
use crate::schema::rewrite::Note;

/// A row of `replica_status`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    pub path: PathBuf,
    pub sync_url: String,
    pub protocol: &'static str,
    /// `idle`, `syncing`, `live`, `polling`, `reconnecting`, or `error` where the last
    /// sync or write failed and nobody tries again.
    pub state: &'static str,
    /// Name of the primary's history, as far as this attach has learned it.
    pub log_id: Option<String>,
    /// Where the file stands; None where it holds nothing.
    pub position: Option<Position>,
    /// The primary's last frame when it was last asked.
    pub primary_frame_no: Option<u64>,
    pub lag_frames: Option<u64>,
    /// When the primary last answered.
    pub last_contact_unix_ms: Option<i64>,
    pub last_sync_unix_ms: Option<i64>,
    pub last_sync_ms: Option<u64>,
    pub bytes_received: u64,
    pub frames_received: u64,
    pub pages_written: u64,
    pub syncs: u64,
    pub writes: u64,
    pub last_error: Option<String>,
    pub last_error_unix_ms: Option<i64>,
}

impl Replica {
    /// What was rewritten in the primary's schema, and what this SQLite does
    /// not do as the primary does.
    pub fn schema_notes(&self) -> Result<Vec<Note>> {
        self.syncer.file.schema_notes()
    }

    pub fn status(&self) -> Result<Status> {
        let position = self.syncer.file.position()?;
        let frame_no = position.and_then(Position::frame_no).map(|frame| frame.0);
        let counters = self.syncer.counters.lock();
        // What the primary has now is not known while it does not answer.
        let head = counters.primary_frame_no.filter(|_| !counters.out_of_touch);
        let lag = head.map(|head| match frame_no {
            Some(at) => head.saturating_sub(at),
            None => head + 1,
        });
        let last_error = counters.last_error.as_ref().or(counters.held_back.as_ref());
        Ok(Status {
            path: self.syncer.file.path().to_owned(),
            sync_url: self.endpoint.to_string(),
            protocol: self.syncer.primary.protocol(),
            state: counters.state(),
            log_id: self.syncer.primary.history(),
            position,
            primary_frame_no: counters.primary_frame_no,
            lag_frames: lag,
            last_contact_unix_ms: counters.last_contact_unix_ms,
            last_sync_unix_ms: counters.last_sync_unix_ms,
            last_sync_ms: counters.last_sync_ms,
            bytes_received: counters.bytes_received,
            frames_received: counters.frames_received,
            pages_written: counters.pages_written,
            syncs: counters.syncs,
            writes: counters.writes,
            last_error: last_error.map(|(text, _)| text.clone()),
            last_error_unix_ms: last_error.map(|(_, at)| *at),
        })
    }
}
