//! What comes down from a primary: pages and commits, a module for each
//! protocol.

pub mod sqld;
pub mod turso;
