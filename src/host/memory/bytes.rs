//! The bytes of one file in memory, in pieces that are given back one by one.
//!
//! Each piece is a mapping of its own: what comes from the allocator's heap
//! would often stay with the process after a large log was cut. Holes take no
//! memory, and where there is none left, a write fails and changes nothing.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::atomic::{AtomicUsize, Ordering};

use memmap2::MmapMut;

/// Size of a piece.
const PIECE: usize = 1 << 20;

/// What is left to everybody else: Rust's own collections, and many a host, end
/// the process where they get no memory, so databases are to fail before.
const HEADROOM: usize = 16 << 20;

/// How much may be taken before somebody looks again whether that is left: a
/// look costs as much as a small sync has to spare.
const UNWATCHED: usize = HEADROOM / 4;

/// There is no memory for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfMemory;

/// A file's content.
#[derive(Default)]
pub struct Bytes {
    /// The piece that begins at this multiple of [`PIECE`]; none is a hole.
    pieces: BTreeMap<u64, MmapMut>,
    size: u64,
}

impl Bytes {
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Fills `buffer` from offset `at` on, with zeros past the end; whether
    /// all of it lay before the end.
    pub fn read(&self, buffer: &mut [u8], at: u64) -> bool {
        let there = usize::try_from(self.size.saturating_sub(at)).unwrap_or(usize::MAX);
        let (inside, past) = buffer.split_at_mut(there.min(buffer.len()));
        past.fill(0);
        let mut done = 0;
        while done < inside.len() {
            let (number, start) = place(at + done as u64);
            let length = (PIECE - start).min(inside.len() - done);
            let part = &mut inside[done..done + length];
            match self.pieces.get(&number) {
                Some(piece) => part.copy_from_slice(&piece[start..start + length]),
                None => part.fill(0),
            }
            done += length;
        }
        past.is_empty()
    }

    /// Writes all of `bytes` at offset `at`, or nothing.
    pub fn write(&mut self, bytes: &[u8], at: u64) -> Result<(), OutOfMemory> {
        let end = at.checked_add(bytes.len() as u64).ok_or(OutOfMemory)?;
        let Some(last) = end.checked_sub(1).filter(|_| !bytes.is_empty()) else { return Ok(()) };
        for number in place(at).0..=place(last).0 {
            if let Entry::Vacant(hole) = self.pieces.entry(number) {
                hole.insert(new_piece()?);
            }
        }
        let mut done = 0;
        while done < bytes.len() {
            let (number, start) = place(at + done as u64);
            let length = (PIECE - start).min(bytes.len() - done);
            if let Some(piece) = self.pieces.get_mut(&number) {
                piece[start..start + length].copy_from_slice(&bytes[done..done + length]);
            }
            done += length;
        }
        self.size = self.size.max(end);
        Ok(())
    }

    /// Cuts the file, or lets it end further on: what is new reads as zeros.
    pub fn truncate(&mut self, size: u64) {
        if size < self.size {
            let (number, start) = place(size);
            let beyond = self.pieces.split_off(&if start == 0 { number } else { number + 1 });
            drop(beyond);
            if let Some(piece) = self.pieces.get_mut(&number) {
                // Only as far as anything was ever written: the rest is zero,
                // and a touch would take memory for it.
                let used = usize::try_from(self.size - number * PIECE as u64).unwrap_or(PIECE);
                piece[start..used.min(PIECE)].fill(0);
            }
        }
        self.size = size;
    }
}

/// The piece that offset `at` is in, and where in it.
fn place(at: u64) -> (u64, usize) {
    (at / PIECE as u64, (at % PIECE as u64) as usize)
}

fn new_piece() -> Result<MmapMut, OutOfMemory> {
    #[cfg(test)]
    tests::count_down()?;
    zeros(PIECE)
}

/// Memory that is given back as a whole, and taken for what is touched only.
pub fn zeros(size: usize) -> Result<MmapMut, OutOfMemory> {
    /// Taken since the last look, by all threads.
    static TAKEN: AtomicUsize = AtomicUsize::new(UNWATCHED);
    if TAKEN.fetch_add(size, Ordering::Relaxed).saturating_add(size) > UNWATCHED {
        leave_some()?;
        TAKEN.store(0, Ordering::Relaxed);
    }
    MmapMut::map_anon(size).map_err(|_| OutOfMemory)
}

/// Fails where the rest of the process would soon have no memory.
pub fn leave_some() -> Result<(), OutOfMemory> {
    MmapMut::map_anon(HEADROOM).map(drop).map_err(|_| OutOfMemory)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        /// How many more pieces this thread gets.
        static LEFT: Cell<usize> = const { Cell::new(usize::MAX) };
    }

    pub fn count_down() -> Result<(), OutOfMemory> {
        let left = LEFT.get();
        LEFT.set(left.saturating_sub(1));
        if left == 0 { Err(OutOfMemory) } else { Ok(()) }
    }

    fn read(bytes: &Bytes, length: usize, at: u64) -> (Vec<u8>, bool) {
        let mut buffer = vec![0xaa; length];
        let whole = bytes.read(&mut buffer, at);
        (buffer, whole)
    }

    #[test]
    fn what_is_written_is_read_across_pieces() {
        let mut bytes = Bytes::default();
        let text: Vec<u8> = (0..3 * PIECE).map(|i| (i % 251) as u8).collect();
        bytes.write(&text, PIECE as u64 - 7).unwrap();
        assert_eq!(bytes.size(), (4 * PIECE - 7) as u64);
        assert_eq!(read(&bytes, text.len(), PIECE as u64 - 7), (text, true));
        assert_eq!(read(&bytes, 5, 100), (vec![0; 5], true), "a hole reads as zeros");
    }

    #[test]
    fn a_read_past_the_end_is_short_and_filled_with_zeros() {
        let mut bytes = Bytes::default();
        bytes.write(b"abc", 10).unwrap();
        assert_eq!(read(&bytes, 6, 11), (b"bc\0\0\0\0".to_vec(), false));
        assert_eq!(read(&bytes, 2, u64::MAX - 5), (vec![0, 0], false));
    }

    #[test]
    fn a_hole_of_terabytes_takes_no_memory() {
        let mut bytes = Bytes::default();
        bytes.write(b"x", 16 << 40).unwrap();
        assert_eq!(bytes.pieces.len(), 1);
        assert_eq!(bytes.size(), (16 << 40) + 1);
        assert_eq!(bytes.write(b"x", u64::MAX), Err(OutOfMemory));
    }

    #[test]
    fn what_was_cut_off_is_given_back_and_does_not_come_back() {
        let mut bytes = Bytes::default();
        bytes.write(&vec![7; 5 * PIECE], 0).unwrap();
        bytes.truncate(PIECE as u64 + 3);
        assert_eq!(bytes.pieces.len(), 2);
        bytes.truncate(2 * PIECE as u64);
        assert_eq!(read(&bytes, 5, PIECE as u64), (vec![7, 7, 7, 0, 0], true));
        bytes.truncate(PIECE as u64);
        assert_eq!(bytes.pieces.len(), 1);
        bytes.truncate(0);
        assert_eq!((bytes.pieces.len(), bytes.size()), (0, 0));
    }

    #[test]
    fn a_write_without_memory_changes_nothing_that_can_be_seen() {
        for pieces in 0..3 {
            let mut bytes = Bytes::default();
            bytes.write(&vec![1; PIECE], 0).unwrap();
            LEFT.set(pieces);
            assert_eq!(bytes.write(&vec![2; 3 * PIECE + 1], PIECE as u64 - 1), Err(OutOfMemory));
            LEFT.set(usize::MAX);
            assert_eq!(bytes.size(), PIECE as u64);
            assert_eq!(read(&bytes, 1, PIECE as u64 - 1), (vec![1], true));
        }
    }
}
