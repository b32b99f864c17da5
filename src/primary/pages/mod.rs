//! What comes down from a primary: a feed of changes, in whatever protocol.
//!
//! [`Pages::open`] finds out whether changes since a position can be had at
//! all; the feed that it yields is then read change by change by whoever puts
//! them into a file. A protocol never calls back.

pub mod sqld;
pub mod turso;

use std::sync::Arc;

use crate::change::Change;
use crate::error::Result;
use crate::patience::Patience;
use crate::position::Position;

/// How far a feed goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// To what the primary has when it is asked.
    Head,
    /// On and on: what is committed later is brought when it is committed.
    Forever,
}

/// How a feed begins, or why there is none.
pub enum Begin {
    Feed(Box<dyn Feed>),
    /// The primary's history is not the one that the position belongs to:
    /// another log, or one that ends before the position.
    Diverged {
        /// The primary holds no data at all.
        empty: bool,
    },
    /// What changed since the position cannot be told. Everything can.
    CannotTell,
    /// There is nothing that goes on and on, now or at all: ask again and
    /// again for what there is.
    NoStream,
    /// There may be such a thing, but what stands in front of the primary does
    /// not pass it on as it comes.
    HeldBack,
}

/// A source of changes.
pub trait Pages: Send + Sync {
    /// Asks no more than whether a server of this kind is there.
    fn greet(&self, patience: &Patience) -> Result<()>;

    /// Whether the server has understood this protocol before, so that an
    /// error of it is about the request. False where that cannot be told.
    fn has_answered(&self) -> bool;

    /// Name of the primary's history, once it has said it and if it has one.
    fn history(&self) -> Option<String>;

    /// Opens a feed of everything after `from` (of everything there is, if
    /// None). Nothing that the feed brings has been decided wrongly: if the
    /// history turned out to be another one, that is said here.
    fn open(
        self: Arc<Self>,
        from: Option<Position>,
        until: Until,
        patience: &Patience,
    ) -> Result<Begin>;
}

/// What a feed brings next.
#[derive(Clone, Copy, Debug)]
pub enum Next<'a> {
    Change(Change<'a>),
    /// Nothing came for as long as the patience lasts; something may come
    /// later. Only a feed that goes on and on is idle, and never between a page
    /// and its commit.
    Idle,
    /// There is nothing more. Of pages without a commit behind them, nothing
    /// is to be shown.
    End,
}

/// Changes in the order in which they are to be taken: pages, and commits that
/// make a state of the pages so far. After an error it is of no use any more.
pub trait Feed: Send {
    /// An enum rather than an option, because a feed that is merely idle may be
    /// asked again and one that has ended may not.
    fn next(&mut self, patience: &Patience) -> Result<Next<'_>>;

    /// What it has brought so far.
    fn tally(&self) -> Tally;
}

/// What a feed has brought so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Frames (or pages, for a protocol without frames).
    pub frames: u64,
    /// All there are to bring, where that is known.
    pub total: Option<u64>,
    /// Bytes of response bodies received.
    pub bytes: u64,
    /// The primary's last frame, as far as the feed has learned of it.
    pub head: Option<u64>,
    /// Whether a snapshot took part.
    pub snapshot: bool,
}
