//! One atomic change of the local file: pages go into the log behind what
//! readers see (or into the database file beyond what anyone reads), then one
//! publication makes them visible together with the new position.
//!
//! Locks and steps come in the order of SQLite's `wal.c`: WRITE first, as in
//! `sqlite3WalBeginWriteTransaction`; a restart of the log as in
//! `walRestartLog`, but under the CKPT lock as well, so that no checkpoint can
//! be under way (sqlite.org/wal.html#walresetbug); frames, index, header as in
//! `sqlite3WalFrames`. Nothing is synced for its own sake, as SQLite does it
//! with `synchronous=NORMAL`: a power cut may take the last commits, together
//! with the position that says so.
//!
//! Two steps differ from SQLite's, so that a writer may die between any two of
//! them. A restart forgets what was backfilled *before* it empties the log: the
//! other way round, a death in between leaves an empty log of which frames are
//! said to be in the database, and what is appended to it stays unseen. And a
//! commit that needs pages beyond the end of the database file tears the
//! wal-index *before* its frame is in the log: else a death in between leaves a
//! frame that only a recovery finds, after a checkpoint has cut those pages off.

use std::collections::HashMap;

use super::coalesce::Coalescer;
use super::wal_index::{CHECKPOINT_LOCK, LOG_READERS, WRITE_LOCK, WalIndex};
use crate::error::{Error, Kind, Result};
use crate::fault;
use crate::host::file::{DatabaseFile, SharedLock, WalFile};
use crate::host::{Connection, random_u32};
use crate::patience::Patience;
use crate::units::{PAGE_SIZE, PageImage, PageNo};
use crate::wal::checksum::{Checksum, WordOrder};
use crate::wal::frame::{self, FrameHeader};
use crate::wal::header::{self, WalHeader};
use crate::wal::index::{self, IndexHeader};
use crate::wal::next_salt;
use crate::wal::page1::{self, Owner, Stamp};

/// Where a page of this transaction went.
#[derive(Clone, Copy)]
enum Place {
    /// Frame of the log, not published yet.
    Frame(u32),
    /// The database file, beyond what anyone reads.
    File,
}

pub struct Draft<'f> {
    database: DatabaseFile<'f>,
    wal: WalFile<'f>,
    index: WalIndex<'f>,
    /// Nobody else appends or restarts the log.
    _write: SharedLock<'f>,
    /// Nobody copies the log or cuts the file; None if somebody was at it.
    checkpoint: Option<SharedLock<'f>>,
    /// The log as readers see it.
    header: IndexHeader,
    /// Whether the log's generation has its header in the file already.
    log_started: bool,
    /// Checksum of the last frame appended.
    checksum: Checksum,
    /// The page of each frame appended so far.
    appended: Vec<PageNo>,
    /// The first frame whose page was replaced after the frames behind it had
    /// been written, so that checksums from there on are wrong.
    stale_from: Option<u32>,
    places: HashMap<PageNo, Place>,
    log_run: Coalescer,
    file_run: Coalescer,
    /// Size of the database file in bytes before this transaction.
    file_size: u64,
    wrote_file: bool,
    /// The database's size in pages before this transaction.
    size: u32,
    /// Page 1 before this transaction.
    page_1: Box<PageImage>,
    stamp: Stamp,
    /// Whether a commit may need what was written beyond the end of the file.
    keep_file: bool,
}

impl<'f> Draft<'f> {
    /// Takes the locks and looks at what is there. `connection` must be in WAL
    /// mode, on a replica.
    pub fn begin(connection: &'f Connection, patience: &Patience) -> Result<Draft<'f>> {
        let mut transaction = Draft::begin_unstamped(connection, patience)?;
        match page1::owner(transaction.page_1.as_slice()) {
            Owner::Replica(stamp) => transaction.stamp = stamp,
            Owner::LaterVersion(version) => return Err(later_version(version)),
            Owner::Foreign => {
                return Err(Error::new(
                    Kind::NotAllowed,
                    "the file is no longer a replica; attach it again to see what it holds",
                ));
            }
        }
        Ok(transaction)
    }

    /// Like [`Draft::begin`] on a file that is to become a replica.
    pub fn begin_unstamped(connection: &'f Connection, patience: &Patience) -> Result<Draft<'f>> {
        let database = connection.database_file()?;
        if database.has_moved() {
            return Err(Error::new(
                Kind::NotAllowed,
                "the database file was moved, deleted or replaced while it was open; \
                 close the connection and open the file again",
            ));
        }
        let wal = connection.wal_file()?;
        let index = WalIndex::new(database);
        let (write, header) = lock_for_writing(connection, database, &index, patience)?;
        connection.check_locks(true)?;
        let mut transaction = Draft {
            checkpoint: database.try_lock(CHECKPOINT_LOCK, 1)?,
            file_size: database.size()?,
            checksum: header.frame_checksum,
            log_started: header.max_frame > 0,
            page_1: Box::new([0; PAGE_SIZE]),
            database,
            wal,
            index,
            _write: write,
            header,
            appended: Vec::new(),
            stale_from: None,
            places: HashMap::new(),
            log_run: Coalescer::default(),
            file_run: Coalescer::default(),
            wrote_file: false,
            size: 0,
            stamp: Stamp::default(),
            keep_file: false,
        };
        let mut page_1 = [0; PAGE_SIZE];
        transaction.read_committed(PageNo::FIRST, &mut page_1)?;
        *transaction.page_1 = page_1;
        transaction.size = match transaction.header.pages {
            // The log has never said: the database header does.
            0 => page1::size(&page_1),
            pages => pages,
        };
        transaction.restart_log_if_copied()?;
        Ok(transaction)
    }

    /// What page 1 said before this transaction.
    pub fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// Size of the database in pages before this transaction.
    pub fn size(&self) -> u32 {
        self.size
    }

    /// Page 1 before this transaction.
    pub fn page_1(&self) -> &PageImage {
        &self.page_1
    }

    /// Pages written so far.
    pub fn pages_written(&self) -> u64 {
        self.places.len() as u64
    }

    /// Writes a page other than 1, replacing an earlier image of it.
    pub fn write(&mut self, page: PageNo, image: &PageImage) -> Result<()> {
        match self.places.get(&page) {
            Some(Place::File) => self.write_to_file(page, image),
            Some(Place::Frame(frame)) => self.replace(*frame, image),
            None if self.nobody_reads(page)? => self.write_to_file(page, image),
            None => self.append(page, image, 0),
        }
    }

    /// Like [`Draft::write`], but leaves a page alone that readers see
    /// with this very content.
    pub fn write_if_changed(&mut self, page: PageNo, image: &PageImage) -> Result<()> {
        if page.0 <= self.size && !self.places.contains_key(&page) {
            let mut present = [0; PAGE_SIZE];
            self.read_committed(page, &mut present)?;
            if present == *image {
                return Ok(());
            }
        }
        self.write(page, image)
    }

    /// A page other than 1 as this transaction leaves it.
    pub fn read(&mut self, page: PageNo, image: &mut PageImage) -> Result<()> {
        let (database, wal) = (self.database, self.wal);
        match self.places.get(&page) {
            Some(Place::Frame(frame)) => {
                self.log_run.flush(|bytes, at| wal.write(bytes, at))?;
                wal.read(image, frame::offset(*frame) + frame::HEADER_SIZE as u64)
            }
            Some(Place::File) => {
                self.file_run.flush(|bytes, at| database.write(bytes, at))?;
                database.read(image, page.offset())
            }
            None => self.read_committed(page, image),
        }
    }

    /// Makes everything visible at once: the pages written, `page_1` as the
    /// last of them, and the size of the database that it belongs to.
    ///
    /// `durable` makes it survive a power cut; otherwise it does after the
    /// next checkpoint.
    pub fn publish(mut self, page_1: &PageImage, size: u32, durable: bool) -> Result<()> {
        let (database, wal) = (self.database, self.wal);
        self.file_run.flush(|bytes, at| database.write(bytes, at))?;
        if self.wrote_file {
            fault::point("file pages written");
            // These pages must not be later on the disk than the commit that
            // makes them part of the database.
            database.sync()?;
            fault::point("file pages synced");
        }
        self.repair_checksums()?;
        self.log_run.flush(|bytes, at| wal.write(bytes, at))?;
        fault::point("frames written");
        // Held back in `log_run`, which is empty and has room for it.
        self.append(PageNo::FIRST, page_1, size)?;
        let committed = self.header.max_frame;
        for (frame, page) in (committed + 1..).zip(&self.appended) {
            self.index.append(frame, *page, committed)?;
            fault::point("index entry added");
        }
        self.header.max_frame = committed + self.appended.len() as u32;
        self.header.frame_checksum = self.checksum;
        self.header.change = self.header.change.wrapping_add(1);
        self.header.pages = size;
        if self.wrote_file {
            // From here on the index is rebuilt from the log by whoever looks
            // at it first, should we not come to the end: a checkpoint that
            // cuts the file cannot come before that. Nor may we cut it.
            self.index.tear(&self.header)?;
            self.keep_file = true;
            fault::point("index torn");
        }
        self.log_run.flush(|bytes, at| wal.write(bytes, at))?;
        fault::point("commit frame written");
        self.index.publish(&self.header, "commit between header copies")?;
        fault::point("commit published");
        if durable {
            wal.sync()?;
            fault::point("commit synced");
        }
        Ok(())
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
            u64::from(self.size).max(self.file_size.div_ceil(PAGE_SIZE as u64))
        };
        Ok(self.checkpoint.is_some()
            && u64::from(page.0) > read_up_to
            && self.index.find(page, self.header.max_frame)?.is_none())
    }

    fn write_to_file(&mut self, page: PageNo, image: &PageImage) -> Result<()> {
        let database = self.database;
        self.wrote_file = true;
        self.places.insert(page, Place::File);
        fault::point("page for the file");
        self.file_run.push(page.offset(), image, |bytes, at| database.write(bytes, at))
    }

    fn append(&mut self, page: PageNo, image: &PageImage, commit_size: u32) -> Result<()> {
        if !self.log_started {
            self.start_log()?;
        }
        let frame = self.header.max_frame + self.appended.len() as u32 + 1;
        let (salt, order) = (self.header.salt, self.header.order);
        let header = FrameHeader::new(page, commit_size, salt, image, self.checksum, order);
        let wal = self.wal;
        let write = |bytes: &[u8], at| wal.write(bytes, at);
        fault::point("frame for the log");
        self.log_run.push(frame::offset(frame), &header.encode(), write)?;
        self.log_run.push(frame::offset(frame) + frame::HEADER_SIZE as u64, image, write)?;
        self.checksum = header.checksum;
        self.appended.push(page);
        self.places.insert(page, Place::Frame(frame));
        Ok(())
    }

    /// Overwrites the page of a frame that nobody sees yet.
    fn replace(&mut self, frame: u32, image: &PageImage) -> Result<()> {
        let wal = self.wal;
        self.log_run.flush(|bytes, at| wal.write(bytes, at))?;
        self.stale_from = Some(self.stale_from.map_or(frame, |stale| stale.min(frame)));
        fault::point("frame replaced");
        wal.write(image, frame::offset(frame) + frame::HEADER_SIZE as u64)
    }

    /// Makes the checksums right again from the first replaced frame on
    /// (`walRewriteChecksums`).
    fn repair_checksums(&mut self) -> Result<()> {
        let Some(stale) = self.stale_from.take() else { return Ok(()) };
        let wal = self.wal;
        self.log_run.flush(|bytes, at| wal.write(bytes, at))?;
        self.checksum = if stale == self.header.max_frame + 1 {
            self.header.frame_checksum
        } else {
            self.read_frame_header(stale - 1)?.checksum
        };
        let last = self.header.max_frame + self.appended.len() as u32;
        let mut image = [0; PAGE_SIZE];
        for frame in stale..=last {
            let at = frame::offset(frame);
            wal.read(&mut image, at + frame::HEADER_SIZE as u64)?;
            let page = self.appended[(frame - self.header.max_frame - 1) as usize];
            let (salt, order) = (self.header.salt, self.header.order);
            let header = FrameHeader::new(page, 0, salt, &image, self.checksum, order);
            wal.write(&header.encode(), at)?;
            fault::point("checksum repaired");
            self.checksum = header.checksum;
        }
        Ok(())
    }

    fn read_frame_header(&self, frame: u32) -> Result<FrameHeader> {
        let mut bytes = [0; frame::HEADER_SIZE];
        self.wal.read(&mut bytes, frame::offset(frame))?;
        Ok(FrameHeader::decode(&bytes))
    }

    /// The page as readers see it.
    fn read_committed(&self, page: PageNo, image: &mut PageImage) -> Result<()> {
        match self.index.find(page, self.header.max_frame)? {
            Some(frame) => self.wal.read(image, frame::offset(frame) + frame::HEADER_SIZE as u64),
            None => self.database.read(image, page.offset()),
        }
    }

    /// Begins the log again at its start if all of it is in the database and
    /// no reader uses it, or it would grow for ever (`walRestartLog`).
    fn restart_log_if_copied(&mut self) -> Result<()> {
        let first = self.index.segment(0)?;
        let copied = self.header.max_frame > 0
            && index::backfilled(&first) == self.header.max_frame
            && self.checkpoint.is_some();
        if !copied {
            return Ok(());
        }
        let (from, count) = LOG_READERS;
        let Some(_no_readers) = self.database.try_lock(from, count)? else { return Ok(()) };
        fault::point("restart locked");
        index::reset_checkpoint_info(&first);
        self.database.barrier();
        fault::point("restart backfill forgotten");
        self.header.max_frame = 0;
        self.header.salt = next_salt(self.header.salt, random_u32());
        self.index.publish(&self.header, "restart between header copies")?;
        fault::point("restart published");
        self.log_started = false;
        Ok(())
    }

    /// Writes the header of a new generation of the log, and syncs it, lest
    /// its first frames be on the disk before it (sqlite.org/src/info/ff5be73dee).
    fn start_log(&mut self) -> Result<()> {
        let mut old = [0; header::SIZE];
        self.wal.read(&mut old, 0)?;
        let sequence = WalHeader::decode(&old).map_or(0, |(old, _)| old.sequence.wrapping_add(1));
        let order = WordOrder::NATIVE;
        let salt = next_salt(self.header.salt, random_u32());
        let (bytes, checksum) = WalHeader { order, sequence, salt }.encode();
        self.wal.write(&bytes, 0)?;
        fault::point("log header written");
        self.wal.sync()?;
        fault::point("log header synced");
        self.header.order = order;
        self.header.salt = salt;
        self.header.frame_checksum = checksum;
        self.checksum = checksum;
        self.log_started = true;
        Ok(())
    }
}

impl Drop for Draft<'_> {
    /// Pages that were written beyond the end of the file and not committed
    /// would be harmless there; they are cut off to leave no trace. The CKPT
    /// lock is still held, and nobody reads that far.
    fn drop(&mut self) {
        if self.wrote_file && !self.keep_file {
            let _ = self.database.truncate(self.file_size);
            fault::point("undone file cut");
        }
    }
}

/// Waits for the WRITE lock, and for an index that can be read.
fn lock_for_writing<'f>(
    connection: &'f Connection,
    database: DatabaseFile<'f>,
    index: &WalIndex<'f>,
    patience: &Patience,
) -> Result<(SharedLock<'f>, IndexHeader)> {
    let mut deadline = patience.deadline();
    loop {
        if let Some(write) = database.try_lock(WRITE_LOCK, 1)? {
            fault::point("write lock taken");
            if let Some(header) = index.header()? {
                return Ok((write, header));
            }
            // A writer died half-way. SQLite rebuilds the index, for which it
            // needs the lock itself.
            drop(write);
            match connection.read_something() {
                Err(error) if error.kind() == Kind::Busy => {}
                read => read?,
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

/// The file was made by a version of this extension that knows more.
pub fn later_version(version: u8) -> Error {
    Error::new(
        Kind::NotAllowed,
        format!("the file is a replica of a later format ({version}): update this extension"),
    )
}
