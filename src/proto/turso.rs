//! Turso's sync protocol: the request and the answer of `POST /pull-updates`.
//!
//! An answer is a header and then page after page, each a protobuf message
//! with its length before it. They are decoded one by one as the bytes arrive,
//! and no more than one is held. Knows nothing of what a revision means: to a
//! client it is opaque text.

use std::collections::BTreeMap;

use prost::Message;

use crate::error::{Error, Kind, Result};
use crate::units::{PAGE_SIZE, PageImage, PageNo};

/// What speaks it, in error texts.
pub const SERVER: &str = "a Turso server";

/// Where pages are asked for.
pub const PULL_PATH: &str = "/pull-updates";

/// The content type of requests and answers.
pub const CONTENT_TYPE: &str = "application/protobuf";

/// Longest header that is read. Its revision is a few bytes.
const MAX_HEADER: usize = 64 * 1024;

/// Longest revision that is remembered.
const MAX_REVISION: usize = 4096;

/// Longest message of a page: its image, its number, two tags and a length.
const MAX_PAGE: usize = PAGE_SIZE + 32;

/// Bytes of the longest length that a message can have.
const MAX_VARINT: usize = 10;

#[derive(Clone, PartialEq, Message)]
struct PullUpdates {
    /// 0: raw pages. (1 would be zstd, which Turso's own server refuses.)
    #[prost(int32, tag = "1")]
    encoding: i32,
    #[prost(string, tag = "3")]
    client_revision: String,
    #[prost(uint32, tag = "4")]
    long_poll_timeout_ms: u32,
    /// A roaring bitmap of the pages that are wanted; empty for all.
    #[prost(bytes = "vec", tag = "5")]
    server_pages_selector: Vec<u8>,
    /// 0: pages, 1: the logical log of a database in MVCC mode.
    #[prost(int32, tag = "8")]
    stream_kind: i32,
}

#[derive(Clone, PartialEq, Message)]
struct PullUpdatesHeader {
    #[prost(string, tag = "1")]
    server_revision: String,
    #[prost(uint64, tag = "2")]
    db_size: u64,
    #[prost(message, optional, tag = "3")]
    raw_encoding: Option<Nothing>,
    #[prost(int32, tag = "5")]
    stream_kind: i32,
    #[prost(int32, tag = "6")]
    apply_mode: i32,
    #[prost(int32, tag = "8")]
    protocol: i32,
}

#[derive(Clone, PartialEq, Message)]
struct Nothing {}

#[derive(Clone, PartialEq, Message)]
struct PageData {
    #[prost(uint64, tag = "1")]
    page_id: u64,
    #[prost(bytes = "vec", tag = "2")]
    encoded_page: Vec<u8>,
}

/// Asks for the pages that changed since `revision`, or for all of them. A
/// server that knows how waits up to `wait_ms` for the first change.
pub fn pull_request(revision: Option<&str>, wait_ms: u32) -> Vec<u8> {
    let client_revision = revision.unwrap_or_default().to_owned();
    PullUpdates { client_revision, long_poll_timeout_ms: wait_ms, ..PullUpdates::default() }
        .encode_to_vec()
}

/// Asks for page 1 alone, as a way to see who answers.
pub fn probe_request() -> Vec<u8> {
    // Roaring's portable form of the set {0}: cookie, one container; its key
    // and cardinality - 1; where it begins; its only value.
    let mut page_1 = Vec::with_capacity(18);
    page_1.extend(12346_u32.to_le_bytes());
    page_1.extend(1_u32.to_le_bytes());
    page_1.extend([0; 4]);
    page_1.extend(16_u32.to_le_bytes());
    page_1.extend([0; 2]);
    PullUpdates { server_pages_selector: page_1, ..PullUpdates::default() }.encode_to_vec()
}

/// What an answer says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The state of the database that the pages lead to.
    pub revision: String,
    /// Size of the database in pages.
    pub size: u32,
    /// The pages are all there are, whatever was asked for.
    pub whole: bool,
}

/// A part of an answer.
#[derive(Debug)]
pub enum Part {
    /// Comes first.
    Header(Header),
    /// A page as it looks at the header's revision: see [`Reader::image`]. Each
    /// comes once.
    Page(PageNo),
}

/// Decodes an answer as it arrives. Errors are of kind Protocol.
#[derive(Default)]
pub struct Reader {
    /// The beginning of a message whose end has not come yet.
    partial: Vec<u8>,
    size: Option<u32>,
    page: PageData,
    /// Which pages have come: 64 of them in each number.
    seen: BTreeMap<u32, u64>,
}

impl Reader {
    /// Takes bytes from the front of `input` until a part is complete; None
    /// when it has taken all of them.
    pub fn advance(&mut self, input: &mut &[u8]) -> Result<Option<Part>> {
        loop {
            if self.partial.is_empty() {
                let whole = match self.length(input)? {
                    Some((start, length)) if input.len() >= start + length => start + length,
                    _ => {
                        self.partial.extend_from_slice(input);
                        *input = &[];
                        return Ok(None);
                    }
                };
                let (message, rest) = input.split_at(whole);
                *input = rest;
                let start = whole - self.length(message)?.map_or(0, |(_, length)| length);
                return self.message(&message[start..]).map(Some);
            }
            // A message in two pieces: completes the first one alone.
            let held = self.partial.len();
            let wanted = match self.length(&self.partial)? {
                Some((start, length)) => start + length,
                None => held + 1,
            };
            let (piece, rest) = input.split_at(wanted.saturating_sub(held).min(input.len()));
            self.partial.extend_from_slice(piece);
            *input = rest;
            match self.length(&self.partial)? {
                Some((start, length)) if self.partial.len() == start + length => {
                    let whole = std::mem::take(&mut self.partial);
                    return self.message(&whole[start..]).map(Some);
                }
                _ if input.is_empty() => return Ok(None),
                _ => {}
            }
        }
    }

    /// The image of the page that came last.
    pub fn image(&self) -> Result<&PageImage> {
        let bytes = self.page.encoded_page.as_slice();
        bytes
            .try_into()
            .map_err(|_| broken(&format!("a page has {} bytes and not {PAGE_SIZE}", bytes.len())))
    }

    /// Whether an answer may end here.
    pub fn is_complete(&self) -> bool {
        self.size.is_some() && self.partial.is_empty()
    }

    /// Where the message at the start of `input` begins and how long it is;
    /// None if not even that has come whole.
    fn length(&self, input: &[u8]) -> Result<Option<(usize, usize)>> {
        let mut length = 0_u64;
        for (at, byte) in input.iter().take(MAX_VARINT).enumerate() {
            length |= u64::from(byte & 0x7f).checked_shl(7 * at as u32).unwrap_or(u64::MAX);
            if byte & 0x80 == 0 {
                let longest = if self.size.is_some() { MAX_PAGE } else { MAX_HEADER };
                return match usize::try_from(length) {
                    Ok(length) if length <= longest => Ok(Some((at + 1, length))),
                    _ => Err(broken("a message has an absurd length")),
                };
            }
        }
        if input.len() < MAX_VARINT { Ok(None) } else { Err(broken("a length does not end")) }
    }

    fn message(&mut self, message: &[u8]) -> Result<Part> {
        let Some(size) = self.size else {
            let header = header(message)?;
            self.size = Some(header.size);
            return Ok(Part::Header(header));
        };
        self.page.clear();
        self.page.merge(message).map_err(|error| broken(&error.to_string()))?;
        self.image()?;
        match u32::try_from(self.page.page_id) {
            // Pages are counted from 0 there.
            Ok(id) if id < size => {
                // Or an answer could go on for ever.
                let (seen, bit) = (self.seen.entry(id / 64).or_default(), 1 << (id % 64));
                if *seen & bit != 0 {
                    return Err(broken(&format!("page {} comes twice", id + 1)));
                }
                *seen |= bit;
                Ok(Part::Page(PageNo(id + 1)))
            }
            _ => Err(broken(&format!(
                "page id {} is beyond the size of {size} pages",
                self.page.page_id
            ))),
        }
    }
}

fn header(message: &[u8]) -> Result<Header> {
    let header = PullUpdatesHeader::decode(message).map_err(|error| broken(&error.to_string()))?;
    // Either says so: the pages may be on their way to a logical log.
    if header.stream_kind == 1 || header.protocol == 2 {
        return Err(mvcc());
    }
    if header.stream_kind != 0 {
        return Err(broken("it is a stream of an unknown kind"));
    }
    if header.raw_encoding.is_none() {
        return Err(broken("its pages have an encoding that was not asked for"));
    }
    let whole = match header.apply_mode {
        0 => false,
        1 => true,
        _ => return Err(broken("its pages are to be applied in an unknown way")),
    };
    let size = u32::try_from(header.db_size)
        .map_err(|_| broken(&format!("{} pages are too many", header.db_size)))?;
    if header.server_revision.is_empty() || header.server_revision.len() > MAX_REVISION {
        return Err(broken("its revision is missing or absurdly long"));
    }
    Ok(Header { revision: header.server_revision, size, whole })
}

/// Whether the state that a server calls `now` is known to be before the one it
/// called `known`. Turso's own server names its states by the frames of its
/// log; Turso Cloud by a generation, which counts down, and a fragment of the
/// log within it. All other names have no order that we know.
pub fn went_back(known: &str, now: &str) -> bool {
    let number = |revision: &str| revision.parse::<u64>().ok();
    if let (Some(known), Some(now)) = (number(known), number(now)) {
        return now < known;
    }
    match (generation(known), generation(now)) {
        (Some((known, from)), Some((now, to))) => now > known || now == known && to < from,
        _ => false,
    }
}

/// `{"generation":999999999999999998,"wal_fragment_no":85}`.
fn generation(revision: &str) -> Option<(u64, u64)> {
    let json: serde_json::Value = serde_json::from_str(revision).ok()?;
    Some((json.get("generation")?.as_u64()?, json.get("wal_fragment_no")?.as_u64()?))
}

/// Whether a revision is one of Turso's own server, which serves only what is
/// in its log.
pub fn is_of_own_server(revision: &str) -> bool {
    revision.parse::<u64>().is_ok()
}

/// The primary keeps its database in a form that has no pages of SQLite.
pub fn mvcc() -> Error {
    Error::new(
        Kind::Protocol,
        "the primary's database is in Turso's MVCC mode, which is not SQLite's format; \
         replicate a database in WAL mode",
    )
}

fn broken(cause: &str) -> Error {
    Error::new(Kind::Protocol, format!("the primary's answer cannot be used: {cause}"))
}

#[cfg(test)]
#[path = "turso_tests.rs"]
mod tests;
