//! What goes wrong is said in one sentence, in time, and changes nothing.
//!
//! Refused tokens and unreachable hosts are real. A proxy's HTML and damaged
//! messages are simulated by `FakeServer`: a real sqld does not send them.
//! The exact text of each error is in tests/sql/errors.out.

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use common::net::{free_address, http_answer};
use common::*;

/// Every file of a folder that holds something.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    files(folder)
        .into_iter()
        .filter(|name| folder.join(name).is_file())
        .map(|name| (name.clone(), std::fs::read(folder.join(name)).expect("a file")))
        .filter(|(_, bytes)| !bytes.is_empty())
        .collect()
}

/// Runs `statement` in a shell that has loaded the extension and nothing more;
/// it must fail by one sentence of `function` that mentions `cause`.
#[track_caller]
fn refused(db: &Path, statement: &str, function: &str, cause: &str) {
    let folder = db.parent().expect("a folder");
    let before = contents(folder);
    let mut shell = Shell::loaded(db);
    let sentence = refused_in(&mut shell, statement, function, cause);
    // The connection goes on as if nothing had been.
    assert_eq!(shell.run("SELECT count(*) FROM replica_status"), "0", "{sentence}");
    // What is in memory, if anything, is not to be copied into the folder.
    memory::forget(db);
    shell.close();
    let names = |contents: &BTreeMap<String, Vec<u8>>| contents.keys().cloned().collect::<Vec<_>>();
    let after = contents(folder);
    assert_eq!(names(&after), names(&before), "{sentence}");
    assert!(after == before, "files changed: {sentence}");
}

#[track_caller]
fn refused_in(shell: &mut Shell, statement: &str, function: &str, cause: &str) -> String {
    let started = Instant::now();
    let answer = shell.ask(statement);
    let took = started.elapsed();
    let sentence = shell::error_in(&answer).unwrap_or_else(|| panic!("{statement}\n{answer}"));
    assert!(took < Duration::from_secs(8), "{took:?}: {sentence}");
    let text = sentence.strip_prefix(&format!("{function}: "));
    let text = text.unwrap_or_else(|| panic!("not of {function}: {sentence}"));
    assert_eq!(answer.lines().count(), 1, "more than one line: {answer}");
    assert!(!text.ends_with(['.', '!', ' ', ':']), "{sentence}");
    let first = text.chars().next().expect("a text");
    // An SQL keyword or a name of SQLite may begin in upper case.
    let word = text.split(' ').next().expect("a word");
    let is_name = word.len() > 1 && word.chars().all(|letter| !letter.is_lowercase());
    assert!(!first.is_uppercase() || is_name, "{sentence}");
    let found = text.to_lowercase().contains(&cause.to_lowercase());
    assert!(found, "{statement}\n{sentence}\ndoes not mention: {cause}");
    for token in [tokens::READ_ONLY, tokens::READ_WRITE, tokens::FORGED, tokens::EXPIRED] {
        assert!(!sentence.contains(&token[token.len() - 30..]), "a token in: {sentence}");
    }
    sentence
}

/// An attach to `url` with a short timeout.
fn attach(url: &str) -> String {
    format!(
        "SELECT replica_attach({}, NULL, '{{\"timeout\": 2, \"new_primary\": true}}')",
        quoted(url)
    )
}

#[test]
fn functions_say_that_nothing_is_attached() {
    let (_folder, db) = empty_place();
    for (function, call) in [
        ("replica_sync", "replica_sync()"),
        ("replica_write", "replica_write('DELETE FROM t')"),
        ("replica_set_token", "replica_set_token('x')"),
    ] {
        refused(&db, &format!("SELECT {call}"), function, "attached");
    }
}

#[test]
fn arguments_of_the_wrong_type_are_named() {
    let (_folder, db) = empty_place();
    let url = "'http://127.0.0.1:9'";
    for wrong in ["NULL", "5", "0.5", "x'00'"] {
        if wrong != "NULL" {
            refused(&db, &format!("SELECT replica_attach({wrong})"), "replica_attach", "sync_url");
            let token = format!("SELECT replica_attach({url}, {wrong})");
            refused(&db, &token, "replica_attach", "token");
            let options = format!("SELECT replica_attach({url}, NULL, {wrong})");
            refused(&db, &options, "replica_attach", "options");
        }
    }
    // The same where something is attached.
    let sqld = Sqld::start();
    let mut shell = Shell::attached(&db, &sqld.url());
    for (call, function, cause) in [
        ("replica_write()", "replica_write", "sql"),
        ("replica_write(NULL)", "replica_write", "sql"),
        ("replica_write(5)", "replica_write", "sql"),
        ("replica_write(x'00')", "replica_write", "sql"),
        ("replica_write('')", "replica_write", "statement"),
        ("replica_write(' ; -- nothing')", "replica_write", "statement"),
        ("replica_write('SELECT 1; SELECT ?', 1)", "replica_write", "argument"),
        ("replica_sync(5)", "replica_sync", "options"),
        ("replica_sync('x')", "replica_sync", "options"),
        ("replica_sync('{\"live\": true}')", "replica_sync", "live"),
        ("replica_sync('{\"timeout\": 0}')", "replica_sync", "timeout"),
        ("replica_set_token(5)", "replica_set_token", "token"),
    ] {
        refused_in(&mut shell, &format!("SELECT {call}"), function, cause);
    }
}

#[test]
fn wrong_numbers_of_arguments_are_refused_by_sqlite() {
    let (_folder, db) = empty_place();
    let mut shell = Shell::loaded(&db);
    for call in ["replica_attach(1, 2, 3, 4)", "replica_sync(1, 2)", "replica_set_token()"] {
        let name = &call[..call.find('(').unwrap()];
        assert_eq!(
            shell.error(&format!("SELECT {call}")),
            format!("wrong number of arguments to function {name}()")
        );
    }
}

#[test]
fn malformed_urls_are_refused() {
    let (_folder, db) = empty_place();
    for url in [
        "",
        " ",
        "primary",
        "127.0.0.1:8080",
        "ftp://127.0.0.1",
        "file:///tmp/db",
        "http://",
        "http:/127.0.0.1",
        "http://:8080",
        "http://127.0.0.1:99999",
        "http://127.0.0.1:port",
        "http://[::1",
        "http://a b",
        "http://127.0.0.1:9?authToken",
        "http://127.0.0.1:9?colour=red",
        "libsql://127.0.0.1?tls=maybe",
        "http://127.0.0.1\u{0}",
        "http://127.0.0.1\r\nx: y",
    ] {
        // A character that the shell would not pass on as it is.
        let literal = format!("CAST(x'{}' AS TEXT)", hex(url.as_bytes()));
        refused(&db, &format!("SELECT replica_attach({literal})"), "replica_attach", "url");
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn unknown_and_impossible_options_are_refused_by_name() {
    let (_folder, db) = empty_place();
    for (options, cause) in [
        ("", "options"),
        ("{", "options"),
        ("[]", "options"),
        ("5", "options"),
        ("{\"sync_intervall\": 5}", "sync_intervall"),
        ("{\"timeout\": \"5\"}", "timeout"),
        ("{\"timeout\": 0}", "timeout"),
        ("{\"timeout\": -1}", "timeout"),
        ("{\"timeout\": 1e300}", "timeout"),
        ("{\"timeout\": null}", "timeout"),
        ("{\"busy_timeout\": -1}", "busy_timeout"),
        ("{\"sync_interval\": 0}", "sync_interval"),
        ("{\"live\": \"yes\"}", "live"),
        ("{\"read_your_writes\": 2}", "read_your_writes"),
        ("{\"first_sync\": []}", "first_sync"),
        ("{\"namespace\": 5}", "namespace"),
        ("{\"on_reset\": \"never\"}", "on_reset"),
        ("{\"protocol\": \"http\"}", "protocol"),
        ("{\"ca_file\": 1}", "ca_file"),
        ("{\"ca_file\": \"/does/not/exist\"}", "/does/not/exist"),
    ] {
        let statement =
            format!("SELECT replica_attach('https://127.0.0.1:9', NULL, {})", quoted(options));
        refused(&db, &statement, "replica_attach", cause);
    }
}

/// Files that are somebody's: not one byte changes.
#[test]
fn a_file_that_holds_data_is_refused_and_untouched() {
    if memory::cannot_do("it is about files; memory.rs has it for tables in memory") {
        return;
    }
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE theirs(x)");
    let (folder, db) = empty_place();
    let table = "CREATE TABLE mine(x); INSERT INTO mine VALUES ('precious');";
    let fresh = |name: &str, script: &str| -> PathBuf {
        let place = folder.path().join(name);
        std::fs::create_dir(&place).unwrap();
        let db = place.join("app.db");
        sql(&db, script);
        db
    };
    for (name, script) in [
        ("rollback", table.to_owned()),
        ("wal", format!("PRAGMA journal_mode = WAL; {table}")),
        ("small pages", format!("PRAGMA page_size = 512; {table}")),
        ("large pages", format!("PRAGMA page_size = 65536; {table}")),
        ("utf16", format!("PRAGMA encoding = 'UTF-16'; {table}")),
        ("empty table", "CREATE TABLE mine(x);".to_owned()),
        ("view", "CREATE VIEW mine AS SELECT 1;".to_owned()),
    ] {
        let db = fresh(name, &script);
        refused(&db, &attach(&sqld.url()), "replica_attach", "not a replica");
        let everything = contents(db.parent().unwrap());
        assert_eq!(everything.keys().collect::<Vec<_>>(), ["app.db"], "{name}");
        // Still an ordinary file.
        sql(&db, "CREATE TABLE more(x);");
    }
    // The data is in a log that nobody has checkpointed yet.
    let source = fresh("source", &format!("PRAGMA journal_mode = WAL; {table}"));
    let mut open = Shell::plain(&source);
    open.run("INSERT INTO mine VALUES ('only in the log')");
    let place = folder.path().join("unfinished");
    std::fs::create_dir(&place).unwrap();
    for name in ["app.db", "app.db-wal"] {
        std::fs::copy(source.with_file_name(name), place.join(name)).unwrap();
    }
    let mut shell = Shell::loaded(&place.join("app.db"));
    refused_in(&mut shell, &attach(&sqld.url()), "replica_attach", "not a replica");
    assert_eq!(shell.run("SELECT count(*) FROM mine"), "2");

    // Not SQLite's at all.
    let prose = "The quick brown fox. ".repeat(500);
    std::fs::write(&db, &prose).unwrap();
    let mut shell = Shell::loaded(&db);
    refused_in(&mut shell, &attach(&sqld.url()), "replica_attach", "not a");
    shell.close();
    assert_eq!(std::fs::read_to_string(&db).unwrap(), prose);
    assert!(!files(folder.path()).iter().any(|name| name.starts_with("app.db-")));
}

#[test]
fn another_primary_is_not_attached_over_the_present_one() {
    let (one, two) = (Sqld::start(), Sqld::start());
    let (_folder, db) = empty_place();
    let mut shell = Shell::attached(&db, &one.url());
    refused_in(&mut shell, &attach(&two.url()), "replica_attach", "detach");
    // The same primary is no error.
    shell.attach(&one.url());
    shell.sync();
}

#[test]
fn unreachable_hosts_are_named() {
    let (_folder, db) = empty_place();
    let nobody = free_address();
    for (url, cause) in [
        (format!("http://{nobody}"), nobody.to_string()),
        (format!("ws://{nobody}"), nobody.to_string()),
        ("http://no-such-host.invalid:1".to_owned(), "no-such-host.invalid".to_owned()),
    ] {
        refused(&db, &attach(&url), "replica_attach", &cause);
    }
    // TLS where the server speaks plain HTTP.
    let sqld = Sqld::start();
    let url = sqld.url().replace("http:", "libsql:");
    refused(&db, &attach(&url), "replica_attach", "tls");
}

#[test]
fn a_server_that_never_answers_costs_the_timeout_and_no_more() {
    let (_folder, db) = empty_place();
    let address = free_address();
    let _listener = std::net::TcpListener::bind(address).unwrap();
    let started = Instant::now();
    refused(&db, &attach(&format!("http://{address}")), "replica_attach", "2 s");
    assert!(started.elapsed() > Duration::from_millis(1500), "{:?}", started.elapsed());
}

#[test]
fn refused_tokens_are_not_repeated_in_the_error() {
    let sqld = Sqld::with_tokens();
    let (_folder, db) = empty_place();
    let url = quoted(sqld.url());
    for (token, cause) in [
        ("NULL".to_owned(), "token"),
        (quoted(tokens::FORGED), "token"),
        (quoted(tokens::EXPIRED), "token"),
        (quoted("nonsense"), "token"),
        ("'line' || char(10) || 'break'".to_owned(), "token"),
    ] {
        refused(&db, &format!("SELECT replica_attach({url}, {token})"), "replica_attach", cause);
    }
    let mut shell = Shell::loaded(&db);
    shell.run(&format!("SELECT replica_attach({url}, {})", quoted(tokens::READ_WRITE)));
    shell.run(&format!("SELECT replica_set_token({})", quoted(tokens::EXPIRED)));
    refused_in(&mut shell, "SELECT replica_sync()", "replica_sync", "token");
    refused_in(&mut shell, "SELECT replica_write('CREATE TABLE t(x)')", "replica_write", "token");
}

#[test]
fn a_proxy_that_answers_html_is_recognized() {
    let (_folder, db) = empty_place();
    let html = "<!doctype html><html><head><title>Sign in</title></head></html>";
    for (status, headers, cause) in [
        ("200 OK", "content-type: text/html\r\n", "html"),
        ("502 Bad Gateway", "content-type: text/html\r\n", "502"),
        ("404 Not Found", "content-type: text/html\r\n", "404"),
        ("403 Forbidden", "content-type: text/html\r\n", "403"),
        ("302 Found", "location: https://login.example/\r\n", "302"),
        ("204 No Content", "", "204"),
    ] {
        let server = FakeServer::always(status, headers, html);
        refused(&db, &attach(&server.url()), "replica_attach", cause);
    }
    // The same for a write: whether it happened is not known.
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(x)");
    let mut shell = Shell::attached(&db, &sqld.url()).reopened();
    let server = FakeServer::always("200 OK", "content-type: text/html\r\n", html);
    shell.run(&attach(&server.url()));
    refused_in(&mut shell, "SELECT replica_write('CREATE TABLE t(x)')", "replica_write", "html");
}

// Damaged gRPC-web messages. `Hello` is sound where another call is damaged.

fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    let mut length = bytes.len();
    while length > 0x7f {
        field.push(length as u8 | 0x80);
        length >>= 7;
    }
    field.push(length as u8);
    field.extend_from_slice(bytes);
    field
}

fn message(payload: &[u8]) -> Vec<u8> {
    [&[0], (payload.len() as u32).to_be_bytes().as_slice(), payload].concat()
}

fn trailer() -> Vec<u8> {
    let text = b"grpc-status:0\r\n";
    [&[0x80], (text.len() as u32).to_be_bytes().as_slice(), text].concat()
}

fn grpc(body: &[u8]) -> Vec<u8> {
    http_answer("200 OK", "content-type: application/grpc-web+proto\r\n", body)
}

/// log_id, session_token and a last frame.
fn hello(last_frame: u8) -> Vec<u8> {
    let log_id = field(3, b"0a1b2c3d-0000-4000-8000-000000000000");
    let payload = [log_id, field(4, b"session"), vec![5 << 3, last_frame]].concat();
    [message(&payload), trailer()].concat()
}

fn frame(number: u64, page: u32, size_after: u32, image: &[u8]) -> Vec<u8> {
    let mut data = Vec::new();
    data.extend_from_slice(&number.to_le_bytes());
    data.extend_from_slice(&0_u64.to_le_bytes());
    data.extend_from_slice(&page.to_le_bytes());
    data.extend_from_slice(&size_after.to_le_bytes());
    data.extend_from_slice(image);
    field(1, &data)
}

fn frames(frames: &[Vec<u8>]) -> Vec<u8> {
    let list: Vec<u8> = frames.iter().flat_map(|frame| field(1, frame)).collect();
    [message(&list), trailer()].concat()
}

#[test]
fn damaged_messages_are_refused_and_change_nothing() {
    let page = vec![0_u8; 4096];
    let whole = frames(&[frame(0, 1, 1, &page)]);
    let oversized = [&[0, 0xff, 0xff, 0xff, 0xff], vec![b'x'; 100_000].as_slice()].concat();
    let cut = |answer: Vec<u8>, keep: usize| answer[..answer.len() - keep].to_vec();
    let hello_cases: Vec<(&str, Vec<u8>)> = vec![
        ("empty answer", grpc(b"")),
        ("only a trailer", grpc(&trailer())),
        ("no trailer", grpc(&message(b""))),
        ("hello without log id", grpc(&[message(&field(4, b"session")), trailer()].concat())),
        ("not protobuf", grpc(&[message(&[0xff; 50]), trailer()].concat())),
        ("compressed", grpc(&[&[1][..], &hello(0)[1..]].concat())),
        ("oversized", grpc(&oversized)),
        ("message cut", grpc(&hello(0)[..20])),
        ("connection cut", cut(grpc(&hello(0)), 30)),
    ];
    let pull_cases: Vec<(&str, Vec<u8>)> = vec![
        ("oversized", grpc(&oversized)),
        ("message cut", grpc(&whole[..1000])),
        ("connection cut", cut(grpc(&whole), 1000)),
        ("no trailer", grpc(&whole[..whole.len() - trailer().len()])),
        ("not protobuf", grpc(&[message(&[0xff; 5000]), trailer()].concat())),
        ("a short page", grpc(&frames(&[frame(0, 1, 1, &page[..100])]))),
        ("a long page", grpc(&frames(&[frame(0, 1, 1, &[0; 8192])]))),
        ("page 0", grpc(&frames(&[frame(0, 0, 1, &page)]))),
        ("a frame is left out", grpc(&frames(&[frame(1, 1, 1, &page)]))),
        ("no commit", grpc(&frames(&[frame(0, 1, 0, &page)]))),
        ("nothing, though there is a frame", grpc(&frames(&[]))),
    ];
    let cases = hello_cases
        .into_iter()
        .map(|(name, answer)| (name, answer.clone(), answer))
        .chain(pull_cases.into_iter().map(|(name, answer)| (name, grpc(&hello(0)), answer)));

    // A replica with content that each damaged answer would like to replace.
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(x); INSERT INTO t VALUES ('kept')");
    let (_folder, replica) = empty_place();
    let mut shell = Shell::attached(&replica, &sqld.url());

    for (name, hello, answer) in cases {
        let server = FakeServer::start(move |request| match request.path.rsplit('/').next() {
            Some("Hello") => hello.clone(),
            _ => answer.clone(),
        });
        eprintln!("{name}");
        let (_folder, db) = empty_place();
        refused(&db, &attach(&server.url()), "replica_attach", "");

        shell = shell.reopened();
        shell.run(&attach(&server.url()));
        refused_in(&mut shell, "SELECT replica_sync()", "replica_sync", "");
        assert_replica_equals_primary(&replica, &sqld);
    }
}

/// Damage that shows only once pages are being written: the file may have
/// become a replica that was never synced, which the next attach fills.
#[test]
fn a_first_sync_that_breaks_off_can_be_repeated() {
    let no_database = grpc(&frames(&[frame(0, 1, 1, &[0; 4096])]));
    let server = FakeServer::start(move |request| match request.path.rsplit('/').next() {
        Some("Hello") => grpc(&hello(0)),
        _ => no_database.clone(),
    });
    let (_folder, db) = empty_place();
    let mut shell = Shell::loaded(&db);
    refused_in(&mut shell, &attach(&server.url()), "replica_attach", "page 1");
    assert_eq!(sql(&db, "SELECT count(*) FROM sqlite_schema; PRAGMA integrity_check;"), "0\nok");
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(x); INSERT INTO t VALUES (1)");
    shell.attach(&sqld.url());
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn functions_cannot_be_hidden_in_a_schema() {
    if memory::cannot_do("the schema is a file's") {
        return;
    }
    let (_folder, db) = empty_place();
    sql(&db, "CREATE VIEW v AS SELECT replica_version() AS x;");
    let mut shell = Shell::loaded(&db);
    assert_eq!(shell.error("SELECT x FROM v"), "unsafe use of replica_version()");
}

#[test]
fn an_error_inside_a_transaction_leaves_it_usable() {
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(x); INSERT INTO t VALUES (1)");
    let (_folder, db) = empty_place();
    let mut shell = Shell::attached(&db, &sqld.url());
    shell.run("CREATE TEMP TABLE mine(x)");
    shell.run("BEGIN");
    shell.run("INSERT INTO mine VALUES (1)");
    for statement in [
        "SELECT replica_write('INSERT INTO nowhere VALUES (1)')",
        "SELECT replica_sync('x')",
        "SELECT replica_attach('nonsense')",
    ] {
        shell.error(statement);
        shell.run("INSERT INTO mine VALUES (2)");
    }
    shell.run("COMMIT");
    assert_eq!(shell.run("SELECT count(*) FROM mine"), "4");
    shell.sync();
    assert_replica_equals_primary(&db, &sqld);
}

/// Simulated: a gateway that answers with the headers it got. Where its text is
/// cut, no piece of the token may be left.
#[test]
fn a_gateway_that_echoes_the_token_does_not_bring_it_into_an_error() {
    let token = "SECRET".repeat(40);
    for before in [0, 100, 200, 290] {
        let text = format!("{}authorization: Bearer {token}", "x".repeat(before));
        let server = FakeServer::always("401 Unauthorized", "content-type: text/plain\r\n", text);
        let (_folder, db) = empty_place();
        let mut shell = Shell::loaded(&db);
        let error = shell.error(&format!("SELECT replica_attach('{}', '{token}')", server.url()));
        assert!(!error.contains("SECRET"), "{before}: {error}");
    }
}

/// SQLite hands out nothing for a value that it has no memory to convert.
#[test]
fn a_value_that_does_not_fit_into_memory_is_an_error_and_not_an_empty_one() {
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(x)");
    let (_folder, db) = empty_place();
    let mut replica = Shell::attached(&db, &sqld.url());
    replica.run("PRAGMA hard_heap_limit=6000000");
    for call in [
        "SELECT replica_write('INSERT INTO t VALUES (?)', zeroblob(20000000))",
        "SELECT replica_batch('INSERT INTO t VALUES (?)', zeroblob(20000000))",
        "SELECT * FROM replica_query('SELECT ?', zeroblob(20000000))",
    ] {
        let error = replica.error(call);
        assert!(error.contains("out of memory"), "{error}");
    }
    assert_eq!(sqld.query("SELECT count(*) FROM t")[0][0]["value"], "0");
    // A blob and a text of no length are still values.
    let write = "SELECT replica_write('INSERT INTO t VALUES (?), (?)', zeroblob(0), '')";
    replica.run(write);
    replica.run("SELECT replica_write('INSERT INTO t VALUES (?)', x'')");
    let kinds = replica.run("SELECT group_concat(typeof(x) || length(x), ' ') FROM t");
    assert_eq!(kinds, "blob0 text0 blob0");
}

#[test]
fn a_connection_that_does_not_see_what_is_synced_is_refused() {
    if memory::cannot_do("these are ways to open a file") {
        return;
    }
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(x)");
    let (folder, db) = empty_place();
    let attach = format!("SELECT replica_attach('{}')", sqld.url());
    let by_uri = |parameter: &str| {
        let name = format!("file:{}?{parameter}", db.display());
        Shell::loaded(Path::new(&name)).error(&attach)
    };
    // An empty file is not touched.
    std::fs::write(&db, "").expect("written");
    let error = by_uri("nolock=1");
    assert!(error.contains("was opened with nolock=1"), "{error}");
    assert_eq!(std::fs::metadata(&db).expect("there").len(), 0);
    assert_eq!(files(folder.path()), ["app.db"]);
    // A replica that others keep is not a replica of this connection.
    Shell::attached(&db, &sqld.url()).close();
    for parameter in ["immutable=1", "mode=ro&immutable=true", "nolock=on"] {
        let error = by_uri(parameter);
        assert!(error.contains("so it would not see what is synced"), "{error}");
    }
}
