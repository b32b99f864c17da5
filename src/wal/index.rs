//! The wal-index: where a page was last written in the log (walformat.html
//! section 2; fileformat2 4.5 and 4.6).
//!
//! It lives in memory shared with other processes, so it is seen here as
//! slices of atomics: a torn read is impossible, and the caller supplies the
//! barriers and locks. Numbers are in the machine's own byte order.

use std::sync::atomic::{AtomicU16, AtomicU32, Ordering::Relaxed};

use super::Salt;
use super::checksum::{Checksum, WordOrder};
use crate::units::{PAGE_SIZE, PageNo};

/// Bytes of one segment of the wal-index (walformat 2.2).
pub const SEGMENT_SIZE: usize = 32 * 1024;

/// Words before the hash slots of a segment: 16 KiB.
pub const SEGMENT_WORDS: usize = SEGMENT_SIZE / 2 / 4;

/// Hash slots of a segment, twice as many as frames, so probing always ends.
pub const SEGMENT_SLOTS: usize = SEGMENT_SIZE / 2 / 2;

/// Words at the start of the first segment that are not page numbers: two
/// copies of the header (48 bytes each) and the checkpoint information (40).
const HEADER_WORDS: usize = 136 / 4;

/// Frames that the first segment has room for: 4062.
const FIRST_FRAMES: u32 = (SEGMENT_WORDS - HEADER_WORDS) as u32;

/// Frames that each later segment has room for: 4096.
const FRAMES: u32 = SEGMENT_WORDS as u32;

/// Version of the wal-index that we read and write (walformat 2.1, offset 0).
pub const VERSION: u32 = 3_007_000;

/// Value of a read mark that no reader uses (walformat 2.1).
const READ_MARK_UNUSED: u32 = 0xffff_ffff;

/// Words of one copy of the header: 48 bytes.
const COPY_WORDS: usize = 12;

/// Word offsets of the checkpoint information (walformat 2.1, offsets 96, 100
/// and 128).
const BACKFILL: usize = 24;
const READ_MARKS: usize = 25;
const BACKFILL_ATTEMPTED: usize = 32;

/// One 32 KiB segment: page numbers by frame (behind the header in the first
/// segment), then hash slots.
#[derive(Clone, Copy)]
pub struct Segment<'m> {
    pub words: &'m [AtomicU32; SEGMENT_WORDS],
    pub slots: &'m [AtomicU16; SEGMENT_SLOTS],
}

/// The memory of one segment: what is read and stored here one number at a
/// time, so that a test can stop between any two stores.
pub trait Cells {
    fn word(&self, at: usize) -> u32;
    fn set_word(&self, at: usize, value: u32);
    fn slot(&self, at: usize) -> u16;
    fn set_slot(&self, at: usize, value: u16);
}

impl Cells for Segment<'_> {
    fn word(&self, at: usize) -> u32 {
        self.words[at].load(Relaxed)
    }

    fn set_word(&self, at: usize, value: u32) {
        self.words[at].store(value, Relaxed);
    }

    fn slot(&self, at: usize) -> u16 {
        self.slots[at].load(Relaxed)
    }

    fn set_slot(&self, at: usize, value: u16) {
        self.slots[at].store(value, Relaxed);
    }
}

/// One copy of the wal-index header (walformat 2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexHeader {
    /// Offset 8: counted up with every commit.
    pub change: u32,
    /// Offset 13: word order of the log's checksums.
    pub order: WordOrder,
    /// Offset 16: number of the last committed frame, 0 for an empty log.
    pub max_frame: u32,
    /// Offset 20: size of the database in pages; 0 if the log never said.
    pub pages: u32,
    /// Offset 24: checksum of frame `max_frame`.
    pub frame_checksum: Checksum,
    /// Offset 32.
    pub salt: Salt,
}

/// Why a header cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// The copies differ or the checksum is wrong: a writer died half-way, or
    /// nobody has made the index yet. SQLite rebuilds it at the next read.
    Torn,
    /// Written by a SQLite whose wal-index we do not know.
    Version(u32),
    /// The log has pages of another size than 4096 bytes.
    PageSize,
}

impl IndexHeader {
    /// The header that both copies agree on. `barrier` orders the two reads.
    pub fn read(first: &impl Cells, barrier: impl Fn()) -> Result<IndexHeader, Unusable> {
        let copy = load_copy(first, 0);
        barrier();
        if copy != load_copy(first, COPY_WORDS) {
            return Err(Unusable::Torn);
        }
        decode(&copy)
    }

    /// Makes this header the one that readers see: second copy, barrier, first
    /// copy, which is the order of `walIndexWriteHdr`; a reader takes them the
    /// other way round.
    pub fn publish(&self, first: &impl Cells, barrier: impl Fn()) {
        let copy = self.encode();
        store_copy(first, COPY_WORDS, &copy);
        barrier();
        store_copy(first, 0, &copy);
    }

    /// Only the second copy: readers find the two different until the first
    /// follows, and rebuild the index if its writer died.
    pub fn publish_half(&self, first: &impl Cells) {
        store_copy(first, COPY_WORDS, &self.encode());
    }

    fn encode(&self) -> [u32; COPY_WORDS] {
        let salt = |at: usize| {
            u32::from_ne_bytes([
                self.salt[at],
                self.salt[at + 1],
                self.salt[at + 2],
                self.salt[at + 3],
            ])
        };
        let size = (PAGE_SIZE as u16).to_ne_bytes();
        let mut copy = [0; COPY_WORDS];
        copy[0] = VERSION;
        copy[2] = self.change;
        // Bytes 12 to 15: isInit, bigEndCksum, szPage.
        copy[3] = u32::from_ne_bytes([1, u8::from(self.order == WordOrder::Big), size[0], size[1]]);
        copy[4] = self.max_frame;
        copy[5] = self.pages;
        copy[6] = self.frame_checksum.s0;
        copy[7] = self.frame_checksum.s1;
        copy[8] = salt(0);
        copy[9] = salt(4);
        let sum = header_checksum(&copy);
        copy[10] = sum.s0;
        copy[11] = sum.s1;
        copy
    }
}

fn decode(copy: &[u32; COPY_WORDS]) -> Result<IndexHeader, Unusable> {
    let [is_init, big_endian, size_0, size_1] = copy[3].to_ne_bytes();
    let sum = header_checksum(copy);
    if is_init == 0 || copy[10] != sum.s0 || copy[11] != sum.s1 {
        return Err(Unusable::Torn);
    }
    if copy[0] != VERSION {
        return Err(Unusable::Version(copy[0]));
    }
    let page_size = usize::from(u16::from_ne_bytes([size_0, size_1]));
    // 0 is what SQLite leaves while the log is still empty.
    if page_size != PAGE_SIZE && (copy[4] != 0 || page_size != 0) {
        return Err(Unusable::PageSize);
    }
    let mut salt = [0; 8];
    salt[..4].copy_from_slice(&copy[8].to_ne_bytes());
    salt[4..].copy_from_slice(&copy[9].to_ne_bytes());
    Ok(IndexHeader {
        change: copy[2],
        order: if big_endian != 0 { WordOrder::Big } else { WordOrder::Little },
        max_frame: copy[4],
        pages: copy[5],
        frame_checksum: Checksum { s0: copy[6], s1: copy[7] },
        salt,
    })
}

/// Offset 40: over the 40 bytes before it, in native words.
fn header_checksum(copy: &[u32; COPY_WORDS]) -> Checksum {
    let mut bytes = [0; 40];
    for (to, word) in bytes.chunks_exact_mut(4).zip(copy) {
        to.copy_from_slice(&word.to_ne_bytes());
    }
    Checksum::default().update(&bytes, WordOrder::NATIVE)
}

fn load_copy(first: &impl Cells, at: usize) -> [u32; COPY_WORDS] {
    std::array::from_fn(|i| first.word(at + i))
}

fn store_copy(first: &impl Cells, at: usize, copy: &[u32; COPY_WORDS]) {
    for (i, word) in copy.iter().enumerate() {
        first.set_word(at + i, *word);
    }
}

/// How many frames a checkpoint has copied into the database file.
pub fn backfilled(first: &impl Cells) -> u32 {
    first.word(BACKFILL)
}

/// Says that nothing of the log is in the database file. The read marks stay:
/// a reader may be using one.
pub fn forget_backfill(first: &impl Cells) {
    first.set_word(BACKFILL, 0);
    first.set_word(BACKFILL_ATTEMPTED, 0);
}

/// What `walRestartHdr` does to the checkpoint information: nothing backfilled,
/// mark 1 at the start of the log, marks 2 to 4 free. True of any log that
/// nobody reads, also before it is restarted.
pub fn reset_checkpoint_info(first: &impl Cells) {
    forget_backfill(first);
    first.set_word(READ_MARKS + 1, 0);
    for mark in 2..5 {
        first.set_word(READ_MARKS + mark, READ_MARK_UNUSED);
    }
}

/// Number of the segment that holds frame `frame` (which is at least 1).
pub fn segment_of(frame: u32) -> usize {
    ((frame + FRAMES - FIRST_FRAMES - 1) / FRAMES) as usize
}

/// Number of the last frame before segment `segment`.
fn frames_before(segment: usize) -> u32 {
    match segment {
        0 => 0,
        later => FIRST_FRAMES + (later as u32 - 1) * FRAMES,
    }
}

/// Frames that segment `segment` has room for.
fn room_in(segment: usize) -> usize {
    (if segment == 0 { FIRST_FRAMES } else { FRAMES }) as usize
}

/// Word that holds the page number of the frame at `place`, which is at least
/// 1, in its segment.
fn word_of(segment: usize, place: usize) -> usize {
    place - 1 + if segment == 0 { HEADER_WORDS } else { 0 }
}

/// Slots in the order they are tried for `page` (walformat 2.3).
fn probe(page: PageNo) -> impl Iterator<Item = usize> {
    let first = page.0.wrapping_mul(383) as usize;
    (0..SEGMENT_SLOTS).map(move |step| (first + step) % SEGMENT_SLOTS)
}

/// Enters frame `frame`, which holds `page`, into its segment. Entries of
/// later frames must have been cleared by [`forget_after`].
///
/// None if the hash table is full, which only a damaged index can be.
pub fn append(segment: &impl Cells, frame: u32, page: PageNo) -> Option<()> {
    let number = segment_of(frame);
    let place = (frame - frames_before(number)) as usize;
    if place == 1 {
        forget_places(segment, number, 0);
    }
    let slot = probe(page).find(|slot| segment.slot(*slot) == 0)?;
    segment.set_word(word_of(number, place), page.0);
    segment.set_slot(slot, place as u16);
    Some(())
}

/// Clears what segment `number` says of frames after `last`: the remains of a
/// writer that died.
pub fn forget_after(segment: &impl Cells, number: usize, last: u32) {
    let kept = last.saturating_sub(frames_before(number)) as usize;
    forget_places(segment, number, kept.min(room_in(number)));
}

/// Slots first and page numbers after them, the last ones first: a writer
/// finds out by the page number behind the last frame that there is something
/// to clear (`walCleanupHash`), so that one must be the last to go.
fn forget_places(segment: &impl Cells, number: usize, kept: usize) {
    for slot in 0..SEGMENT_SLOTS {
        if usize::from(segment.slot(slot)) > kept {
            segment.set_slot(slot, 0);
        }
    }
    for place in (kept + 1..=room_in(number)).rev() {
        let word = word_of(number, place);
        if segment.word(word) != 0 {
            segment.set_word(word, 0);
        }
    }
}

/// The last frame of this segment, not after `last`, that holds `page`.
pub fn find(segment: &impl Cells, number: usize, page: PageNo, last: u32) -> Option<u32> {
    let before = frames_before(number);
    let mut found = None;
    for slot in probe(page) {
        let place = usize::from(segment.slot(slot));
        if place == 0 {
            break;
        }
        let frame = before + place as u32;
        let is_entry = place <= room_in(number);
        if frame <= last && is_entry && segment.word(word_of(number, place)) == page.0 {
            found = found.max(Some(frame));
        }
    }
    found
}

#[cfg(test)]
#[path = "index_tests.rs"]
mod tests;
