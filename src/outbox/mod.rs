//! The outbox of a replica: writes that wait for the primary, in a file
//! `<db>-outbox` that is an ordinary SQLite database.
//!
//! Any process may put a write into it, with no network: what is in it has been
//! synced to the disk. One process at a time takes them out, in order. Nothing
//! here knows a primary; that a write happens once is the affair of its id.

mod entry;
mod file;
mod lease;
mod queue;
mod settle;

pub use self::entry::{Counts, Done, Entry, Last, Row, State};
pub use self::file::{ENDING, Outbox};
pub use self::lease::Lease;
pub use self::queue::Next;
pub use self::settle::Discarded;
