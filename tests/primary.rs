//! The client of a primary against a real sqld, without a local file: what a
//! pull delivers, what a write answers, and what each failure is called.

mod common;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::net::{free_address, http_answer};
use common::{FakeServer, Sqld, assert_replica_equals_primary, empty_place, scalar, tokens};
use replica::change::{Change, Commit};
use replica::error::{Error, Kind, Result};
use replica::patience::Patience;
use replica::position::Position;
use replica::primary::{
    Begin, ConnectOptions, Endpoint, Executed, Next, Notebook, Notes, Primary, Statement, Tally,
    Until, connect,
};
use replica::sqltext::value::Value;
use replica::units::{FrameNo, PageImage, PageNo};

/// Remembers nothing.
struct NoNotes;

impl Notebook for NoNotes {
    fn read(&self) -> Notes {
        Notes::default()
    }

    fn update(&self, _: &mut dyn FnMut(&mut Notes)) {}
}

fn primary_with(url: &str, token: Option<&str>, options: ConnectOptions) -> Arc<dyn Primary> {
    let endpoint = Endpoint::parse(url).unwrap();
    connect("sqld", endpoint, token.map(str::to_owned), &options, Arc::new(NoNotes)).unwrap()
}

fn primary(url: &str) -> Arc<dyn Primary> {
    primary_with(url, None, ConnectOptions::default())
}

fn patience(timeout: Duration) -> Patience {
    Patience { timeout, cancelled: Arc::new(|| false) }
}

fn some_patience() -> Patience {
    patience(Duration::from_secs(20))
}

fn statement(sql: &str, args: &[Value]) -> Statement {
    Statement { sql: sql.to_owned(), args: args.to_vec() }
}

fn write(primary: &dyn Primary, sql: &str) -> Result<Executed> {
    primary.execute(&[statement(sql, &[])], &some_patience())
}

/// A replica in memory, which checks the order of what it is given.
#[derive(Default)]
struct Memory {
    pages: BTreeMap<u32, Box<PageImage>>,
    committed: Option<Commit>,
    commits: usize,
    calls: usize,
    /// Pages came after the last commit.
    open: bool,
    more: bool,
    fail_at_page: Option<usize>,
}

/// How a pull ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PullEnd {
    UpToDate,
    Diverged { empty: bool },
    CannotTell,
}

/// What a pull brought.
#[derive(Debug)]
struct Pulled {
    end: PullEnd,
    head: Option<u64>,
    frames: u64,
    bytes: u64,
    snapshot: bool,
}

impl Pulled {
    fn nothing(end: PullEnd) -> Pulled {
        Pulled { end, head: None, frames: 0, bytes: 0, snapshot: false }
    }
}

impl Memory {
    fn take(&mut self, change: Change<'_>) -> Result<()> {
        match change {
            Change::Page(page, image) => self.page(page, image),
            Change::Commit { position, size, more } => {
                self.commit(Commit { position, size }, more);
                Ok(())
            }
        }
    }

    fn page(&mut self, page: PageNo, image: &PageImage) -> Result<()> {
        assert!(self.calls == 0 || self.more || self.open || self.commits == 0);
        self.calls += 1;
        if self.fail_at_page == Some(self.calls) {
            return Err(Error::new(Kind::Unavailable, "the disk is full"));
        }
        self.open = true;
        self.pages.insert(page.0, Box::new(*image));
        Ok(())
    }

    fn commit(&mut self, commit: Commit, more: bool) {
        assert!(self.open, "a commit without pages");
        self.open = false;
        self.more = more;
        self.committed = Some(commit);
        self.commits += 1;
        self.pages.retain(|page, _| *page <= commit.size);
    }
}

impl Memory {
    fn position(&self) -> Option<Position> {
        self.committed.map(|commit| commit.position)
    }

    fn pull(&mut self, primary: &Arc<dyn Primary>) -> Result<Pulled> {
        self.pull_patiently(primary, &some_patience())
    }

    fn pull_patiently(
        &mut self,
        primary: &Arc<dyn Primary>,
        patience: &Patience,
    ) -> Result<Pulled> {
        self.commits = 0;
        self.calls = 0;
        let mut feed = match primary.clone().open(self.position(), Until::Head, patience)? {
            Begin::Feed(feed) => feed,
            Begin::Diverged { empty } => return Ok(Pulled::nothing(PullEnd::Diverged { empty })),
            Begin::CannotTell => return Ok(Pulled::nothing(PullEnd::CannotTell)),
            Begin::NoStream | Begin::HeldBack => panic!("no stream was asked for"),
        };
        loop {
            match feed.next(patience)? {
                Next::Change(change) => self.take(change)?,
                Next::Idle => panic!("a pull is never idle"),
                Next::End => break,
            }
        }
        assert!(!self.open && (self.commits == 0 || !self.more), "ends with a last commit");
        let Tally { head, frames, bytes, snapshot, .. } = feed.tally();
        Ok(Pulled { end: PullEnd::UpToDate, head, frames, bytes, snapshot })
    }

    fn write_to(&self, db: &Path) {
        let size = self.committed.unwrap().size as usize;
        assert_eq!(self.pages.len(), size, "every page of the database came");
        let bytes: Vec<u8> = self.pages.values().flat_map(|page| page.iter().copied()).collect();
        std::fs::write(db, bytes).unwrap();
    }

    fn assert_equals(&self, sqld: &Sqld) {
        let (_folder, db) = empty_place();
        self.write_to(&db);
        assert_replica_equals_primary(&db, sqld);
    }
}

const FILL: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
    INSERT INTO t(b) SELECT hex(randomblob(500)) FROM n";

fn table(sqld: &Sqld) {
    sqld.execute("CREATE TABLE t(a INTEGER PRIMARY KEY, b)");
}

#[test]
fn an_empty_primary_has_nothing_to_pull() {
    let sqld = Sqld::start();
    let primary = primary(&sqld.url());
    let mut memory = Memory::default();
    for _ in 0..2 {
        let pulled = memory.pull(&primary).unwrap();
        assert_eq!((pulled.end, pulled.head, pulled.frames), (PullEnd::UpToDate, None, 0));
        assert_eq!(memory.calls + memory.commits, 0);
    }
    table(&sqld);
    let pulled = memory.pull(&primary).unwrap();
    assert_eq!(pulled.head, Some(sqld.frame_no()));
    memory.assert_equals(&sqld);
}

#[test]
fn commits_are_followed_one_by_one() {
    let sqld = Sqld::start();
    let primary = primary(&sqld.url());
    table(&sqld);
    let mut memory = Memory::default();
    memory.pull(&primary).unwrap();
    for n in 0..100 {
        sqld.execute(&format!("INSERT INTO t(b) VALUES('row {n}')"));
        let pulled = memory.pull(&primary).unwrap();
        assert_eq!((pulled.end, memory.commits), (PullEnd::UpToDate, 1));
        assert_eq!(pulled.head, Some(sqld.frame_no()));
        assert_eq!(memory.position().and_then(Position::frame_no), Some(FrameNo(sqld.frame_no())));
    }
    memory.assert_equals(&sqld);
    let idle = memory.pull(&primary).unwrap();
    assert_eq!((idle.frames, memory.calls), (0, 0));
    assert!(idle.bytes < 100, "an idle pull costs one small answer, not {} bytes", idle.bytes);
}

#[test]
fn a_hundred_commits_arrive_in_one_pull() {
    let sqld = Sqld::start();
    table(&sqld);
    for n in 0..100 {
        sqld.execute(&format!("INSERT INTO t(b) VALUES('row {n}')"));
    }
    let mut memory = Memory::default();
    let pulled = memory.pull(&primary(&sqld.url())).unwrap();
    assert_eq!(memory.commits, 101);
    assert_eq!(Some(pulled.frames - 1), pulled.head);
    memory.assert_equals(&sqld);
}

#[test]
fn transactions_longer_than_a_batch_arrive_whole() {
    let sqld = Sqld::start();
    table(&sqld);
    sqld.execute(FILL);
    sqld.transaction(&[FILL; 10].join(";"));
    sqld.execute("INSERT INTO t(b) VALUES('last')");
    let mut memory = Memory::default();
    let pulled = memory.pull(&primary(&sqld.url())).unwrap();
    assert!(pulled.frames > 4000, "{pulled:?}");
    // Read side by side, so that only all of it together is a state.
    assert_eq!(memory.commits, 1);
    // Too much for one answer of sqld, so that it is not compared row by row.
    let (_folder, db) = empty_place();
    memory.write_to(&db);
    assert_eq!(scalar(&db, "PRAGMA integrity_check"), "ok");
    let sums = "SELECT count(*) || ' ' || sum(length(b)) || ' ' || max(b) FROM t";
    assert_eq!(scalar(&db, sums), sqld.scalar(sums));
}

/// Long stretches are read in segments side by side, whatever the length of the
/// transactions, and nothing is asked for twice.
#[test]
fn short_and_very_long_transactions_arrive_in_one_pull() {
    let sqld = Sqld::with(&["--max-log-size", "100000"]);
    table(&sqld);
    let rows = |count: u32| {
        sqld.execute(&format!(
            "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < {count}) \
             INSERT INTO t(b) SELECT randomblob(4000) FROM c"
        ));
    };
    for _ in 0..12 {
        rows(300);
    }
    rows(9000);
    for _ in 0..12 {
        rows(300);
    }
    let primary = primary(&sqld.url());
    let mut memory = Memory::default();
    let pulled = memory.pull(&primary).unwrap();
    assert!(pulled.frames > 16_000, "{pulled:?}");
    // Frames are not asked for again and again.
    assert!(pulled.bytes < pulled.frames * 4120 * 2, "{pulled:?}");
    let (_folder, db) = empty_place();
    memory.write_to(&db);
    assert_eq!(scalar(&db, "PRAGMA integrity_check"), "ok");
    let sums = "SELECT count(*) || ' ' || sum(length(b)) FROM t";
    assert_eq!(scalar(&db, sums), sqld.scalar(sums));
    assert_eq!(memory.pull(&primary).unwrap().frames, 0);
}

/// In segments that come in any order, the newest image of a page counts: the
/// pages of this table are each written many times, thrown away by VACUUM and
/// used again.
#[test]
fn a_long_catch_up_over_rewritten_pages_is_the_primarys_state() {
    let sqld = Sqld::with(&["--max-log-size", "100000"]);
    table(&sqld);
    sqld.execute(FILL);
    let primary = primary(&sqld.url());
    let mut memory = Memory::default();
    memory.pull(&primary).unwrap();
    for round in 0..60 {
        sqld.execute(&format!("UPDATE t SET b = hex(randomblob(500)) || '{round}'"));
        if round % 20 == 10 {
            sqld.execute("DELETE FROM t WHERE a % 2");
            sqld.execute(FILL);
        }
    }
    sqld.execute("DELETE FROM t WHERE a > 1000");
    sqld.execute("INSERT INTO t(b) VALUES('last')");
    let pulled = memory.pull(&primary).unwrap();
    assert!(pulled.frames > 33_000, "more than a window: {pulled:?}");
    assert_eq!(pulled.head, Some(sqld.frame_no()));
    assert!(memory.commits >= 2, "each window is a state: {}", memory.commits);
    memory.assert_equals(&sqld);
    assert_eq!(memory.pull(&primary).unwrap().frames, 0);
}

#[test]
fn a_compacted_log_is_pulled_through_snapshots() {
    let sqld = Sqld::with(&["--max-log-size=1"]);
    let primary = primary(&sqld.url());
    table(&sqld);
    let mut early = Memory::default();
    early.pull(&primary).unwrap();
    let mut positions = vec![early];
    for n in 0..6 {
        sqld.execute(FILL);
        sqld.execute("DELETE FROM t WHERE a % 3 = 0");
        sqld.execute("UPDATE t SET b = hex(randomblob(700)) WHERE a % 17 = 0");
        if n % 2 == 0 {
            let mut memory = Memory::default();
            memory.pull(&primary).unwrap();
            positions.push(memory);
        }
    }
    positions.push(Memory::default());
    let mut snapshots = 0;
    for memory in &mut positions {
        let pulled = memory.pull(&primary).unwrap();
        snapshots += usize::from(pulled.snapshot);
        assert_eq!(pulled.head, Some(sqld.frame_no()));
        memory.assert_equals(&sqld);
    }
    assert!(snapshots >= 2, "{snapshots} snapshots took part");
}

#[test]
fn pulls_during_writes_and_compaction_all_end_well() {
    let sqld = Sqld::with(&["--max-log-size=1"]);
    table(&sqld);
    let primary = primary(&sqld.url());
    let writer = primary.clone();
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let thread = std::thread::spawn(move || {
        while !stopped.load(Ordering::SeqCst) {
            write(&*writer, "INSERT INTO t(b) VALUES(hex(randomblob(20000)))").unwrap();
            write(&*writer, "DELETE FROM t WHERE a % 7 = 0").unwrap();
        }
    });
    let mut follower = Memory::default();
    let until = Instant::now() + Duration::from_secs(5);
    let mut snapshots = 0;
    while Instant::now() < until {
        follower.pull(&primary).unwrap();
        let mut fresh = Memory::default();
        snapshots += usize::from(fresh.pull(&primary).unwrap().snapshot);
    }
    stop.store(true, Ordering::SeqCst);
    thread.join().unwrap();
    assert!(snapshots > 0);
    follower.pull(&primary).unwrap();
    follower.assert_equals(&sqld);
}

#[test]
fn a_restarted_primary_goes_on_where_it_was() {
    let mut sqld = Sqld::start();
    let primary = primary(&sqld.url());
    table(&sqld);
    let mut memory = Memory::default();
    memory.pull(&primary).unwrap();
    for n in 0..3 {
        sqld.restart();
        assert_eq!(memory.pull(&primary).unwrap().frames, 0);
        sqld.restart();
        write(&*primary, &format!("INSERT INTO t(b) VALUES({n})")).unwrap();
        let pulled = memory.pull(&primary).unwrap();
        assert!(pulled.frames > 0);
        memory.assert_equals(&sqld);
    }
}

#[test]
fn a_primary_that_is_just_starting_is_waited_for() {
    let mut sqld = Sqld::start();
    let primary = primary(&sqld.url());
    table(&sqld);
    sqld.stop();
    let other = primary.clone();
    let thread = std::thread::spawn(move || write(&*other, "INSERT INTO t(b) VALUES(1)"));
    std::thread::sleep(Duration::from_millis(300));
    sqld.resume();
    thread.join().unwrap().unwrap();
    assert_eq!(sqld.scalar("SELECT count(*) FROM t"), "1");
}

#[test]
fn a_primary_that_crashed_has_another_history() {
    let mut sqld = Sqld::start();
    let primary = primary(&sqld.url());
    table(&sqld);
    let mut memory = Memory::default();
    memory.pull(&primary).unwrap();
    sqld.kill9();
    sqld.resume();
    for _ in 0..2 {
        let pulled = memory.pull(&primary).unwrap();
        assert_eq!(pulled.end, PullEnd::Diverged { empty: false });
        assert_eq!(pulled.frames, 0);
    }
    let mut again = Memory::default();
    again.pull(&primary).unwrap();
    again.assert_equals(&sqld);
    assert_ne!(again.position().unwrap().history, memory.position().unwrap().history);

    sqld.kill9();
    sqld.wipe();
    sqld.resume();
    let pulled = again.pull(&primary).unwrap();
    assert_eq!(pulled.end, PullEnd::Diverged { empty: true });
}

#[test]
fn a_position_beyond_the_head_is_another_history() {
    let sqld = Sqld::start();
    table(&sqld);
    let mut memory = Memory::default();
    memory.pull(&primary(&sqld.url())).unwrap();
    if let Some(commit) = &mut memory.committed {
        let beyond = commit.position.frame_no().unwrap().next();
        commit.position = Position::of_frame(commit.position.history, beyond);
    }
    // With a new session, and with one that is known already.
    let primary = primary(&sqld.url());
    for _ in 0..2 {
        let pulled = memory.pull(&primary).unwrap();
        assert_eq!(pulled.end, PullEnd::Diverged { empty: false });
    }
}

#[test]
fn an_error_of_the_sink_ends_the_pull_at_once() {
    let sqld = Sqld::start();
    table(&sqld);
    sqld.execute(FILL);
    let mut memory = Memory { fail_at_page: Some(3), ..Memory::default() };
    let error = memory.pull(&primary(&sqld.url())).unwrap_err();
    assert_eq!(error, Error::new(Kind::Unavailable, "the disk is full"));
    assert_eq!(memory.calls, 3);
}

#[test]
fn two_threads_pull_at_once() {
    let sqld = Sqld::start();
    table(&sqld);
    sqld.execute(FILL);
    let primary = primary(&sqld.url());
    let pulls: Vec<_> = (0..4)
        .map(|_| {
            let primary = primary.clone();
            std::thread::spawn(move || {
                let mut memory = Memory::default();
                memory.pull(&primary).unwrap();
                memory
            })
        })
        .collect();
    for pull in pulls {
        pull.join().unwrap().assert_equals(&sqld);
    }
}

#[test]
fn values_of_every_type_go_there_and_back() {
    let sqld = Sqld::start();
    let primary = primary(&sqld.url());
    let mut values = vec![
        Value::Null,
        Value::Integer(0),
        Value::Integer(i64::MIN),
        Value::Integer(i64::MAX),
        Value::Real(1.0),
        Value::Real(0.1),
        Value::Real(f64::MAX),
        Value::Real(f64::MIN_POSITIVE),
        Value::Real(-1e15),
        Value::Real(f64::NEG_INFINITY),
        Value::Text(String::new()),
        Value::Text("\u{1F600} '\"\\\n\u{7f} \0 end".to_owned()),
        Value::Blob(vec![]),
        Value::Blob((0..=255).collect()),
    ];
    values.extend((1..200).map(|n| Value::Real(f64::from(n) * 0.731 / 3.7e5)));
    write(&*primary, "CREATE TABLE v(n INTEGER PRIMARY KEY, x)").unwrap();
    for (n, value) in values.iter().enumerate() {
        let args = [Value::Integer(n as i64), value.clone()];
        let insert = statement("INSERT INTO v VALUES(?, ?) RETURNING x", &args);
        let done = primary.execute(&[insert], &some_patience()).unwrap();
        assert_eq!(done.results[0].rows, [[value.clone()]]);
        assert_eq!(done.results[0].columns, ["x"]);
        assert_eq!(done.results[0].rows_affected, Some(1));
        assert_eq!(done.results[0].last_insert_rowid, Some(n as i64));
        assert_eq!(done.frame_no, Some(sqld.frame_no()));
    }
    let all = write(&*primary, "SELECT x FROM v ORDER BY n").unwrap();
    let all: Vec<_> = all.results[0].rows.iter().map(|row| row[0].clone()).collect();
    assert_eq!(all, values);
}

#[test]
fn a_server_without_protobuf_is_asked_in_json() {
    let answer = r#"{"results":[{"type":"ok","response":{"type":"execute","result":{"cols":[],"rows":[],"replication_index":"7"}}},{"type":"ok","response":{"type":"close"}}]}"#;
    let server = FakeServer::start(move |request| match request.path.as_str() {
        "/v3/pipeline" => {
            http_answer("200 OK", "content-type: application/json\r\n", answer.as_bytes())
        }
        _ => http_answer("404 Not Found", "", b""),
    });
    let primary = primary(&server.url());
    for _ in 0..2 {
        assert_eq!(write(&*primary, "INSERT").unwrap().frame_no, Some(7));
    }
    let paths: Vec<_> = server.requests().into_iter().map(|request| request.path).collect();
    assert_eq!(paths, ["/v3-protobuf/pipeline", "/v3/pipeline", "/v3/pipeline"]);
}

#[test]
fn several_statements_happen_all_or_none() {
    let sqld = Sqld::start();
    let primary = primary(&sqld.url());
    table(&sqld);
    let insert = |n: i64| statement("INSERT INTO t(a) VALUES(?)", &[Value::Integer(n)]);
    let before = sqld.frame_no();
    let error = primary.execute(&[insert(1), insert(2), insert(1)], &some_patience()).unwrap_err();
    assert_eq!(error.kind(), Kind::Remote(2067));
    assert_eq!(error.to_string(), "statement 3 of 3: UNIQUE constraint failed: t.a");
    assert_eq!(sqld.scalar("SELECT count(*) FROM t"), "0");
    assert_eq!(sqld.frame_no(), before);

    let select = statement("SELECT count(*) FROM t", &[]);
    let done = primary.execute(&[insert(1), insert(2), select], &some_patience()).unwrap();
    assert_eq!(done.results.len(), 3);
    assert_eq!(done.results[1].last_insert_rowid, Some(2));
    assert_eq!(done.results[2].rows, [[Value::Integer(2)]]);
    assert_eq!(done.frame_no, Some(sqld.frame_no()));

    let error = primary
        .execute(&[insert(3), statement("COMMIT", &[]), insert(4)], &some_patience())
        .unwrap_err();
    assert_eq!(error.kind(), Kind::BadArgument);
    // An error that rolls back by itself leaves nothing behind either.
    let rollback = statement("INSERT OR ROLLBACK INTO t(a) VALUES(1)", &[]);
    let error = primary.execute(&[insert(3), rollback], &some_patience()).unwrap_err();
    assert!(error.to_string().starts_with("statement 2 of 2: "), "{error}");
    assert_eq!(sqld.scalar("SELECT count(*) FROM t"), "2");
    // A constraint that is only checked at the end.
    sqld.execute("CREATE TABLE c(p REFERENCES t(a) DEFERRABLE INITIALLY DEFERRED)");
    let orphan = statement("INSERT INTO c VALUES(99)", &[]);
    if write(&*primary, "PRAGMA foreign_keys").unwrap().results[0].rows == [[Value::Integer(1)]] {
        let error = primary.execute(&[insert(5), orphan], &some_patience()).unwrap_err();
        assert_eq!(error.kind(), Kind::Remote(787));
        assert!(error.to_string().starts_with("the primary did not commit: "), "{error}");
        assert_eq!(sqld.scalar("SELECT count(*) FROM t"), "2");
    }
}

#[test]
fn constraints_keep_the_codes_of_sqlite() {
    let sqld = Sqld::start();
    let primary = primary(&sqld.url());
    sqld.execute("CREATE TABLE k(u UNIQUE, n NOT NULL, c CHECK(c > 0), i INTEGER PRIMARY KEY)");
    write(&*primary, "INSERT INTO k VALUES(1, 1, 1, 1)").unwrap();
    for (values, code, text) in [
        ("1, 1, 1, 2", 2067, "UNIQUE constraint failed: k.u"),
        ("2, NULL, 1, 2", 1299, "NOT NULL constraint failed: k.n"),
        ("2, 1, 0, 2", 275, "CHECK constraint failed: c > 0"),
        ("2, 1, 1, 1", 2067, "UNIQUE constraint failed: k.i"),
    ] {
        let error = write(&*primary, &format!("INSERT INTO k VALUES({values})")).unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (Kind::Remote(code), text));
        assert_eq!(error.code(), code);
    }
    for sql in ["SELEC", "SELECT * FROM nope", "VACUUM", "", "SELECT 1; SELECT 2"] {
        let error = write(&*primary, sql).unwrap_err();
        assert_eq!(error.kind(), Kind::Remote(1), "{sql}: {error}");
    }
    for sql in ["BEGIN", "savepoint a"] {
        assert_eq!(write(&*primary, sql).unwrap_err().kind(), Kind::BadArgument);
    }
}

#[test]
fn a_refused_token_is_named_and_never_shown() {
    let sqld = Sqld::with_tokens();
    table(&sqld);
    let with = |token| primary_with(&sqld.url(), token, ConnectOptions::default());
    for (token, cause) in [
        (None, "wants a token"),
        (Some(tokens::EXPIRED), "expired"),
        (Some(tokens::FORGED), "refused the token"),
        (Some("rubbish"), "refused the token"),
        (Some("with a blank"), "cannot be used"),
        (Some("with\na break"), "cannot be used"),
    ] {
        let primary = with(token);
        let pull = Memory::default().pull(&primary).unwrap_err();
        for error in [pull, write(&*primary, "INSERT INTO t(b) VALUES(1)").unwrap_err()] {
            assert_eq!(error.kind(), Kind::Auth, "{error}");
            assert!(error.to_string().contains(cause), "{cause}: {error}");
            assert!(token.is_none_or(|token| !error.to_string().contains(token)), "{error}");
        }
    }
    let reader = with(Some(tokens::READ_ONLY));
    Memory::default().pull(&reader).unwrap();
    let error = write(&*reader, "INSERT INTO t(b) VALUES(1)").unwrap_err();
    assert_eq!(error.kind(), Kind::Auth);
    assert!(error.to_string().contains("does not let this token write"), "{error}");
    assert_eq!(sqld.scalar("SELECT count(*) FROM t"), "0");

    reader.set_token(Some(tokens::READ_WRITE.to_owned()));
    write(&*reader, "INSERT INTO t(b) VALUES(1)").unwrap();
    let in_url = format!("{}?authToken={}", sqld.url(), tokens::READ_WRITE);
    write(&*primary(&in_url), "INSERT INTO t(b) VALUES(1)").unwrap();
    assert_eq!(sqld.scalar("SELECT count(*) FROM t"), "2");
}

#[test]
fn namespaces_are_kept_apart() {
    let sqld = Sqld::with_namespaces();
    sqld.create_namespace("one");
    sqld.create_namespace("two");
    let named = |name: &str| {
        let namespace = Some(name.to_owned());
        primary_with(&sqld.url(), None, ConnectOptions { namespace, ..ConnectOptions::default() })
    };
    write(&*named("one"), "CREATE TABLE only_in_one(a)").unwrap();
    let (mut one, mut two) = (Memory::default(), Memory::default());
    assert!(one.pull(&named("one")).unwrap().frames > 0);
    assert_eq!(two.pull(&named("two")).unwrap().frames, 0);
    for error in [
        Memory::default().pull(&named("three")).unwrap_err(),
        write(&*named("three"), "SELECT 1").unwrap_err(),
    ] {
        assert_eq!(error.kind(), Kind::Protocol);
        assert!(error.to_string().contains("no such database"), "{error}");
    }
}

fn both_errors(url: &str, patience: &Patience) -> [Error; 2] {
    let primary = primary(url);
    let pull = Memory::default().pull_patiently(&primary, patience).unwrap_err();
    let write = primary.execute(&[statement("INSERT", &[])], patience).unwrap_err();
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
        let error = write(&*primary(&server.url()), "INSERT").unwrap_err();
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
    let error = write(&*primary(&url), "INSERT").unwrap_err();
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
        write(&*primary, "INSERT").unwrap();
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
    write(&*primary, "CREATE TABLE t(a INTEGER PRIMARY KEY, b)").unwrap();
    let mut memory = Memory::default();
    for n in 0..20 {
        write(&*primary, &format!("INSERT INTO t(b) VALUES({n})")).unwrap();
        memory.pull(&primary).unwrap();
        assert!(write(&*primary, "SELECT * FROM nope").is_err());
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
        let error = connect("sqld", endpoint, None, &options, Arc::new(NoNotes)).err().unwrap();
        assert_eq!(error.kind(), Kind::BadArgument);
        assert!(error.to_string().contains(cause), "{error}");
    }
}

#[test]
fn only_known_protocols_are_connected() {
    let endpoint = Endpoint::parse("libsql://localhost").unwrap();
    let options = ConnectOptions::default();
    let error = connect("http", endpoint, None, &options, Arc::new(NoNotes)).err().unwrap();
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
