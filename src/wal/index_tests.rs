//! Behaviour of the wal-index over memory of our own.

use std::sync::atomic::Ordering::Relaxed;

use super::*;

struct Memory {
    words: Box<[AtomicU32; SEGMENT_WORDS]>,
    slots: Box<[AtomicU16; SEGMENT_SLOTS]>,
}

impl Memory {
    fn new() -> Memory {
        Memory {
            words: Box::new(std::array::from_fn(|_| AtomicU32::new(0))),
            slots: Box::new(std::array::from_fn(|_| AtomicU16::new(0))),
        }
    }

    fn segment(&self) -> Segment<'_> {
        Segment { words: &self.words, slots: &self.slots }
    }
}

const HEADER: IndexHeader = IndexHeader {
    change: 5,
    order: WordOrder::Little,
    max_frame: 77,
    pages: 12,
    frame_checksum: Checksum { s0: 1, s1: 2 },
    salt: [1, 2, 3, 4, 5, 6, 7, 8],
};

#[test]
fn a_published_header_is_read_back() {
    let memory = Memory::new();
    assert_eq!(IndexHeader::read(&memory.segment(), || ()), Err(Unusable::Torn), "never made");
    for order in [WordOrder::Little, WordOrder::Big] {
        let header = IndexHeader { order, ..HEADER };
        header.publish(&memory.segment(), || ());
        assert_eq!(IndexHeader::read(&memory.segment(), || ()), Ok(header));
    }
}

#[test]
fn a_writer_that_dies_between_the_copies_leaves_a_torn_header() {
    let memory = Memory::new();
    HEADER.publish(&memory.segment(), || ());
    IndexHeader { max_frame: 78, ..HEADER }.publish_half(&memory.segment());
    assert_eq!(IndexHeader::read(&memory.segment(), || ()), Err(Unusable::Torn));
}

#[test]
fn a_change_of_any_word_in_both_copies_is_noticed() {
    for word in 0..COPY_WORDS {
        let memory = Memory::new();
        HEADER.publish(&memory.segment(), || ());
        for copy in [word, word + COPY_WORDS] {
            memory.words[copy].fetch_xor(0x0100_0000, Relaxed);
        }
        assert!(IndexHeader::read(&memory.segment(), || ()).is_err(), "word {word}");
    }
}

#[test]
fn segments_hold_4062_frames_and_then_4096_each() {
    assert_eq!((segment_of(1), segment_of(4062)), (0, 0));
    assert_eq!((segment_of(4063), segment_of(4062 + 4096)), (1, 1));
    assert_eq!(segment_of(4063 + 4096), 2);
    assert_eq!((frames_before(0), frames_before(1), frames_before(2)), (0, 4062, 8158));
}

#[test]
fn the_last_frame_of_a_page_is_found_up_to_a_limit() {
    let memory = Memory::new();
    let segment = memory.segment();
    for (frame, page) in [(1, 5), (2, 9), (3, 5), (4, 5 + SEGMENT_SLOTS as u32)] {
        append(&segment, frame, PageNo(page)).unwrap();
    }
    assert_eq!(find(&segment, 0, PageNo(5), 4), Some(3));
    assert_eq!(find(&segment, 0, PageNo(5), 2), Some(1));
    assert_eq!(find(&segment, 0, PageNo(9), 1), None);
    assert_eq!(find(&segment, 0, PageNo(5 + SEGMENT_SLOTS as u32), 4), Some(4), "same hash");
    assert_eq!(find(&segment, 0, PageNo(6), 4), None);
}

#[test]
fn what_a_dead_writer_left_behind_the_last_commit_is_forgotten() {
    let memory = Memory::new();
    let segment = memory.segment();
    for frame in 1..=10 {
        append(&segment, frame, PageNo(100 + frame)).unwrap();
    }
    forget_after(&segment, 0, 3);
    append(&segment, 4, PageNo(200)).unwrap();
    assert_eq!(find(&segment, 0, PageNo(103), 10), Some(3));
    assert_eq!(find(&segment, 0, PageNo(200), 10), Some(4));
    for dead in 4..=10 {
        assert_eq!(find(&segment, 0, PageNo(100 + dead), 10), None, "frame {dead}");
    }
}

/// Whoever dies while clearing leaves a part of the remains; whoever comes
/// next must neither find them nor lose an entry of its own over them.
#[test]
fn remains_in_any_order_hide_nothing() {
    for left in 0_u32..1 << 6 {
        let memory = Memory::new();
        let segment = memory.segment();
        for frame in 1..=10 {
            append(&segment, frame, PageNo(100 + frame)).unwrap();
        }
        for place in 5..=10 {
            if left & 1 << (place - 5) == 0 {
                segment.set_word(word_of(0, place), 0);
            }
        }
        forget_after(&segment, 0, 4);
        append(&segment, 5, PageNo(205)).unwrap();
        append(&segment, 6, PageNo(206)).unwrap();
        assert_eq!(find(&segment, 0, PageNo(205), 6), Some(5));
        assert_eq!(find(&segment, 0, PageNo(206), 6), Some(6));
        for frame in 1..=10 {
            let found = find(&segment, 0, PageNo(100 + frame), 10);
            assert_eq!(found, (frame <= 4).then_some(frame), "{left:b}");
        }
    }
}

#[test]
fn a_full_segment_finds_every_page_and_a_new_first_entry_clears_it() {
    let memory = Memory::new();
    let segment = memory.segment();
    for place in 1..=4096 {
        append(&segment, 4062 + place, PageNo(place * 7)).unwrap();
    }
    for place in 1..=4096 {
        assert_eq!(find(&segment, 1, PageNo(place * 7), u32::MAX), Some(4062 + place));
    }
    append(&segment, 4063, PageNo(1)).unwrap();
    assert_eq!(find(&segment, 1, PageNo(7), u32::MAX), None);
    assert_eq!(find(&segment, 1, PageNo(1), u32::MAX), Some(4063));
}

#[test]
fn a_damaged_index_neither_panics_nor_loops() {
    let memory = Memory::new();
    memory.slots.iter().for_each(|slot| slot.store(u16::MAX, Relaxed));
    let segment = memory.segment();
    assert_eq!(find(&segment, 0, PageNo(5), u32::MAX), None);
    assert_eq!(append(&segment, 2, PageNo(5)), None);
}

#[test]
fn restarting_frees_the_read_marks() {
    let memory = Memory::new();
    memory.words[BACKFILL].store(77, Relaxed);
    reset_checkpoint_info(&memory.segment());
    assert_eq!(backfilled(&memory.segment()), 0);
    let marks: Vec<u32> = (0..5).map(|i| memory.words[READ_MARKS + i].load(Relaxed)).collect();
    assert_eq!(marks, [0, 0, u32::MAX, u32::MAX, u32::MAX]);
}
