//! Closes streams that nobody uses any more, of connections that may never
//! call again: one thread for all of them, which is there only while there is
//! such a stream.

use std::sync::Weak;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::thread::Thread;

/// How often is looked.
const PERIOD: Duration = Duration::from_secs(1);

/// Something that can be closed when it has been idle for long enough.
pub trait Idle: Send + Sync {
    /// Closes what is idle; whether something is left that may become so.
    fn close_if_idle(&self) -> bool;
}

struct Reaper {
    watched: Vec<Weak<dyn Idle>>,
    /// The process whose thread it is: a fork takes no threads along.
    running_in: Option<u32>,
}

static REAPER: Mutex<Reaper> = Mutex::new(Reaper { watched: Vec::new(), running_in: None });
static NUDGE: Condvar = Condvar::new();

/// Looks after `idle` until it has nothing to close, or is gone.
pub fn watch(idle: Weak<dyn Idle>) {
    let process = std::process::id();
    let mut reaper = REAPER.lock();
    if !reaper.watched.iter().any(|watched| watched.ptr_eq(&idle)) {
        reaper.watched.push(idle);
    }
    if reaper.running_in != Some(process) {
        // Without a thread, the next call of the connection closes it.
        reaper.running_in = Thread::start(run).is_ok().then_some(process);
    }
}

/// Something that was watched is gone: the thread need not wait for its turn.
pub fn forget() {
    NUDGE.notify_all();
}

fn run() {
    let mut reaper = REAPER.lock();
    loop {
        reaper.watched.retain(|watched| watched.strong_count() > 0);
        if reaper.watched.is_empty() {
            reaper.running_in = None;
            return;
        }
        let due = Instant::now() + PERIOD;
        if !NUDGE.wait_until(&mut reaper, due).timed_out() {
            continue;
        }
        // Closing may take a moment, and a writer must not wait for it.
        let watched = std::mem::take(&mut reaper.watched);
        parking_lot::MutexGuard::unlocked(&mut reaper, || {
            watched.iter().filter_map(Weak::upgrade).for_each(|idle| {
                if idle.close_if_idle() {
                    REAPER.lock().watched.push(std::sync::Arc::downgrade(&idle));
                }
            });
        });
    }
}
