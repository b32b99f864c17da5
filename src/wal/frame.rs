//! One frame of the log: 24 bytes of header and a page (fileformat2 4.1).

use super::checksum::{Checksum, WordOrder};
use super::{Salt, be32};
use crate::units::{PAGE_SIZE, PageImage, PageNo};

/// Size of a frame header in bytes.
pub const HEADER_SIZE: usize = 24;

/// Size of a whole frame in bytes.
pub const SIZE: usize = HEADER_SIZE + PAGE_SIZE;

/// Byte offset of frame `frame` in the `-wal` file; the first is 1.
pub fn offset(frame: u32) -> u64 {
    super::header::SIZE as u64 + u64::from(frame.saturating_sub(1)) * SIZE as u64
}

/// What a frame header says; its checksum is looked at by [`FrameHeader::verify`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// Offset 0.
    pub page: PageNo,
    /// Offset 4: size of the database in pages after this commit, 0 for a
    /// frame that does not end a transaction.
    pub commit_size: u32,
    /// Offset 8.
    pub salt: Salt,
    /// Offset 16: over the WAL header, all frames before, the first 8 bytes of
    /// this header, and the page.
    pub checksum: Checksum,
}

impl FrameHeader {
    /// The header of the frame that holds `image`, going on from the checksum
    /// `before` of the frame before (or of the WAL header).
    pub fn new(
        page: PageNo,
        commit_size: u32,
        salt: Salt,
        image: &PageImage,
        before: Checksum,
        order: WordOrder,
    ) -> FrameHeader {
        let checksum = sum(page, commit_size, image, before, order);
        FrameHeader { page, commit_size, salt, checksum }
    }

    pub fn encode(&self) -> [u8; HEADER_SIZE] {
        let mut bytes = [0; HEADER_SIZE];
        bytes[0..4].copy_from_slice(&self.page.0.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.commit_size.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.salt);
        bytes[16..24].copy_from_slice(&self.checksum.to_bytes());
        bytes
    }

    pub fn decode(bytes: &[u8; HEADER_SIZE]) -> FrameHeader {
        let mut salt = [0; 8];
        salt.copy_from_slice(&bytes[8..16]);
        FrameHeader {
            page: PageNo(be32(bytes, 0)),
            commit_size: be32(bytes, 4),
            salt,
            checksum: Checksum::from_bytes(&bytes[16..]),
        }
    }

    /// Whether this frame belongs to the log with `salt` and continues it
    /// after `before` (fileformat2 4.1, the three conditions).
    pub fn verify(
        &self,
        salt: Salt,
        image: &PageImage,
        before: Checksum,
        order: WordOrder,
    ) -> bool {
        self.page.0 != 0
            && self.salt == salt
            && self.checksum == sum(self.page, self.commit_size, image, before, order)
    }
}

fn sum(
    page: PageNo,
    commit_size: u32,
    image: &PageImage,
    before: Checksum,
    order: WordOrder,
) -> Checksum {
    let mut head = [0; 8];
    head[0..4].copy_from_slice(&page.0.to_be_bytes());
    head[4..8].copy_from_slice(&commit_size.to_be_bytes());
    before.update(&head, order).update(image, order)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: Salt = [9; 8];
    const BEFORE: Checksum = Checksum { s0: 1, s1: 2 };

    fn frame(image: &PageImage) -> FrameHeader {
        FrameHeader::new(PageNo(7), 12, SALT, image, BEFORE, WordOrder::Big)
    }

    #[test]
    fn a_frame_is_valid_only_in_its_place_with_its_page() {
        let image = [0x5a; PAGE_SIZE];
        let header = FrameHeader::decode(&frame(&image).encode());
        assert_eq!(header, frame(&image));
        assert!(header.verify(SALT, &image, BEFORE, WordOrder::Big));

        let mut torn = image;
        torn[4095] ^= 1;
        assert!(!header.verify(SALT, &torn, BEFORE, WordOrder::Big), "torn page");
        assert!(!header.verify([8; 8], &image, BEFORE, WordOrder::Big), "older log");
        assert!(!header.verify(SALT, &image, header.checksum, WordOrder::Big), "other place");
        assert!(!header.verify(SALT, &image, BEFORE, WordOrder::Little), "other word order");
    }

    #[test]
    fn frames_lie_one_after_another_behind_the_header() {
        assert_eq!(offset(1), 32);
        assert_eq!(offset(2), 32 + 4120);
        assert_eq!(offset(u32::MAX), 32 + u64::from(u32::MAX - 1) * 4120);
    }
}
