//! What each failure is called, how soon, and what is never sent again.

use super::*;

fn both_errors(url: &str, patience: &Patience) -> [Error; 2] {
    let primary = primary(url);
    let pull = Memory::default().pull_patiently(&primary, patience).unwrap_err();
    let write =
        primary.sql(patience).unwrap().execute(&[statement("INSERT", &[])], patience).unwrap_err();
    [pull, write]
}

#[test]
fn an_unreachable_primary_is_an_error_within_the_timeout() {
    let refused = format!("http://{}", free_address());
    for (url, cause) in [
        (refused.as_str(), "connection refused"),
        ("http://no-such-host.invalid", "cannot be looked up"),
        // Reserved for documentation (RFC 5737): silent, or without a route.
        ("http://192.0.2.1:8080", "cannot reach the primary at 192.0.2.1:8080"),
    ] {
        let started = Instant::now();
        for error in both_errors(url, &patience(Duration::from_secs(1))) {
            assert_eq!(error.kind(), Kind::Unreachable, "{error}");
            assert!(error.to_string().contains(cause), "{error}");
        }
        assert!(started.elapsed() < Duration::from_secs(4), "{url}: {:?}", started.elapsed());
    }
}

#[test]
fn a_server_that_is_not_sqld_is_called_so() {
    let page = "<html><body>hello</body></html>";
    for (status, headers, body, kind, cause) in [
        ("200 OK", "content-type: text/html\r\n", page, Kind::Protocol, "200 with text/html"),
        ("404 Not Found", "content-type: text/html\r\n", page, Kind::Protocol, "check the URL"),
        ("404 Not Found", "", "", Kind::Protocol, "check the URL"),
        ("308 Moved", "location: https://x/?authToken=s\r\n", "", Kind::Protocol, "redirects"),
        ("503 Down", "content-type: text/html\r\n", page, Kind::Unavailable, "answered 503"),
    ] {
        let server = FakeServer::always(status, headers, body);
        let [pull, write] = both_errors(&server.url(), &patience(Duration::from_millis(300)));
        assert_eq!(pull.kind(), kind, "{status}: {pull}");
        // It took the write and says nothing of it.
        let of_write = if status == "200 OK" { Kind::OutcomeUnknown } else { kind };
        assert_eq!(write.kind(), of_write, "{status}: {write}");
        for error in [pull, write] {
            assert!(error.to_string().contains(cause), "{error}");
        }
    }
    let server = FakeServer::always("502 Bad Gateway", "", "");
    let [pull, write] = both_errors(&server.url(), &patience(Duration::from_millis(300)));
    assert_eq!(pull.kind(), Kind::Unavailable);
    assert_eq!(write.kind(), Kind::OutcomeUnknown, "{write}");
    let server = FakeServer::start(|_| b"SSH-2.0-OpenSSH_9.2\r\n".to_vec());
    for error in both_errors(&server.url(), &patience(Duration::from_millis(300))) {
        assert_eq!(error.kind(), Kind::Protocol, "{error}");
    }
}

#[test]
fn damaged_answers_are_errors_of_the_protocol() {
    let grpc = "content-type: application/grpc-web+proto\r\n";
    for body in [
        &b"\0\0\0\0\x01\xff\x80\0\0\0\x0fgrpc-status:0\r\n"[..],
        b"\x07\0\0\0\0",
        b"\0\0\0\0\0\x80\0\0\0\0",
        b"\x80\0\0\0\x0fgrpc-status:0\r\n",
    ] {
        let server = FakeServer::always("200 OK", grpc, body);
        let error = Memory::default().pull(&primary(&server.url())).unwrap_err();
        assert_eq!(error.kind(), Kind::Protocol, "{error}");
    }
    for body in ["", "{\"results\"", "\u{1a}\u{5}"] {
        let kind = "content-type: application/x-protobuf\r\n";
        let server = FakeServer::always("200 OK", kind, body);
        // It may have been an answer to a write that happened.
        let error = write(&primary(&server.url()), "INSERT").unwrap_err();
        assert_eq!(error.kind(), Kind::OutcomeUnknown, "{error}");
    }
}

/// Accepts connections and does with each what a test wants; yields its URL
/// and how many it accepted.
fn raw_server(
    serve: impl Fn(std::net::TcpStream) + Send + Sync + 'static,
) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind(free_address()).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = accepted.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            count.fetch_add(1, Ordering::SeqCst);
            serve(stream.unwrap());
        }
    });
    (url, accepted)
}

#[test]
fn a_write_without_an_answer_is_never_sent_again() {
    let (url, accepted) = raw_server(|mut stream| {
        let _ = stream.read(&mut [0; 4096]);
        std::thread::sleep(Duration::from_millis(50));
    });
    let error = write(&primary(&url), "INSERT").unwrap_err();
    assert_eq!(error.kind(), Kind::OutcomeUnknown);
    assert!(!error.can_retry());
    let text = error.to_string();
    assert!(text.starts_with("the outcome of this write is unknown: the primary at "), "{text}");
    assert!(text.ends_with("; read the data back before trying again"), "{text}");
    assert_eq!(accepted.load(Ordering::SeqCst), 1);
}

#[test]
fn a_silent_primary_is_given_up_after_the_timeout() {
    let (url, _) = raw_server(std::mem::forget);
    let started = Instant::now();
    let [pull, write] = both_errors(&url, &patience(Duration::from_millis(400)));
    assert_eq!(pull.kind(), Kind::Unavailable, "{pull}");
    assert!(pull.to_string().contains("did not answer within 0.4 s"), "{pull}");
    assert_eq!(write.kind(), Kind::OutcomeUnknown, "{write}");
    let elapsed = started.elapsed();
    assert!(
        elapsed > Duration::from_millis(750) && elapsed < Duration::from_secs(3),
        "{elapsed:?}"
    );
}

#[test]
fn an_answer_that_stops_in_the_middle_is_an_error() {
    let answers: [&'static [u8]; 3] = [
        b"HTTP/1.1 200 OK\r\ncontent-ty",
        b"HTTP/1.1 200 OK\r\ncontent-type: application/grpc-web+proto\r\ncontent-length: 100\r\n\r\n\0\0",
        b"HTTP/1.1 200 OK\r\ncontent-type: application/grpc-web+proto\r\ntransfer-encoding: chunked\r\n\r\n5\r\n\0\0\0\0\x10\r\n",
    ];
    for answer in answers {
        for stay in [false, true] {
            let (url, _) = raw_server(move |mut stream| {
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(answer);
                if stay {
                    std::mem::forget(stream);
                }
            });
            let patience = patience(Duration::from_millis(300));
            let error = Memory::default().pull_patiently(&primary(&url), &patience).unwrap_err();
            assert_eq!(error.kind(), Kind::Unavailable, "{error}");
        }
    }
}

#[test]
fn a_caller_that_gives_up_is_not_kept_waiting() {
    let (silent, _) = raw_server(std::mem::forget);
    for url in [silent.as_str(), "http://192.0.2.1:8080"] {
        let started = Instant::now();
        let cancelled: replica::patience::Cancelled =
            Arc::new(move || started.elapsed() > Duration::from_millis(300));
        let patience = Patience { timeout: Duration::from_secs(20), cancelled };
        let error = Memory::default().pull_patiently(&primary(url), &patience).unwrap_err();
        // A machine without any route says so at once.
        if error.kind() != Kind::Unreachable {
            assert_eq!(error.kind(), Kind::Interrupted, "{error}");
        }
        assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    }
}

#[test]
fn a_pooled_connection_that_was_closed_is_replaced() {
    // Each connection answers once and is then closed without a word.
    let (url, accepted) = raw_server(|mut stream| {
        // Up to the last word of the body: closed with a part of the request
        // unread, the connection would be reset and the answer lost.
        let (mut request, mut part) = (Vec::new(), [0; 4096]);
        while !request.windows(6).any(|word| word == b"INSERT") {
            match stream.read(&mut part) {
                Ok(read @ 1..) => request.extend_from_slice(&part[..read]),
                _ => return,
            }
        }
        // An empty result of `execute`, and one of `close`.
        let body = b"\x1a\x06\x0a\x04\x12\x02\x0a\x00\x1a\x04\x0a\x02\x0a\x00";
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\n";
        let _ = write!(stream, "{head}content-length: {}\r\n\r\n", body.len());
        let _ = stream.write_all(body);
    });
    let primary = primary(&url);
    for _ in 0..5 {
        write(&primary, "INSERT").unwrap();
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(accepted.load(Ordering::SeqCst), 5);
}

#[test]
fn connections_are_kept_and_used_again() {
    let sqld = Sqld::start();
    let upstream = sqld.address();
    // A proxy that counts connections.
    let (url, accepted) = raw_server(move |client| {
        let server = std::net::TcpStream::connect(upstream).unwrap();
        for (mut from, mut to) in
            [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)]
        {
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut from, &mut to);
                let _ = to.shutdown(std::net::Shutdown::Write);
            });
        }
    });
    let primary = primary(&url);
    write(&primary, "CREATE TABLE t(a INTEGER PRIMARY KEY, b)").unwrap();
    let mut memory = Memory::default();
    for n in 0..20 {
        write(&primary, &format!("INSERT INTO t(b) VALUES({n})")).unwrap();
        memory.pull(&primary).unwrap();
        assert!(write(&primary, "SELECT * FROM nope").is_err());
    }
    memory.assert_equals(&sqld);
    assert_eq!(accepted.load(Ordering::SeqCst), 1);
}

#[test]
fn a_ca_file_that_cannot_be_used_is_named() {
    let (folder, db) = empty_place();
    std::fs::write(&db, "no certificate").unwrap();
    for (path, cause) in [
        (folder.path().join("missing.pem"), "no file that can be read"),
        (db, "certificates in PEM form"),
        (folder.path().to_owned(), "cannot use ca_file"),
    ] {
        let options = ConnectOptions { ca_file: Some(path), ..ConnectOptions::default() };
        let endpoint = Endpoint::parse("libsql://localhost").unwrap();
        let error =
            Primary::new("sqld", endpoint, None, &options, Arc::new(NoNotes)).err().unwrap();
        assert_eq!(error.kind(), Kind::BadArgument);
        assert!(error.to_string().contains(cause), "{error}");
    }
}

#[test]
fn only_known_protocols_are_connected() {
    let endpoint = Endpoint::parse("libsql://localhost").unwrap();
    let options = ConnectOptions::default();
    let error = Primary::new("http", endpoint, None, &options, Arc::new(NoNotes)).err().unwrap();
    assert_eq!(error.kind(), Kind::BadArgument);
}

#[test]
fn tls_against_a_server_without_it_names_the_remedy() {
    let sqld = Sqld::start();
    let url = format!("libsql://{}", sqld.address());
    for error in both_errors(&url, &patience(Duration::from_secs(2))) {
        assert_eq!(error.kind(), Kind::Unreachable, "{error}");
        assert!(error.to_string().contains("?tls=0"), "{error}");
    }
}
