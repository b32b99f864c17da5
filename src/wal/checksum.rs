//! The cumulative checksum of WAL headers, frames and the wal-index header
//! (fileformat2 4.2).

/// How the 32-bit words that go into a checksum are read. The low bit of the
/// WAL's magic number says which one a log uses; a writer takes its machine's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WordOrder {
    Little,
    Big,
}

impl WordOrder {
    /// The order of this machine, which a new log gets.
    pub const NATIVE: WordOrder =
        if cfg!(target_endian = "big") { WordOrder::Big } else { WordOrder::Little };
}

/// The running sums s0 and s1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checksum {
    pub s0: u32,
    pub s1: u32,
}

impl Checksum {
    /// Goes on over `bytes`, of which there must be a multiple of 8; a rest is
    /// not looked at (no structure of the format has one).
    pub fn update(self, bytes: &[u8], order: WordOrder) -> Checksum {
        match order {
            WordOrder::Little => self.run(bytes, u32::from_le_bytes),
            WordOrder::Big => self.run(bytes, u32::from_be_bytes),
        }
    }

    #[inline(always)]
    fn run(self, bytes: &[u8], word: impl Fn([u8; 4]) -> u32) -> Checksum {
        let Checksum { mut s0, mut s1 } = self;
        for pair in bytes.chunks_exact(8) {
            s0 = s0.wrapping_add(word([pair[0], pair[1], pair[2], pair[3]])).wrapping_add(s1);
            s1 = s1.wrapping_add(word([pair[4], pair[5], pair[6], pair[7]])).wrapping_add(s0);
        }
        Checksum { s0, s1 }
    }

    /// As it is stored in WAL headers and frames: big-endian, whatever the
    /// order of the words.
    pub fn to_bytes(self) -> [u8; 8] {
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(&self.s0.to_be_bytes());
        bytes[4..].copy_from_slice(&self.s1.to_be_bytes());
        bytes
    }

    /// Reads what [`Checksum::to_bytes`] wrote, from the first 8 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Checksum {
        Checksum { s0: super::be32(bytes, 0), s1: super::be32(bytes, 4) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_word_orders_follow_the_recurrence_of_the_format() {
        let bytes = [1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0];
        // s0 = 1, s1 = 2+1; s0 = 1+3+3, s1 = 3+4+7.
        assert_eq!(
            Checksum::default().update(&bytes, WordOrder::Little),
            Checksum { s0: 7, s1: 14 }
        );
        let swapped: Vec<u8> =
            bytes.chunks(4).flat_map(|word| word.iter().rev().copied()).collect();
        assert_eq!(
            Checksum::default().update(&swapped, WordOrder::Big),
            Checksum { s0: 7, s1: 14 }
        );
    }

    #[test]
    fn it_can_be_continued_at_any_multiple_of_eight() {
        let bytes: Vec<u8> = (0..64).map(|byte| byte * 3).collect();
        let whole = Checksum::default().update(&bytes, WordOrder::Big);
        let parts = Checksum::default()
            .update(&bytes[..24], WordOrder::Big)
            .update(&bytes[24..], WordOrder::Big);
        assert_eq!(whole, parts);
        assert_eq!(Checksum::from_bytes(&whole.to_bytes()), whole);
    }
}
