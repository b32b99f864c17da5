//! SQLite's write-ahead log, wal-index and database header as pure functions
//! over bytes (sqlite.org/fileformat2.html section 4, walformat.html).
//!
//! Nothing here opens a file, takes a lock or reads a clock: `store/` does that
//! through `host/` and asks this module what the bytes mean.

pub mod checksum;
pub mod coalesce;
pub mod commit;
pub mod frame;
pub mod header;
pub mod index;
pub mod medium;
#[cfg(test)]
mod memory_model;
pub mod page1;

/// Names one generation of the log: salt-1 and salt-2 as they stand in the WAL
/// header and in each frame (fileformat2 4.1: offsets 16 and 20).
pub type Salt = [u8; 8];

/// The salt that a restarted log gets: salt-1 plus one, salt-2 at random, so
/// that no frame of the old generation is taken for one of the new
/// (fileformat2 4.4).
pub fn next_salt(salt: Salt, random: u32) -> Salt {
    let first = u32::from_be_bytes([salt[0], salt[1], salt[2], salt[3]]).wrapping_add(1);
    let mut next = [0; 8];
    next[..4].copy_from_slice(&first.to_be_bytes());
    next[4..].copy_from_slice(&random.to_be_bytes());
    next
}

/// Four bytes of `bytes` at `at`, big-endian: how all numbers in database and
/// WAL headers are stored.
fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restarted_log_counts_the_first_salt_up_even_past_its_end() {
        assert_eq!(next_salt([0, 0, 0, 7, 1, 1, 1, 1], 0x01020304), [0, 0, 0, 8, 1, 2, 3, 4]);
        assert_eq!(next_salt([0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0], 5), [0, 0, 0, 0, 0, 0, 0, 5]);
    }
}
