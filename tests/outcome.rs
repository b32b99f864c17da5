//! What a write is said to have done when the network fails under it: never
//! repeated, never lost, and unknown where nobody can know. The network is
//! simulated by a proxy that cuts connections; sqld and the shell are real.

mod common;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use common::proxy::{Cut, Proxy};
use common::*;

/// In each request that the proxy is to cut.
const MARKER: &str = "marked";

fn behind_a_proxy() -> (Sqld, Proxy, TempDir, PathBuf, Shell) {
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v)");
    let proxy = Proxy::start(sqld.address(), MARKER);
    let (folder, db) = empty_place();
    let shell = Shell::attached(&db, &proxy.url());
    (sqld, proxy, folder, db, shell)
}

const WRITE: &str = "SELECT replica_write('INSERT INTO t(v) VALUES (''marked'')')";
const COUNT: &str = "SELECT count(*) FROM t";

fn rows(sqld: &Sqld) -> i64 {
    sqld.scalar(COUNT).parse().unwrap()
}

#[test]
fn a_write_that_is_hung_up_on_did_not_happen() {
    let (sqld, proxy, _folder, db, mut shell) = behind_a_proxy();
    proxy.cut(Cut::EveryConnection);
    let error = shell.error(WRITE);
    assert!(error.starts_with("replica_write: "), "{error}");
    assert_eq!(rows(&sqld), 0);
    proxy.cut(Cut::Never);
    shell.run(WRITE);
    assert_eq!(rows(&sqld), 1);
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn a_primary_that_is_just_starting_is_waited_for() {
    let (mut sqld, _proxy, _folder, _db, _) = behind_a_proxy();
    let (_folder, db) = empty_place();
    let mut shell = Shell::attached(&db, &sqld.url());
    sqld.stop();
    let (send, receive) = std::sync::mpsc::channel();
    let starter = std::thread::spawn(move || {
        receive.recv().unwrap();
        std::thread::sleep(Duration::from_millis(500));
        sqld.resume();
        sqld
    });
    send.send(()).unwrap();
    shell.run(WRITE);
    let sqld = starter.join().unwrap();
    assert_eq!(rows(&sqld), 1);
}

#[test]
fn a_lost_answer_is_an_unknown_outcome_and_nothing_is_sent_twice() {
    let (sqld, proxy, _folder, db, mut shell) = behind_a_proxy();
    for cut in [
        Cut::RequestSwallowed,
        Cut::AfterRequest,
        Cut::MidResponse(1),
        Cut::MidResponse(40),
        Cut::MidResponse(1_000_000),
    ] {
        for call in [
            WRITE.to_owned(),
            WRITE.replace("replica_write(", "replica_batch("),
            WRITE.replace("marked'')", "marked''); UPDATE t SET v = v"),
        ] {
            let before = rows(&sqld);
            proxy.cut(cut);
            let started = Instant::now();
            let error = shell.error(&call);
            proxy.cut(Cut::Never);
            assert!(started.elapsed() < Duration::from_secs(10), "{cut:?}");
            assert!(
                error.contains(": the outcome of this write is unknown: ")
                    && error.ends_with("; read the data back before trying again"),
                "{cut:?}: {error}"
            );
            assert_eq!(proxy.seen(), 1, "{cut:?} {call}");
            let happened = i64::from(cut != Cut::RequestSwallowed);
            assert_eq!(rows(&sqld), before + happened, "{cut:?} {call}");
        }
    }
    shell.sync();
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn a_connection_that_ends_behind_the_answer_is_no_error() {
    let (sqld, proxy, _folder, db, mut shell) = behind_a_proxy();
    proxy.cut(Cut::AfterResponse);
    for count in 1..4 {
        let report = shell.json(WRITE);
        assert_eq!((&report["rows_affected"], &report["synced"]), (&1.into(), &true.into()));
        assert_eq!(proxy.seen(), 1);
        assert_eq!(rows(&sqld), count);
    }
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn a_query_is_asked_again_only_where_nothing_came() {
    let (_sqld, proxy, _folder, _db, mut shell) = behind_a_proxy();
    let query = "SELECT row FROM replica_query('SELECT ''marked''')";
    proxy.cut(Cut::MidResponse(40));
    let error = shell.error(query);
    assert!(!error.contains("outcome"), "{error}");
    proxy.cut(Cut::Never);
    assert_eq!(shell.run(query), r#"["marked"]"#);
}

#[test]
fn a_lost_answer_inside_a_transaction_loses_it_and_nothing_else() {
    let (sqld, proxy, _folder, db, mut shell) = behind_a_proxy();
    for cut in [Cut::RequestSwallowed, Cut::AfterRequest, Cut::MidResponse(40)] {
        shell.run("SELECT replica_begin()");
        shell.run("SELECT replica_write('INSERT INTO t(v) VALUES (1)')");
        proxy.cut(cut);
        let error = shell.error(WRITE);
        proxy.cut(Cut::Never);
        assert!(error.ends_with("nothing of it took effect, begin it again"), "{cut:?}: {error}");
        assert!(shell.error("SELECT replica_commit()").contains("nothing of it took effect"));
        assert_eq!(rows(&sqld), 0, "{cut:?}");
    }
    shell.run(WRITE);
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn a_commit_whose_answer_is_lost_has_an_unknown_outcome() {
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v)");
    let proxy = Proxy::start(sqld.address(), "COMMIT");
    let (_folder, db) = empty_place();
    let mut shell = Shell::attached(&db, &proxy.url());
    shell.run("SELECT replica_begin()");
    shell.run("SELECT replica_write('INSERT INTO t(v) VALUES (1)')");
    proxy.cut(Cut::AfterRequest);
    let error = shell.error("SELECT replica_commit()");
    assert!(error.starts_with("replica_commit: the outcome of this write is unknown: "), "{error}");
    proxy.cut(Cut::Never);
    assert_eq!(rows(&sqld), 1);
    shell.sync();
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn a_write_whose_pull_fails_has_happened_and_says_so() {
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v)");
    // Everything that pulls is thrown away.
    let proxy = Proxy::start(sqld.address(), "/wal_log.ReplicationLog/");
    let (_folder, db) = empty_place();
    let mut shell = Shell::loaded(&db);
    let options = r#"{"first_sync":false,"timeout":2}"#;
    shell.run(&format!("SELECT replica_attach('{}', NULL, '{options}')", proxy.url()));
    proxy.cut(Cut::AfterRequest);
    let report = shell.json(WRITE);
    assert_eq!(report["rows_affected"], 1);
    assert_eq!(report["synced"], false);
    assert!(report["sync_error"].as_str().is_some_and(|text| !text.is_empty()), "{report}");
    proxy.cut(Cut::Never);
    assert_eq!(rows(&sqld), 1);
    shell.sync();
    assert_replica_equals_primary(&db, &sqld);
}
