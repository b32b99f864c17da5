//! Talking to a primary: one small vocabulary (page images, commits with the
//! size of the database and a position) that every protocol speaks, so that
//! another protocol is one more file in this folder.
//!
//! Nothing here touches the local file.

mod auto;
mod effect;
mod http;
mod link;
mod sqld;
mod turso;
mod url;

use std::sync::Arc;
use std::time::Duration;

use self::auto::Auto;
use crate::error::{Error, Kind, Result};
use crate::units::{PageImage, PageNo};

pub use self::link::ConnectOptions;
pub use self::sqld::Sqld;
pub use self::turso::Turso;
pub use self::url::Endpoint;
pub use crate::proto::statement::{Row, Rows, Statement, StatementResult};

/// 48-bit fingerprint of the text that names a primary's history (sqld: its
/// log id). Two histories with one fingerprint are taken for the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LogFingerprint(pub u64);

impl LogFingerprint {
    /// FNV-1a, folded to the 48 bits that the stamp in page 1 has room for;
    /// never 0, which means "no history".
    pub fn of(log_id: &str) -> LogFingerprint {
        let hash = log_id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        LogFingerprint(((hash >> 48) ^ (hash & 0xffff_ffff_ffff)).max(1))
    }
}

/// Where a database stands in a primary's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    pub log: LogFingerprint,
    /// Number of the last frame it holds. A protocol without frame numbers
    /// puts a hash of its revision here, which is as wide as the stamp in page
    /// 1 has room for and has the highest of its 48 bits set.
    pub at: u64,
}

/// Set in `Position::at` where that is no number of a frame. No log has that
/// many frames.
const REVISION: u64 = 1 << 47;

impl Position {
    /// Where a database stands in a history whose states have names and no
    /// order that a client could know.
    pub fn of_revision(log: LogFingerprint, revision: &str) -> Position {
        Position { log, at: LogFingerprint::of(revision).0 | REVISION }
    }

    /// Number of the last frame, where the protocol has such numbers.
    pub fn frame_no(self) -> Option<u64> {
        (self.at & REVISION == 0).then_some(self.at)
    }

    /// Whether it is known to hold all that `other` holds.
    pub fn covers(self, other: Position) -> bool {
        let (here, there) = (self.frame_no(), other.frame_no());
        self == other || (self.log == other.log && there.is_some() && here >= there)
    }
}

/// A state of the primary that the pages given so far add up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commit {
    pub position: Position,
    /// Size of the database in pages.
    pub size: u32,
}

/// Takes what a pull delivers.
pub trait Sink {
    /// Page `page` looks like this now. Later images of a page replace earlier
    /// ones; a page beyond the size of the next commit is to be dropped.
    fn page(&mut self, page: PageNo, image: &PageImage) -> Result<()>;

    /// The pages so far make up a state that the primary really had.
    /// `more` says that further commits are already on their way, so the sink
    /// need not show this one yet.
    fn commit(&mut self, commit: Commit, more: bool) -> Result<()>;

    /// How far the pull is, in frames of the primary's log: those that are
    /// covered, and all there are to cover (if known).
    fn progress(&mut self, _done: u64, _total: Option<u64>) {}
}

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

/// Asks whether the caller no longer wants the result.
pub type Cancelled = Arc<dyn Fn() -> bool + Send + Sync>;

/// How long to wait, and whether to go on.
#[derive(Clone)]
pub struct Patience {
    /// Longest wait for a connection, and for the next bytes of an answer.
    pub timeout: Duration,
    /// Polled at least every 100 ms while waiting.
    pub cancelled: Cancelled,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_covers_those_that_are_known_to_be_before_it() {
        let (log, other) = (LogFingerprint::of("a"), LogFingerprint::of("b"));
        let frame = |at| Position { log, at };
        assert!(frame(5).covers(frame(5)) && frame(5).covers(frame(4)));
        assert!(!frame(5).covers(frame(6)) && !frame(5).covers(Position { log: other, at: 4 }));
        assert_eq!(frame(5).frame_no(), Some(5));

        let (one, two) = (Position::of_revision(log, "1"), Position::of_revision(log, "2"));
        assert!(one.covers(one) && !one.covers(two) && !two.covers(one));
        assert!(!one.covers(frame(5)) && !frame(5).covers(one));
        assert_eq!(one.frame_no(), None);
        assert!(one.at < 1 << 48, "fits the stamp");
    }
}
