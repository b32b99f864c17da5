//! The local file: what it holds, and one atomic change of it at a time.
//!
//! `assembly` gathers what a primary delivers, `draft` writes it where no
//! reader looks yet and publishes it in one step. Nothing here knows a primary
//! or a protocol.

pub mod assembly;
pub mod draft;
pub mod file;
mod medium;
mod page_buffer;
mod page_set;
mod readable;
pub mod schema_filter;
mod schema_now;
mod spool;
mod wal_index;
