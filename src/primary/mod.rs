//! Talking to a primary: one small vocabulary (page images, commits with the
//! size of the database and a position) that every protocol speaks, so that
//! another protocol is one more file in this folder.
//!
//! Nothing here touches the local file.

mod detect;

mod link;
mod pages;
mod sql;

use std::sync::Arc;

use self::detect::Auto;
use crate::change::Sink;
use crate::error::{Error, Kind, Result};
use crate::patience::Patience;
use crate::position::Position;

pub use self::link::ConnectOptions;
pub use self::link::url::Endpoint;
pub use self::pages::sqld::Sqld;
pub use self::pages::turso::Turso;
pub use crate::sqltext::statement::{Row, Rows, Statement, StatementResult};

/// How a pull ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullEnd {
    /// The sink holds what the primary had when the pull ended.
    UpToDate,
    /// The primary's history is not the one `from` belongs to (another log, or
    /// one that ends before `from`). The sink was given nothing.
    Diverged {
        /// The primary holds no data at all.
        empty: bool,
    },
    /// What changed since `from` cannot be told, so that everything has to be
    /// pulled anew. The sink was given nothing.
    Unknown,
}

/// What a pull did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pulled {
    pub end: PullEnd,
    /// The primary's last position that this pull learned of, if any.
    pub head: Option<u64>,
    /// Frames (or pages, for a protocol without frames) received.
    pub frames: u64,
    /// Bytes of response bodies received.
    pub bytes: u64,
    /// Whether a snapshot took part.
    pub snapshot: bool,
}

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

    /// Replaces them, as far as that is possible.
    fn write(&self, notes: &Notes);
}

/// What the primary says of one request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Executed {
    pub results: Vec<StatementResult>,
    /// Position of the primary after it, where it tells.
    pub frame_no: Option<u64>,
}

/// What is committed on the primary, as it is committed.
pub trait Stream: Send {
    /// Gives `sink` what has arrived, up to a commit; waits for it if nothing
    /// has. After an error the stream is of no use any more.
    fn next(&mut self, sink: &mut dyn Sink, patience: &Patience) -> Result<Streamed>;

    /// The last commit that a sink was given, or where the stream began.
    fn position(&self) -> Option<Position>;
}

/// What a step of a stream brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Streamed {
    /// The primary ended the stream; a pull tells how to go on.
    pub ended: bool,
    /// Nothing came within the timeout; the stream may be used further.
    pub idle: bool,
    pub frames: u64,
    pub bytes: u64,
}

/// A primary to replicate from and to write to. Methods take `&self`: two
/// threads may pull at once.
pub trait Primary: Send + Sync {
    /// `"sqld"`, `"turso"`, or `"auto"` before the primary has said which.
    fn protocol(&self) -> &'static str;

    /// Name of the primary's history (sqld: its log id), once it has said it.
    fn history(&self) -> Option<String>;

    /// Replaces the token of all later requests.
    fn set_token(&self, token: Option<String>);

    /// Gives `sink` everything after `from` (everything there is, if None),
    /// ending with a commit; nothing at all if there is nothing new.
    fn pull(
        &self,
        from: Option<Position>,
        sink: &mut dyn Sink,
        patience: &Patience,
    ) -> Result<Pulled>;

    /// Whether the primary can be followed by a stream at all, as far as this
    /// is known.
    fn has_streams(&self) -> bool {
        true
    }

    /// Opens a stream of what is committed after `from`. None where only a pull
    /// can tell how to go on: another history, a compacted log, a protocol
    /// without streams.
    fn follow(
        &self,
        from: Option<Position>,
        patience: &Patience,
    ) -> Result<Option<Box<dyn Stream>>>;

    /// Runs the statements; several run as one atomic transaction, and an
    /// error means that none took effect (or says that this is unknown).
    fn execute(&self, statements: &[Statement], patience: &Patience) -> Result<Executed>;

    /// Runs the rows of a batch as one atomic transaction. What a statement
    /// returns is left out; the results say how many rows it changed.
    fn execute_rows(&self, rows: Rows<'_>, patience: &Patience) -> Result<Executed>;

    /// Runs a statement that only reads; should it write, that is undone.
    fn query(&self, statement: &Statement, patience: &Patience) -> Result<Executed>;

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
    match protocol {
        "auto" => Ok(Arc::new(Auto::new(endpoint, token, options, notebook)?)),
        "sqld" => Ok(Arc::new(Sqld::new(endpoint, token, options)?)),
        "turso" => Ok(Arc::new(Turso::new(endpoint, token, options, notebook)?)),
        _ => Err(Error::new(
            Kind::BadArgument,
            "there is no such protocol; use \"auto\", \"sqld\" or \"turso\"",
        )),
    }
}
