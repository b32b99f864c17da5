//! What a sync tells of itself: to its caller, and to the counters.

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
