//! Answers whole, in pieces, cut off and damaged.

use super::*;

fn delimited(message: &impl Message) -> Vec<u8> {
    message.encode_length_delimited_to_vec()
}

fn head(revision: &str, size: u64) -> PullUpdatesHeader {
    PullUpdatesHeader {
        server_revision: revision.to_owned(),
        db_size: size,
        raw_encoding: Some(Nothing {}),
        ..PullUpdatesHeader::default()
    }
}

fn page(id: u64, byte: u8) -> PageData {
    PageData { page_id: id, encoded_page: vec![byte; PAGE_SIZE] }
}

fn answer() -> Vec<u8> {
    [delimited(&head("7", 300)), delimited(&page(0, 1)), delimited(&page(299, 2))].concat()
}

/// What an answer holds, fed in pieces of this many bytes.
fn read(answer: &[u8], piece: usize) -> Result<(Vec<String>, bool)> {
    let mut reader = Reader::default();
    let mut parts = Vec::new();
    for piece in answer.chunks(piece.max(1)) {
        let mut input = piece;
        while let Some(part) = reader.advance(&mut input)? {
            parts.push(match part {
                Part::Header(header) => format!("{}/{}", header.revision, header.size),
                Part::Page(page) => format!("{}={}", page.0, reader.image()?[PAGE_SIZE - 1]),
            });
        }
    }
    Ok((parts, reader.is_complete()))
}

fn error(answer: &[u8]) -> String {
    let error = read(answer, answer.len()).unwrap_err();
    assert_eq!(error.kind(), Kind::Protocol);
    error.to_string()
}

#[test]
fn an_answer_reads_the_same_in_pieces_of_any_size() {
    let answer = answer();
    let expected = (vec!["7/300".to_owned(), "1=1".to_owned(), "300=2".to_owned()], true);
    for piece in [1, 2, 3, 7, 100, 4095, 4096, 4109, 4110, 4111, answer.len()] {
        assert_eq!(read(&answer, piece).unwrap(), expected, "{piece}");
    }
}

#[test]
fn an_answer_cut_at_any_byte_is_not_taken_for_a_longer_one() {
    let answer = answer();
    let first = delimited(&head("7", 300)).len();
    let borders = [first, first + delimited(&page(0, 1)).len()];
    for cut in 0..answer.len() {
        let (parts, complete) = read(&answer[..cut], 1000).unwrap();
        let whole = borders.iter().filter(|border| **border <= cut).count();
        assert_eq!(parts.len(), whole, "{cut}");
        assert_eq!(complete, borders.contains(&cut), "{cut}");
    }
}

#[test]
fn absurd_lengths_are_refused_before_they_are_waited_for() {
    for length in [
        &[0xff, 0xff, 0xff, 0xff, 0x0f][..],
        &[0xff; 10],
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
        &[0x81, 0x80, 0x04],
    ] {
        assert!(error(length).contains("length"), "{length:?}");
        // One byte at a time, too.
        assert!(read(length, 1).is_err(), "{length:?}");
    }
    let mut long = delimited(&head("7", 300));
    long.extend([0xff, 0xff, 0x03]);
    assert!(error(&long).contains("absurd length"));
}

#[test]
fn what_is_not_a_message_is_refused() {
    for garbage in [&[3, 0x0a, 0xff, 0x00][..], &[2, 0x07, 0x07], &[1, 0x0a], &[2, 0x0a, 0x01]] {
        assert!(error(garbage).contains("cannot be used"), "{garbage:?}");
    }
    let bad_page = [delimited(&head("7", 300)), vec![2, 0x07, 0x07]].concat();
    assert!(error(&bad_page).contains("cannot be used"));
}

#[test]
fn headers_that_cannot_be_meant_say_why() {
    let with = |change: fn(&mut PullUpdatesHeader)| {
        let mut header = head("7", 300);
        change(&mut header);
        error(&delimited(&header))
    };
    assert!(with(|header| header.stream_kind = 1).contains("MVCC"));
    assert!(with(|header| header.protocol = 2).contains("MVCC"));
    assert!(with(|header| header.stream_kind = 2).contains("unknown kind"));
    assert!(with(|header| header.raw_encoding = None).contains("encoding"));
    assert!(with(|header| header.apply_mode = 2).contains("unknown way"));
    assert!(with(|header| header.db_size = 1 << 32).contains("too many"));
    assert!(with(|header| header.server_revision.clear()).contains("revision"));
    assert!(with(|header| header.server_revision = "x".repeat(5000)).contains("revision"));
}

#[test]
fn pages_that_cannot_be_meant_say_why() {
    let after_head =
        |page: &PageData| error(&[delimited(&head("7", 300)), delimited(page)].concat());
    assert!(after_head(&page(300, 1)).contains("page id 300 is beyond the size of 300 pages"));
    assert!(after_head(&page(u64::MAX, 1)).contains("beyond"));
    let short = PageData { page_id: 1, encoded_page: vec![0; 512] };
    assert!(after_head(&short).contains("512 bytes"));
    assert!(after_head(&PageData::default()).contains("0 bytes"));
}

#[test]
fn requests_hold_what_the_server_reads() {
    assert!(pull_request(None, 0).is_empty());
    assert_eq!(pull_request(Some("ab"), 5), [0x1a, 2, b'a', b'b', 0x20, 5]);
    let probe = probe_request();
    assert_eq!(probe[..2], [0x2a, 18]);
    assert_eq!(probe[2..6], 12346_u32.to_le_bytes());
}

#[test]
fn a_whole_answer_says_so() {
    let mut header = head("g1:o5", 2);
    header.apply_mode = 1;
    let answer = delimited(&header);
    let Ok(Some(Part::Header(whole))) = Reader::default().advance(&mut answer.as_slice()) else {
        panic!("a header comes first");
    };
    assert_eq!(whole, Header { revision: "g1:o5".to_owned(), size: 2, whole: true });
}

#[test]
fn a_state_before_the_known_one_is_told_where_names_have_an_order() {
    let cloud = |generation: u64, fragment: u64| {
        format!(r#"{{"generation":{generation},"wal_fragment_no":{fragment}}}"#)
    };
    let old = cloud(999_999_999_999_999_998, 85);
    assert!(went_back("7", "6") && !went_back("7", "7") && !went_back("7", "8"));
    assert!(went_back(&old, &cloud(999_999_999_999_999_998, 84)), "fewer fragments");
    assert!(went_back(&old, &cloud(999_999_999_999_999_999, 900)), "an older generation");
    assert!(!went_back(&old, &cloud(999_999_999_999_999_997, 1)), "a newer one");
    assert!(!went_back(&old, &cloud(999_999_999_999_999_998, 86)));
    for (known, now) in [("g1:o5", "g1:o4"), ("7", &old), (&old, "6"), ("{}", "{}"), ("[1]", "2")] {
        assert!(!went_back(known, now), "{known} {now}");
    }
    assert!(is_of_own_server("12") && !is_of_own_server(&old));
}
