//! The way to a primary: where a token goes, and what stands in between. A real
//! sqld is at the end of each way; redirections, compressing gateways and
//! primaries that name another host are simulated.

mod common;

use std::io::copy;
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use common::net::{Request, forward, http_answer};
use common::*;

const TABLE: &str = "CREATE TABLE t(id INTEGER PRIMARY KEY, v)";
const WRITE: &str = "SELECT replica_write('INSERT INTO t(v) VALUES (1)')";
const COUNT: &str = "SELECT count(*) FROM t";
const TOKEN: &str = "SECRETSECRET";

fn attach(url: &str) -> String {
    format!(r#"SELECT replica_attach('{url}', '{TOKEN}', '{{"timeout":5}}')"#)
}

/// A sqld without `LogEntries`: what is relayed whole has no streams.
fn relay(request: &Request, upstream: std::net::SocketAddr) -> Vec<u8> {
    match request.path.ends_with("/LogEntries") {
        true => http_answer("404 Not Found", "", b""),
        false => forward(request, upstream),
    }
}

#[test]
fn a_redirection_is_followed_only_to_where_the_token_may_go() {
    let sqld = Sqld::start();
    sqld.execute(TABLE);
    let upstream = sqld.address();
    for status in ["307 Temporary Redirect", "308 Permanent Redirect"] {
        // To another place of the same server.
        let server = FakeServer::start(move |request| match request.path.strip_prefix("/moved") {
            Some(path) => {
                let path = path.to_owned();
                relay(&Request { path, ..request.clone() }, upstream)
            }
            None => {
                let head = format!("location: /moved{}\r\n", request.path);
                http_answer(status, &head, b"moved")
            }
        });
        let (_folder, db) = empty_place();
        let mut shell = Shell::loaded(&db);
        shell.run(&attach(&server.url()));
        let before: i64 = sqld.scalar(COUNT).parse().expect("a number");
        shell.run(WRITE);
        assert_eq!(sqld.scalar(COUNT), (before + 1).to_string());
    }
    // To another server, which never sees the token; and round in circles.
    let other = FakeServer::always("500 Oh", "", "");
    let elsewhere = other.url();
    let to_other = FakeServer::start(move |request| {
        let head = format!("location: {elsewhere}{}\r\n", request.path);
        http_answer("307 Temporary Redirect", &head, b"")
    });
    let (_folder, db) = empty_place();
    let error = Shell::loaded(&db).error(&attach(&to_other.url()));
    assert!(error.contains(&format!("redirects to {} (307)", other.url())), "{error}");
    assert!(other.requests().is_empty(), "{:?}", other.requests());
    let circle = FakeServer::always("307 Temporary Redirect", "location: /x\r\n", "");
    let (_folder, db) = empty_place();
    let error = Shell::loaded(&db).error(&attach(&circle.url()));
    assert!(error.contains("redirects elsewhere (307)"), "{error}");
}

#[test]
fn a_stream_is_not_bound_to_a_server_that_the_token_does_not_go_to() {
    let sqld = Sqld::start();
    sqld.execute(TABLE);
    let (upstream, other) = (sqld.address(), FakeServer::always("500 Oh", "", ""));
    let elsewhere = other.url();
    let server = FakeServer::start(move |request| {
        if request.path.contains("protobuf") {
            return http_answer("404 Not Found", "", b"");
        }
        let answer = String::from_utf8_lossy(&relay(request, upstream)).into_owned();
        if !request.path.ends_with("pipeline") {
            return relay(request, upstream);
        }
        let (head, body) = answer.split_once("\r\n\r\n").expect("a body");
        assert!(head.starts_with("HTTP/1.1 200"));
        let bound = format!("\"base_url\":\"{elsewhere}/internal/delete\"");
        let body = body.replace("\"base_url\":null", &bound);
        http_answer("200 OK", "content-type: application/json\r\n", body.as_bytes())
    });
    let (_folder, db) = empty_place();
    let mut shell = Shell::loaded(&db);
    shell.run(&attach(&server.url()));
    let error = shell.error("SELECT replica_begin()");
    assert!(error.ends_with("to a server that the token does not go to"), "{error}");
    assert!(other.requests().is_empty(), "{:?}", other.requests());
}

#[test]
fn a_gateway_that_compresses_is_named() {
    let sqld = Sqld::start();
    sqld.execute(TABLE);
    let upstream = sqld.address();
    let server = FakeServer::start(move |request| {
        assert_eq!(request.header("accept-encoding"), Some("identity"));
        let mut answer = relay(request, upstream);
        let line = answer.iter().position(|byte| *byte == b'\n').expect("a line") + 1;
        answer.splice(line..line, *b"content-encoding: gzip\r\n");
        answer
    });
    let (_folder, db) = empty_place();
    let mut shell = Shell::loaded(&db);
    let error = shell.error(&attach(&server.url()));
    assert!(error.contains("compresses its answers (gzip); switch that off"), "{error}");
    let options = r#"{"first_sync":false,"protocol":"sqld"}"#;
    shell.run(&format!("SELECT replica_attach('{}', NULL, '{options}')", server.url()));
    let error = shell.error(WRITE);
    assert!(error.contains("outcome of this write is unknown"), "{error}");
    assert_eq!(sqld.scalar(COUNT), "1");
}

#[test]
fn a_user_name_and_password_of_the_url_are_shown_to_the_server_and_to_nobody_else() {
    let sqld = Sqld::start();
    sqld.execute(TABLE);
    let upstream = sqld.address();
    let server = FakeServer::start(move |request| {
        // base64 of me:SECRET
        if request.header("authorization") != Some("Basic bWU6U0VDUkVU") {
            return http_answer("401 Unauthorized", "content-type: text/plain\r\n", b"who?");
        }
        relay(request, upstream)
    });
    let (_folder, db) = empty_place();
    let mut shell = Shell::loaded(&db);
    let url = server.url().replace("http://", "http://me:SECRET@");
    let report = shell.run(&format!("SELECT replica_attach('{url}')"));
    let status = shell.run("SELECT * FROM replica_status");
    assert!(!report.contains("SECRET") && !status.contains("SECRET"), "{report}{status}");
    shell.run(WRITE);
    assert_eq!(sqld.scalar(COUNT), "1");
}

#[test]
fn names_below_localhost_are_this_machine() {
    let sqld = Sqld::start();
    sqld.execute(TABLE);
    let (listener, upstream) = (TcpListener::bind("127.0.0.1:0").expect("a port"), sqld.address());
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let server = TcpStream::connect(upstream).expect("sqld");
            let (mut from, mut to) =
                (client.try_clone().expect("a"), server.try_clone().expect("b"));
            std::thread::spawn(move || copy(&mut from, &mut to));
            let (mut from, mut to) = (server, client);
            std::thread::spawn(move || copy(&mut from, &mut to));
        }
    });
    let (_folder, db) = empty_place();
    let mut shell = Shell::attached(&db, &format!("http://one.db.localhost:{port}"));
    shell.run(WRITE);
    assert_eq!(shell.run(COUNT), "1");
}

#[cfg(unix)]
#[test]
fn a_ca_file_that_is_no_file_is_refused_at_once() {
    let (folder, db) = empty_place();
    let pipe = folder.path().join("pipe.pem");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo");
    assert!(made.success());
    let mut errors = Vec::new();
    for path in ["/dev/zero".into(), pipe, folder.path().to_owned(), "/does/not/exist".into()] {
        let started = Instant::now();
        let options = format!(r#"{{"ca_file":"{}"}}"#, path.display());
        let error = Shell::loaded(&db)
            .error(&format!("SELECT replica_attach('https://localhost:1', NULL, '{options}')"));
        assert!(started.elapsed() < Duration::from_secs(2), "{}", path.display());
        errors.push(error.replace(&path.display().to_string(), "PATH"));
    }
    errors.dedup();
    assert_eq!(errors.len(), 1, "what is there is not told: {errors:?}");
}
