//! What is known of the streams of one primary, shared by all that follow it
//! for one attach: whether something in between holds them back.
//!
//! A stream proves itself by bringing what a pull finds. What does not come
//! within a second of that is held back (nginx gathers answers unless it is
//! told otherwise), and a stream that is held back is worse than none.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// What has been published this long ago must have come by the stream.
pub const PROOF: Duration = Duration::from_secs(1);

/// Streams are tried again after this time: networks change.
const FORGET: Duration = Duration::from_secs(300);

/// What a user is told about it.
pub const HELD_BACK: &str = "something in front of the primary holds its streams back, so it is \
    asked for news every half second instead; let it pass answers on as they come (nginx: \
    proxy_buffering off)";

#[derive(Default)]
pub struct Streams {
    held_back_since: Mutex<Option<Instant>>,
    /// A frame that a write of this attach had to pull.
    owed: Mutex<Option<u64>>,
}

impl Streams {
    pub fn are_held_back(&self) -> bool {
        let mut since = self.held_back_since.lock();
        if since.is_some_and(|since| since.elapsed() >= FORGET) {
            *since = None;
        }
        since.is_some()
    }

    pub fn hold_back(&self) {
        *self.held_back_since.lock() = Some(Instant::now());
    }

    /// Frame `frame_no` was pulled, because the worker's stream did not bring
    /// it in time.
    pub fn owe(&self, frame_no: u64) {
        *self.owed.lock() = Some(frame_no);
    }

    pub fn take_owed(&self) -> Option<u64> {
        self.owed.lock().take()
    }
}
