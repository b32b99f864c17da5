//! `sqlite-replica`: a SQLite loadable extension that makes the main database
//! of a stock SQLite connection an embedded replica of a libSQL primary.
//!
//! ```text
//! lib -> surface -> replica -> sync -> primary -> proto -> sqltext
//!                   replica -> credentials, sidecar
//!                   replica, sync -> delivery -> primary, outbox -> sqltext
//!                              sync -> sidecar, store -> wal
//!                              sidecar -> primary, store
//!                              credentials -> primary
//!                   replica, store -> schema -> sqltext
//!                   sync, primary -> thread
//!                   credentials, primary -> regular_file -> host
//!        surface, replica, sync, credentials, delivery -> options
//!        surface, replica, sync, sidecar, store, outbox, delivery -> host
//!        store, sidecar, outbox, delivery -> fault -> host
//!        the ground floor, which everything may use:
//!        calendar, code, clock, error, units, position, patience, change, write_id, secret
//! ```

#![deny(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::too_many_lines))]

mod calendar;
pub mod change;
mod clock;
pub mod code;
mod credentials;
mod delivery;
pub mod error;
pub mod fault;
pub mod host;
pub mod options;
pub mod outbox;
pub mod patience;
pub mod position;
pub mod primary;
pub mod proto;
mod regular_file;
pub mod replica;
pub mod schema;
pub mod secret;
mod sidecar;
pub mod sqltext;
pub mod store;
pub mod surface;
mod sync;
mod thread;
pub mod units;
pub mod wal;
pub mod write_id;

#[allow(unsafe_code, reason = "the entry points are exported under names that C knows")]
mod entry_points {
    crate::export_entry_points!(crate::surface::register);
}
