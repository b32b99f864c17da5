//! Talking to a primary: one small vocabulary (page images, commits with the
//! size of the database and a position) that every protocol speaks.
//!
//! A protocol is its bytes in `proto/`, a feed in `pages/` and a row in `detect`
//! (docs/adding-a-protocol.md). Nothing here touches the local file.

mod detect;

mod link;
mod pages;
mod sql;

use std::sync::Arc;

use self::detect::{Auto, Protocol};
use self::link::Link;
use crate::error::{Error, Kind, Result};
use crate::patience::Patience;

pub use self::link::ConnectOptions;
pub use self::link::url::Endpoint;
pub use self::pages::sqld::Sqld;
pub use self::pages::turso::Turso;
pub use self::pages::{Begin, Feed, Next, Pages, Tally, Until};
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

/// What the primary says of one request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Executed {
    pub results: Vec<StatementResult>,
    /// Position of the primary after it, where it tells.
    pub frame_no: Option<u64>,
}

/// A primary to replicate from and to write to, by any number of threads at
/// once.
pub trait Primary: Pages {
    /// `"sqld"`, `"turso"`, or `"auto"` before the primary has said which.
    fn protocol(&self) -> &'static str;

    /// Name of the primary's history (sqld: its log id), once it has said it.
    fn history(&self) -> Option<String>;

    /// Replaces the token of all later requests.
    fn set_token(&self, token: Option<String>);

    /// Runs the statements; several run as one atomic transaction, and an
    /// error means that none took effect (or says that this is unknown).
    fn execute(&self, statements: &[Statement], patience: &Patience) -> Result<Executed>;

    /// Runs the rows of a batch as one atomic transaction. What a statement
    /// returns is left out; the results say how many rows it changed.
    fn execute_rows(&self, rows: Rows<'_>, patience: &Patience) -> Result<Executed>;

    /// Runs a statement that only reads; should it write, that is undone.
    fn query(&self, statement: &Statement, patience: &Patience) -> Result<Executed>;

    /// Runs the statements one after another, up to the first that fails; what
    /// was done before it stays.
    fn sequence(&self, statements: &[Statement], patience: &Patience) -> Result<Executed>;

    /// Says what a statement is, without running it.
    fn describe(&self, sql: &str, patience: &Patience) -> Result<Description>;

    /// Opens a transaction that lasts over several calls.
    fn begin(
        self: Arc<Self>,
        mode: Mode,
        patience: &Patience,
    ) -> Result<Box<dyn RemoteTransaction>>;
}

/// How a transaction on the primary begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Takes the write lock with the first write.
    Deferred,
    /// Takes the write lock at once.
    Immediate,
    /// Nobody is to write in it; a view of one moment.
    Read,
    /// Takes the write lock at once; foreign keys do nothing in it, so that a
    /// table can be rebuilt under those that point at it.
    Migration,
}

/// A transaction on the primary that lasts over several requests; the primary
/// ends one that is left alone. Dropped without commit, it is undone.
///
/// An error of kind TransactionLost means that nothing of it took effect. An
/// error of a statement leaves the transaction open, unless `is_open` says
/// otherwise afterwards.
pub trait RemoteTransaction {
    fn is_open(&self) -> bool;

    /// Runs the statements; several all happen or none.
    fn execute(
        &mut self,
        statements: &[Statement],
        patience: &Patience,
    ) -> Result<Vec<StatementResult>>;

    /// Runs rows of a batch. After an error the rows before it are
    /// in the transaction.
    fn execute_rows(&mut self, rows: Rows<'_>, patience: &Patience)
    -> Result<Vec<StatementResult>>;

    /// Runs a statement that only reads; should it write, that is undone.
    fn query(&mut self, statement: &Statement, patience: &Patience) -> Result<StatementResult>;

    /// Says what a statement is, without running it.
    fn describe(&mut self, sql: &str, patience: &Patience) -> Result<Description>;

    /// Makes it last. Yields the primary's last frame after it. It is over
    /// then, also after most errors: see `is_open`.
    fn commit(&mut self, patience: &Patience) -> Result<Option<u64>>;

    /// Undoes it all.
    fn rollback(&mut self);
}

/// The primary at `endpoint`. `protocol` is `"sqld"`, `"turso"`, or `"auto"`:
/// what the notes say, else what the first request finds out. Nothing is
/// connected before the first request. `token` goes before the one that
/// `endpoint` may hold.
pub fn connect(
    protocol: &str,
    endpoint: Endpoint,
    token: Option<String>,
    options: &ConnectOptions,
    notebook: Arc<dyn Notebook>,
) -> Result<Arc<dyn Primary>> {
    let link = Link::new(endpoint, token, options)?;
    match Protocol::named(protocol) {
        None if protocol == "auto" => Ok(Arc::new(Auto::new(link, notebook))),
        Some(Protocol::Sqld) => Ok(Arc::new(Sqld::new(link))),
        Some(Protocol::Turso) => Ok(Arc::new(Turso::new(link, notebook))),
        None => Err(Error::new(
            Kind::BadArgument,
            "there is no such protocol; use \"auto\", \"sqld\" or \"turso\"",
        )),
    }
}
