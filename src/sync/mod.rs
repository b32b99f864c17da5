//! The way down: what a primary feeds is drained into the file, by calls, by a
//! worker, and by whoever waits for what it wrote.
//!
//! `Syncer` pulls to the primary's head, `follow` reads its stream; both hand
//! each change on by `drain`. What came of it is counted in `counters`.

pub mod counters;
mod drain;
pub mod follow;
pub mod health;
pub mod reaper;
mod report;
pub mod streams;
mod syncer;
pub mod trouble_log;
mod watched;
pub mod worker;

pub use self::drain::Drained;
pub use self::report::SyncReport;
pub use self::syncer::Syncer;
pub use self::watched::{Progress, WatchedSync};
