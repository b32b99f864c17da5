//! The wal-index of an open database: maps its segments as they are needed and
//! names the lock bytes.
//!
//! What the bytes mean is `wal/index.rs`'s business.

use std::cell::RefCell;

use crate::error::{Error, Kind, Result};
use crate::host::file::DatabaseFile;
use crate::units::PageNo;
use crate::wal::index::{self, IndexHeader, Segment, Unusable};

/// Lock bytes of the wal-index (walformat 2.3.1, offset 120).
pub const WRITE_LOCK: u8 = 0;
pub const CHECKPOINT_LOCK: u8 = 1;
/// `WAL_READ_LOCK(1)` to `WAL_READ_LOCK(4)`: readers that use the log.
pub const LOG_READERS: (u8, u8) = (4, 4);

pub struct WalIndex<'f> {
    file: DatabaseFile<'f>,
    segments: RefCell<Vec<Segment<'f>>>,
}

impl<'f> WalIndex<'f> {
    pub fn new(file: DatabaseFile<'f>) -> WalIndex<'f> {
        WalIndex { file, segments: RefCell::default() }
    }

    pub fn segment(&self, number: usize) -> Result<Segment<'f>> {
        let mut segments = self.segments.borrow_mut();
        while segments.len() <= number {
            let memory = self.file.shared_memory(segments.len())?;
            segments.push(Segment { words: memory.words(), slots: memory.half_words() });
        }
        Ok(segments[number])
    }

    /// The header; None where SQLite has to rebuild the index first.
    pub fn header(&self) -> Result<Option<IndexHeader>> {
        match IndexHeader::read(&self.segment(0)?, || self.file.barrier()) {
            Ok(header) => Ok(Some(header)),
            Err(Unusable::Torn) => Ok(None),
            Err(Unusable::Version(version)) => Err(Error::new(
                Kind::Local,
                format!(
                    "this SQLite's wal-index has version {version}: only {} is known",
                    index::VERSION
                ),
            )),
            Err(Unusable::PageSize) => Err(Error::new(
                Kind::NotAllowed,
                "the database has another page size than 4096 bytes",
            )),
        }
    }

    /// The last frame up to `last` that holds `page`.
    pub fn find(&self, page: PageNo, last: u32) -> Result<Option<u32>> {
        if last == 0 {
            return Ok(None);
        }
        for number in (0..=index::segment_of(last)).rev() {
            if let Some(frame) = index::find(&self.segment(number)?, number, page, last) {
                return Ok(Some(frame));
            }
        }
        Ok(None)
    }
}
