//! Talking to a primary: one small vocabulary (page images, commits with the
//! size of the database and a position) that every protocol speaks.
//!
//! A protocol is its bytes in `proto/`, a feed in `pages/` and a row in `detect`
//! (docs/adding-a-protocol.md). Nothing here touches the local file.

mod detect;
mod link;
mod pages;
mod sql;

pub use self::detect::Primary;
pub use self::link::ConnectOptions;
pub use self::link::proxy::Proxy;
pub use self::link::url::Endpoint;
pub use self::pages::{Begin, Feed, Next, Tally, Until};
pub use self::sql::{Attempt, Executed, Fate, Mode, Noted, Once, Sql, Transaction};
pub use crate::proto::hrana::OnceWork;
pub use crate::sqltext::statement::{Description, Row, Rows, Statement, StatementResult};

/// What a primary wants to find again in a later process. Nothing of it is
/// needed to be right.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// The protocol that the primary turned out to speak.
    pub protocol: Option<String>,
    /// The names of the last states that were pulled, the newest last.
    pub revisions: Vec<String>,
}

/// Where notes are kept: beside the file.
pub trait Notebook: Send + Sync {
    /// Empty if there are none, or those of another primary.
    fn read(&self) -> Notes;

    /// Changes them, as far as that is possible, with nobody else of this
    /// process in between.
    fn update(&self, change: &mut dyn FnMut(&mut Notes));
}
