//! What goes up to a primary: SQL, as Hrana pipelines. One client for every
//! server; what they differ in is a value, their dialect.

mod client;
pub mod dialect;
mod effect;
mod exchange;
mod open;

pub use self::client::{Executed, Sql};
pub use self::open::{Mode, Transaction};
