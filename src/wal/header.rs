//! The 32 bytes at the start of a `-wal` file (fileformat2 4.1).

use super::checksum::{Checksum, WordOrder};
use super::{Salt, be32};
use crate::units::PAGE_SIZE;

/// Size of the header in bytes.
pub const SIZE: usize = 32;

/// Offset 0: magic number; its low bit is set when checksums read big-endian
/// words.
const MAGIC: u32 = 0x377f_0682;

/// Offset 4: the only file format version there is.
pub const VERSION: u32 = 3_007_000;

/// What a WAL header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalHeader {
    /// Offset 0, low bit.
    pub order: WordOrder,
    /// Offset 12: how often the log was restarted; for people only.
    pub sequence: u32,
    /// Offset 16.
    pub salt: Salt,
}

impl WalHeader {
    /// The bytes of this header, and the checksum that the first frame goes on
    /// from.
    pub fn encode(&self) -> ([u8; SIZE], Checksum) {
        let mut bytes = [0; SIZE];
        let magic = MAGIC | u32::from(self.order == WordOrder::Big);
        bytes[0..4].copy_from_slice(&magic.to_be_bytes());
        bytes[4..8].copy_from_slice(&VERSION.to_be_bytes());
        bytes[8..12].copy_from_slice(&(PAGE_SIZE as u32).to_be_bytes());
        bytes[12..16].copy_from_slice(&self.sequence.to_be_bytes());
        bytes[16..24].copy_from_slice(&self.salt);
        let checksum = Checksum::default().update(&bytes[..24], self.order);
        bytes[24..32].copy_from_slice(&checksum.to_bytes());
        (bytes, checksum)
    }

    /// The header in `bytes` with its checksum, or None where SQLite would not
    /// take the log either: wrong magic, version, page size or checksum.
    pub fn decode(bytes: &[u8; SIZE]) -> Option<(WalHeader, Checksum)> {
        let order = match be32(bytes, 0) {
            MAGIC => WordOrder::Little,
            magic if magic == MAGIC | 1 => WordOrder::Big,
            _ => return None,
        };
        let checksum = Checksum::default().update(&bytes[..24], order);
        let valid = be32(bytes, 4) == VERSION
            && be32(bytes, 8) == PAGE_SIZE as u32
            && Checksum::from_bytes(&bytes[24..]) == checksum;
        let mut salt = [0; 8];
        salt.copy_from_slice(&bytes[16..24]);
        valid.then(|| (WalHeader { order, sequence: be32(bytes, 12), salt }, checksum))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: WalHeader =
        WalHeader { order: WordOrder::Little, sequence: 3, salt: [1, 2, 3, 4, 5, 6, 7, 8] };

    #[test]
    fn a_header_comes_back_as_it_went_in_for_both_word_orders() {
        for order in [WordOrder::Little, WordOrder::Big] {
            let header = WalHeader { order, ..HEADER };
            let (bytes, checksum) = header.encode();
            assert_eq!(WalHeader::decode(&bytes), Some((header, checksum)));
        }
    }

    #[test]
    fn a_change_of_any_byte_is_noticed() {
        let (bytes, _) = HEADER.encode();
        for at in 0..SIZE {
            let mut damaged = bytes;
            damaged[at] ^= 0x10;
            assert_eq!(WalHeader::decode(&damaged), None, "byte {at}");
        }
    }
}
