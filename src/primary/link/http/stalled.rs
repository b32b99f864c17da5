//! Addresses that take a connection and then let nothing of TLS through, as a
//! way does that loses large packets: a broken IPv6, mostly. Those of the same
//! name that work go before them, for a while.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// A network may be another one by then.
const REMEMBERED: Duration = Duration::from_secs(600);

/// More are not remembered.
const MAX_NOTED: usize = 16;

static NOTED: Mutex<Vec<(SocketAddr, Instant)>> = Mutex::new(Vec::new());

pub(super) fn note(address: SocketAddr) {
    let mut noted = NOTED.lock();
    noted.retain(|(other, since)| *other != address && since.elapsed() < REMEMBERED);
    noted.push((address, Instant::now()));
    let surplus = noted.len().saturating_sub(MAX_NOTED);
    noted.drain(..surplus);
}

pub(super) fn is_noted(address: &SocketAddr) -> bool {
    NOTED.lock().iter().any(|(other, since)| other == address && since.elapsed() < REMEMBERED)
}
