//! One atomic change of the local file, under its locks: what `wal/commit.rs`
//! does step by step, for a replica.
//!
//! Locks come in the order of SQLite's `wal.c`: WRITE first, as in
//! `sqlite3WalBeginWriteTransaction`, then CKPT by a try only, so that nobody
//! waits for us while we wait for him.

use super::medium::HostFiles;
use super::page_set::PageSet;
use super::wal_index::{CHECKPOINT_LOCK, LOG_READERS, WRITE_LOCK, WalIndex};
use crate::error::{Error, Kind, Result};
use crate::fault;
use crate::host::Connection;
use crate::host::file::SharedLock;
use crate::patience::Patience;
use crate::units::{PAGE_SIZE, PageImage, PageNo};
use crate::wal::commit::{self, Backfill, Pending};
use crate::wal::index::IndexHeader;
use crate::wal::page1::{self, Owner, Stamp};

pub struct Draft<'f> {
    /// Before the locks, so that it is dropped while they are held.
    pending: Pending<HostFiles<'f>>,
    locks: Locks<'f>,
    /// Pages that went into the database file.
    in_file: PageSet,
    pages_written: u64,
    /// The database's size in pages before this change.
    size: u32,
    /// Page 1 before this change.
    page_1: Box<PageImage>,
    stamp: Stamp,
}

struct Locks<'f> {
    /// Nobody else appends or restarts the log.
    _write: SharedLock<'f>,
    /// Nobody copies the log or cuts the file; None if somebody was at it.
    checkpoint: Option<SharedLock<'f>>,
}

impl<'f> Draft<'f> {
    /// Takes the locks and looks at what is there. `connection` must be in WAL
    /// mode, on a replica.
    pub fn begin(connection: &'f Connection, patience: &Patience) -> Result<Draft<'f>> {
        let mut draft = Draft::begin_unstamped(connection, patience)?;
        match page1::owner(draft.page_1.as_slice()) {
            Owner::Replica(stamp) => draft.stamp = stamp,
            Owner::LaterVersion(version) => return Err(later_version(version)),
            Owner::Foreign => return Err(no_replica_any_more()),
        }
        Ok(draft)
    }

    /// Like [`Draft::begin`] on a file that is to become a replica.
    pub fn begin_unstamped(connection: &'f Connection, patience: &Patience) -> Result<Draft<'f>> {
        let database = connection.database_file()?;
        if database.has_moved() {
            return Err(moved());
        }
        let wal = connection.wal_file()?;
        let files = HostFiles { database, wal, index: WalIndex::new(database) };
        let (locks, header) = lock_for_writing(connection, &files, patience)?;
        let mut pending = Pending::begin(files, header)?;
        let mut page_1 = Box::new([0; PAGE_SIZE]);
        pending.read_committed(PageNo::FIRST, &mut page_1)?;
        let size = match header.pages {
            // The log has never said: the database header does.
            0 => page1::size(&*page_1),
            pages => pages,
        };
        if locks.checkpoint.is_some() && pending.is_copied()? {
            let (from, count) = LOG_READERS;
            if let Some(_no_readers) = database.try_lock(from, count)? {
                fault::point("restart locked");
                pending.restart()?;
            }
        }
        let (in_file, stamp) = (PageSet::default(), Stamp::default());
        Ok(Draft { pending, locks, in_file, pages_written: 0, size, page_1, stamp })
    }

    /// What page 1 said before this change.
    pub fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// Size of the database in pages before this change.
    pub fn size(&self) -> u32 {
        self.size
    }

    /// Page 1 before this change.
    pub fn page_1(&self) -> &PageImage {
        &self.page_1
    }

    /// Pages written so far.
    pub fn pages_written(&self) -> u64 {
        self.pages_written
    }

    /// Whether all pages but the first go into the database file, in their
    /// places, however often they come.
    pub fn is_direct(&self) -> bool {
        self.locks.checkpoint.is_some() && self.stamp == Stamp::default()
    }

    /// Writes a page other than 1. An image that went into the log stays there
    /// if another one follows, so that each page should come once.
    pub fn write(&mut self, page: PageNo, image: &PageImage) -> Result<()> {
        if !self.nobody_reads(page)? {
            self.pages_written += 1;
            return self.pending.append(page, image);
        }
        self.pages_written += u64::from(self.in_file.insert(page));
        self.pending.write_to_file(page, image)
    }

    /// Like [`Draft::write`], but leaves a page alone that readers see with
    /// this very content.
    pub fn write_if_changed(&mut self, page: PageNo, image: &PageImage) -> Result<()> {
        if page.0 <= self.size {
            let mut present = [0; PAGE_SIZE];
            self.pending.read_committed(page, &mut present)?;
            if present == *image {
                return Ok(());
            }
        }
        self.write(page, image)
    }

    /// A page other than 1 as this change leaves it.
    pub fn read(&mut self, page: PageNo, image: &mut PageImage) -> Result<()> {
        self.pending.read(page, image)
    }

    /// Makes everything visible at once: the pages written, `page_1` as the
    /// last of them, and the size of the database that it belongs to.
    ///
    /// `durable` makes it survive a power cut; otherwise it does after the
    /// next checkpoint.
    pub fn publish(self, page_1: &PageImage, size: u32, durable: bool) -> Result<()> {
        let Draft { pending, locks, .. } = self;
        let published = pending.publish(page_1, size, durable);
        drop(locks);
        published
    }

    /// Whether `page` may be written straight into the database file: no
    /// checkpoint is under way, no reader's state reaches that far, and the
    /// log has no older image that would hide it.
    fn nobody_reads(&self, page: PageNo) -> Result<bool> {
        let read_up_to = if self.stamp == Stamp::default() {
            // Before the first sync no state was ever longer than one page,
            // whatever an interrupted one has left behind it.
            1
        } else {
            u64::from(self.size).max(self.pending.file_size().div_ceil(PAGE_SIZE as u64))
        };
        Ok(self.locks.checkpoint.is_some()
            && u64::from(page.0) > read_up_to
            && self.pending.committed_frame(page)?.is_none())
    }
}

/// Waits for the WRITE lock, and for an index that can be read and says nothing
/// impossible.
fn lock_for_writing<'f>(
    connection: &'f Connection,
    files: &HostFiles<'f>,
    patience: &Patience,
) -> Result<(Locks<'f>, IndexHeader)> {
    let mut deadline = patience.deadline();
    loop {
        if let Some(write) = files.database.try_lock(WRITE_LOCK, 1)? {
            fault::point("write lock taken");
            connection.check_locks(true)?;
            match usable_header(files, write)? {
                Found::Usable(locks, header) => return Ok((locks, header)),
                Found::Disturbed => {}
                // SQLite rebuilds it, for which it needs the locks itself.
                Found::Torn => match connection.read_something() {
                    Err(error) if error.kind() == Kind::Busy => {}
                    read => read?,
                },
            }
        }
        if !deadline.pause()? {
            let text = format!(
                "the local database is locked: another process has been writing it for {} s; \
                 try again or raise busy_timeout",
                patience.timeout.as_secs_f64()
            );
            return Err(Error::new(Kind::Busy, text));
        }
    }
}

/// What a look at the wal-index found. Only in the first case locks are held.
enum Found<'f> {
    Usable(Locks<'f>, IndexHeader),
    /// A checkpoint may be under way.
    Disturbed,
    /// A writer died half-way.
    Torn,
}

fn usable_header<'f>(files: &HostFiles<'f>, write: SharedLock<'f>) -> Result<Found<'f>> {
    let Some(header) = files.index.header()? else { return Ok(Found::Torn) };
    let checkpoint = files.database.try_lock(CHECKPOINT_LOCK, 1)?;
    Ok(match commit::mend_backfill(files, &header, checkpoint.is_some())? {
        Backfill::Sound => Found::Usable(Locks { _write: write, checkpoint }, header),
        Backfill::Disturbed => Found::Disturbed,
        Backfill::Torn => Found::Torn,
    })
}

/// The file was made by a version of this extension that knows more.
pub fn later_version(version: u8) -> Error {
    Error::new(
        Kind::NotAllowed,
        format!("the file is a replica of a later format ({version}): update this extension"),
    )
}

/// Somebody promoted it, or put another file into its place.
pub fn no_replica_any_more() -> Error {
    Error::new(
        Kind::NotAllowed,
        "the file is no longer a replica; attach it again to see what it holds",
    )
}

/// The path leads to another file than the one that is open.
pub fn moved() -> Error {
    Error::new(
        Kind::NotAllowed,
        "the database file was moved, deleted or replaced while it was open; close the connection \
         and open the file again",
    )
}
