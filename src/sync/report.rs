//! What a sync tells of itself: to its caller, and to the counters.

use crate::delivery::Delivered;
use crate::position::Position;

/// What a sync did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SyncReport {
    /// Where the file stands now; None where it holds nothing.
    pub position: Option<Position>,
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
    /// What went up before; None where nothing waited.
    pub delivered: Option<Delivered>,
}

impl SyncReport {
    /// Number of the last frame the file holds now, where the protocol has
    /// such numbers.
    pub fn frame_no(&self) -> Option<u64> {
        self.position.and_then(Position::frame_no).map(|frame| frame.0)
    }
}
