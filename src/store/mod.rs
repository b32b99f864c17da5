//! The local file: what it holds, and one atomic change of it at a time.
//!
//! `file` is the open file, `assembly` gathers what a primary delivers, `draft` writes it where no
//! reader looks yet and publishes it in one step. Nothing here knows a primary
//! or a protocol.

pub mod assembly;
mod checkpoint;
pub mod draft;
pub mod file;
mod first_look;
mod medium;
mod page_buffer;
mod page_set;
mod readable;
pub mod schema_filter;
mod schema_now;
pub mod size_limit;
mod spool;
mod wal_index;
