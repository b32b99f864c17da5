//! What a primary says may not cost more memory than was asked for. The primary
//! is simulated: its answers to SQL are small on the wire and large in memory,
//! or large in both. The host is the real shell, and its peak is looked at.

mod common;

use std::io::{Result, Write};
use std::net::TcpStream;
use std::time::Instant;

use common::*;

const MB: usize = 1024 * 1024;

/// The body of an answer, in pieces: what begins it, what is repeated, how many
/// bytes of that there are, and what ends it.
#[derive(Clone)]
struct Body {
    name: &'static str,
    json: bool,
    begin: Vec<u8>,
    repeat: Vec<u8>,
    bytes: usize,
    end: Vec<u8>,
}

impl Body {
    fn send(&self, stream: &mut TcpStream) -> Result<()> {
        let times = self.bytes / self.repeat.len();
        let length = self.begin.len() + times * self.repeat.len() + self.end.len();
        let kind = if self.json { "application/json" } else { "application/x-protobuf" };
        write!(
            stream,
            "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n"
        )?;
        stream.write_all(&self.begin)?;
        let at_once = 64 * 1024 / self.repeat.len() + 1;
        let block = self.repeat.repeat(at_once);
        for at in (0..times).step_by(at_once) {
            let blocks = at_once.min(times - at);
            stream.write_all(&block[..blocks * self.repeat.len()])?;
        }
        stream.write_all(&self.end)
    }
}

/// A field of a protobuf message whose bytes come later.
fn open_field(number: u8, length: usize) -> Vec<u8> {
    let (mut field, mut length) = (vec![number << 3 | 2], length);
    while length > 0x7f {
        field.push(length as u8 | 0x80);
        length >>= 7;
    }
    field.push(length as u8);
    field
}

/// Fields in each other, around a message of some length.
fn nested(numbers: &[u8], length: usize) -> Vec<u8> {
    let mut all = Vec::new();
    for number in numbers.iter().rev() {
        let field = open_field(*number, all.len() + length);
        all.splice(0..0, field);
    }
    all
}

fn protobuf(name: &'static str, within: &[u8], repeat: &[u8], bytes: usize) -> Body {
    let bytes = bytes / repeat.len() * repeat.len();
    let begin = nested(within, bytes);
    Body { name, json: false, begin, repeat: repeat.to_vec(), bytes, end: Vec::new() }
}

fn json(name: &'static str, begin: &str, repeat: &str, end: &str, bytes: usize) -> Body {
    let (begin, repeat, end) = (begin.into(), repeat.into(), end.into());
    Body { name, json: true, begin, repeat, bytes, end }
}

fn attacks(bytes: usize) -> Vec<Body> {
    let result = r#"{"results":[{"type":"ok","response":{"type":"execute","result":"#;
    vec![
        protobuf("empty results", &[], b"\x1a\x00", bytes),
        protobuf("empty columns", &[3, 1, 2, 1], b"\x0a\x00", bytes),
        protobuf("empty rows", &[3, 1, 2, 1], b"\x12\x00", bytes),
        protobuf("rows of a value too many", &[3, 1, 2, 1], b"\x12\x04\x0a\x02\x0a\x00", bytes),
        protobuf("steps", &[3, 1, 3, 1], b"\x0a\x00", bytes),
        protobuf("a text", &[3, 2, 1], b"aaaaaaaa", bytes),
        protobuf("batons", &[], b"\x0a\x04abcd", bytes),
        json("numbers for results", r#"{"results":["#, "0,", "0]}", bytes),
        json("empty results in JSON", r#"{"results":["#, "{},", "{}]}", bytes),
        json("empty rows in JSON", &format!(r#"{result}{{"cols":[],"rows":["#), "[],", "", bytes),
        json("nulls", &format!(r#"{result}{{"step_results":["#), "null,", "", bytes),
        json("lists in an unknown field", r#"{"results":[],"x":["#, "[],", "[]]}", bytes),
        json("lists for a value", &format!(r#"{result}{{"last_insert_rowid":["#), "0,", "", bytes),
        json("a text in JSON", r#"{"results":[],"baton":""#, "aaaa", r#""}"#, bytes),
    ]
}

/// The most memory that the process has had, in bytes.
/// A shell at a primary that answers SQL like this.
fn attached(body: Body, options: &str) -> (FakeServer, TempDir, Shell) {
    let server = FakeServer::talking(move |request, stream| {
        let of_this_kind = request.path.contains("protobuf") != body.json;
        if request.path.ends_with("pipeline") && of_this_kind {
            return body.send(stream);
        }
        stream.write_all(&net::http_answer("404 Not Found", "", b""))
    });
    let (folder, db) = empty_place();
    let mut shell = Shell::loaded(&db);
    let options = format!(r#"{{"first_sync":false,"protocol":"sqld","timeout":20{options}}}"#);
    shell.run(&format!("SELECT replica_attach('{}', NULL, '{options}')", server.url()));
    (server, folder, shell)
}

#[test]
fn an_answer_costs_no_more_than_its_budget() {
    if !cfg!(target_os = "linux") {
        println!("skipped: the peak of a process is read from /proc");
        return;
    }
    // A body and what it is read into may each take as much as the option says.
    let most = 2 * 32 * MB + 48 * MB;
    for bytes in [8 * MB, 31 * MB, 250 * MB] {
        for body in attacks(bytes) {
            let name = body.name;
            let (_server, _folder, mut shell) = attached(body, "");
            let started = Instant::now();
            let error = shell.error("SELECT row FROM replica_query('SELECT 1')");
            let (took, peak) = (started.elapsed(), shell.peak().expect("a peak"));
            println!("{name}, {} MB: {} MB, {took:.1?}: {error:.150}", bytes / MB, peak / MB);
            assert!(peak < most, "{name}, {bytes} bytes: {peak}");
        }
    }
}

#[test]
fn an_answer_that_is_too_big_says_how_to_get_it() {
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(x)");
    let rows = "WITH r(n) AS (VALUES(1) UNION ALL SELECT n + 1 FROM r WHERE n < 40000) \
                SELECT n, n FROM r";
    let (_folder, db) = empty_place();
    let mut shell = Shell::loaded(&db);
    let attach =
        |options: &str| format!("SELECT replica_attach('{}', NULL, {options})", sqld.url());
    shell.run(&attach(r#"'{"max_answer":1}'"#));
    let query = format!("SELECT count(*), max(row ->> 0) FROM replica_query({})", quoted(rows));
    assert_eq!(
        shell.error(&query),
        "replica_query: the primary's answer takes more than 1 MB; ask for less at a time, or \
         raise the option max_answer"
    );
    // What a write changed stays changed, and the error says so.
    let insert = format!("INSERT INTO t {} RETURNING x", rows.replace("n, n", "n"));
    let error = shell.error(&format!("SELECT replica_write({})", quoted(insert)));
    assert!(error.contains("1 MB, and the statement took effect; ask for less"), "{error}");
    assert_eq!(sqld.scalar("SELECT count(*) FROM t"), "40000");
    shell.run("SELECT replica_detach()");
    shell.run(&attach("NULL"));
    assert_eq!(shell.run(&query), "40000|40000");
}
