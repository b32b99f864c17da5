//! Pulls that would never end: pages that come again, logs and snapshots that
//! grow as they are read, numbers that wrap. The primaries are simulated,
//! because no honest server behaves so. Each pull ends with an error, at once
//! or after a bounded number of requests, in little memory, and the file shows
//! nothing of it. Each server gives up after a while too, so that a client
//! which does not notice ends with another error.

use std::io::Write;
use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::common::made_up::{self, Frame, Image, PAGE, field, hello, message, next_offset};
use crate::common::net::{Request, http_answer};
use crate::common::*;

/// A server says the same thing no longer than this.
const PATIENCE: Duration = Duration::from_secs(6);

/// In seconds: nothing here waits.
const ENOUGH: Duration = Duration::from_secs(20);

const LITTLE: usize = 64 * 1024 * 1024;

/// Attaches to `server`, which cannot be followed to its end.
fn refused(name: &str, server: &FakeServer, options: &str, text: &str) {
    let (_folder, db) = empty_place();
    let mut shell = Shell::loaded(&db);
    let started = Instant::now();
    let error = shell.error(&format!(
        "SELECT replica_attach('{}', NULL, '{{\"timeout\": 2{options}}}')",
        server.url()
    ));
    let (took, peak) = (started.elapsed(), shell.peak().unwrap_or(0));
    let (requests, mb) = (server.requests().len(), peak >> 20);
    println!("{name}: {took:.1?}, {mb} MB, {requests} requests: {error}");
    assert!(error.contains(text), "{name}: {error}");
    assert!(took < ENOUGH, "{name}: {took:?}");
    assert!(peak < LITTLE, "{name}: {peak}");
    assert_eq!(shell.run("SELECT count(*) FROM sqlite_schema"), "0", "{name}");
    shell.close();
    assert!(std::fs::metadata(&db).is_ok_and(|file| file.len() <= PAGE as u64), "{name}");
}

/// The two pages of a sound database.
fn two_pages() -> [Image; 2] {
    let (_folder, db) = empty_place();
    sql(&db, "PRAGMA page_size = 4096; CREATE TABLE t(x); INSERT INTO t VALUES (1)");
    let bytes = std::fs::read(&db).expect("a database");
    [0, 1].map(|at| bytes[at * PAGE..][..PAGE].try_into().expect("a page"))
}

/// A Turso server whose answers go on with `rest` again and again.
fn turso(first: Vec<u8>, rest: Vec<u8>) -> FakeServer {
    FakeServer::talking(move |request: &Request, stream: &mut TcpStream| {
        if request.path != "/pull-updates" {
            return stream.write_all(&http_answer("404 Not Found", "", b""));
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/protobuf\r\n\r\n")?;
        stream.write_all(&first)?;
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            stream.write_all(&rest)?;
        }
        Ok(())
    })
}

#[test]
fn a_turso_page_that_comes_twice_ends_the_pull() {
    let page = |id, image: &Image| pull_updates::page(id, image);
    let [one, two] = two_pages();
    let begin = [pull_updates::header("5", 9, &[]), page(0, &one)].concat();
    for (name, rest) in [
        ("the first page again", page(0, &one)),
        ("another page again", page(3, &two)),
        ("all pages again", (1..9).flat_map(|id| page(id, &two)).collect()),
    ] {
        let server = turso(begin.clone(), rest.repeat(64));
        refused(name, &server, r#", "protocol": "turso""#, "comes twice");
    }
    let header = pull_updates::header("5", 9, &[]).repeat(64);
    let server = turso(begin, header);
    refused("headers again", &server, r#", "protocol": "turso""#, "cannot be used");
}

/// What a sqld says of a log whose head is at `head`.
fn sqld(head: u64, answer: impl Fn(&str, u64) -> Vec<u8> + Send + Sync + 'static) -> FakeServer {
    FakeServer::start(move |request| match request.path.rsplit('/').next() {
        Some("Hello") => hello("log", head),
        Some(method) => answer(method, next_offset(request)),
        None => http_answer("404 Not Found", "", b""),
    })
}

fn batch(frames: &[Frame]) -> Vec<u8> {
    made_up::encode(frames)
}

/// A snapshot: a message for each frame, the newest first.
fn snapshot(frames: &[Frame]) -> Vec<u8> {
    let messages = frames.iter().map(|frame| message(&field(1, &made_up::data(frame))));
    made_up::grpc(&messages.collect::<Vec<_>>().concat())
}

fn refusal(code: u8, text: &str) -> Vec<u8> {
    let head = format!(
        "content-type: application/grpc-web+proto\r\ngrpc-status: {code}\r\ngrpc-message: {text}\r\n"
    );
    http_answer("200 OK", &head, b"")
}

fn frame(number: u64, page: u32, size_after: u32, image: Image) -> Frame {
    Frame { number, page, size_after, image }
}

#[test]
fn frame_numbers_that_cannot_be_counted_on_from_are_refused() {
    let [one, two] = two_pages();
    for number in [1 << 47, 1 << 60, u64::MAX - 1, u64::MAX] {
        let said = format!("the primary's log has no frame {number}");
        // Commits that never end, up to a head that is never reached.
        let endless = sqld(number, move |_, next| {
            let frames: Vec<Frame> = (next..next + 1024).map(|n| frame(n, 1, 1, one)).collect();
            batch(&frames)
        });
        refused("a head far away", &endless, "", &said);
        let asks = |request: &Request| request.path.ends_with("Entries");
        assert!(!endless.requests().iter().any(asks), "nothing is asked of such a log");
        let in_log = sqld(1, move |_, _| batch(&[frame(0, 1, 0, one), frame(number, 2, 2, two)]));
        refused("a frame far away", &in_log, "", &said);
        let in_snapshot = sqld(5, move |method, _| match method {
            "Snapshot" => snapshot(&[frame(number, 2, 0, two), frame(1, 1, 2, one)]),
            _ => refusal(9, "NEED_SNAPSHOT"),
        });
        refused("a snapshot far away", &in_snapshot, "", &said);
    }
}

#[test]
fn a_log_that_grows_by_a_frame_for_each_request_is_given_up() {
    let [one, two] = two_pages();
    let started = Instant::now();
    let is_late = move || started.elapsed() > 3 * PATIENCE;
    let pieces = "too many pieces";
    let snapshots = sqld(1 << 40, move |method, next| match method {
        "Snapshot" if !is_late() => snapshot(&[frame(next + 1, 2, 0, two), frame(next, 1, 2, one)]),
        _ => refusal(9, "NEED_SNAPSHOT"),
    });
    refused("snapshots of two frames", &snapshots, "", pieces);
    // No commit ever comes.
    let open = sqld(1, move |method, next| match method {
        "BatchLogEntries" if !is_late() => batch(&[frame(next, 1, 0, one)]),
        _ => refusal(12, "no"),
    });
    refused("a transaction in pieces of one frame", &open, "", pieces);
}

#[test]
fn answers_that_lead_nowhere_are_not_asked_for_again_and_again() {
    let [one, two] = two_pages();
    let same = sqld(1200, move |method, _| match method {
        "BatchLogEntries" => {
            let frames: Vec<Frame> =
                (0..1024).map(|n| frame(n, 1 + n as u32 % 2, 2, two)).collect();
            batch(&[vec![frame(0, 1, 0, one)], frames[1..].to_vec()].concat())
        }
        _ => refusal(12, "no"),
    });
    refused("the same frames again", &same, "", "that it has sent before");
    let forgets = sqld(5, |_, _| refusal(9, "NO_HELLO"));
    refused("a server that knows nobody", &forgets, "", "keeps answering NO_HELLO");
    let nothing = sqld(5, |method, _| match method {
        "Snapshot" => made_up::grpc(&[]),
        _ => refusal(9, "NEED_SNAPSHOT"),
    });
    refused("empty snapshots", &nothing, "", "holds nothing that was asked for");
    let never = sqld(5, |method, _| match method {
        "Snapshot" => refusal(14, "snapshot not found"),
        _ => refusal(9, "NEED_SNAPSHOT"),
    });
    refused("a snapshot that is never there", &never, "", "did not finish a snapshot within 2 s");
    for server in [same, forgets, nothing, never] {
        assert!(server.requests().len() < 100, "{}", server.requests().len());
    }
}

/// A batch that holds one frame is asked for again, by each lane of a long
/// stretch; a stream is refused.
#[test]
fn a_long_stretch_that_comes_a_frame_at_a_time_is_given_up() {
    let [one, _] = two_pages();
    let server = sqld(1 << 40, move |method, next| match method {
        "BatchLogEntries" => batch(&[frame(next, 1, 1, one)]),
        _ => refusal(12, "no"),
    });
    refused("a frame for each request", &server, "", "too many pieces");
    assert!(server.requests().len() < 1100, "{}", server.requests().len());
}

/// New frames without an end, below the head that was told. A first sync gives
/// up at a number that no log has; a later one shows what has come, and leaves
/// the rest to the next. The library for tests has a lower one.
#[test]
fn a_pull_reads_no_more_frames_than_a_log_has() {
    let pages = two_pages();
    // Of the two pages in turn, and each a commit but the first.
    let rewritten =
        move |n: u64| frame(n, 1 + n as u32 % 2, if n == 0 { 0 } else { 2 }, pages[n as usize % 2]);
    let head = Arc::new(AtomicU64::new(1 << 46));
    let told = head.clone();
    let server = FakeServer::start(move |request| match request.path.rsplit('/').next() {
        Some("Hello") => hello("log", told.load(Ordering::Relaxed)),
        Some("BatchLogEntries") => {
            let next = next_offset(request);
            let last = told.load(Ordering::Relaxed).min(next + 1023);
            batch(&(next..=last).map(rewritten).collect::<Vec<_>>())
        }
        _ => refusal(12, "no"),
    });
    refused("new commits without end", &server, "", "frames, as none has");

    head.store(9, Ordering::Relaxed);
    let (_folder, db) = empty_place();
    let mut shell = Shell::attached(&db, &server.url());
    head.store(1 << 46, Ordering::Relaxed);
    let position = |shell: &mut Shell| -> u64 {
        shell.run("SELECT frame_no FROM replica_status").parse().expect("a frame")
    };
    let started = Instant::now();
    let error = shell.error("SELECT replica_sync()");
    let (took, mb) = (started.elapsed(), shell.peak().unwrap_or(0) >> 20);
    println!("new commits without end, later: {took:.1?}, {mb} MB: {error}");
    assert!(error.contains("new frames; sync again to go on"), "{error}");
    assert!(mb < 64, "{mb}");
    let came = position(&mut shell);
    assert!((1 << 17..1 << 18).contains(&came), "{came}");
    // The next one goes on from there: here with a primary that is honest again.
    head.store(came + 5000, Ordering::Relaxed);
    shell.close();
    let mut shell = Shell::attached(&db, &server.url());
    assert_eq!(shell.sync()["frames_synced"], 5000);
}

/// They cost no memory, and whoever does not want to wait interrupts.
#[test]
fn new_commits_without_end_cost_little_and_can_be_interrupted() {
    let [one, _] = two_pages();
    let started = Instant::now();
    let server = sqld(1 << 46, move |method, next| match method {
        "BatchLogEntries" if started.elapsed() < 3 * PATIENCE => {
            // Slow enough that the interrupt comes before the bound.
            std::thread::sleep(Duration::from_millis(400));
            let frames: Vec<Frame> = (next..next + 1024).map(|n| frame(n, 1, 1, one)).collect();
            batch(&frames)
        }
        _ => refusal(12, "no"),
    });
    let (_folder, db) = empty_place();
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/interrupted.py");
    let output = Command::new(tool("PYTHON", "venv/bin/python"))
        .arg(program)
        .args([extension(), server.url().into(), db])
        .output()
        .expect("Python");
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    println!("new commits without end: {said}");
    let mut words = said.splitn(3, ' ');
    let mut number = || words.next().and_then(|word| word.parse::<f64>().ok()).expect("a number");
    let (seconds, grown) = (number(), number());
    assert!(said.contains("interrupted"), "{said}");
    assert!(seconds < 2.0, "{said}");
    assert!(grown < 16.0, "{said}");
}
