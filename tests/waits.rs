//! Every wait ends, and ends when nobody wants it any more, whatever the peer
//! does. The peers are simulated, because no honest server behaves so: heads,
//! trailers and bodies that come byte by byte, or never end. Where a log is
//! needed, a real sqld is behind them.

mod common;

use std::io::{Result, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use common::net::{Request, forward};
use common::*;

const TIMEOUT: Duration = Duration::from_secs(2);

/// Each wait has the timeout; a request has three of them at most, and a busy
/// machine some time more.
const ENOUGH: Duration = Duration::from_secs(8);

const CHUNKED: &[u8] = b"transfer-encoding: chunked\r\n\r\n";

/// The head that an answer to such a request has.
fn head(request: &Request) -> Vec<u8> {
    let kind = request.header("content-type").unwrap_or_default();
    format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n").into_bytes()
}

/// Says `first`, then the rest again and again.
fn forever(stream: &mut TcpStream, first: &[&[u8]], rest: &[u8], pause: u64) -> Result<()> {
    stream.write_all(&first.concat())?;
    loop {
        stream.write_all(rest)?;
        std::thread::sleep(Duration::from_millis(pause));
    }
}

fn endless_trailers(request: &Request, stream: &mut TcpStream) -> Result<()> {
    forever(stream, &[&head(request), CHUNKED, b"0\r\n"], &b"a: b\r\n".repeat(1000), 0)
}

fn slow_trailers(request: &Request, stream: &mut TcpStream) -> Result<()> {
    forever(stream, &[&head(request), CHUNKED, b"0\r\n"], &b"a: b\r\n".repeat(16), 50)
}

fn head_by_bytes(_: &Request, stream: &mut TcpStream) -> Result<()> {
    forever(stream, &[b"HTTP/1.1 200 OK\r\nx: "], b"a", 50)
}

fn head_by_rare_bytes(_: &Request, stream: &mut TcpStream) -> Result<()> {
    forever(stream, &[b"HTTP/1.1 200 OK\r\nx: "], b"a", 500)
}

fn endless_interim_answers(_: &Request, stream: &mut TcpStream) -> Result<()> {
    forever(stream, &[], b"HTTP/1.1 103 Early Hints\r\n\r\n", 20)
}

fn body_by_bytes(request: &Request, stream: &mut TcpStream) -> Result<()> {
    forever(stream, &[&head(request), b"content-length: 16000\r\n\r\n"], &[0], 50)
}

fn refusal_by_bytes(_: &Request, stream: &mut TcpStream) -> Result<()> {
    let head = b"HTTP/1.1 500 Oh\r\ncontent-type: text/plain\r\ncontent-length: 16000\r\n\r\n";
    forever(stream, &[head], b"a", 50)
}

fn chunk_extension_without_end(request: &Request, stream: &mut TcpStream) -> Result<()> {
    forever(stream, &[&head(request), CHUNKED, b"1;"], b"a", 20)
}

fn silence(_: &Request, _: &mut TcpStream) -> Result<()> {
    std::thread::sleep(Duration::from_secs(60));
    Ok(())
}

type Behaviour = fn(&Request, &mut TcpStream) -> Result<()>;

const BEHAVIOURS: [(&str, Behaviour); 9] = [
    ("endless trailers", endless_trailers),
    ("slow trailers", slow_trailers),
    ("a head by bytes", head_by_bytes),
    ("a head by rare bytes", head_by_rare_bytes),
    ("endless interim answers", endless_interim_answers),
    ("a body by bytes", body_by_bytes),
    ("a refusal by bytes", refusal_by_bytes),
    ("a chunk extension without end", chunk_extension_without_end),
    ("silence", silence),
];

fn attach(url: &str) -> String {
    let options = format!(r#"{{"timeout":{}}}"#, TIMEOUT.as_secs());
    format!("SELECT replica_attach('{url}', NULL, '{options}')")
}

#[test]
fn a_first_sync_ends_whatever_the_peer_does() {
    for (name, behaviour) in BEHAVIOURS {
        let server = FakeServer::talking(behaviour);
        let (_folder, db) = empty_place();
        let mut shell = Shell::loaded(&db);
        let started = Instant::now();
        let error = shell.error(&attach(&server.url()));
        let took = started.elapsed();
        println!("{name}: {took:.1?}: {error}");
        assert!(took < ENOUGH, "{name}: {took:?}");
    }
}

#[test]
fn an_answer_to_sql_ends_whatever_the_peer_does() {
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v)");
    for (name, behaviour) in BEHAVIOURS {
        let upstream = sqld.address();
        let server = FakeServer::talking(move |request, stream| {
            if request.path.ends_with("pipeline") {
                return behaviour(request, stream);
            }
            relay(request, stream, upstream)
        });
        let (_folder, db) = empty_place();
        let mut shell = Shell::loaded(&db);
        shell.run(&attach(&server.url()));
        for (sql, unknown) in [
            ("SELECT row FROM replica_query('SELECT 1')", false),
            ("SELECT replica_write('INSERT INTO t(v) VALUES (1)')", true),
        ] {
            let started = Instant::now();
            let error = shell.error(sql);
            let took = started.elapsed();
            println!("{name}: {took:.1?}: {error}");
            // Besides its answer, a write waits for its pages.
            assert!(took < ENOUGH, "{name}: {took:?}");
            assert_eq!(error.contains("outcome of this write is unknown"), unknown, "{error}");
        }
    }
}

/// What sqld answers; nothing is said to what follows its log.
fn relay(request: &Request, stream: &mut TcpStream, upstream: std::net::SocketAddr) -> Result<()> {
    if is_stream(request) {
        return silence(request, stream);
    }
    stream.write_all(&forward(request, upstream))
}

fn is_stream(request: &Request) -> bool {
    request.path.ends_with("/LogEntries")
}

#[test]
fn detach_ends_within_a_second_whatever_the_stream_does() {
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v)");
    for (name, behaviour) in BEHAVIOURS {
        let upstream = sqld.address();
        let server = FakeServer::talking(move |request, stream| {
            if is_stream(request) {
                behaviour(request, stream)
            } else {
                relay(request, stream, upstream)
            }
        });
        let (_folder, db) = empty_place();
        let mut shell = Shell::loaded(&db);
        let options = r#"{"live":true,"timeout":30}"#;
        shell.run(&format!("SELECT replica_attach('{}', NULL, '{options}')", server.url()));
        // The worker opens its stream.
        let deadline = Instant::now() + ENOUGH;
        while !server.requests().iter().any(is_stream) {
            assert!(Instant::now() < deadline, "no stream is opened");
            std::thread::sleep(Duration::from_millis(20));
        }
        std::thread::sleep(Duration::from_millis(300));
        let started = Instant::now();
        assert_eq!(shell.run("SELECT replica_detach()"), "1");
        let took = started.elapsed();
        println!("{name}: detached in {took:.2?}");
        assert!(took < Duration::from_secs(1), "{name}: {took:?}");
    }
}

#[test]
fn an_open_transaction_does_not_delay_a_close() {
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v)");
    for (name, behaviour) in BEHAVIOURS {
        let upstream = sqld.address();
        let server = FakeServer::talking(move |request, stream| {
            let begins = request.body.windows(5).any(|bytes| bytes == b"BEGIN");
            if request.path.ends_with("pipeline") && !begins {
                return behaviour(request, stream);
            }
            relay(request, stream, upstream)
        });
        let (_folder, db) = empty_place();
        let mut shell = Shell::loaded(&db);
        shell.run(&attach(&server.url()));
        shell.run("SELECT replica_begin()");
        let started = Instant::now();
        shell.run("SELECT replica_detach()");
        let took = started.elapsed();
        println!("{name}: detached in {took:.2?}");
        assert!(took < Duration::from_millis(1500), "{name}: {took:?}");
    }
}
