//! A primary that crashed begins a new history, in which the same frame
//! numbers come again: none of the old ones may be taken for a new one. And
//! what else a connection must keep apart.

mod common;

use std::time::{Duration, Instant};

use common::*;

/// A replica whose connection has written `rows` rows to a primary that then
/// crashed and came back.
fn after_a_crash(options: &str, rows: u32) -> (Sqld, TempDir, std::path::PathBuf, Shell) {
    let mut sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
    let (folder, db) = empty_place();
    let mut shell = Shell::loaded(&db);
    shell.json(&format!("SELECT replica_attach('{}', NULL, '{options}')", sqld.url()));
    for i in 0..rows {
        shell.json(&format!("SELECT replica_write('INSERT INTO t(x) VALUES (?)', {i})"));
    }
    sqld.kill9();
    sqld.resume();
    (sqld, folder, db, shell)
}

fn assert_written(shell: &mut Shell, written: &serde_json::Value, condition: &str) {
    assert_eq!(written["synced"], true, "{written}");
    assert_eq!(shell.run(&format!("SELECT count(*) FROM t WHERE {condition}")), "1", "{written}");
}

#[test]
fn a_write_after_a_crash_and_a_sync_is_readable() {
    let (sqld, _folder, db, mut shell) = after_a_crash("{}", 30);
    assert_eq!(shell.sync()["reset"], true);
    let written = shell.json("SELECT replica_write('INSERT INTO t(x) VALUES (?)', 'after')");
    assert_written(&mut shell, &written, "x = 'after'");
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn a_write_right_after_a_crash_is_readable() {
    for options in ["{}", r#"{"live": true}"#, r#"{"sync_interval": 3600}"#] {
        let (sqld, _folder, db, mut shell) = after_a_crash(options, 30);
        let written = shell.json("SELECT replica_write('INSERT INTO t(x) VALUES (?)', 'after')");
        assert_written(&mut shell, &written, "x = 'after'");
        assert_replica_equals_primary(&db, &sqld);
    }
}

#[test]
fn a_transaction_right_after_a_crash_is_readable() {
    for options in ["{}", r#"{"sync_interval": 3600}"#] {
        let (sqld, _folder, db, mut shell) = after_a_crash(options, 30);
        shell.run("SELECT replica_begin()");
        shell.json("SELECT replica_write('INSERT INTO t(x) VALUES (?)', 'after')");
        let committed = shell.json("SELECT replica_commit()");
        assert_written(&mut shell, &committed, "x = 'after'");
        assert_replica_equals_primary(&db, &sqld);
    }
}

#[test]
fn a_table_that_lands_on_an_old_frame_number_is_there() {
    for rows in 1..6 {
        let (sqld, _folder, db, mut shell) = after_a_crash("{}", rows);
        let made = shell.json("SELECT replica_write('CREATE TABLE u(x)')");
        assert_eq!(made["synced"], true, "{made}");
        assert_eq!(shell.run("SELECT count(*) FROM u"), "0", "after {rows} rows: {made}");
        assert_replica_equals_primary(&db, &sqld);
    }
}

#[test]
fn a_second_load_on_a_connection_keeps_its_replica() {
    let sqld = Sqld::start();
    let (_folder, db) = empty_place();
    let mut shell = Shell::attached(&db, &sqld.url());
    shell.run(common::shell::load().trim_end());
    assert_eq!(shell.run("SELECT count(*) FROM replica_status"), "1");
}

#[test]
fn a_write_does_not_wait_for_the_next_interval() {
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(x)");
    let (_folder, db) = empty_place();
    let mut shell = Shell::loaded(&db);
    let url = sqld.url();
    shell.json(&format!("SELECT replica_attach('{url}', NULL, '{{\"sync_interval\": 3600}}')"));
    let started = Instant::now();
    for _ in 0..5 {
        let written = shell.json("SELECT replica_write('INSERT INTO t VALUES (1)')");
        assert_eq!(written["synced"], true);
    }
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}

#[test]
fn a_replica_of_an_empty_primary_is_attached_offline() {
    if memory::cannot_do("it ends with its connection") {
        return;
    }
    let mut sqld = Sqld::start();
    let (_folder, db) = empty_place();
    Shell::attached(&db, &sqld.url()).close();
    sqld.stop();
    let mut shell = Shell::attached(&db, &sqld.url());
    assert_eq!(shell.run("SELECT state, frame_no IS NULL FROM replica_status"), "error|1");
}

#[test]
fn a_second_attach_that_means_another_database_is_refused() {
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(x)");
    let (_folder, db) = empty_place();
    let mut shell = Shell::attached(&db, &sqld.url());
    let url = sqld.url();
    let error =
        shell.error(&format!("SELECT replica_attach('{url}', NULL, '{{\"namespace\": \"b\"}}')"));
    assert!(error.contains("call replica_detach() first"), "{error}");
    shell.run("SELECT replica_begin()");
    let error = shell.error(&format!("SELECT replica_attach('{url}')"));
    assert!(error.contains("a transaction is open"), "{error}");
}

#[test]
fn a_long_text_with_many_semicolons_is_one_statement_in_no_time() {
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(x)");
    let (_folder, db) = empty_place();
    let mut shell = Shell::attached(&db, &sqld.url());
    let started = Instant::now();
    shell.json(
        "SELECT replica_write('INSERT INTO t VALUES (''' || replace(hex(zeroblob(200000)), '0', ';') || ''')')",
    );
    assert_eq!(shell.run("SELECT length(x) FROM t"), "400000");
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
}
