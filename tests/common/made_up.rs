//! A primary whose log is made up, and known page by page: a small server that
//! answers as sqld does.

use std::sync::Arc;

use super::FakeServer;
use super::net::{Request, http_answer};

pub const PAGE: usize = 4096;
pub type Image = [u8; PAGE];

#[derive(Clone)]
pub struct Frame {
    pub number: u64,
    pub page: u32,
    pub size_after: u32,
    pub image: Image,
}

pub fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    varint(&mut field, bytes.len() as u64);
    field.extend_from_slice(bytes);
    field
}

pub fn varint(to: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

pub fn message(payload: &[u8]) -> Vec<u8> {
    [&[0], (payload.len() as u32).to_be_bytes().as_slice(), payload].concat()
}

pub fn grpc(messages: &[u8]) -> Vec<u8> {
    let text = b"grpc-status:0\r\n";
    let trailer = [&[0x80], (text.len() as u32).to_be_bytes().as_slice(), text].concat();
    let head = "content-type: application/grpc-web+proto\r\n";
    http_answer("200 OK", head, &[messages, &trailer].concat())
}

pub fn encode(frames: &[Frame]) -> Vec<u8> {
    let mut list = Vec::new();
    for frame in frames {
        list.extend_from_slice(&field(1, &field(1, &data(frame))));
    }
    grpc(&message(&list))
}

/// A frame as it stands in the log: its header, and the page.
pub fn data(frame: &Frame) -> Vec<u8> {
    let mut data = Vec::with_capacity(24 + PAGE);
    data.extend_from_slice(&frame.number.to_le_bytes());
    data.extend_from_slice(&[0; 8]);
    data.extend_from_slice(&frame.page.to_le_bytes());
    data.extend_from_slice(&frame.size_after.to_le_bytes());
    data.extend_from_slice(&frame.image);
    data
}

pub fn hello(log_id: &str, head: u64) -> Vec<u8> {
    let mut payload = [field(3, log_id.as_bytes()), field(4, b"session"), vec![5 << 3]].concat();
    varint(&mut payload, head);
    grpc(&message(&payload))
}

/// `LogOffset{1 next_offset}` behind the five bytes of gRPC-web.
pub fn next_offset(request: &Request) -> u64 {
    let mut bytes = request.body.iter().skip(6);
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let byte = bytes.next().copied().unwrap_or(0);
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    value
}

/// Serves `frames` as sqld does: at most 1024 and to the end of the transaction.
pub fn serve(log_id: &'static str, frames: Vec<Frame>, head: u64) -> FakeServer {
    let frames = Arc::new(frames);
    FakeServer::start(move |request| match request.path.rsplit('/').next() {
        Some("Hello") => hello(log_id, head),
        Some("BatchLogEntries") => {
            let next = next_offset(request);
            let rest: Vec<Frame> =
                frames.iter().skip_while(|frame| frame.number < next).cloned().collect();
            let end = (1024..rest.len()).find(|end| rest[end - 1].size_after != 0);
            encode(&rest[..end.unwrap_or(rest.len())])
        }
        _ => http_answer("404 Not Found", "", b""),
    })
}
