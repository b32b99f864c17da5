//! The units that cross module borders, each a type of its own so that a page
//! number is never taken for a frame number.
//!
//! This module holds no behaviour beyond that.

/// Size of a database page in bytes. sqld serves no other size, and a replica
/// is created with this one.
pub const PAGE_SIZE: usize = 4096;

/// What options and texts call a MB.
pub const MB: usize = 1024 * 1024;

/// One page of the database, as the primary holds it.
pub type PageImage = [u8; PAGE_SIZE];

/// Number of a database page; the first is 1, 0 is not a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageNo(pub u32);

impl PageNo {
    /// The page that holds the database header.
    pub const FIRST: PageNo = PageNo(1);

    /// The page that contains the lock bytes (fileformat2 1.4). SQLite never
    /// reads or writes it, so neither do we.
    pub const LOCK: PageNo = PageNo((0x4000_0000 / PAGE_SIZE as u32) + 1);

    /// Byte offset of this page in the database file.
    pub fn offset(self) -> u64 {
        (u64::from(self.0) - 1) * PAGE_SIZE as u64
    }
}

/// Number of a frame in the primary's replication log; the first is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FrameNo(pub u64);

impl FrameNo {
    /// The frame after this one: what a pull asks for next.
    pub fn next(self) -> FrameNo {
        FrameNo(self.0 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// fileformat2 1.4: bytes 2^30 to 2^30 + 511 lie in this page.
    #[test]
    fn the_lock_page_is_the_one_at_a_gibibyte_and_pages_go_on_behind_it() {
        assert_eq!(PageNo::LOCK, PageNo(262_145));
        assert_eq!(PageNo::LOCK.offset(), 1 << 30);
        assert_eq!(PageNo(262_146).offset(), (1 << 30) + 4096);
        assert_eq!(PageNo(u32::MAX).offset(), (u64::from(u32::MAX) - 1) * 4096);
    }
}
