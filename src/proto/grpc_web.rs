//! gRPC-web framing, in both directions: a request is one message; a reply is
//! read piece by piece as it arrives and never held as a whole, because one
//! message may be a gigabyte.
//!
//! Nothing here knows what is in a message. Compressed messages and the text
//! form (`application/grpc-web-text`) are not understood; we ask for neither.

use crate::error::{Error, Kind, Result};

/// The content type of requests and replies.
pub const CONTENT_TYPE: &str = "application/grpc-web+proto";

/// Flag byte of a frame that holds a message, uncompressed.
const FLAG_MESSAGE: u8 = 0x00;
/// Flag byte of the frame that ends a reply.
const FLAG_TRAILER: u8 = 0x80;
/// Flag and u32 length.
const PREFIX: usize = 5;
/// No real trailer comes near this.
const MAX_TRAILER: usize = 64 * 1024;

/// How a call ended: `grpc-status` and the decoded `grpc-message`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// 0 is success; the other numbers are gRPC's.
    pub code: u32,
    pub message: String,
}

impl Status {
    /// Reads the two values as they stand in HTTP headers or in the trailer.
    pub fn parse(code: &str, message: &str) -> Result<Status> {
        let code = code.trim().parse().map_err(|_| {
            protocol("the primary's answer ends with a grpc-status that is no number")
        })?;
        Ok(Status { code, message: percent_decode(message.trim()) })
    }
}

/// A request body: the one `message`, framed.
pub fn request(message: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(PREFIX + message.len());
    body.push(FLAG_MESSAGE);
    // A request is a handful of bytes.
    body.extend_from_slice(&(message.len() as u32).to_be_bytes());
    body.extend_from_slice(message);
    body
}

/// What the bytes of a reply add up to, piece by piece.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A message of this many bytes begins.
    Message(u32),
    /// The next bytes of the message; at least one.
    Data(&'a [u8]),
    /// The message is complete.
    MessageEnd,
    /// The reply is complete; nothing may follow.
    Trailer(Status),
}

#[derive(Debug)]
enum State {
    Prefix,
    Message { left: u32 },
    Trailer { left: usize },
    Done,
}

/// Takes a reply apart as it arrives. Holds at most a prefix or the trailer.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    buffer: Vec<u8>,
}

impl Default for Decoder {
    fn default() -> Decoder {
        Decoder { state: State::Prefix, buffer: Vec::new() }
    }
}

impl Decoder {
    /// The next event, taken from the front of `input`; None when more bytes
    /// are needed. Call it until None, also with an empty `input`: the end of
    /// an empty message needs no bytes.
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Event<'a>>> {
        match self.state {
            State::Prefix => self.prefix(input),
            State::Message { left: 0 } => {
                self.state = State::Prefix;
                Ok(Some(Event::MessageEnd))
            }
            State::Message { left } => {
                let take = input.len().min(left as usize);
                if take == 0 {
                    return Ok(None);
                }
                let (data, rest) = input.split_at(take);
                *input = rest;
                self.state = State::Message { left: left - take as u32 };
                Ok(Some(Event::Data(data)))
            }
            State::Trailer { left } => self.trailer(input, left),
            State::Done if input.is_empty() => Ok(None),
            State::Done => Err(protocol("the primary's answer goes on after its end")),
        }
    }

    /// Whether the trailer has come.
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    fn prefix<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Event<'a>>> {
        if !collect(&mut self.buffer, PREFIX, input) {
            return Ok(None);
        }
        let flag = self.buffer[0];
        let length = [self.buffer[1], self.buffer[2], self.buffer[3], self.buffer[4]];
        let length = u32::from_be_bytes(length);
        self.buffer.clear();
        match flag {
            FLAG_MESSAGE => {
                self.state = State::Message { left: length };
                Ok(Some(Event::Message(length)))
            }
            FLAG_TRAILER if length as usize <= MAX_TRAILER => {
                self.state = State::Trailer { left: length as usize };
                self.trailer(input, length as usize)
            }
            FLAG_TRAILER => Err(protocol("the primary's answer has a trailer of absurd length")),
            _ => Err(protocol(format!(
                "the primary's answer has a frame of an unknown kind (flags {flag:#04x})"
            ))),
        }
    }

    fn trailer<'a>(&mut self, input: &mut &[u8], length: usize) -> Result<Option<Event<'a>>> {
        if !collect(&mut self.buffer, length, input) {
            return Ok(None);
        }
        let text = String::from_utf8_lossy(&self.buffer);
        let field = |name: &str| {
            text.lines().find_map(|line| {
                let (key, value) = line.split_once(':')?;
                key.trim().eq_ignore_ascii_case(name).then_some(value)
            })
        };
        let code = field("grpc-status")
            .ok_or_else(|| protocol("the primary's answer ends without a grpc-status"))?;
        let status = Status::parse(code, field("grpc-message").unwrap_or(""))?;
        self.buffer.clear();
        self.state = State::Done;
        Ok(Some(Event::Trailer(status)))
    }
}

/// Moves bytes from `input` to `buffer` until it holds `wanted`; whether it does.
fn collect(buffer: &mut Vec<u8>, wanted: usize, input: &mut &[u8]) -> bool {
    let take = (wanted - buffer.len()).min(input.len());
    let (data, rest) = input.split_at(take);
    buffer.extend_from_slice(data);
    *input = rest;
    buffer.len() == wanted
}

/// Undoes the percent encoding of `grpc-message`; what is no valid escape or
/// no UTF-8 stays readable rather than failing.
fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escape = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match escape.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn protocol(text: impl Into<String>) -> Error {
    Error::new(Kind::Protocol, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(messages: &[&[u8]], trailer: &str) -> Vec<u8> {
        let mut bytes: Vec<u8> = messages.iter().flat_map(|message| request(message)).collect();
        bytes.push(FLAG_TRAILER);
        bytes.extend_from_slice(&(trailer.len() as u32).to_be_bytes());
        bytes.extend_from_slice(trailer.as_bytes());
        bytes
    }

    /// Messages and status of a reply that arrives in chunks of `size`.
    fn decode(bytes: &[u8], size: usize) -> Result<(Vec<Vec<u8>>, Option<Status>)> {
        let mut decoder = Decoder::default();
        let (mut messages, mut status) = (Vec::new(), None);
        for mut chunk in bytes.chunks(size.max(1)) {
            while let Some(event) = decoder.next(&mut chunk)? {
                match event {
                    Event::Message(_) => messages.push(Vec::new()),
                    Event::Data(data) => messages.last_mut().unwrap().extend_from_slice(data),
                    Event::MessageEnd => {}
                    Event::Trailer(end) => status = Some(end),
                }
            }
        }
        assert_eq!(decoder.is_done(), status.is_some());
        Ok((messages, status))
    }

    #[test]
    fn chunk_boundaries_make_no_difference() {
        let bytes = reply(
            &[b"hello", b"", b"world, which is a little longer"],
            "grpc-status:9\r\ngrpc-message:snapshot%20not%20found\r\n",
        );
        let whole = decode(&bytes, bytes.len()).unwrap();
        assert_eq!(whole.0, [&b"hello"[..], b"", b"world, which is a little longer"]);
        assert_eq!(whole.1, Some(Status { code: 9, message: "snapshot not found".to_owned() }));
        for size in 1..bytes.len() {
            assert_eq!(decode(&bytes, size).unwrap(), whole, "chunks of {size}");
        }
    }

    #[test]
    fn a_reply_cut_anywhere_has_no_end() {
        let bytes = reply(&[b"hello", b"world"], "grpc-status:0\r\n");
        for cut in 0..bytes.len() {
            assert_eq!(decode(&bytes[..cut], 3).unwrap().1, None, "cut at {cut}");
        }
    }

    #[test]
    fn malformed_replies_are_errors_of_the_protocol() {
        let mut after_end = reply(&[], "grpc-status:0\r\n");
        after_end.push(0);
        for bytes in [
            vec![0x01, 0, 0, 0, 0],
            vec![0x81, 0, 0, 0, 0],
            b"<html><body>".to_vec(),
            vec![FLAG_TRAILER, 0xff, 0xff, 0xff, 0xff],
            reply(&[], ""),
            reply(&[], "grpc-message:only\r\n"),
            reply(&[], "grpc-status:ok\r\n"),
            reply(&[], "grpc-status:-1\r\n"),
            after_end,
        ] {
            for size in [1, bytes.len()] {
                assert_eq!(decode(&bytes, size).unwrap_err().kind(), Kind::Protocol, "{bytes:?}");
            }
        }
    }

    #[test]
    fn an_absurd_message_length_needs_no_memory() {
        let mut decoder = Decoder::default();
        let mut input: &[u8] = &[0, 0xff, 0xff, 0xff, 0xff, 1, 2];
        assert_eq!(decoder.next(&mut input).unwrap(), Some(Event::Message(u32::MAX)));
        assert_eq!(decoder.next(&mut input).unwrap(), Some(Event::Data(&[1, 2])));
        assert_eq!(decoder.next(&mut input).unwrap(), None);
        assert!(decoder.buffer.capacity() < 64);
    }

    #[test]
    fn messages_are_percent_decoded_and_bad_escapes_kept() {
        for (raw, text) in [
            ("a%20b", "a b"),
            ("%", "%"),
            ("%4", "%4"),
            ("%zz%41", "%zzA"),
            ("100%25", "100%"),
            ("%e2%82%ac", "\u{20ac}"),
            ("\u{20ac}%", "\u{20ac}%"),
            ("%\u{20ac}", "%\u{20ac}"),
        ] {
            assert_eq!(percent_decode(raw), text);
        }
    }
}
