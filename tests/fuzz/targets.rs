// Everything that reads bytes of a primary or of a file that somebody else may
// have written. Each takes any bytes; a panic is the only failure, besides what
// it asserts itself. Used by `tests/fuzz.rs` and by cargo-fuzz.

use std::sync::atomic::{AtomicU16, AtomicU32};

use replica::primary::Endpoint;
use replica::proto::grpc_web::{Decoder, Status};
use replica::proto::hrana::{self, Encoding, Request};
use replica::proto::sqld_log::{self, FrameReader, Shape};
use replica::proto::turso::{Part, Reader};
use replica::schema::{rewrite, tree};
use replica::sqltext::script::cut;
use replica::sqltext::statement::Statement;
use replica::sqltext::value::Value;
use replica::surface::options::{ATTACH, SYNC, parse};
use replica::units::PageNo;
use replica::wal::frame::FrameHeader;
use replica::wal::header::WalHeader;
use replica::wal::index::{self, IndexHeader, SEGMENT_SLOTS, SEGMENT_WORDS, Segment};
use replica::wal::page1;

pub type Target = fn(&[u8]);

pub const ALL: &[(&str, Target)] = &[
    ("grpc_web", grpc_web),
    ("frames", frames),
    ("hello", hello),
    ("hrana_json", hrana_json),
    ("hrana_protobuf", hrana_protobuf),
    ("schema", schema),
    ("text", text),
    ("turso", turso),
    ("wal", wal),
    ("wal_index", wal_index),
];

/// The first byte says how the rest is cut into pieces.
fn pieces(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (length, rest) = bytes.split_first().map_or((1, bytes), |(first, rest)| (*first, rest));
    rest.chunks(usize::from(length).max(1) * 7)
}

fn grpc_web(bytes: &[u8]) {
    let mut decoder = Decoder::default();
    for mut piece in pieces(bytes) {
        while let Ok(Some(_)) = decoder.next(&mut piece) {}
    }
}

/// However the answer is cut, the same frames come out.
fn frames(bytes: &[u8]) {
    for shape in [Shape::Batch, Shape::Stream] {
        let read = |pieces: &mut dyn Iterator<Item = &[u8]>| {
            let (mut reader, mut seen) = (FrameReader::new(shape), Vec::new());
            for piece in pieces {
                let fed = reader.feed(piece, &mut |frame| {
                    assert_ne!(frame.page.0, 0);
                    seen.push((frame.frame_no, frame.page, frame.size_after));
                    Ok(())
                });
                if fed.is_err() {
                    break;
                }
            }
            seen
        };
        let whole = bytes.get(1..).unwrap_or_default();
        assert_eq!(read(&mut pieces(bytes)), read(&mut [whole].into_iter()));
    }
}

/// However the answer is cut, the same parts come out, until one is wrong.
fn turso(bytes: &[u8]) {
    let read = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let (mut reader, mut seen) = (Reader::default(), Vec::new());
        for mut piece in pieces {
            loop {
                match reader.advance(&mut piece) {
                    Ok(Some(Part::Header(header))) => seen.push(format!("{header:?}")),
                    Ok(Some(Part::Page(page))) => {
                        assert_ne!(page.0, 0);
                        reader.image().expect("a part that was given has its image");
                        seen.push(format!("{page:?}"));
                    }
                    Ok(None) => break,
                    Err(_) => return (seen, None),
                }
            }
        }
        (seen, Some(reader.is_complete()))
    };
    let whole = bytes.get(1..).unwrap_or_default();
    assert_eq!(read(&mut pieces(bytes)), read(&mut [whole].into_iter()));
}

fn hello(bytes: &[u8]) {
    let _ = sqld_log::hello(bytes);
}

fn answers(encoding: Encoding, bytes: &[u8]) {
    let statement = |sql: &str| Statement { sql: sql.to_owned(), args: vec![Value::Null] };
    let two = [statement("INSERT INTO t VALUES (?)"), statement("SELECT 1")];
    let requests: [&[Request<'_>]; 5] = [
        &[Request::Execute(&two[0]), Request::Close],
        &[Request::Transaction(&two), Request::Close],
        &[Request::Begin("IMMEDIATE"), Request::Inside(&two)],
        &[Request::Query { statement: &two[1], alone: true }],
        &[Request::Commit, Request::Close],
    ];
    for requests in requests {
        if let Ok(Some(answer)) = hrana::answer(encoding, bytes, requests, 1 << 20) {
            assert_eq!(answer.results.len(), requests.len());
        }
    }
}

fn hrana_json(bytes: &[u8]) {
    answers(Encoding::Json, bytes);
}

fn hrana_protobuf(bytes: &[u8]) {
    answers(Encoding::Protobuf, bytes);
}

fn text(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let _ = parse(ATTACH, &text);
    let _ = parse(SYNC, &text);
    let _ = Status::parse(&text, &text);
    let _ = cut(&text, |_| true);
    if let Ok(mut endpoint) = Endpoint::parse(&text) {
        let token = endpoint.take_token();
        let shown = endpoint.to_string();
        // A token of some length does not hide in what is shown by accident.
        if let Some(token) = token.filter(|token| token.len() > 12) {
            assert!(!shown.contains(&*token), "{shown}");
        }
        assert!(Endpoint::parse(&shown).is_ok(), "{shown}");
    }
}

/// Pages of `sqlite_schema` that hold anything at all: what is written in the
/// place of a text is as long, and lies within pages that were read.
fn schema(bytes: &[u8]) {
    let page = |number: u32| {
        let mut image = Box::new([0_u8; 4096]);
        let from = (number as usize - 1) * 1024;
        for (to, byte) in image.iter_mut().zip(bytes.get(from..).unwrap_or_default()) {
            *to = *byte;
        }
        image
    };
    let size = (bytes.len() as u32 / 1024).max(1);
    let read = tree::read(size, &mut |number| {
        assert!(number.0 >= 1 && number.0 <= size);
        Ok(page(number.0))
    });
    let Ok(Some(schema)) = read else { return };
    for entry in &schema.entries {
        let has_function = |name: &str| name.len() % 2 == 0;
        let _ = rewrite::notes(entry, &has_function);
        for sql in [rewrite::rewrite(entry, &has_function), rewrite::give_up(entry)] {
            let Some(sql) = sql else { continue };
            assert_eq!(Some(sql.len()), entry.sql.as_ref().map(String::len));
            let edits = entry.edits(&sql);
            assert_eq!(edits.iter().map(|edit| edit.bytes.len()).sum::<usize>(), sql.len());
            for edit in edits {
                assert!(edit.at + edit.bytes.len() <= 4096 && schema.pages.contains(&edit.page));
            }
        }
    }
}

fn wal(bytes: &[u8]) {
    let _ = page1::owner(bytes);
    if let Some(head) = bytes.first_chunk()
        && let Some((header, checksum)) = WalHeader::decode(head)
    {
        assert_eq!(header.encode(), (*head, checksum));
    }
    if let Some(header) = bytes.first_chunk() {
        let header = FrameHeader::decode(header);
        assert_eq!(header.encode(), *bytes.first_chunk().expect("24 bytes"));
    }
    let mut page = [0; 4096];
    for (to, from) in page.iter_mut().zip(bytes) {
        *to = *from;
    }
    let _ = (page1::refuse(&page, 9), page1::is_empty(&page));
    let stamp = match page1::owner(&page) {
        page1::Owner::Replica(stamp) => stamp,
        _ => page1::Stamp::default(),
    };
    page1::restamp(&mut page, &stamp, 7);
    page1::promote(&mut page);
    assert!(page1::owner(&page) == page1::Owner::Foreign);
}

/// A wal-index that holds anything at all: looking never ends up outside of it
/// and always ends.
fn wal_index(bytes: &[u8]) {
    let byte = |at: usize| bytes.get(at % bytes.len().max(1)).copied().unwrap_or(0);
    let words: Box<[AtomicU32; SEGMENT_WORDS]> = Box::new(std::array::from_fn(|i| {
        AtomicU32::new(u32::from_le_bytes([byte(i * 4), byte(i * 4 + 1), byte(i * 4 + 2), byte(i)]))
    }));
    let slots: Box<[AtomicU16; SEGMENT_SLOTS]> = Box::new(std::array::from_fn(|i| {
        AtomicU16::new(u16::from_le_bytes([byte(i * 3), byte(i * 5 + 1)]))
    }));
    let segment = Segment { words: &words, slots: &slots };
    let _ = IndexHeader::read(&segment, || ());
    for number in [0, 1] {
        for page in [1, u32::from(byte(7)), u32::MAX] {
            let found = index::find(&segment, number, PageNo(page), 5000);
            assert!(found.is_none_or(|frame| frame <= 5000));
        }
    }
    for frame in [1, 2, 4062, 4063, 5000] {
        let committed = u32::from(byte(9)) * 20;
        index::forget_after(&segment, index::segment_of(frame), committed.min(frame - 1));
        let _ = index::append(&segment, frame, PageNo(u32::from(byte(3)) + 1));
    }
}
