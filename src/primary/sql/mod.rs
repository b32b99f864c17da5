//! What goes up to a primary: SQL, as Hrana pipelines. One client for every
//! server; what they differ in is a value, their dialect.

mod client;
pub mod dialect;
mod effect;
mod exchange;
mod once;
mod open;
mod record;

pub use self::client::{Executed, Sql};
pub use self::once::Attempt;
pub use self::open::{Mode, Transaction};
pub use self::record::{Fate, Noted, Once};
