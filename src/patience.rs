//! How long a caller waits, and whether it still wants the result.

use std::sync::Arc;
use std::time::Duration;

/// Asks whether the caller no longer wants the result.
pub type Cancelled = Arc<dyn Fn() -> bool + Send + Sync>;

/// How long to wait, and whether to go on.
#[derive(Clone)]
pub struct Patience {
    /// Longest single wait: for a local lock, for a connection, for the next
    /// bytes of an answer.
    pub timeout: Duration,
    /// Polled at least every 100 ms while waiting.
    pub cancelled: Cancelled,
}
