//! Threads that somebody waits for. (`primary/link/http/connect.rs` has others,
//! which hold nothing but a socket.)
//!
//! Whoever started one waits for its end, but not for ever: it may be inside
//! the host, in a log callback or a VFS that needs a lock which the waiting
//! thread holds (Python's global one, while `close()` runs). Such a thread is
//! left behind and ends by itself. It owns all that it uses, and this library
//! is never unloaded.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use crate::error::{Error, Kind, Result};
use crate::patience::Cancelled;

/// How long a thread that was asked to end is waited for.
const GRACE: Duration = Duration::from_secs(1);

/// A running thread of ours.
pub struct Thread<T> {
    /// Gets what the body returned, as the last thing that the thread does.
    outcome: Receiver<T>,
}

impl<T: Send + 'static> Thread<T> {
    pub fn start(body: impl FnOnce() -> T + Send + 'static) -> Result<Thread<T>> {
        let (done, outcome) = sync_channel(1);
        std::thread::Builder::new()
            .name("replica".to_owned())
            .spawn(move || {
                let _ = done.send(body());
            })
            .map_err(|error| Error::new(Kind::Local, format!("cannot start a thread: {error}")))?;
        Ok(Thread { outcome })
    }

    /// What a thread that is about to end returns. A panic comes back as an
    /// error, and so does an end that does not come.
    pub fn join(self) -> Result<T> {
        self.outcome.recv_timeout(GRACE).map_err(|error| match error {
            RecvTimeoutError::Disconnected => {
                Error::new(Kind::Panic, "internal error: a thread panicked")
            }
            RecvTimeoutError::Timeout => Error::new(
                Kind::Local,
                "a thread does not end: the host does not return from its log callback or its VFS",
            ),
        })
    }
}

/// The worker's wish to end, for the waits of its syncer.
pub fn closing_flag() -> (Arc<AtomicBool>, Cancelled) {
    let closing = Arc::new(AtomicBool::new(false));
    let flag = closing.clone();
    (closing, Arc::new(move || flag.load(Ordering::Relaxed)))
}
