//! Threads: all of this library that outlive a call are started here, and
//! joined by whoever started them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crate::error::{Error, Kind, Result};
use crate::patience::Cancelled;

/// A running thread of ours.
pub struct Thread<T>(JoinHandle<T>);

impl<T: Send + 'static> Thread<T> {
    pub fn start(body: impl FnOnce() -> T + Send + 'static) -> Result<Thread<T>> {
        std::thread::Builder::new()
            .name("replica".to_owned())
            .spawn(body)
            .map(Thread)
            .map_err(|error| Error::new(Kind::Local, format!("cannot start a thread: {error}")))
    }

    /// Waits for its end. A panic comes back as an error.
    pub fn join(self) -> Result<T> {
        self.0.join().map_err(|_| Error::new(Kind::Panic, "internal error: a thread panicked"))
    }
}

/// The worker's wish to end, for the waits of its syncer.
pub fn closing_flag() -> (Arc<AtomicBool>, Cancelled) {
    let closing = Arc::new(AtomicBool::new(false));
    let flag = closing.clone();
    (closing, Arc::new(move || flag.load(Ordering::Relaxed)))
}

/// Runs `first` on a thread of its own while `second` runs here. None if
/// `first` panicked or could not be started.
pub fn at_once<A: Send, B>(
    first: impl FnOnce() -> A + Send,
    second: impl FnOnce() -> B,
) -> (Option<A>, B) {
    std::thread::scope(|scope| {
        let name = "replica".to_owned();
        let first = std::thread::Builder::new().name(name).spawn_scoped(scope, first);
        let second = second();
        (first.ok().and_then(|first| first.join().ok()), second)
    })
}
