//! One atomic change of a database in WAL mode, as a sequence of steps over a
//! [`Medium`]: pages go into the log behind what readers see (or into the
//! database file beyond what anyone reads), then one publication makes them
//! visible together.
//!
//! The steps come in the order of SQLite's `wal.c`: a restart of the log as in
//! `walRestartLog`; frames, index, header as in `sqlite3WalFrames`. Nothing is
//! synced for its own sake, as SQLite does it with `synchronous=NORMAL`: a
//! power cut may take the last commits, together with the position that says
//! so. Locks are the caller's: WRITE is held all the time.
//!
//! Some steps differ from SQLite's, so that a writer may die between any two
//! stores. A restart forgets what was backfilled *before* it empties the log:
//! the other way round, a death in between leaves an empty log of which frames
//! are said to be in the database, and what is appended to it stays unseen.
//! SQLite itself goes the other way round, so this state is met and mended. A
//! commit that needs pages beyond the end of the database file tears the
//! wal-index *before* its frame is in the log: else a death in between leaves a
//! frame that only a recovery finds, after a checkpoint has cut those pages
//! off. And the remains of a dead writer are cleared from the index once before
//! the first frame is entered, whatever the place behind the last commit says.

use super::checksum::{Checksum, WordOrder};
use super::coalesce::Coalescer;
use super::frame::{self, FrameHeader};
use super::header::{self, WalHeader};
use super::index::{self, IndexHeader};
use super::medium::{Medium, Step};
use super::next_salt;
use crate::error::{Error, Kind, Result};
use crate::units::{PAGE_SIZE, PageImage, PageNo};

/// What the index says of the frames that are in the database file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backfill {
    /// No more than there are.
    Sound,
    /// More than there are, which cannot be mended while a checkpoint may be
    /// under way: look again later.
    Disturbed,
    /// More than there are, and the index was torn, so that SQLite makes it
    /// anew from the log.
    Torn,
}

/// Mends what a process leaves that dies inside SQLite's own restart of the
/// log: the log is empty, and frames of it are said to be in the database.
/// Readers would ignore as many frames of the next log.
pub fn mend_backfill<M: Medium>(
    medium: &M,
    header: &IndexHeader,
    no_checkpoint: bool,
) -> Result<Backfill> {
    let first = medium.segment(0)?;
    if index::backfilled(&first) <= header.max_frame {
        return Ok(Backfill::Sound);
    }
    if !no_checkpoint {
        return Ok(Backfill::Disturbed);
    }
    if header.max_frame == 0 {
        index::forget_backfill(&first);
        medium.barrier();
        medium.passed(Step::BackfillMended);
        return Ok(Backfill::Sound);
    }
    // Somebody has already appended to such a log.
    let torn = IndexHeader { change: header.change.wrapping_add(1), ..*header };
    torn.publish_half(&first);
    medium.barrier();
    Ok(Backfill::Torn)
}

/// A change that nobody sees yet. Dropping it leaves no trace that anybody
/// could see.
pub struct Pending<M: Medium> {
    medium: M,
    /// The log as readers see it.
    header: IndexHeader,
    /// Whether the log's generation has its header in the file already.
    log_started: bool,
    /// Frames appended so far.
    appended: u32,
    /// Checksum of the last of them.
    checksum: Checksum,
    to_log: Coalescer,
    to_file: Coalescer,
    wrote_file: bool,
    /// Size of the database file in bytes before.
    file_size: u64,
    /// A commit may need what was written beyond the end of the file.
    keep_file: bool,
}

impl<M: Medium> Pending<M> {
    /// Begins behind the state that `header` shows.
    pub fn begin(medium: M, header: IndexHeader) -> Result<Pending<M>> {
        Ok(Pending {
            file_size: medium.database_size()?,
            log_started: header.max_frame > 0,
            checksum: header.frame_checksum,
            appended: 0,
            to_log: Coalescer::default(),
            to_file: Coalescer::default(),
            wrote_file: false,
            keep_file: false,
            medium,
            header,
        })
    }

    /// Size of the database file in bytes before this change.
    pub fn file_size(&self) -> u64 {
        self.file_size
    }

    /// The log as readers see it.
    pub fn header(&self) -> &IndexHeader {
        &self.header
    }

    /// Whether all of the log is in the database, so that it may begin again
    /// at its start: else it would grow for ever.
    pub fn is_copied(&self) -> Result<bool> {
        let backfilled = index::backfilled(&self.medium.segment(0)?);
        Ok(self.header.max_frame > 0 && backfilled == self.header.max_frame)
    }

    /// Begins the log again at its start. No checkpoint may be under way
    /// (sqlite.org/wal.html#walresetbug), and nobody may be reading the log.
    pub fn restart(&mut self) -> Result<()> {
        let medium = &self.medium;
        let first = medium.segment(0)?;
        index::reset_checkpoint_info(&first);
        medium.barrier();
        medium.passed(Step::RestartBackfillForgotten);
        self.header.max_frame = 0;
        self.header.salt = next_salt(self.header.salt, medium.random());
        publish(medium, &self.header, Step::RestartBetweenHeaderCopies)?;
        medium.passed(Step::RestartPublished);
        self.log_started = false;
        Ok(())
    }

    /// The frame that holds `page` as readers see it.
    pub fn committed_frame(&self, page: PageNo) -> Result<Option<u32>> {
        self.find(page, self.header.max_frame)
    }

    /// The last frame up to `last` that holds `page`.
    fn find(&self, page: PageNo, last: u32) -> Result<Option<u32>> {
        if last == 0 {
            return Ok(None);
        }
        for number in (0..=index::segment_of(last)).rev() {
            let found = index::find(&self.medium.segment(number)?, number, page, last);
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// The page as readers see it.
    pub fn read_committed(&self, page: PageNo, image: &mut PageImage) -> Result<()> {
        let frame = self.committed_frame(page)?;
        self.read_at(frame, page, image)
    }

    /// The page as it is with this change.
    pub fn read(&mut self, page: PageNo, image: &mut PageImage) -> Result<()> {
        let medium = &self.medium;
        self.to_log.flush(|bytes, at| medium.write_log(bytes, at))?;
        self.to_file.flush(|bytes, at| medium.write_database(bytes, at))?;
        let frame = self.find(page, self.header.max_frame + self.appended)?;
        self.read_at(frame, page, image)
    }

    fn read_at(&self, frame: Option<u32>, page: PageNo, image: &mut PageImage) -> Result<()> {
        match frame {
            Some(frame) => {
                self.medium.read_log(image, frame::offset(frame) + frame::HEADER_SIZE as u64)
            }
            None => self.medium.read_database(image, page.offset()),
        }
    }

    /// Writes a page straight into the database file, where nobody may read
    /// it: beyond every state that a reader has, with no checkpoint under way.
    pub fn write_to_file(&mut self, page: PageNo, image: &PageImage) -> Result<()> {
        self.wrote_file = true;
        self.medium.passed(Step::PageForTheFile);
        let medium = &self.medium;
        self.to_file.push(page.offset(), image, |bytes, at| medium.write_database(bytes, at))
    }

    /// Appends a page to the log. Of several images the last one counts.
    pub fn append(&mut self, page: PageNo, image: &PageImage) -> Result<()> {
        self.append_frame(page, image, 0)
    }

    fn append_frame(&mut self, page: PageNo, image: &PageImage, commit_size: u32) -> Result<()> {
        if !self.log_started {
            self.start_log()?;
        }
        if self.appended == 0 {
            self.forget_remains()?;
        }
        let frame = self.header.max_frame + self.appended + 1;
        let (salt, order) = (self.header.salt, self.header.order);
        let header = FrameHeader::new(page, commit_size, salt, image, self.checksum, order);
        let medium = &self.medium;
        let write = |bytes: &[u8], at| medium.write_log(bytes, at);
        medium.passed(Step::FrameForTheLog);
        self.to_log.push(frame::offset(frame), &header.encode(), write)?;
        self.to_log.push(frame::offset(frame) + frame::HEADER_SIZE as u64, image, write)?;
        // Readers do not look behind the last commit, so the entry need not
        // wait for it.
        let segment = medium.segment(index::segment_of(frame))?;
        index::append(&segment, frame, page).ok_or_else(|| {
            Error::new(Kind::Local, "the wal-index is damaged: its hash table is full")
        })?;
        self.checksum = header.checksum;
        self.appended += 1;
        Ok(())
    }

    /// Takes what a dead writer left behind the last commit out of the index.
    /// The segments after that one are cleared with their first entries.
    fn forget_remains(&self) -> Result<()> {
        let number = index::segment_of(self.header.max_frame + 1);
        index::forget_after(&self.medium.segment(number)?, number, self.header.max_frame);
        self.medium.passed(Step::RemainsForgotten);
        Ok(())
    }

    /// Writes the header of a new generation of the log, and syncs it, lest
    /// its first frames be on the disk before it (sqlite.org/src/info/ff5be73dee).
    /// What the old log held must be in the database before that; whoever
    /// copied it may have done so with `synchronous=OFF`.
    fn start_log(&mut self) -> Result<()> {
        let medium = &self.medium;
        medium.sync_database()?;
        medium.passed(Step::DatabaseSynced);
        let mut old = [0; header::SIZE];
        medium.read_log(&mut old, 0)?;
        let sequence = WalHeader::decode(&old).map_or(0, |(old, _)| old.sequence.wrapping_add(1));
        let order = WordOrder::NATIVE;
        let salt = next_salt(self.header.salt, medium.random());
        let (bytes, checksum) = WalHeader { order, sequence, salt }.encode();
        medium.write_log(&bytes, 0)?;
        medium.passed(Step::LogHeaderWritten);
        medium.sync_log()?;
        medium.passed(Step::LogHeaderSynced);
        self.header.order = order;
        self.header.salt = salt;
        self.header.frame_checksum = checksum;
        self.checksum = checksum;
        self.log_started = true;
        Ok(())
    }

    /// Makes everything visible at once: the pages written, `page_1` as the
    /// last of them, and the size of the database that it belongs to.
    ///
    /// `durable` makes it survive a power cut; otherwise it does after the
    /// next checkpoint.
    pub fn publish(mut self, page_1: &PageImage, size: u32, durable: bool) -> Result<()> {
        self.flush_file()?;
        self.flush_log()?;
        self.medium.passed(Step::FramesWritten);
        // Held back in `to_log`, which is empty and has room for it.
        self.append_frame(PageNo::FIRST, page_1, size)?;
        let next = IndexHeader {
            max_frame: self.header.max_frame + self.appended,
            frame_checksum: self.checksum,
            change: self.header.change.wrapping_add(1),
            pages: size,
            ..self.header
        };
        if self.wrote_file {
            // From here on the index is rebuilt from the log by whoever looks
            // at it first, should we not come to the end: a checkpoint that
            // cuts the file cannot come before that. Nor may we cut it.
            next.publish_half(&self.medium.segment(0)?);
            self.medium.barrier();
            self.keep_file = true;
            self.medium.passed(Step::IndexTorn);
        }
        self.flush_log()?;
        self.medium.passed(Step::CommitFrameWritten);
        publish(&self.medium, &next, Step::CommitBetweenHeaderCopies)?;
        self.keep_file = true;
        self.medium.passed(Step::CommitPublished);
        if durable {
            self.medium.sync_log()?;
            self.medium.passed(Step::CommitSynced);
        }
        Ok(())
    }

    fn flush_log(&mut self) -> Result<()> {
        let medium = &self.medium;
        self.to_log.flush(|bytes, at| medium.write_log(bytes, at))
    }

    /// Pages in the file must not be later on the disk than the commit that
    /// makes them part of the database.
    fn flush_file(&mut self) -> Result<()> {
        let medium = &self.medium;
        self.to_file.flush(|bytes, at| medium.write_database(bytes, at))?;
        if self.wrote_file {
            medium.passed(Step::FilePagesWritten);
            medium.sync_database()?;
            medium.passed(Step::FilePagesSynced);
        }
        Ok(())
    }
}

impl<M: Medium> Drop for Pending<M> {
    /// Pages that were written beyond the end of the file and not committed
    /// would be harmless there; they are cut off to leave no trace, while the
    /// locks are still held.
    fn drop(&mut self) {
        if self.wrote_file && !self.keep_file {
            let _ = self.medium.cut_database(self.file_size);
            self.medium.passed(Step::UndoneFileCut);
        }
    }
}

/// Makes `header` the one that readers see.
fn publish<M: Medium>(medium: &M, header: &IndexHeader, between: Step) -> Result<()> {
    let barrier = || {
        medium.barrier();
        medium.passed(between);
    };
    header.publish(&medium.segment(0)?, barrier);
    Ok(())
}

const _: () = assert!(frame::SIZE == frame::HEADER_SIZE + PAGE_SIZE);

#[cfg(test)]
#[path = "commit_tests.rs"]
mod tests;
