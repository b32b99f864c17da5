//! Attacks: a primary that is hostile, an SQL text that is, a neighbour on the
//! same machine. `SECURITY.md` says what is promised against whom and names
//! the test of each row.

#[path = "../common/mod.rs"]
mod common;

mod bombs;
mod damage;
mod endless;
mod leftovers;
mod lock;
mod names;
mod repair;
mod schema;
mod tokens;
