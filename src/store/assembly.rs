//! Brings what a pull delivers into the file.
//!
//! Pages are buffered, so that of many images of a page only the last is
//! written, and locks are taken only once a commit is to be shown. What does
//! not fit the buffer waits in a temporary file until then. Only a first sync
//! has a shorter way: its pages go to their places in the file at once, where
//! no reader looks yet, and the write and checkpoint locks are held while the
//! rest is still on its way. Nothing can be done with such a file anyway.

use super::draft::Draft;
use super::file::ReplicaFile;
use super::page_buffer::{self, PageBuffer};
use super::page_set::PageSet;
use super::schema_filter::Next;
use super::spool::Spool;
use crate::change::{Change, Commit};
use crate::error::{Error, Kind, Result};
use crate::position::Position;
use crate::units::{PageImage, PageNo};
use crate::wal::page1::{self, Stamp};

/// What the pages of a pull are relative to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// Changes since this position.
    Since(Position),
    /// All pages of the database, replacing what the file has at this
    /// position.
    Everything { replaces: Option<Position> },
}

/// What came of a change that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Readers see nothing of it yet.
    More,
    /// The file is at this position now: its readers see the state, or a later
    /// one that somebody else brought.
    Published(Position),
    /// Another process put the file into another history, so these pages no
    /// longer fit. All that follows is dropped; a pull has to start over from
    /// where the file is now.
    Overtaken,
}

/// Whether a pull's pages fit the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Fits,
    /// Somebody else has brought the file at least as far.
    AlreadyThere,
    /// Somebody else has put it into another history.
    Overtaken,
}

/// Where pages of a pull go that do not fit the buffer.
enum Overflow<'f> {
    None,
    /// To the file: a first sync.
    Draft(Box<Draft<'f>>),
    /// Aside, until the locks are taken.
    Spool(Spool),
}

/// Is told how far a pull is: frames covered, and all there are to cover.
pub type Watch = Box<dyn Fn(u64, Option<u64>) + Send>;

pub struct Assembly<'f> {
    file: &'f ReplicaFile,
    base: Base,
    /// How many pages the database had at the beginning.
    present_size: u32,
    buffer: PageBuffer,
    /// All pages given since the base that the last commit's size has room for.
    received: PageSet,
    /// The last of them.
    highest: PageNo,
    /// Size of the smallest commit given since the base.
    smallest_size: u32,
    /// Page 1 is kept apart: it is written last, with the position.
    page_1: Option<Box<PageImage>>,
    /// Where pages are that did not fit the buffer.
    overflow: Overflow<'f>,
    pages_written: u64,
    reached: Option<Position>,
    overtaken: bool,
}

impl<'f> Assembly<'f> {
    pub fn new(file: &'f ReplicaFile, base: Base) -> Assembly<'f> {
        Assembly {
            file,
            base,
            present_size: file.size(),
            buffer: PageBuffer::new(if file.in_memory().is_some() {
                page_buffer::BESIDE_MEMORY
            } else {
                page_buffer::BESIDE_A_FILE
            }),
            received: PageSet::default(),
            highest: PageNo::FIRST,
            smallest_size: u32::MAX,
            page_1: None,
            overflow: Overflow::None,
            pages_written: 0,
            reached: None,
            overtaken: false,
        }
    }

    /// Pages written to the file or its log.
    pub fn pages_written(&self) -> u64 {
        self.pages_written
    }

    /// The last position that this pull made visible (or found to be there).
    pub fn reached(&self) -> Option<Position> {
        self.reached
    }

    /// Takes what comes next.
    pub fn take(&mut self, change: Change<'_>) -> Result<Taken> {
        if self.overtaken {
            return Ok(Taken::Overtaken);
        }
        match change {
            Change::Page(page, image) => self.take_page(page, image),
            Change::Commit { position, size, more } => {
                self.take_commit(Commit { position, size }, more)
            }
        }
    }

    fn take_page(&mut self, page: PageNo, image: &PageImage) -> Result<Taken> {
        self.file.size_limit.refuse_beyond(page, self.present_size)?;
        self.received.insert(page);
        self.highest = self.highest.max(page);
        match page {
            PageNo::FIRST => self.page_1 = Some(Box::new(*image)),
            PageNo::LOCK => {}
            page => {
                if !self.buffer.has_room() && !self.buffer.contains(page) {
                    self.make_room()?;
                    if self.overtaken {
                        return Ok(Taken::Overtaken);
                    }
                }
                self.buffer.put(page, image)?;
            }
        }
        Ok(Taken::More)
    }

    fn take_commit(&mut self, commit: Commit, more: bool) -> Result<Taken> {
        self.file.size_limit.refuse_beyond(PageNo(commit.size), self.present_size)?;
        if commit.size == 0 {
            return Err(Error::new(Kind::Protocol, "the primary sent a commit of no pages"));
        }
        if commit.size < self.highest.0 {
            // A database that grows again brings these pages again.
            self.highest = PageNo(commit.size);
            self.received.cut(self.highest);
        }
        self.smallest_size = self.smallest_size.min(commit.size);
        // A first sync or a reset shows nothing before it is complete.
        let whole = matches!(self.base, Base::Everything { .. });
        let is_long = self.buffer.is_nearly_full() || matches!(self.overflow, Overflow::Spool(_));
        if !more || (!whole && is_long) {
            return self.publish(commit);
        }
        Ok(Taken::More)
    }

    fn verdict(&self, stamp: &Stamp, commit: Option<&Commit>) -> Verdict {
        let present = stamp.position;
        match self.base {
            Base::Everything { replaces } => {
                if present == replaces {
                    Verdict::Fits
                } else {
                    Verdict::Overtaken
                }
            }
            Base::Since(base) => {
                let covers = |position| present.is_some_and(|present| present.covers(position));
                match commit {
                    Some(commit) if covers(commit.position) => Verdict::AlreadyThere,
                    // In between: the pages are the last images of all that
                    // changed since the base, so they make the same state.
                    _ if covers(base) => Verdict::Fits,
                    _ => Verdict::Overtaken,
                }
            }
        }
    }

    /// Empties the buffer.
    fn make_room(&mut self) -> Result<()> {
        if matches!(self.overflow, Overflow::None) {
            self.overflow = self.open_overflow()?;
        }
        match &mut self.overflow {
            Overflow::None => {}
            Overflow::Draft(draft) => write_all(draft, &self.buffer, u32::MAX, Draft::write)?,
            Overflow::Spool(spool) => {
                for (page, image) in self.buffer.sorted() {
                    spool.put(page, image)?;
                }
            }
        }
        self.buffer.clear();
        Ok(())
    }

    fn open_overflow(&mut self) -> Result<Overflow<'f>> {
        if let Base::Everything { replaces: None } = self.base {
            let draft = self.file.begin()?;
            if self.verdict(&draft.stamp(), None) == Verdict::Overtaken {
                self.give_up();
                return Ok(Overflow::None);
            }
            if draft.is_direct() {
                return Ok(Overflow::Draft(Box::new(draft)));
            }
        }
        Ok(Overflow::Spool(self.file.spool()?))
    }

    fn publish(&mut self, commit: Commit) -> Result<Taken> {
        let (mut draft, spool) = match std::mem::replace(&mut self.overflow, Overflow::None) {
            Overflow::None => (self.file.begin()?, None),
            Overflow::Draft(draft) => (*draft, None),
            Overflow::Spool(spool) => (self.file.begin()?, Some(spool)),
        };
        let stamp = draft.stamp();
        match self.verdict(&stamp, Some(&commit)) {
            Verdict::Overtaken => return Ok(self.give_up()),
            Verdict::AlreadyThere => return Ok(self.settle(commit)),
            Verdict::Fits => {}
        }
        self.refuse_what_cannot_be(&draft, &commit)?;
        let mut page_1 = self.next_page_1(&draft, &stamp, &commit)?;
        self.file.schema.apply(&mut Next {
            page_1: &mut page_1,
            has_page_1: self.page_1.is_some(),
            buffer: &mut self.buffer,
            spool: spool.as_ref(),
            draft: &mut draft,
            size: commit.size,
            position: commit.position,
        })?;
        self.write(&mut draft, spool, commit.size)?;
        self.pages_written += draft.pages_written() + 1;
        let durable = matches!(self.base, Base::Everything { .. });
        draft.publish(&page_1, commit.size, durable)?;
        let taken = self.settle(commit);
        self.file.checkpoint_if_due()?;
        Ok(taken)
    }

    /// Writes the pages that a database of `size` pages has, each one once.
    fn write(&self, draft: &mut Draft<'f>, spool: Option<Spool>, size: u32) -> Result<()> {
        let replaces = matches!(self.base, Base::Everything { replaces: Some(_) });
        let write = if replaces { Draft::write_if_changed } else { Draft::write };
        if let Some(spool) = spool {
            spool.drain(PageNo(size), |page, image| match self.buffer.contains(page) {
                true => Ok(()),
                false => write(draft, page, image),
            })?;
        }
        write_all(draft, &self.buffer, size, write)
    }

    /// A commit that cannot be one: SQLite writes every page that it adds to a
    /// database in WAL mode, so each page that is new here must have come.
    /// Otherwise the file would get holes, up to 16 TB of them.
    fn refuse_what_cannot_be(&self, draft: &Draft, commit: &Commit) -> Result<()> {
        let known = match self.base {
            Base::Everything { .. } => 0,
            Base::Since(_) => draft.size().min(self.smallest_size),
        };
        if let Some(page) = self.received.first_missing(PageNo(known + 1), PageNo(commit.size)) {
            return Err(Error::new(
                Kind::Protocol,
                format!(
                    "the primary sent a database of {} pages without page {}",
                    commit.size, page.0
                ),
            ));
        }
        if let Some(frame) = commit.position.frame_no().filter(|no| *no > Position::MAX_FRAME) {
            let text = format!("the primary sent frame {}: too many", frame.0);
            return Err(Error::new(Kind::Protocol, text));
        }
        Ok(())
    }

    /// Page 1 of the state to publish: the primary's if it changed, else the
    /// present one, with the new position.
    fn next_page_1(&self, draft: &Draft, stamp: &Stamp, commit: &Commit) -> Result<Box<PageImage>> {
        let position = Some(commit.position);
        let Some(new) = &self.page_1 else {
            let mut page_1 = Box::new(*draft.page_1());
            page1::restamp(&mut page_1, &Stamp { position, ..*stamp }, commit.size);
            return Ok(page_1);
        };
        if let Some(reason) = page1::refuse(new, commit.size) {
            return Err(Error::new(Kind::Protocol, reason));
        }
        let (present, next) = (draft.page_1(), page1::schema_cookie(&**new));
        let seen = page1::schema_cookie(present);
        // An open connection may have read the schema before, with a cookie
        // that is not above this one. In a file that was never synced too: it
        // may have had tables before it was emptied.
        let may_be_taken_for_known = *stamp != Stamp::default() || seen >= next;
        let cookie_shift = match self.base {
            Base::Everything { .. } if may_be_taken_for_known => {
                seen.wrapping_add(1).wrapping_sub(next)
            }
            Base::Everything { .. } => 0,
            Base::Since(_) => stamp.cookie_shift,
        };
        let mut page_1 = new.clone();
        page1::patch(&mut page_1, &Stamp { position, cookie_shift }, commit.size);
        Ok(page_1)
    }

    /// Makes the file an empty database without a position, as its primary is.
    pub fn replace_with_nothing(&mut self) -> Result<Taken> {
        let draft = self.file.begin()?;
        let stamp = draft.stamp();
        if self.verdict(&stamp, None) == Verdict::Overtaken {
            return Ok(self.give_up());
        }
        // Not 0: with no position either, that is the stamp of a file that no
        // reader has ever seen longer than one page.
        let cookie_shift = page1::schema_cookie(draft.page_1()).wrapping_add(1).max(1);
        let mut page_1 = page1::empty(0);
        page1::patch(&mut page_1, &Stamp { position: None, cookie_shift }, 1);
        self.pages_written += 1;
        draft.publish(&page_1, 1, true)?;
        Ok(Taken::More)
    }

    /// What was published is the base of what follows.
    fn settle(&mut self, commit: Commit) -> Taken {
        self.base = Base::Since(commit.position);
        self.reached = Some(commit.position);
        self.buffer.clear();
        self.received = PageSet::default();
        self.smallest_size = u32::MAX;
        self.page_1 = None;
        Taken::Published(commit.position)
    }

    /// Ends the pull: its pages do not fit the file any more.
    fn give_up(&mut self) -> Taken {
        self.overtaken = true;
        self.overflow = Overflow::None;
        self.buffer.clear();
        Taken::Overtaken
    }
}

/// Writes all pages of the buffer that a database of `size` pages has.
fn write_all<'f>(
    draft: &mut Draft<'f>,
    buffer: &PageBuffer,
    size: u32,
    write: fn(&mut Draft<'f>, PageNo, &PageImage) -> Result<()>,
) -> Result<()> {
    let mut pages = buffer.sorted().filter(|(page, _)| page.0 <= size);
    pages.try_for_each(|(page, image)| write(draft, page, image))
}

/// What a pull that was overtaken says if it is overtaken each time.
pub fn overtaken() -> Error {
    Error::new(
        Kind::Busy,
        "another process changed what this file replicates at the same time; try again",
    )
}
