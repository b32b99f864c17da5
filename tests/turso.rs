//! The primaries: what they share is one test body run on each (modules `sqld`,
//! `turso` and `cloud`, which is simulated); then what only Turso's protocol has.

mod common;

use std::path::Path;
use std::time::{Duration, Instant};

use common::net::http_answer;
use common::pull_updates::{field, header, message, page, page_1};
use common::*;
use serde_json::Value;

const SOON: Duration = Duration::from_secs(10);

/// A replica of `server` in a shell, and a table `t` on both.
fn replica(server: &dyn Server) -> (TempDir, std::path::PathBuf, Shell) {
    server.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, x UNIQUE)");
    let (folder, db) = empty_place();
    let shell = Shell::attached(&db, &server.url());
    (folder, db, shell)
}

fn attach_with(shell: &mut Shell, url: &str, options: &str) -> Value {
    shell.json(&format!("SELECT replica_attach('{url}', NULL, '{options}')"))
}

/// Waits until `question` has the answer.
fn becomes(shell: &mut Shell, question: &str, expected: &str) {
    let started = Instant::now();
    loop {
        let answer = shell.run(question);
        if answer == expected {
            return;
        }
        assert!(started.elapsed() < SOON, "{question}: {answer}, not {expected}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::copy(from, to).expect("a copy");
}

fn sidecar(db: &Path) -> std::path::PathBuf {
    std::path::PathBuf::from(format!("{}-replica", db.display()))
}

fn a_first_sync_and_the_next_ones_bring_what_changed(server: &mut dyn Server) {
    let (_folder, db, mut shell) = replica(server);
    assert_eq!(shell.run("SELECT protocol FROM replica_status"), server.protocol());
    assert_eq!(shell.sync()["frames_synced"], 0, "nothing new");
    for i in 1..=5 {
        server.execute(&format!("INSERT INTO t(x) VALUES ({i})"));
        assert!(shell.sync()["frames_synced"].as_u64() > Some(0));
        assert_eq!(shell.run("SELECT max(x) FROM t"), i.to_string());
    }
    server.execute("CREATE TABLE u(a, b); CREATE INDEX i ON u(b); INSERT INTO u VALUES (1.5, x'00ff'), (NULL, 'ä')");
    server.execute("UPDATE t SET x = x * 100; DELETE FROM t WHERE id = 2");
    shell.sync();
    assert_replica_equals_primary(&db, server);
}

fn what_does_not_fit_in_memory_arrives_whole(server: &mut dyn Server) {
    let (_folder, db, mut shell) = replica(server);
    server.execute("CREATE TABLE seed(i)");
    for i in 0..15 {
        server.execute(&format!("INSERT INTO seed VALUES ({i})"));
    }
    for _ in 0..3 {
        server.execute("INSERT INTO t(x) SELECT randomblob(3000) FROM seed a, seed b, seed c");
    }
    shell.sync();
    server.execute("UPDATE t SET x = randomblob(2900)");
    shell.sync();
    assert_replica_equals_primary(&db, server);
    let (_second, again) = empty_place();
    let _open = Shell::attached(&again, &server.url());
    assert_replica_equals_primary(&again, server);
}

fn a_write_with_arguments_and_returning_is_readable_at_once(server: &mut dyn Server) {
    let (_folder, db, mut shell) = replica(server);
    let written = shell.json(
        "SELECT replica_write('INSERT INTO t(x) VALUES (?), (?), (?) RETURNING id, x', 7, 'a''b', x'00ff')",
    );
    assert_eq!(written["synced"], true, "{written}");
    assert_eq!(written["columns"], serde_json::json!(["id", "x"]));
    assert_eq!(written["rows"], serde_json::json!([[1, 7], [2, "a'b"], [3, { "base64": "AP8=" }]]));
    assert_eq!(shell.run("SELECT group_concat(quote(x)) FROM t"), "7,'a''b',X'00FF'");
    shell.json("SELECT replica_write('INSERT INTO t(x) VALUES (?), (?), (?)', 0.1, -9223372036854775808, NULL)");
    assert_eq!(shell.run("SELECT 0.1 = x FROM t WHERE id = 4"), "1");
    assert_replica_equals_primary(&db, server);
}

fn a_script_happens_as_a_whole_or_not_at_all(server: &mut dyn Server) {
    let (_folder, db, mut shell) = replica(server);
    let done = shell
        .json("SELECT replica_write('INSERT INTO t(x) VALUES (1); INSERT INTO t(x) VALUES (2)')");
    assert_eq!(done["results"].as_array().map(Vec::len), Some(2), "{done}");
    assert_eq!(shell.run("SELECT count(*) FROM t"), "2");
    let error = shell
        .error("SELECT replica_write('INSERT INTO t(x) VALUES (3); INSERT INTO t(x) VALUES (1)')");
    assert_eq!(error, "replica_write: statement 2 of 2: UNIQUE constraint failed: t.x");
    let error = shell.error("SELECT replica_write('INSERT INTO t(x) VALUES (1)')");
    assert_eq!(error, "replica_write: UNIQUE constraint failed: t.x");
    let error = shell.error("SELECT replica_write('INSERT INTO nowhere VALUES (1)')");
    assert_eq!(error, "replica_write: no such table: nowhere");
    assert!(shell.error("SELECT replica_write('BEGIN')").contains("BEGIN alone has no effect"));
    shell.sync();
    assert_eq!(shell.run("SELECT count(*) FROM t"), "2");
    assert_replica_equals_primary(&db, server);
}

fn a_batch_and_a_query_run_on_the_primary(server: &mut dyn Server) {
    let (_folder, db, mut shell) = replica(server);
    let done = shell.json(
        "SELECT replica_batch('INSERT INTO t(x) VALUES (?)', value) FROM json_each('[1, 2, 3]')",
    );
    assert_eq!(done["synced"], true, "{done}");
    assert_eq!(shell.run("SELECT group_concat(x) FROM t"), "1,2,3");
    let error = shell.error(
        "SELECT replica_batch('INSERT INTO t(x) VALUES (?)', value) FROM json_each('[4, 5, 1]')",
    );
    assert!(error.contains("UNIQUE constraint failed: t.x"), "{error}");
    server.execute("INSERT INTO t(x) VALUES ('not here yet')");
    let rows = "SELECT row FROM replica_query('SELECT x FROM t WHERE id > ? ORDER BY id', '[2]')";
    assert_eq!(shell.run(rows), "[3]\n[\"not here yet\"]");
    assert_eq!(shell.run("SELECT count(*) FROM t"), "3");
    shell.sync();
    assert_replica_equals_primary(&db, server);
}

fn a_killed_host_continues_where_the_data_is(server: &mut dyn Server) {
    let (_folder, db, shell) = replica(server);
    shell.kill9();
    for round in 1..=8 {
        server.execute("INSERT INTO t(x) SELECT randomblob(20000) FROM (SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3)");
        let mut shell = Shell::attached(&db, &server.url());
        shell.send("SELECT replica_sync()");
        std::thread::sleep(Duration::from_millis(round * 3));
        shell.kill9();
        assert_eq!(sql(&db, "PRAGMA integrity_check"), "ok");
    }
    let mut shell = Shell::attached(&db, &server.url());
    shell.sync();
    let again = shell.sync();
    assert_eq!(again["frames_synced"], 0, "{again}");
    assert_eq!(again["reset"], false);
    assert_replica_equals_primary(&db, server);
}

fn a_copied_file_is_a_replica_too(server: &mut dyn Server) {
    let (folder, db, mut shell) = replica(server);
    server.execute("INSERT INTO t(x) SELECT randomblob(500000)");
    shell.sync();
    shell.close();
    let other = folder.path().join("other.db");
    sql(&db, &format!(".backup {}", other.display()));
    server.execute("INSERT INTO t(x) VALUES ('later')");
    let mut shell = Shell::attached(&other, &server.url());
    let synced = shell.sync();
    assert_eq!(synced["reset"], false, "{synced}");
    assert!(synced["pages_written"].as_u64() < Some(20), "equal pages are left alone: {synced}");
    assert_replica_equals_primary(&other, server);
    assert_eq!(shell.sync()["frames_synced"], 0);
}

fn two_processes_sync_one_file(server: &mut dyn Server) {
    let (_folder, db, mut one) = replica(server);
    let mut two = Shell::attached(&db, &server.url());
    for i in 0..30 {
        server.execute(&format!("INSERT INTO t(x) VALUES ({i})"));
        one.send("SELECT replica_sync()");
        two.send("SELECT replica_sync()");
        for shell in [&mut one, &mut two] {
            let report: Value = serde_json::from_str(&shell.answer()).expect("a report");
            assert_eq!(report["reset"], false, "{report}");
            assert_eq!(shell.run("SELECT count(*) FROM t"), (i + 1).to_string());
        }
    }
    assert_replica_equals_primary(&db, server);
}

fn a_dead_primary_costs_no_read_and_no_attach(server: &mut dyn Server) {
    let (_folder, db, mut shell) = replica(server);
    server.execute("INSERT INTO t(x) VALUES (1)");
    shell.sync();
    server.stop();
    assert_eq!(shell.run("SELECT count(*) FROM t"), "1");
    let error = shell.error("SELECT replica_sync('{\"timeout\": 1}')");
    assert!(error.contains("cannot reach the primary"), "{error}");
    let mut shell = shell.reopened();
    let started = Instant::now();
    shell.attach(&server.url());
    assert!(started.elapsed() < Duration::from_secs(1), "nobody is asked");
    assert_eq!(shell.run("SELECT protocol FROM replica_status"), server.protocol());
    assert_eq!(shell.run("SELECT count(*) FROM t"), "1");
    server.resume();
    server.execute("INSERT INTO t(x) VALUES (2)");
    assert_eq!(shell.sync()["reset"], false, "a restart is no reset");
    assert_replica_equals_primary(&db, server);
}

fn an_emptied_primary_is_followed_only_on_request(server: &mut dyn Server) {
    let (_folder, db, mut shell) = replica(server);
    server.execute("INSERT INTO t(x) VALUES (1)");
    shell.sync();
    server.stop();
    server.wipe();
    server.resume();
    let error = shell.error("SELECT replica_sync()");
    assert!(error.contains("the primary is empty and this replica is not"), "{error}");
    assert_eq!(sql(&db, "SELECT count(*) FROM t"), "1");
    let synced = shell.json("SELECT replica_sync('{\"on_reset\": \"replace\"}')");
    assert_eq!(synced["reset"], true, "{synced}");
    assert_eq!(sql(&db, "SELECT count(*) FROM sqlite_schema"), "0");
    server.execute("CREATE TABLE fresh(a); INSERT INTO fresh VALUES (1)");
    shell.sync();
    assert_replica_equals_primary(&db, server);
}

fn a_primary_that_began_anew_is_followed_as_a_whole(server: &mut dyn Server) {
    let (_folder, db, mut shell) = replica(server);
    for i in 0..5 {
        server.execute(&format!("INSERT INTO t(x) VALUES ({i})"));
    }
    shell.sync();
    server.stop();
    server.wipe();
    server.resume();
    server.execute("CREATE TABLE fresh(a); INSERT INTO fresh VALUES (1)");
    let error = shell.error("SELECT replica_sync('{\"on_reset\": \"error\"}')");
    assert!(error.contains("the primary's history is another one"), "{error}");
    assert_eq!(shell.run("SELECT count(*) FROM t"), "5");
    assert_eq!(shell.sync()["reset"], true);
    assert_eq!(shell.run("SELECT count(*) FROM fresh"), "1");
    assert_replica_equals_primary(&db, server);
}

fn an_empty_primary_makes_an_empty_replica(server: &mut dyn Server) {
    let (_folder, db) = empty_place();
    let mut shell = Shell::attached(&db, &server.url());
    assert_eq!(shell.run("SELECT count(*) FROM sqlite_schema"), "0");
    assert_eq!(shell.sync()["frames_synced"], 0);
    let written = shell.json("SELECT replica_write('CREATE TABLE t(a)')");
    assert_eq!(written["synced"], true, "{written}");
    assert_eq!(shell.run("SELECT count(*) FROM t"), "0");
    assert_replica_equals_primary(&db, server);
}

fn nobody_writes_a_replica_by_accident(server: &mut dyn Server) {
    let (_folder, db, _shell) = replica(server);
    let error = sql_error(&db, "INSERT INTO t(x) VALUES (1)");
    assert!(error.contains("attempt to write a readonly database"), "{error}");
    assert_replica_equals_primary(&db, server);
}

fn a_promoted_replica_is_written_and_says_which_frame_it_held(server: &mut dyn Server) {
    let (_folder, db, mut shell) = replica(server);
    server.execute("INSERT INTO t(x) VALUES (1)");
    let held = shell.sync()["frame_no"].clone();
    assert_eq!(held.is_null(), server.protocol() == "turso", "{held}");
    let promoted = shell.json("SELECT replica_promote()");
    assert_eq!(promoted["frame_no"], held, "{promoted}");
    shell.close();
    assert_eq!(sql(&db, "INSERT INTO t(x) VALUES (2); SELECT group_concat(x) FROM t"), "1,2");
}

fn an_interval_brings_changes_by_itself(server: &mut dyn Server) {
    let (_folder, db, shell) = replica(server);
    shell.close();
    let mut shell = Shell::loaded(&db);
    attach_with(&mut shell, &server.url(), r#"{"sync_interval": 0.2}"#);
    server.execute("INSERT INTO t(x) VALUES (1)");
    becomes(&mut shell, "SELECT count(*) FROM t", "1");
    assert_replica_equals_primary(&db, server);
}

fn live_brings_changes_by_itself_and_says_how(server: &mut dyn Server) {
    let (_folder, db, shell) = replica(server);
    shell.close();
    let mut shell = Shell::loaded(&db);
    attach_with(&mut shell, &server.url(), r#"{"live": true}"#);
    let how = server.state_when_live();
    becomes(&mut shell, "SELECT state FROM replica_status", how);
    for i in 1..=3 {
        server.execute(&format!("INSERT INTO t(x) VALUES ({i})"));
        becomes(&mut shell, "SELECT count(*) FROM t", &i.to_string());
    }
    let written = shell.json("SELECT replica_write('INSERT INTO t(x) VALUES (99)')");
    assert_eq!(written["synced"], true, "{written}");
    assert_eq!(shell.run("SELECT count(*) FROM t"), "4");
    assert_replica_equals_primary(&db, server);
}

macro_rules! on_each {
    ($($body:ident)*) => {
        mod sqld {
            $(#[test] fn $body() { super::$body(&mut super::Sqld::start()); })*
        }
        mod turso {
            $(#[test] fn $body() {
                if let Some(mut server) = super::Turso::start() {
                    super::$body(&mut server);
                }
            })*
        }
        mod cloud {
            $(#[test] fn $body() { super::$body(&mut super::Aws::start()); })*
        }
    };
}

on_each! {
    a_first_sync_and_the_next_ones_bring_what_changed
    what_does_not_fit_in_memory_arrives_whole
    a_write_with_arguments_and_returning_is_readable_at_once
    a_script_happens_as_a_whole_or_not_at_all
    a_batch_and_a_query_run_on_the_primary
    a_killed_host_continues_where_the_data_is
    a_copied_file_is_a_replica_too
    two_processes_sync_one_file
    a_dead_primary_costs_no_read_and_no_attach
    an_emptied_primary_is_followed_only_on_request
    a_primary_that_began_anew_is_followed_as_a_whole
    an_empty_primary_makes_an_empty_replica
    nobody_writes_a_replica_by_accident
    a_promoted_replica_is_written_and_says_which_frame_it_held
    an_interval_brings_changes_by_itself
    live_brings_changes_by_itself_and_says_how
}

#[test]
fn what_turso_does_not_say_is_null_and_not_a_number() {
    let Some(server) = Turso::start() else { return };
    let (_folder, _db, mut shell) = replica(&server);
    let written = shell.json("SELECT replica_write('INSERT INTO t(x) VALUES (1)')");
    assert_eq!(written["rows_affected"], Value::Null, "{written}");
    assert_eq!(written["last_insert_rowid"], Value::Null);
    assert_eq!(written["frame_no"], Value::Null);
    assert_eq!(shell.sync()["frame_no"], Value::Null);
    let known = "SELECT coalesce(frame_no, primary_frame_no, lag_frames, log_id, 'unknown') \
                 FROM replica_status";
    assert_eq!(shell.run(known), "unknown");
    let error = shell.error("SELECT replica_wait(1)");
    assert!(error.contains("does not number what it commits"), "{error}");
    let error = shell.error("SELECT replica_begin()");
    assert!(error.contains("no transactions over several calls"), "{error}");
}

#[test]
fn a_database_in_mvcc_mode_is_refused_with_the_reason() {
    let Some(mut server) = Turso::stopped() else { return };
    server.shell("PRAGMA journal_mode = 'mvcc'; CREATE TABLE t(a); INSERT INTO t VALUES (1)");
    server.resume();
    let (folder, db) = empty_place();
    let error = Shell::loaded(&db).error(&format!("SELECT replica_attach('{}')", server.url()));
    assert!(error.contains("Turso's MVCC mode"), "{error}");
    assert!(!files(folder.path()).contains(&"app.db-replica".to_owned()));
}

/// Turso's server 0.6 serves its log, not its file.
#[test]
fn a_database_that_the_server_does_not_serve_is_not_taken_for_an_empty_one() {
    let Some(mut server) = Turso::stopped() else { return };
    sql(
        &server.database(),
        "PRAGMA journal_mode=WAL; CREATE TABLE t(a); INSERT INTO t VALUES (randomblob(9000)); \
         PRAGMA wal_checkpoint(TRUNCATE)",
    );
    server.resume();
    let (_folder, db) = empty_place();
    let attach = format!("SELECT replica_attach('{}')", server.url());
    let error = Shell::loaded(&db).error(&attach);
    assert!(error.contains("does not serve its whole database"), "{error}");
    server.execute("INSERT INTO t VALUES (1)");
    let error = Shell::loaded(&db).error(&attach);
    assert!(error.contains("it sent 1 of 4 pages"), "{error}");
    assert_eq!(sql(&db, "SELECT count(*) FROM sqlite_schema"), "0");
}

#[test]
fn a_primary_that_went_back_in_time_is_a_reset() {
    let Some(mut server) = Turso::start() else { return };
    let (folder, db, mut shell) = replica(&server);
    server.stop();
    let saved = folder.path().join("saved");
    let log = std::path::PathBuf::from(format!("{}-wal", server.database().display()));
    copy(&log, &saved);
    server.resume();
    server.execute("INSERT INTO t(x) VALUES (1)");
    shell.sync();
    server.stop();
    copy(&saved, &log);
    server.resume();
    let error = shell.error("SELECT replica_sync('{\"on_reset\": \"error\"}')");
    assert!(error.contains("the primary's history is another one"), "{error}");
    assert_eq!(shell.run("SELECT count(*) FROM t"), "1");
    assert_eq!(shell.sync()["reset"], true);
    assert_eq!(shell.run("SELECT count(*) FROM t"), "0");
    assert_replica_equals_primary(&db, &server);
}

/// As after a kill between the note of a revision and its commit, or a power
/// cut that took the last commit.
#[test]
fn a_file_one_state_behind_its_notes_needs_only_what_changed() {
    if memory::cannot_do("the notes are kept with the database") {
        return;
    }
    let Some(server) = Turso::start() else { return };
    let (folder, db, mut shell) = replica(&server);
    server.execute("INSERT INTO t(x) VALUES (randomblob(100000))");
    shell.sync();
    let before = folder.path().join("before.db");
    shell.close();
    sql(&db, &format!(".backup {}", before.display()));
    server.execute("INSERT INTO t(x) VALUES (1)");
    Shell::attached(&db, &server.url()).sync();
    copy(&sidecar(&db), &sidecar(&before));
    let synced = Shell::attached(&before, &server.url()).sync();
    assert!(synced["frames_synced"].as_u64() < Some(10), "{synced}");
    assert_replica_equals_primary(&before, &server);
}

#[test]
fn notes_that_lie_or_are_lost_cost_a_pull_and_nothing_else() {
    let Some(server) = Turso::start() else { return };
    let (_folder, db, shell) = replica(&server);
    shell.close();
    let url = server.url();
    for notes in [
        String::new(),
        "{".to_owned(),
        format!(r#"{{"sync_url": "{url}", "protocol": "turso", "revisions": ["1", 5, null]}}"#),
        format!(r#"{{"sync_url": "{url}", "protocol": "sqld"}}"#),
        r#"{"sync_url": "http://elsewhere", "protocol": "sqld"}"#.to_owned(),
    ] {
        std::fs::write(sidecar(&db), &notes).unwrap();
        server.execute("INSERT INTO t(x) SELECT count(*) FROM t");
        let mut shell = Shell::loaded(&db);
        shell.attach_anew(&url);
        shell.sync();
        assert_replica_equals_primary(&db, &server);
        assert_eq!(shell.run("SELECT protocol FROM replica_status"), "turso");
        assert_eq!(shell.sync()["frames_synced"], 0, "{notes}");
        shell.close();
    }
}

#[test]
fn a_server_exchanged_for_one_of_the_other_kind_is_noticed() {
    let Some(turso) = Turso::stopped() else { return };
    let mut sqld = Sqld::start();
    let (_folder, db, mut shell) = replica(&sqld);
    sqld.execute("INSERT INTO t(x) VALUES ('sqld')");
    shell.sync();
    let mut shell = shell.reopened();
    sqld.stop();
    let mut turso = turso.at(sqld.address());
    turso.resume();
    turso.execute("CREATE TABLE other(a); INSERT INTO other VALUES ('turso')");
    shell.attach(&turso.url());
    assert_eq!(shell.run("SELECT protocol FROM replica_status"), "sqld");
    assert_eq!(shell.sync()["reset"], true);
    assert_eq!(shell.run("SELECT protocol FROM replica_status"), "turso");
    assert_replica_equals_primary(&db, &turso);
    if memory::cannot_do("there is no sidecar to tell a lie") {
        return;
    }
    shell.close();
    assert!(std::fs::read_to_string(sidecar(&db)).unwrap().contains(r#""protocol":"turso""#));

    turso.stop();
    sqld.resume();
    let mut shell = Shell::attached(&db, &sqld.url());
    assert_eq!(shell.sync()["reset"], true);
    shell.close();
    let lie = format!(r#"{{"sync_url": "{}", "protocol": "turso"}}"#, sqld.url());
    std::fs::write(sidecar(&db), lie).unwrap();
    sqld.execute("INSERT INTO t(x) VALUES ('again')");
    Shell::attached(&db, &sqld.url()).sync();
    assert_replica_equals_primary(&db, &sqld);
}

/// A simulated Turso server: Hello is refused, pages come from `pages`.
fn simulated(pages: impl Fn(&[u8]) -> Vec<u8> + Send + Sync + 'static) -> FakeServer {
    FakeServer::start(move |request| match request.path.as_str() {
        "/pull-updates" => {
            let kind = "content-type: application/protobuf\r\n";
            http_answer("200 OK", kind, &pages(&request.body))
        }
        _ => http_answer("404 Not Found", "content-type: text/plain\r\n", b"Not Found"),
    })
}

/// Simulated: no server at hand lies like this.
#[test]
fn answers_that_cannot_be_meant_are_refused_and_change_nothing() {
    let good = page_1();
    let mvcc = [&good[..18], &[0xff, 0xff], &good[20..]].concat();
    let wide = [&good[..16], &[0x20, 0x00], &good[18..]].concat();
    let later = [&good[..47], &[5], &good[48..]].concat();
    let rootless = [&good[..100], &[0], &good[101..]].concat();
    let torn = [&good[..103], &[0x7f], &good[104..]].concat();
    for (answer, text) in [
        ([header("5", 1, &[]), page(1, &good)].concat(), "page id 1 is beyond the size of 1 pages"),
        ([header("5", 1, &[]), page(0, &good[..100])].concat(), "a page has 100 bytes"),
        ([header("5", 1, &[5 << 3, 1])].concat(), "MVCC mode"),
        ([header("5", 1, &[8 << 3, 2])].concat(), "MVCC mode"),
        ([header("5", 1, &[5 << 3, 7])].concat(), "unknown kind"),
        ([header("5", 1, &[6 << 3, 7])].concat(), "unknown way"),
        (message(&[field(1, b"5"), vec![2 << 3, 1], field(4, &[])]), "encoding"),
        ([header("5", 1, &[]), page(0, &mvcc)].concat(), "MVCC mode"),
        ([header("5", 1, &[]), page(0, &wide)].concat(), "page size"),
        ([header("5", 1, &[]), page(0, &[7; 4096])].concat(), "not that of a SQLite"),
        ([header("5", 1, &[]), page(0, &later)].concat(), "schema format"),
        ([header("5", 1, &[]), page(0, &rootless)].concat(), "root of a schema"),
        ([header("5", 1, &[]), page(0, &torn)].concat(), "does not lie in it"),
        ([header("5", 2, &[]), page(0, &good)].concat(), "it sent 1 of 2 pages"),
        ([header("5", 1, &[]), page(0, &good)[..2000].to_vec()].concat(), "has no end"),
        (vec![0xff; 20], "length"),
        (vec![], "has no end"),
    ] {
        let server = simulated(move |_| answer.clone());
        let (_folder, db) = empty_place();
        let mut shell = Shell::loaded(&db);
        let error = shell.error(&format!(
            "SELECT replica_attach('{}', NULL, '{{\"protocol\": \"turso\"}}')",
            server.url()
        ));
        assert!(error.contains(text), "{text}: {error}");
        shell.close();
        assert_eq!(sql(&db, "SELECT count(*) FROM sqlite_schema; PRAGMA integrity_check"), "0\nok");
    }
}

/// Simulated: counts what is asked, and sends all pages whatever was asked
/// for, as Turso Cloud may.
#[test]
fn the_protocol_is_asked_for_once_and_a_whole_answer_is_taken_as_one() {
    let good = page_1();
    let server = simulated(move |_| [header("g1:o7", 1, &[6 << 3, 1]), page(0, &good)].concat());
    let (_folder, db) = empty_place();
    let shell = Shell::attached(&db, &server.url());
    let asked = |server: &FakeServer| {
        server.requests().iter().map(|request| request.path.clone()).collect::<Vec<_>>()
    };
    // The first pull is the question as well.
    let first = ["/wal_log.ReplicationLog/Hello", "/pull-updates"];
    assert_eq!(asked(&server), first);
    let mut shell = shell.reopened();
    shell.attach(&server.url());
    assert_eq!(asked(&server).len(), 2, "an attach asks nobody");
    let synced = shell.sync();
    assert_eq!(synced["reset"], false, "{synced}");
    assert_eq!(asked(&server)[2..], ["/pull-updates", "/pull-updates"], "changes, then all");
}

/// Simulated: a server that waits for a change, as the protocol has it.
#[test]
fn a_server_that_waits_is_followed_live() {
    let good = page_1();
    let counter = std::sync::atomic::AtomicU64::new(0);
    let server = simulated(move |body| {
        let revision = match counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0..=2 => 1,
            _ if body.contains(&0x20) => {
                std::thread::sleep(Duration::from_millis(900));
                2
            }
            _ => 1,
        };
        [header(&format!("r{revision}"), 1, &[]), page(0, &good)].concat()
    });
    let (_folder, db) = empty_place();
    let mut shell = Shell::loaded(&db);
    attach_with(&mut shell, &server.url(), r#"{"live": true, "timeout": 2}"#);
    becomes(&mut shell, "SELECT state FROM replica_status", "live");
}
