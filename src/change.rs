//! What a primary delivers: page images, and commits that make a state of them.
//!
//! The vocabulary between a protocol and the file; knows neither.

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

impl Commit {
    /// It as a change; `more` as there.
    pub fn change(self, more: bool) -> Change<'static> {
        Change::Commit { position: self.position, size: self.size, more }
    }
}
