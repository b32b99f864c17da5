//! What our part of bringing a page into the file costs: decoding it from the
//! reply, its checksum, its entry in the index; beside a copy of the page.
//!
//! `cargo bench --bench apply`. Plain timing: medians of many rounds, and the
//! ratio to `memcpy`, which is what carries over between machines.

use std::hint::black_box;
use std::sync::atomic::{AtomicU16, AtomicU32};
use std::time::Instant;

use replica::proto::grpc_web;
use replica::proto::sqld_log::{FrameReader, Shape};
use replica::units::{PAGE_SIZE, PageImage, PageNo};
use replica::wal::checksum::{Checksum, WordOrder};
use replica::wal::frame::FrameHeader;
use replica::wal::index::{self, SEGMENT_SLOTS, SEGMENT_WORDS, Segment};

const PAGES: usize = 1000;
const ROUNDS: usize = 51;

/// Nanoseconds a page, median of the rounds.
fn measure(mut round: impl FnMut()) -> f64 {
    let mut times: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            round();
            start.elapsed().as_nanos() as f64 / PAGES as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[ROUNDS / 2]
}

/// The reply of a batch with `PAGES` frames.
fn reply(image: &PageImage) -> Vec<u8> {
    let mut frames = Vec::new();
    for number in 0..PAGES as u64 {
        let mut data = number.to_le_bytes().to_vec();
        data.extend([0; 8]);
        data.extend((number as u32 + 1).to_le_bytes());
        data.extend([0; 4]);
        data.extend_from_slice(image);
        // Frame { 1: data } within Frames { 1: frame }; both lengths take two
        // bytes as varints.
        let varint = |n: usize| [(n & 0x7f) as u8 | 0x80, (n >> 7) as u8];
        frames.push(0x0a);
        frames.extend(varint(data.len() + 3));
        frames.push(0x0a);
        frames.extend(varint(data.len()));
        frames.extend(data);
    }
    grpc_web::request(&frames)
}

fn main() {
    let image: PageImage = std::array::from_fn(|i| (i * 31) as u8);
    let pages = vec![image; PAGES];
    let mut copy = vec![[0_u8; PAGE_SIZE]; PAGES];
    let memcpy = measure(|| {
        copy.copy_from_slice(black_box(&pages));
        black_box(&copy);
    });

    let reply = reply(&image);
    let decode = measure(|| {
        let mut reader = FrameReader::new(Shape::Batch);
        let mut seen = 0;
        for chunk in black_box(&reply).chunks(128 * 1024) {
            let fed = reader.feed(chunk, &mut |frame| {
                seen += u64::from(frame.image[7]);
                Ok(())
            });
            assert_eq!(fed, Ok(()));
        }
        black_box(seen);
    });

    let checksum = measure(|| {
        let mut before = Checksum::default();
        for (i, page) in black_box(&pages).iter().enumerate() {
            let number = PageNo(i as u32 + 1);
            before = FrameHeader::new(number, 0, [7; 8], page, before, WordOrder::NATIVE).checksum;
        }
        black_box(before);
    });

    let words: Box<[AtomicU32; SEGMENT_WORDS]> =
        Box::new(std::array::from_fn(|_| AtomicU32::new(0)));
    let slots: Box<[AtomicU16; SEGMENT_SLOTS]> =
        Box::new(std::array::from_fn(|_| AtomicU16::new(0)));
    let segment = Segment { words: &words, slots: &slots };
    let indexing = measure(|| {
        for frame in 1..=PAGES as u32 {
            index::append(&segment, frame, PageNo(frame * 13));
        }
    });

    println!("{:<28} {:>8} {:>8}", "a page of 4096 bytes", "ns", "memcpy");
    for (name, time) in [
        ("memcpy", memcpy),
        ("decode from the reply", decode),
        ("checksum of the frame", checksum),
        ("entry in the wal-index", indexing),
        ("all of it", decode + checksum + indexing),
    ] {
        println!("{name:<28} {time:>8.0} {:>8.2}", time / memcpy);
    }
}
