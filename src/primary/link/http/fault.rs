//! Why a call into ureq came to nothing, and how long its waits may be: what
//! connecting, the transport and the answers have in common.

use std::io;
use std::time::{Duration, Instant};

use crate::patience::{Cancelled, Patience};

/// Longest wait in which nobody asks whether the caller still wants the result.
pub(super) const SLICE: Duration = Duration::from_millis(100);

/// Why the transport gave up, more exactly than an `io::Error` can say.
#[derive(Debug)]
pub(super) enum Fault {
    Cancelled,
    /// The name of the host leads to no address.
    LookUp(String),
    Connect(io::Error),
    ConnectTimeout,
    /// What was under way was not done in its time.
    Late,
    /// More bytes came than what was asked for can have.
    Endless,
}

/// What bounds a call.
#[derive(Clone)]
pub(super) struct Limits {
    pub cancelled: Cancelled,
    /// For each thing that the call does: connecting (TLS included), sending a
    /// piece of the request, waiting for the head of the answer, reading the
    /// next bytes of its body. It is the time for all of it, and not only for
    /// each of its waits: a peer that sends a byte now and then gains nothing.
    pub timeout: Duration,
    /// Whether an address is left after a while for another one that may do
    /// better.
    pub leaves_addresses: bool,
}

impl Limits {
    pub fn of(patience: &Patience) -> Limits {
        Limits {
            cancelled: patience.cancelled.clone(),
            timeout: patience.timeout,
            leaves_addresses: true,
        }
    }

    /// When something that begins now has to be done. None: never, because the
    /// clock cannot name that time.
    pub fn deadline(&self) -> Option<Instant> {
        Instant::now().checked_add(self.timeout)
    }
}

/// What is left until then, and no more than a slice.
pub(super) fn next_slice(deadline: Option<Instant>) -> Duration {
    let left = deadline.map(|end| end.saturating_duration_since(Instant::now()));
    left.map_or(SLICE, |left| left.min(SLICE))
}
