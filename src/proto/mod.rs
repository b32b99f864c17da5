//! Bytes and JSON of the primaries' protocols <-> typed messages.
//!
//! Everything here is pure: no files, no sockets, no threads, no clock. The
//! decoders are fed whatever arrived and hold no more than they must, so that
//! a gigabyte of frames needs a few kilobytes of memory.

pub mod grpc_web;
pub mod hrana;
pub mod sqld_log;
pub mod turso;
