//! The host's open files as a medium for commits.

use super::wal_index::WalIndex;
use crate::error::Result;
use crate::fault;
use crate::host::file::{DatabaseFile, WalFile};
use crate::host::random_u32;
use crate::wal::index::{Cells, Segment};
use crate::wal::medium::{Medium, Step};

pub struct HostFiles<'f> {
    pub database: DatabaseFile<'f>,
    pub wal: WalFile<'f>,
    pub index: WalIndex<'f>,
}

impl<'f> Medium for HostFiles<'f> {
    type Segment = SharedSegment<'f>;

    fn read_log(&self, bytes: &mut [u8], at: u64) -> Result<()> {
        self.wal.read(bytes, at)
    }

    fn write_log(&self, bytes: &[u8], at: u64) -> Result<()> {
        self.wal.write(bytes, at)
    }

    fn sync_log(&self) -> Result<()> {
        self.wal.sync()
    }

    fn read_database(&self, bytes: &mut [u8], at: u64) -> Result<()> {
        self.database.read(bytes, at)
    }

    fn write_database(&self, bytes: &[u8], at: u64) -> Result<()> {
        self.database.write(bytes, at)
    }

    fn sync_database(&self) -> Result<()> {
        self.database.sync()
    }

    fn cut_database(&self, size: u64) -> Result<()> {
        self.database.truncate(size)
    }

    fn database_size(&self) -> Result<u64> {
        self.database.size()
    }

    fn segment(&self, number: usize) -> Result<SharedSegment<'f>> {
        self.index.segment(number).map(SharedSegment)
    }

    fn barrier(&self) {
        self.database.barrier();
    }

    fn random(&self) -> u32 {
        random_u32()
    }

    fn passed(&self, step: Step) {
        fault::point(step.name());
    }
}

/// A segment in which each store is a place to die behind.
pub struct SharedSegment<'f>(Segment<'f>);

impl Cells for SharedSegment<'_> {
    fn word(&self, at: usize) -> u32 {
        self.0.word(at)
    }

    fn set_word(&self, at: usize, value: u32) {
        self.0.set_word(at, value);
        fault::point("wal-index stored");
    }

    fn slot(&self, at: usize) -> u16 {
        self.0.slot(at)
    }

    fn set_slot(&self, at: usize, value: u16) {
        self.0.set_slot(at, value);
        fault::point("wal-index stored");
    }
}
