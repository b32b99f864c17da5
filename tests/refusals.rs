//! What a refusal means: whether a write may have happened, what its text says,
//! and that nothing of it harms a terminal. A real sqld stands behind; what is
//! in front of it and answers in its place is simulated: gateways that lose
//! patience, limits, firewalls, quotas.

mod common;

use std::time::{Duration, Instant};

use common::net::{Request, forward, http_answer};
use common::shell::error_and_code;
use common::*;

const COUNT: &str = "SELECT count(*) FROM t";
const TABLE: &str = "CREATE TABLE t(id INTEGER PRIMARY KEY, v)";

/// Holds what is to be answered otherwise.
fn is_marked(request: &Request) -> bool {
    request.body.windows(6).any(|bytes| bytes == b"marked")
}

/// A gateway that answers marked requests like this, after (or without) passing
/// them on.
fn gateway(sqld: &Sqld, pass_on: bool, status: &str, head: &str, body: &str) -> FakeServer {
    let upstream = sqld.address();
    let answer = http_answer(status, head, body.as_bytes());
    FakeServer::start(move |request| {
        // A gateway that holds streams back.
        if request.path.ends_with("/LogEntries") {
            return http_answer("404 Not Found", "", b"");
        }
        if !is_marked(request) {
            return forward(request, upstream);
        }
        if pass_on {
            forward(request, upstream);
        }
        answer.clone()
    })
}

fn rows(sqld: &Sqld) -> i64 {
    sqld.scalar(COUNT).parse().expect("a number")
}

const JSON: &str = "content-type: application/json\r\n";
const HTML: &str = "content-type: text/html\r\n";

const WRITES: [&str; 3] = [
    "SELECT replica_write('INSERT INTO t(v) VALUES (''marked'')')",
    "SELECT replica_batch('INSERT INTO t(v) VALUES (''marked'')')",
    "SELECT replica_write('INSERT INTO t(v) VALUES (''marked''); UPDATE t SET v = v')",
];

#[test]
fn an_answer_that_says_nothing_of_the_write_leaves_it_unknown() {
    let sqld = Sqld::start();
    sqld.execute(TABLE);
    for (status, head, body) in [
        ("400 Bad Request", JSON, r#"{"error":"stream closed"}"#),
        ("408 Request Timeout", JSON, r#"{"error":"request timeout"}"#),
        ("409 Conflict", HTML, ""),
        ("499 Client Closed Request", HTML, ""),
        ("500 Internal Server Error", JSON, r#"{"error":"oh"}"#),
        ("502 Bad Gateway", HTML, "<html>"),
        ("503 Service Unavailable", JSON, r#"{"error":"restarting"}"#),
        ("504 Gateway Timeout", HTML, "<html>"),
        ("520 Unknown", HTML, ""),
        ("524 A Timeout Occurred", HTML, ""),
        ("200 OK", HTML, "<html>"),
        ("200 OK", "content-type: application/x-protobuf\r\n", "\u{1}\u{2}"),
    ] {
        let server = gateway(&sqld, true, status, head, body);
        let (_folder, db) = empty_place();
        let mut shell = Shell::attached(&db, &server.url());
        for call in WRITES {
            let before = rows(&sqld);
            let sent = server.requests().iter().filter(|request| is_marked(request)).count();
            let error = shell.error(call);
            assert!(
                error.contains(": the outcome of this write is unknown: "),
                "{status}: {error}"
            );
            assert_eq!(rows(&sqld), before + 1, "{status}");
            let now = server.requests().iter().filter(|request| is_marked(request)).count();
            assert_eq!(now, sent + 1, "{status}: it was sent again");
        }
    }
}

#[test]
fn a_refusal_at_the_door_is_no_unknown_outcome() {
    let sqld = Sqld::start();
    sqld.execute(TABLE);
    for (status, head, body, code, text) in [
        ("401 Unauthorized", JSON, r#"{"error":"no JWT"}"#, 23, "wants a token: no JWT"),
        (
            "403 Forbidden",
            HTML,
            "<html>",
            23,
            "or what stands before it, does not allow this (403)",
        ),
        ("403 Forbidden", JSON, r#"{"error":"token is read-only"}"#, 23, "let this token write"),
        (
            "403 Forbidden",
            JSON,
            r#"{"error":"SQL writes are forbidden (do you need to upgrade your plan?)"}"#,
            23,
            "upgrade your plan?); look at the account's quota and plan",
        ),
        ("404 Not Found", JSON, r#"{"error":"namespace x"}"#, 15, "no such database: namespace x"),
        ("405 Method Not Allowed", HTML, "", 15, "does not look like sqld"),
        ("413 Payload Too Large", HTML, "<html>", 18, "client_max_body_size"),
        ("415 Unsupported Media Type", HTML, "", 15, "does not look like sqld"),
        ("429 Too Many Requests", HTML, "", 14, "answered 429"),
        ("501 Not Implemented", "", "no", 15, "does not look like sqld"),
        ("503 Service Unavailable", HTML, "<html>", 14, "answered 503"),
        ("426 Upgrade Required", HTML, "", 15, "wants another version of HTTP (426)"),
    ] {
        let server = gateway(&sqld, false, status, head, body);
        let (_folder, db) = empty_place();
        let mut shell = Shell::attached(&db, &server.url());
        for call in WRITES {
            let (error, found) = error_and_code(&shell.ask(call)).expect("an error");
            assert!(!error.contains("unknown"), "{status}: {error}");
            assert!(error.contains(text), "{status}: {error}");
            assert_eq!(found, code, "{status}: {error}");
        }
        assert_eq!(rows(&sqld), 0, "{status}");
    }
}

#[test]
fn a_commit_whose_answer_says_nothing_is_unknown() {
    let sqld = Sqld::start();
    sqld.execute(TABLE);
    let upstream = sqld.address();
    let server = FakeServer::start(move |request| {
        let commits = request.body.windows(6).any(|bytes| bytes == b"COMMIT");
        let answer = forward(request, upstream);
        if commits { http_answer("408 Request Timeout", JSON, b"{}") } else { answer }
    });
    let (_folder, db) = empty_place();
    let mut shell = Shell::loaded(&db);
    shell.run(&format!("SELECT replica_attach('{}', NULL, '{{\"timeout\":5}}')", server.url()));
    shell.run("SELECT replica_begin()");
    shell.run("SELECT replica_write('INSERT INTO t(v) VALUES (1)')");
    let error = shell.error("SELECT replica_commit()");
    assert!(error.starts_with("replica_commit: the outcome of this write is unknown: "), "{error}");
    assert_eq!(rows(&sqld), 1);
}

/// The lock of a transaction that is over on our side is given back at once,
/// and not when sqld takes it away after five seconds.
#[test]
fn after_a_refusal_the_primary_is_not_locked() {
    let sqld = Sqld::start();
    sqld.execute(TABLE);
    for (status, head) in [("502 Bad Gateway", HTML), ("408 Request Timeout", JSON)] {
        let server = gateway(&sqld, false, status, head, "{}");
        let (_folder, db) = empty_place();
        let mut shell = Shell::attached(&db, &server.url());
        shell.run("SELECT replica_begin()");
        shell.run("SELECT replica_write('INSERT INTO t(v) VALUES (1)')");
        let error = shell.error(WRITES[0]);
        assert!(error.contains("nothing of it took effect"), "{error}");
        let started = Instant::now();
        sqld.execute("DELETE FROM t");
        assert!(started.elapsed() < Duration::from_secs(2), "{status}: {:?}", started.elapsed());
        shell.run("SELECT replica_rollback()");
    }
    // What was turned away at the door can be done otherwise in the same
    // transaction; a batch is given up.
    let server = gateway(&sqld, false, "413 Payload Too Large", HTML, "");
    let (_folder, db) = empty_place();
    let mut shell = Shell::attached(&db, &server.url());
    shell.run("SELECT replica_begin()");
    shell.run("SELECT replica_write('INSERT INTO t(v) VALUES (1)')");
    assert!(shell.error(WRITES[0]).contains("(413)"));
    shell.run("SELECT replica_write('INSERT INTO t(v) VALUES (2)')");
    shell.run("SELECT replica_commit()");
    assert_eq!(rows(&sqld), 2);
    let late = "WITH r(n) AS (VALUES(1) UNION ALL SELECT n + 1 FROM r WHERE n < 20000) \
                SELECT replica_batch('INSERT INTO t(v) VALUES (?)', \
                iif(n = 20000, 'marked', n)) FROM r";
    let error = shell.error(late);
    assert!(error.contains("(413)"), "{error}");
    let started = Instant::now();
    sqld.execute("DELETE FROM t");
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}

#[test]
fn a_server_without_protobuf_is_asked_in_json_whatever_it_says() {
    let sqld = Sqld::start();
    sqld.execute(TABLE);
    for (status, head, body) in [
        ("404 Not Found", JSON, r#"{"error":"route not found: [\"v3-protobuf\"]"}"#),
        ("405 Method Not Allowed", JSON, "{}"),
        ("406 Not Acceptable", HTML, ""),
        ("415 Unsupported Media Type", JSON, "{}"),
        ("501 Not Implemented", "content-type: text/plain\r\n", "no"),
    ] {
        let upstream = sqld.address();
        let refusal = http_answer(status, head, body.as_bytes());
        let server = FakeServer::start(move |request| match request.path.contains("protobuf") {
            true => refusal.clone(),
            false => forward(request, upstream),
        });
        let (_folder, db) = empty_place();
        let mut shell = Shell::loaded(&db);
        shell.run(&format!("SELECT replica_attach('{}', NULL, '{{\"timeout\":2}}')", server.url()));
        let before = rows(&sqld);
        shell.run("SELECT replica_write('INSERT INTO t(v) VALUES (1)')");
        assert_eq!(rows(&sqld), before + 1, "{status}");
    }
}

#[test]
fn a_grpc_status_in_the_head_is_read_in_every_dialect() {
    let head = "content-type: application/grpc-web-text\r\ngrpc-status: 12\r\n\
                grpc-message: deprecated%20version%20of%20sync\r\n";
    let server = FakeServer::always("200 OK", head, "");
    let (_folder, db) = empty_place();
    let mut shell = Shell::loaded(&db);
    let options = r#"{"protocol":"sqld"}"#;
    let error =
        shell.error(&format!("SELECT replica_attach('{}', NULL, '{options}')", server.url()));
    assert!(error.ends_with("replication log: deprecated version of sync"), "{error}");
}

#[test]
fn what_a_primary_says_of_sql_is_scrubbed() {
    let token = "SECRETSECRETSECRET";
    let said = format!(
        "near \\u001b[31m Bearer SECRET\\u200bSECRETSECRET {token} \\u202e \\u009b1m {}",
        "long ".repeat(20_000)
    );
    let body = format!(
        r#"{{"results":[{{"type":"error","error":{{"message":"{said}","code":"SQLITE_ERROR"}}}},
            {{"type":"ok","response":{{"type":"close"}}}}]}}"#
    );
    let answer = http_answer("200 OK", JSON, body.as_bytes());
    let server = FakeServer::start(move |request| match request.path.as_str() {
        "/v3/pipeline" => answer.clone(),
        _ => http_answer("404 Not Found", "", b""),
    });
    let (_folder, db) = empty_place();
    let mut shell = Shell::loaded(&db);
    let options = r#"{"protocol":"sqld","first_sync":false}"#;
    shell.run(&format!("SELECT replica_attach('{}', '{token}', '{options}')", server.url()));
    let error = shell.error("SELECT replica_write('INSERT INTO t VALUES (1)')");
    let status = shell.run("SELECT last_error FROM replica_status");
    for text in [&error, &status] {
        assert!(!text.contains("SECRET"), "{text:.300}");
        assert!(text.contains("[31m Bearer ... ..."), "{text:.300}");
        assert!(!text.chars().any(|c| c.is_control() || c == '\u{202e}'), "{text:.300}");
        assert!(text.len() < 5000, "{} bytes", text.len());
    }
}

#[test]
fn a_server_that_says_when_to_come_again_is_asked_again_then() {
    let sqld = Sqld::start();
    sqld.execute(TABLE);
    let not_yet = http_answer("404 Not Found", JSON, br#"{"error":"Host not found"}"#);
    let too_many = http_answer("429 Too Many Requests", "retry-after: 1\r\n", b"");
    for (name, refusal) in [("a new host", not_yet), ("too many requests", too_many)] {
        let (upstream, started) = (sqld.address(), Instant::now());
        let server = FakeServer::start(move |request| {
            match started.elapsed() < Duration::from_millis(1500) {
                true => refusal.clone(),
                false if request.path.ends_with("/LogEntries") => {
                    http_answer("404 Not Found", "", b"")
                }
                false => forward(request, upstream),
            }
        });
        let (_folder, db) = empty_place();
        let mut shell = Shell::attached(&db, &server.url());
        assert_eq!(shell.run(COUNT), "0", "{name}");
        assert!(server.requests().len() < 12, "{name}: {}", server.requests().len());
    }
    // Nobody waits longer than the timeout, and a write is not sent twice that
    // may have happened.
    let server = FakeServer::always("429 Too Many Requests", "retry-after: 3600\r\n", "");
    let (_folder, db) = empty_place();
    let started = Instant::now();
    let error = Shell::loaded(&db).error(&format!("SELECT replica_attach('{}')", server.url()));
    assert!(error.contains("answered 429"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[test]
fn no_piece_of_a_batch_is_larger_than_a_gateway_takes() {
    let sqld = Sqld::start();
    sqld.execute(TABLE);
    for json_only in [true, false] {
        let upstream = sqld.address();
        let server = FakeServer::start(move |request| {
            if request.body.len() > 1_000_000 {
                return http_answer("413 Payload Too Large", HTML, b"");
            }
            let unheard = json_only && request.path.contains("protobuf");
            match unheard || request.path.ends_with("/LogEntries") {
                true => http_answer("404 Not Found", "", b""),
                false => forward(request, upstream),
            }
        });
        let (_folder, db) = empty_place();
        let mut shell = Shell::attached(&db, &server.url());
        for (rows, value) in [
            (30_000, "n"),
            (40, "printf('%.*c', 100000, 'x')"),
            (6, "printf('%.*c', 600000, 'x')"),
            (12, "zeroblob(200000)"),
            (20, "replace(printf('%.*c', 60000, 'x'), 'x', char(1))"),
        ] {
            let batch = format!(
                "WITH r(n) AS (VALUES(1) UNION ALL SELECT n + 1 FROM r WHERE n < {rows}) \
                 SELECT replica_batch('INSERT INTO t(v) VALUES (?)', {value}) ->> 'count' FROM r"
            );
            assert_eq!(shell.run(&batch), rows.to_string(), "{value}, json: {json_only}");
        }
        let sent = server.requests();
        let longest = sent.iter().map(|request| request.body.len()).max();
        println!("json: {json_only}: {} requests, the longest has {longest:?}", sent.len());
    }
}

#[test]
fn an_encryption_key_goes_with_each_request_and_is_shown_nowhere() {
    let sqld = Sqld::start();
    sqld.execute(TABLE);
    let upstream = sqld.address();
    let server = FakeServer::start(move |request| match request.header("x-turso-encryption-key") {
        Some("S3CR3TK3Y") if !is_marked(request) => forward(request, upstream),
        key => {
            let said = format!("{{\"error\":\"bad {}\"}}", key.unwrap_or("none"));
            http_answer("400 Bad Request", JSON, said.as_bytes())
        }
    });
    let (_folder, db) = empty_place();
    let mut shell = Shell::loaded(&db);
    let options = r#"{"encryption_key":"S3CR3TK3Y","timeout":3}"#;
    shell.run(&format!("SELECT replica_attach('{}', NULL, '{options}')", server.url()));
    shell.run("SELECT replica_write('INSERT INTO t(v) VALUES (1)')");
    let error = shell.error(WRITES[0]);
    let status = shell.run("SELECT * FROM replica_status");
    assert!(error.contains("bad") && !error.contains("S3CR3TK3Y"), "{error}");
    assert!(!status.contains("S3CR3TK3Y"), "{status}");
    let sidecar = std::fs::read_to_string(format!("{}-replica", db.display())).expect("notes");
    assert!(!sidecar.contains("S3CR3TK3Y"), "{sidecar}");
}
