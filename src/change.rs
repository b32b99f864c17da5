//! What a primary delivers: page images, and commits that make a state of them.
//!
//! The vocabulary between a protocol and the file; knows neither.

use crate::error::Result;
use crate::position::Position;
use crate::units::{PageImage, PageNo};

/// One step of what a primary delivers.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a> {
    /// This page looks like this now. Later images of a page replace earlier
    /// ones; a page beyond the size of the next commit is to be dropped.
    Page(PageNo, &'a PageImage),
    /// The pages so far make up a state that the primary really had.
    Commit {
        position: Position,
        /// Size of the database in pages.
        size: u32,
        /// Further commits are already on their way, so this one need not be
        /// shown yet.
        more: bool,
    },
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
