//! Answers of Turso's sync protocol, put together by hand for servers that
//! say what no server at hand does.

use super::{empty_place, sql};

/// A protobuf field with bytes, and a message with its length before it; none
/// of them is longer than two digits of a length allow.
pub fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2][..], &length(bytes.len()), bytes].concat()
}

fn length(length: usize) -> Vec<u8> {
    if length < 128 { vec![length as u8] } else { vec![length as u8 | 128, (length >> 7) as u8] }
}

pub fn message(parts: &[Vec<u8>]) -> Vec<u8> {
    let whole = parts.concat();
    [length(whole.len()), whole].concat()
}

pub fn header(revision: &str, size: u8, more: &[u8]) -> Vec<u8> {
    let raw = field(3, &[]);
    message(&[field(1, revision.as_bytes()), vec![2 << 3, size], raw, more.to_vec()])
}

pub fn page(id: u8, image: &[u8]) -> Vec<u8> {
    message(&[vec![1 << 3, id], field(2, image)])
}

/// The only page of a sound database with no table in it.
pub fn page_1() -> Vec<u8> {
    let (_folder, db) = empty_place();
    sql(&db, "PRAGMA journal_mode=WAL; CREATE TABLE t(a); DROP TABLE t; VACUUM");
    std::fs::read(&db).expect("a database")[..4096].to_vec()
}
