//! What a replica says of itself.

use std::path::PathBuf;

use super::Replica;
use crate::error::Result;
use crate::outbox::Counts;
use crate::position::Position;
use crate::schema::rewrite::Note;
use crate::sync::counters::Counters;

/// What a row of `replica_status` is made of.
#[derive(Clone, Debug)]
pub struct Status {
    pub path: PathBuf,
    pub sync_url: String,
    pub protocol: &'static str,
    /// Name of the primary's history, as far as this attach has learned it.
    pub log_id: Option<String>,
    /// Where the file stands; None where it holds nothing.
    pub position: Option<Position>,
    pub counters: Counters,
    /// What is in the outbox; None where it cannot be read.
    pub queue: Option<Counts>,
}

impl Status {
    /// How many frames the file is behind. What the primary has now is not
    /// known while it does not answer.
    pub fn lag_frames(&self) -> Option<u64> {
        let head = self.counters.primary_frame_no.filter(|_| !self.counters.out_of_touch)?;
        Some(match self.position.and_then(Position::frame_no) {
            Some(at) => head.saturating_sub(at.0),
            None => head + 1,
        })
    }

    /// The last error, or why there is no stream, and when that was.
    pub fn last_error(&self) -> Option<&(String, i64)> {
        self.counters.last_error.as_ref().or(self.counters.held_back.as_ref())
    }
}

impl Replica {
    /// What was rewritten in the primary's schema, and what this SQLite does
    /// not do as the primary does.
    pub fn schema_notes(&self) -> Result<Vec<Note>> {
        self.syncer.file.schema_notes()
    }

    pub fn status(&self) -> Result<Status> {
        Ok(Status {
            path: self.syncer.file.path().to_owned(),
            sync_url: self.endpoint.to_string(),
            protocol: self.syncer.primary.protocol(),
            log_id: self.syncer.primary.history(),
            position: self.syncer.file.position()?,
            counters: self.syncer.counters.lock().clone(),
            queue: self.queue_counts(),
        })
    }
}
