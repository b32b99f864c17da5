//! `sqlite-replica`: a SQLite loadable extension that makes the main database
//! of a stock SQLite connection an embedded replica of a libSQL primary.
//!
//! ```text
//! lib -> surface -> replica -> primary -> proto
//!                   replica -> wal
//!        surface, replica -> host ;  everything -> error, units
//!        replica -> fault -> host
//! ```

#![deny(unsafe_code)]

pub mod error;
pub mod fault;
pub mod host;
pub mod primary;
pub mod proto;
pub mod replica;
pub mod surface;
pub mod units;
pub mod wal;

#[allow(unsafe_code)]
mod entry_points {
    crate::export_entry_points!(crate::surface::register);
}
