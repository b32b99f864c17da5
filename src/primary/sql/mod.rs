//! What goes up to a primary: SQL, as Hrana pipelines.

pub mod effect;
mod exchange;
pub mod open;
pub mod sqld;
pub mod turso;
