//! sqld's replication log: the few small messages, and the frames, which are
//! decoded one by one as the bytes arrive.
//!
//! Holds at most one frame. Does not check that frame numbers follow each other
//! (they can be added to and written down, though), nor the checksum in the
//! frame header (it is chained from a value that only the server knows; the
//! transport has its own).

use prost::Message;

use crate::error::{Error, Kind, Result};
use crate::position::Position;
use crate::proto::grpc_web::{Decoder, Event, Status};
use crate::units::{FrameNo, PAGE_SIZE, PageImage, PageNo};

/// What speaks it, in error texts.
pub const SERVER: &str = "sqld";

/// The service, as it stands in the path of each call.
pub const SERVICE: &str = "/wal_log.ReplicationLog/";

/// The only version of the handshake that sqld knows.
const HANDSHAKE_VERSION: u32 = 1;

#[derive(Clone, PartialEq, Message)]
struct HelloRequest {
    #[prost(uint32, optional, tag = "1")]
    handshake_version: Option<u32>,
}

#[derive(Clone, PartialEq, Message)]
struct HelloResponse {
    #[prost(string, tag = "3")]
    log_id: String,
    #[prost(bytes = "vec", tag = "4")]
    session_token: Vec<u8>,
    #[prost(uint64, optional, tag = "5")]
    current_replication_index: Option<u64>,
}

#[derive(Clone, PartialEq, Message)]
struct LogOffset {
    #[prost(uint64, tag = "1")]
    next_offset: u64,
}

/// The request of `Hello`.
pub fn hello_request() -> Vec<u8> {
    HelloRequest { handshake_version: Some(HANDSHAKE_VERSION) }.encode_to_vec()
}

/// The request of `BatchLogEntries`, `LogEntries` and `Snapshot`.
pub fn log_offset(next: FrameNo) -> Vec<u8> {
    LogOffset { next_offset: next.0 }.encode_to_vec()
}

/// What a primary says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Names the history; changes when the primary starts a new log.
    pub log_id: String,
    /// Goes into the header `x-session-token` of the other calls.
    pub session_token: String,
    /// Number of the frame of the last commit; None while the log is empty.
    pub head: Option<FrameNo>,
}

/// Reads the answer to `Hello`.
pub fn hello(message: &[u8]) -> Result<Hello> {
    let hello = HelloResponse::decode(message)
        .map_err(|error| protocol(format!("the primary's hello cannot be read: {error}")))?;
    let session_token = String::from_utf8(hello.session_token)
        .ok()
        .filter(|token| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()))
        .ok_or_else(|| protocol("the primary's hello has no session token that can be used"))?;
    if hello.log_id.is_empty() {
        return Err(protocol("the primary's hello does not name its log"));
    }
    let head = hello.current_replication_index.map(possible).transpose()?;
    Ok(Hello { log_id: hello.log_id, session_token, head })
}

/// No log has so many frames that they could not be counted any more.
fn possible(frame_no: u64) -> Result<FrameNo> {
    match FrameNo(frame_no) {
        frame if frame < Position::MAX_FRAME => Ok(frame),
        _ => Err(protocol(format!("the primary's log has no frame {frame_no}"))),
    }
}

/// One frame of the log: a page as it is from this frame on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    pub frame_no: FrameNo,
    pub page: PageNo,
    /// Size of the database in pages if this frame ends a transaction, else 0.
    pub size_after: u32,
    pub image: &'a PageImage,
}

/// frame_no u64, checksum u64, page_no u32, size_after u32, little-endian.
const FRAME_HEADER: usize = 24;

/// Longest protobuf `Frame` that is believed: the data, two numbers beside
/// it, and room for fields that a later server may add.
const MAX_FRAME: usize = FRAME_HEADER + PAGE_SIZE + 1024;

/// How a reply wraps its frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `BatchLogEntries`: one message that repeats frames as field 1.
    Batch,
    /// `LogEntries` and `Snapshot`: a message for each frame.
    Stream,
}

/// Decodes the frames of a reply while it arrives.
#[derive(Debug)]
pub struct FrameReader {
    shape: Shape,
    grpc: Decoder,
    state: Item,
    /// The start of an item whose end has not arrived.
    partial: Vec<u8>,
    /// It is a whole frame, to be dropped by the next step.
    held: bool,
    /// Bytes of the message in front of the input.
    data_left: usize,
    /// Bytes of the message that are still to come behind those.
    message_left: usize,
    status: Option<Status>,
}

/// Where the bytes of a frame are.
#[derive(Clone, Copy, Debug)]
pub enum Whole {
    /// The last so many bytes that were taken from the input.
    Behind(usize),
    /// It came in pieces and is held by the reader, until the next step.
    Held,
}

/// What the next byte of a message belongs to.
#[derive(Clone, Copy, Debug)]
enum Item {
    /// Key and length of a frame within a `Frames` message.
    Prefix,
    /// A frame of this many bytes.
    Frame(usize),
}

impl FrameReader {
    pub fn new(shape: Shape) -> FrameReader {
        FrameReader {
            shape,
            grpc: Decoder::default(),
            state: Item::Prefix,
            partial: Vec::new(),
            held: false,
            data_left: 0,
            message_left: 0,
            status: None,
        }
    }

    /// Takes bytes from the front of `input` until a frame is complete; None
    /// when it has taken all of them.
    pub fn advance(&mut self, input: &mut &[u8]) -> Result<Option<Whole>> {
        if std::mem::take(&mut self.held) {
            self.partial.clear();
        }
        loop {
            while self.data_left > 0 {
                if let Some(whole) = self.data(input)? {
                    return Ok(Some(whole));
                }
            }
            let mut ahead = *input;
            let event = self.grpc.next(&mut ahead)?;
            if let Some(Event::Data(data)) = event {
                // These bytes are still in front of `input`.
                self.message_left -= data.len();
                self.data_left = data.len();
                continue;
            }
            *input = ahead;
            match event {
                None => return Ok(None),
                Some(Event::Message(length)) => {
                    self.message_left = length as usize;
                    self.state = match self.shape {
                        Shape::Batch => Item::Prefix,
                        Shape::Stream => Item::Frame(frame_length(u64::from(length))?),
                    };
                }
                // A frame of a stream is taken when its last byte arrives; one
                // without any byte has no data and is refused by its length.
                Some(Event::MessageEnd)
                    if !self.partial.is_empty() || matches!(self.state, Item::Frame(_)) =>
                {
                    return Err(cut_off());
                }
                Some(Event::MessageEnd | Event::Data(_)) => {}
                Some(Event::Trailer(status)) => self.status = Some(status),
            }
        }
    }

    /// The frame that [`FrameReader::advance`] found. `taken` ends where the
    /// rest of the input begins.
    pub fn frame<'a>(&'a self, whole: Whole, taken: &'a [u8]) -> Result<Frame<'a>> {
        match whole {
            Whole::Behind(length) => parse_frame(&taken[taken.len() - length..]),
            Whole::Held => parse_frame(&self.partial),
        }
    }

    /// Takes the next bytes of the reply and hands each frame that is complete
    /// to `each`. An error of `each` is passed on.
    pub fn feed(
        &mut self,
        bytes: &[u8],
        each: &mut dyn FnMut(Frame<'_>) -> Result<()>,
    ) -> Result<()> {
        let mut input = bytes;
        while let Some(whole) = self.advance(&mut input)? {
            each(self.frame(whole, &bytes[..bytes.len() - input.len()])?)?;
        }
        Ok(())
    }

    /// How the call ended, once its trailer has arrived.
    pub fn status(&self) -> Option<&Status> {
        self.status.as_ref()
    }

    /// Takes some of the message's bytes in front of `input`, up to the end of
    /// a frame.
    fn data(&mut self, input: &mut &[u8]) -> Result<Option<Whole>> {
        let data = &input[..self.data_left];
        let mut rest = data;
        let mut whole = None;
        match self.state {
            Item::Prefix => {
                if let Some(length) = self.prefix(&mut rest)? {
                    let length = frame_length(length)?;
                    if length > rest.len() + self.message_left {
                        return Err(cut_off());
                    }
                    self.state = Item::Frame(length);
                }
            }
            // The usual case: the whole frame is there, nothing is copied.
            Item::Frame(length) if self.partial.is_empty() && data.len() >= length => {
                rest = &data[length..];
                self.state = Item::Prefix;
                whole = Some(Whole::Behind(length));
            }
            Item::Frame(length) => {
                let (piece, after) = data.split_at((length - self.partial.len()).min(data.len()));
                rest = after;
                self.partial.extend_from_slice(piece);
                if self.partial.len() == length {
                    self.state = Item::Prefix;
                    self.held = true;
                    whole = Some(Whole::Held);
                }
            }
        }
        *input = &input[self.data_left - rest.len()..];
        self.data_left = rest.len();
        Ok(whole)
    }

    /// Key and length in front of a frame: field 1, length-delimited. They are
    /// a few bytes, taken one by one because they may come in pieces.
    fn prefix(&mut self, data: &mut &[u8]) -> Result<Option<u64>> {
        while let Some((&byte, rest)) = data.split_first() {
            *data = rest;
            self.partial.push(byte);
            let mut bytes = self.partial.as_slice();
            let length = match varint(&mut bytes)? {
                Some(KEY_BYTES_1) => varint(&mut bytes)?,
                Some(key) => {
                    return Err(protocol(format!(
                        "the primary's frames hold an unknown field (key {key})"
                    )));
                }
                None => None,
            };
            if length.is_some() {
                self.partial.clear();
                return Ok(length);
            }
        }
        Ok(None)
    }
}

/// Protobuf key of field 1 with a length-delimited value.
const KEY_BYTES_1: u64 = (1 << 3) | 2;

fn frame_length(length: u64) -> Result<usize> {
    match usize::try_from(length) {
        Ok(length) if (FRAME_HEADER + PAGE_SIZE..=MAX_FRAME).contains(&length) => Ok(length),
        _ => Err(protocol(format!("the primary sent a frame of {length} bytes"))),
    }
}

/// Reads a protobuf `Frame{1 data, 2 timestamp, 3 durable_frame_no}`; fields
/// other than the data are skipped, whatever they are.
fn parse_frame(mut bytes: &[u8]) -> Result<Frame<'_>> {
    let mut data = None;
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?.ok_or_else(cut_off)?;
        let value = match key & 7 {
            0 => {
                varint(&mut bytes)?.ok_or_else(cut_off)?;
                None
            }
            1 => Some(8),
            2 => Some(varint(&mut bytes)?.ok_or_else(cut_off)?),
            5 => Some(4),
            kind => {
                return Err(protocol(format!(
                    "the primary's frame holds a field of unknown type {kind}"
                )));
            }
        };
        let Some(length) = value else {
            if key >> 3 == 1 {
                return Err(protocol("the primary's frame holds a number where its data belongs"));
            }
            continue;
        };
        let length = usize::try_from(length).map_err(|_| cut_off())?;
        let value = bytes.get(..length).ok_or_else(cut_off)?;
        bytes = &bytes[length..];
        if key == KEY_BYTES_1 {
            data = Some(value);
        } else if key >> 3 == 1 {
            return Err(protocol("the primary's frame holds a number where its data belongs"));
        }
    }
    parse_data(data.ok_or_else(|| protocol("the primary sent a frame without data"))?)
}

/// Reads what is in the data of a frame.
fn parse_data(data: &[u8]) -> Result<Frame<'_>> {
    let wrong_length =
        || protocol(format!("the primary sent a frame with {} bytes of data", data.len()));
    let (header, image) = data.split_first_chunk::<FRAME_HEADER>().ok_or_else(wrong_length)?;
    let image: &PageImage = image.try_into().map_err(|_| wrong_length())?;
    let [n0, n1, n2, n3, n4, n5, n6, n7, _, _, _, _, _, _, _, _, rest @ ..] = *header;
    let [p0, p1, p2, p3, s0, s1, s2, s3] = rest;
    let frame_no = u64::from_le_bytes([n0, n1, n2, n3, n4, n5, n6, n7]);
    let page = u32::from_le_bytes([p0, p1, p2, p3]);
    if page == 0 {
        return Err(protocol(format!("the primary's frame {frame_no} is for page 0")));
    }
    Ok(Frame {
        frame_no: possible(frame_no)?,
        page: PageNo(page),
        size_after: u32::from_le_bytes([s0, s1, s2, s3]),
        image,
    })
}

/// A protobuf varint from the front of `bytes`; None if its end is missing.
fn varint(bytes: &mut &[u8]) -> Result<Option<u64>> {
    let mut value = 0u64;
    for (index, &byte) in bytes.iter().enumerate() {
        let bits = u64::from(byte & 0x7f);
        if index == 10 || (index == 9 && bits > 1) {
            return Err(protocol("the primary's answer holds a number of more than 64 bits"));
        }
        value |= bits << (7 * index);
        if byte & 0x80 == 0 {
            *bytes = &bytes[index + 1..];
            return Ok(Some(value));
        }
    }
    Ok(None)
}

fn cut_off() -> Error {
    protocol("the primary sent a message that ends in the middle of a frame")
}

fn protocol(text: impl Into<String>) -> Error {
    Error::new(Kind::Protocol, text)
}

#[cfg(test)]
#[path = "sqld_log_tests.rs"]
mod tests;
