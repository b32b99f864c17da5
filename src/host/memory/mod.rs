//! Databases in memory that may be replicas: a VFS named `replica`, with a
//! write-ahead log and shared memory, which SQLite's own databases in memory
//! do not have.
//!
//! `file:NAME?vfs=replica` is one database for all connections of the process;
//! `reopen` puts a connection's `:memory:` on it. Nothing reaches the disk,
//! and nothing here knows what a replica is: above, all is as with a file.

mod bytes;
mod locks;
mod methods;
mod names;
pub mod reopen;
mod store;
mod vfs;

pub use self::bytes::{OutOfMemory, zeros};
pub use self::names::VFS;
pub use self::store::Store;

pub(super) use self::methods::store;
pub(super) use self::vfs::register;
