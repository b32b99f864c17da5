//! A pool that rolls back, commits or closes a connection ends the transaction
//! on the primary as well, and who gets the connection next starts clean.

mod common;

use std::path::PathBuf;

use common::*;

fn accounts() -> (Sqld, TempDir, PathBuf, Shell) {
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE a(id INTEGER PRIMARY KEY, n); INSERT INTO a VALUES (1, 100)");
    let (folder, db) = empty_place();
    let shell = Shell::attached(&db, &sqld.url());
    (sqld, folder, db, shell)
}

const SET: &str = "SELECT replica_write('UPDATE a SET n = n + 1')";
const N: &str = "SELECT n FROM a";

#[test]
fn a_local_rollback_ends_both_and_the_next_user_starts_clean() {
    let (sqld, _folder, db, mut shell) = accounts();
    for _ in 0..2 {
        shell.run("SELECT replica_begin()");
        shell.run(SET);
        // As a pool does it when a connection comes back.
        shell.run("ROLLBACK");
        assert_eq!(shell.run("SELECT replica_transaction()"), "none");
    }
    assert_eq!(sqld.scalar(N), "100");
    let report = shell.json(SET);
    assert_eq!(report["synced"], true);
    assert_eq!(report.get("in_transaction"), None);
    assert_eq!(sqld.scalar(N), "101");
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn a_local_commit_ends_both() {
    let (sqld, _folder, db, mut shell) = accounts();
    for round in 1..=2 {
        shell.run("SELECT replica_begin('immediate')");
        shell.run(SET);
        assert_eq!(shell.run(N), (99 + round).to_string());
        shell.run("COMMIT");
        assert_eq!(shell.run("SELECT replica_transaction()"), "none");
        assert_eq!(sqld.scalar(N), (100 + round).to_string());
        assert_eq!(shell.run(N), (100 + round).to_string());
    }
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn the_functions_end_both_and_leave_the_connection_as_it_was() {
    let (sqld, _folder, _db, mut shell) = accounts();
    for end in ["commit", "rollback"] {
        shell.run("SELECT replica_begin()");
        shell.run(SET);
        assert!(shell.error("BEGIN").contains("within a transaction"));
        shell.run(&format!("SELECT replica_{end}()"));
        assert_eq!(shell.run(N), "101");
        shell.run("BEGIN");
        shell.run("COMMIT");
        assert_eq!(shell.run("SELECT count(*) FROM sqlite_temp_schema"), "0");
    }
    assert_eq!(sqld.scalar(N), "101");
}

#[test]
fn a_transaction_that_was_open_locally_stays_its_owners() {
    let (sqld, _folder, _db, mut shell) = accounts();
    shell.run("BEGIN");
    shell.run("SELECT replica_begin()");
    shell.run(SET);
    shell.run("SELECT replica_commit()");
    assert_eq!(sqld.scalar(N), "101");
    shell.run("SELECT replica_begin()");
    shell.run(SET);
    shell.run("COMMIT");
    assert_eq!(sqld.scalar(N), "102");
    shell.run("BEGIN");
    shell.run("SELECT replica_begin()");
    shell.run(SET);
    shell.run("ROLLBACK");
    assert_eq!(shell.run("SELECT replica_transaction()"), "none");
    assert_eq!(sqld.scalar(N), "102");
    // A local transaction of its own is nobody else's.
    shell.run("BEGIN");
    shell.run(SET);
    shell.run("ROLLBACK");
    assert_eq!(sqld.scalar(N), "103");
}

#[test]
fn a_commit_that_the_primary_refuses_is_an_error_of_the_local_commit() {
    let (mut sqld, _folder, _db, mut shell) = accounts();
    shell.run("SELECT replica_begin()");
    shell.run(SET);
    sqld.stop();
    sqld.resume();
    let error = shell.error("COMMIT");
    assert!(error.contains("replica_open_transaction: "), "{error}");
    shell.run("SELECT replica_rollback()");
    assert_eq!(shell.run("SELECT replica_transaction()"), "none");
    shell.run("BEGIN");
    shell.run("ROLLBACK");
    assert_eq!(sqld.scalar(N), "100");
}

#[test]
fn a_connection_that_is_closed_gives_the_lock_back() {
    let (sqld, _folder, _db, mut shell) = accounts();
    shell.run("SELECT replica_begin('immediate')");
    shell.run(SET);
    shell.close();
    sqld.execute("UPDATE a SET n = 7");
    assert_eq!(sqld.scalar(N), "7");
}

#[test]
fn transactions_can_be_left_apart() {
    let (sqld, _folder, db, _shell) = accounts();
    let mut shell = Shell::loaded(&db);
    let options = "{\"local_transactions\": false}";
    shell.json(&format!("SELECT replica_attach('{}', NULL, '{options}')", sqld.url()));
    shell.run("SELECT replica_begin()");
    shell.run(SET);
    shell.run("BEGIN");
    shell.run("ROLLBACK");
    assert_eq!(shell.run("SELECT replica_transaction()"), "deferred");
    shell.run("SELECT replica_commit()");
    assert_eq!(sqld.scalar(N), "101");
}
