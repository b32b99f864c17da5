//! Tests of the frame decoder: chunk boundaries, and each way to be malformed.

use super::*;
use crate::proto::grpc_web;

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_bytes(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    put_varint(out, field << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn data(frame_no: u64, page: u32, size_after: u32) -> Vec<u8> {
    let mut data = frame_no.to_le_bytes().to_vec();
    data.extend_from_slice(&[0xab; 8]);
    data.extend_from_slice(&page.to_le_bytes());
    data.extend_from_slice(&size_after.to_le_bytes());
    data.extend((0..PAGE_SIZE).map(|at| (at as u64 + frame_no) as u8));
    data
}

fn frame(frame_no: u64, page: u32, size_after: u32) -> Vec<u8> {
    let mut out = Vec::new();
    put_bytes(&mut out, 1, &data(frame_no, page, size_after));
    if size_after != 0 {
        put_varint(&mut out, 2 << 3);
        put_varint(&mut out, 1_795_380_615_229);
    }
    out
}

const TRAILER: &[u8] = b"\x80\0\0\0\x0fgrpc-status:0\r\n";

fn batch(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut message = Vec::new();
    for frame in frames {
        put_bytes(&mut message, 1, frame);
    }
    [&grpc_web::request(&message), TRAILER].concat()
}

fn stream(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut out: Vec<u8> = frames.iter().flat_map(|frame| grpc_web::request(frame)).collect();
    out.extend_from_slice(TRAILER);
    out
}

type Seen = Vec<(u64, u32, u32, u8)>;

fn read(shape: Shape, bytes: &[u8], size: usize) -> Result<(Seen, Option<Status>)> {
    let mut reader = FrameReader::new(shape);
    let mut seen = Vec::new();
    for chunk in bytes.chunks(size) {
        reader.feed(chunk, &mut |frame| {
            let expected = |at: usize| (at as u64 + frame.frame_no.0) as u8;
            assert!(frame.image.iter().enumerate().all(|(at, &byte)| byte == expected(at)));
            seen.push((frame.frame_no.0, frame.page.0, frame.size_after, frame.image[0]));
            Ok(())
        })?;
    }
    Ok((seen, reader.status().cloned()))
}

fn sample() -> Vec<Vec<u8>> {
    vec![frame(7, 1, 0), frame(8, 300, 0), frame(9, 2, 300), frame(10, u32::MAX, 1)]
}

#[test]
fn chunk_boundaries_make_no_difference() {
    for (shape, bytes) in [(Shape::Batch, batch(&sample())), (Shape::Stream, stream(&sample()))] {
        let whole = read(shape, &bytes, bytes.len()).unwrap();
        assert_eq!(whole.0, [(7, 1, 0, 7), (8, 300, 0, 8), (9, 2, 300, 9), (10, u32::MAX, 1, 10)]);
        assert_eq!(whole.1, Some(Status::default()));
        let sizes = (1..64).chain([4095, 4096, 4097, 4120, 4121, 4122, 4123, 4130, 8191, 8192]);
        for size in sizes {
            assert_eq!(read(shape, &bytes, size).unwrap(), whole, "chunks of {size}");
        }
    }
}

#[test]
fn a_reply_cut_anywhere_yields_whole_frames_and_no_status() {
    for (shape, bytes) in [(Shape::Batch, batch(&sample())), (Shape::Stream, stream(&sample()))] {
        for cut in 0..bytes.len() {
            let (seen, status) = read(shape, &bytes[..cut], 1000).unwrap();
            assert!(seen.len() <= cut / 4120, "cut at {cut}");
            assert_eq!(status, None, "cut at {cut}");
        }
    }
}

#[test]
fn empty_replies_have_no_frames() {
    assert_eq!(read(Shape::Batch, &batch(&[]), 1).unwrap(), (vec![], Some(Status::default())));
    assert_eq!(read(Shape::Batch, TRAILER, 1).unwrap(), (vec![], Some(Status::default())));
    assert_eq!(read(Shape::Stream, TRAILER, 1).unwrap(), (vec![], Some(Status::default())));
}

#[test]
fn memory_stays_at_one_frame() {
    let frames: Vec<_> = (0..100).map(|n| frame(n, n as u32 + 1, 0)).collect();
    let bytes = batch(&frames);
    let mut reader = FrameReader::new(Shape::Batch);
    for chunk in bytes.chunks(1111) {
        reader.feed(chunk, &mut |_| Ok(())).unwrap();
        assert!(reader.partial.capacity() <= 2 * MAX_FRAME);
    }
}

#[test]
fn fields_that_are_not_known_are_skipped() {
    let mut extended = Vec::new();
    put_bytes(&mut extended, 9, b"later");
    extended.extend_from_slice(&frame(5, 1, 1));
    put_varint(&mut extended, 10 << 3 | 1);
    extended.extend_from_slice(&[0; 8]);
    put_varint(&mut extended, 11 << 3 | 5);
    extended.extend_from_slice(&[0; 4]);
    assert_eq!(read(Shape::Batch, &batch(&[extended]), 10).unwrap().0, [(5, 1, 1, 5)]);
}

#[test]
fn an_error_of_the_receiver_is_passed_on() {
    let mut reader = FrameReader::new(Shape::Batch);
    let error = reader
        .feed(&batch(&sample()), &mut |_| Err(Error::new(Kind::Interrupted, "enough")))
        .unwrap_err();
    assert_eq!(error, Error::new(Kind::Interrupted, "enough"));
}

fn wrapped(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_bytes(&mut out, 1, data);
    out
}

#[test]
fn malformed_frames_are_errors_of_the_protocol() {
    let good = frame(1, 1, 1);
    let mut number_for_data = vec![1 << 3, 5];
    number_for_data.extend_from_slice(&good);
    let mut fixed_for_data = vec![1 << 3 | 1];
    fixed_for_data.extend_from_slice(&[0; 8]);
    fixed_for_data.extend_from_slice(&good);
    let mut group = good.clone();
    group.push(5 << 3 | 3);
    let mut endless_number = good.clone();
    endless_number.push(2 << 3);
    endless_number.extend_from_slice(&[0xff; 11]);
    let mut cut_number = good.clone();
    cut_number.extend_from_slice(&[2 << 3, 0xff]);
    let mut too_long_field = good.clone();
    too_long_field.extend_from_slice(&[9 << 3 | 2, 100]);
    let mut without_data = Vec::new();
    put_bytes(&mut without_data, 4, &data(1, 1, 1));
    for (name, bad) in [
        ("page 0", frame(1, 0, 1)),
        ("data too short", wrapped(&data(1, 1, 1)[..4119])),
        ("data too long", wrapped(&[&data(1, 1, 1)[..], &[0]].concat())),
        ("number for data", number_for_data),
        ("fixed64 for data", fixed_for_data),
        ("group", group),
        ("endless number", endless_number),
        ("cut number", cut_number),
        ("field longer than the frame", too_long_field),
        ("no data", without_data),
        ("empty", vec![]),
        ("much too long", vec![0; MAX_FRAME + 1]),
    ] {
        let one = std::slice::from_ref(&bad);
        for (shape, bytes) in [(Shape::Batch, batch(one)), (Shape::Stream, stream(one))] {
            for size in [1, 777, bytes.len()] {
                let result = read(shape, &bytes, size);
                assert_eq!(result.unwrap_err().kind(), Kind::Protocol, "{name}, {shape:?}");
            }
        }
    }
}

#[test]
fn malformed_batches_are_errors_of_the_protocol() {
    let good = frame(1, 1, 1);
    let mut longer_than_message = vec![0x0a];
    put_varint(&mut longer_than_message, good.len() as u64 + 1);
    longer_than_message.extend_from_slice(&good);
    let mut absurd = vec![0x0a];
    put_varint(&mut absurd, u64::MAX);
    for (name, message) in [
        ("longer than the message", longer_than_message),
        ("absurd length", absurd),
        ("endless length", [&[0x0a][..], &[0xff; 12]].concat()),
        ("unknown field", vec![0x12, 0]),
        ("number", vec![0x08, 1]),
        ("cut prefix", vec![0x0a, 0x9b]),
        ("field 0", vec![0x02, 0]),
    ] {
        let bytes = [&grpc_web::request(&message), TRAILER].concat();
        for size in [1, bytes.len()] {
            let result = read(Shape::Batch, &bytes, size);
            assert_eq!(result.unwrap_err().kind(), Kind::Protocol, "{name}");
        }
    }
}

#[test]
fn hello_is_read_and_its_gaps_are_refused() {
    let full = HelloResponse {
        log_id: "e08d2824".to_owned(),
        session_token: b"76f2f034".to_vec(),
        current_replication_index: Some(8),
    };
    let read = hello(&full.encode_to_vec()).unwrap();
    assert_eq!(read.log_id, "e08d2824");
    assert_eq!(read.session_token, "76f2f034");
    assert_eq!(read.head, Some(FrameNo(8)));

    let empty = HelloResponse { current_replication_index: None, ..full.clone() };
    assert_eq!(hello(&empty.encode_to_vec()).unwrap().head, None);

    for bad in [
        HelloResponse { log_id: String::new(), ..full.clone() },
        HelloResponse { session_token: vec![], ..full.clone() },
        HelloResponse { session_token: vec![0xff], ..full.clone() },
        HelloResponse { session_token: b"a\r\nb".to_vec(), ..full.clone() },
    ] {
        assert_eq!(hello(&bad.encode_to_vec()).unwrap_err().kind(), Kind::Protocol);
    }
    assert_eq!(hello(&[0xff]).unwrap_err().kind(), Kind::Protocol);
    assert_eq!(hello_request(), [8, 1]);
    assert_eq!(log_offset(FrameNo(300)), [8, 0xac, 2]);
    assert_eq!(log_offset(FrameNo(0)), [] as [u8; 0]);
}
