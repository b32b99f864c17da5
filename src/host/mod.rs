//! The host's SQLite behind safe types: the only `unsafe` code of this crate.
//!
//! Everything goes through the function table that the host handed to the
//! entry point. Nothing here knows what a replica is.

#![allow(unsafe_code, reason = "this is the FFI wall")]

pub mod aggregate;
mod api;
mod beside;
pub mod call;
pub mod connection;
mod descriptors;
pub mod entry;
mod ffi;
pub mod file;
pub mod fitness;
pub mod function;
pub mod guard;
mod handle;
mod held_locks;
mod host_db;
mod io_methods;
#[cfg(feature = "fault-points")]
mod kill;
pub mod lock_proof;
pub mod memory;
mod page_limit;
mod process;
mod read_only;
pub mod rights;
mod statements;
mod temporary;
pub mod value;
pub mod vtab;

pub use api::{
    MINIMUM_VERSION, libversion, log_error, random_name, random_u32, sourceid,
    statement_is_complete, threadsafe,
};
pub use beside::Beside;
pub use connection::{Checkpoint, Connection};
pub use held_locks::has_lock_on;
pub use host_db::HostDb;
#[cfg(feature = "fault-points")]
pub use kill::{kill_this_process, stop_this_process};
pub use process::may_be_running;
pub use temporary::TemporaryFile;
