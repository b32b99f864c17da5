//! One row of one statement, one write: SQLite evaluates an expression once for
//! each reference to it, and what acts must not act as often.

mod common;

use std::path::PathBuf;

use common::*;

fn log() -> (Sqld, TempDir, PathBuf, Shell) {
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE log(id INTEGER PRIMARY KEY, x); CREATE TABLE src(a)");
    sqld.execute("INSERT INTO src VALUES (1), (2), (2), (3)");
    let (folder, db) = empty_place();
    let shell = Shell::attached(&db, &sqld.url());
    (sqld, folder, db, shell)
}

fn written(sqld: &Sqld) -> String {
    sqld.scalar("SELECT count(*) || ':' || coalesce(group_concat(x), '') FROM (SELECT x FROM log ORDER BY id)")
}

const ONE: &str = "replica_write('INSERT INTO log(x) VALUES (?)', 7)";
const EACH: &str = "replica_write('INSERT INTO log(x) VALUES (?)', a)";

#[test]
fn one_row_is_one_write_however_it_is_asked_for() {
    let (sqld, _folder, _db, mut shell) = log();
    for query in [
        "SELECT r ->> 'rows_affected', r ->> 'synced' FROM (SELECT $ONE r FROM src LIMIT 1)",
        "WITH w AS (SELECT $ONE r FROM src LIMIT 1) SELECT r ->> 'frame_no', r ->> 'synced' FROM w \
         WHERE r ->> 'synced'",
        "SELECT $ONE r WHERE r ->> 'synced'",
        "SELECT $ONE r FROM src WHERE rowid = 1 ORDER BY r ->> 'frame_no'",
        "SELECT $ONE r FROM src WHERE rowid = 1 AND r ->> 'synced'",
        "SELECT $ONE r FROM src WHERE rowid = 1 GROUP BY r",
        "SELECT $ONE r, count(*) FROM src WHERE rowid = 1 GROUP BY a HAVING r ->> 'synced'",
        "SELECT CASE WHEN r ->> 'synced' THEN r ->> 'frame_no' END FROM (SELECT $ONE r FROM src \
         LIMIT 1)",
        "SELECT r ->> 'synced', r ->> 'frame_no' FROM (SELECT (SELECT $ONE) r FROM src LIMIT 1)",
        "SELECT r ->> 'synced', r ->> 'frame_no' FROM (SELECT $ONE r FROM src LIMIT -1) LIMIT 1",
        "SELECT DISTINCT r ->> 'synced', r ->> 'x' FROM (SELECT $ONE r FROM src WHERE rowid = 1)",
        "SELECT r ->> 'rows_affected' FROM (SELECT $ONE r FROM src WHERE rowid = 1) \
         WHERE r ->> 'synced' = 1 AND r ->> 'rows_affected' = 1 ORDER BY r ->> 'frame_no'",
        "SELECT rows_affected, frame_no, synced FROM \
         replica_write('INSERT INTO log(x) VALUES (7)') WHERE synced ORDER BY frame_no",
        "WITH w AS (SELECT * FROM replica_write('INSERT INTO log(x) VALUES (?)', '[7]')) \
         SELECT frame_no, (SELECT rowid FROM src WHERE synced LIMIT 1) FROM w WHERE synced",
    ] {
        sqld.execute("DELETE FROM log");
        let answer = shell.run(&query.replace("$ONE", ONE));
        assert!(!answer.is_empty(), "{query}");
        assert_eq!(written(&sqld), "1:7", "{query}: {answer}");
    }
}

#[test]
fn rows_with_the_same_values_are_writes_of_their_own() {
    let (sqld, _folder, _db, mut shell) = log();
    for query in [
        "SELECT $EACH FROM src",
        "SELECT r ->> 'rows_affected', r ->> 'synced' FROM (SELECT $EACH r FROM src) WHERE r ->> 'synced'",
        "SELECT r ->> 'rows_affected' FROM (SELECT $EACH r FROM src) ORDER BY r ->> 'frame_no' DESC",
        "SELECT (SELECT rows_affected FROM replica_write('INSERT INTO log(x) VALUES (?)', \
         json_array(a))) FROM src",
    ] {
        sqld.execute("DELETE FROM log");
        let answer = shell.run(&query.replace("$EACH", EACH));
        assert_eq!(answer.lines().count(), 4, "{query}: {answer}");
        assert_eq!(written(&sqld), "4:1,2,2,3", "{query}");
    }
    // A statement that is run again writes again.
    shell.run(".mode list");
    for _ in 0..2 {
        shell.run(&format!("SELECT {ONE} r WHERE r ->> 'synced'"));
    }
    assert_eq!(sqld.scalar("SELECT count(*) FROM log WHERE x = 7"), "2");
}

#[test]
fn two_calls_in_one_text_are_refused_rather_than_guessed_at() {
    let (sqld, _folder, _db, mut shell) = log();
    let error = shell.error(&format!("SELECT {ONE}, {ONE}"));
    assert!(error.contains("holds this call twice"), "{error}");
    assert_eq!(written(&sqld), "1:7");
    // Two different ones are two.
    sqld.execute("DELETE FROM log");
    shell.run(&format!("SELECT {ONE}, replica_write('INSERT INTO log(x) VALUES (?)', 8)"));
    assert_eq!(written(&sqld), "2:7,8");
}

#[test]
fn a_table_that_writes_does_not_write_for_each_row_of_another() {
    let (sqld, _folder, _db, mut shell) = log();
    for from in [
        "src, replica_write('INSERT INTO log(x) VALUES (9)')",
        "replica_write('INSERT INTO log(x) VALUES (9)'), src",
    ] {
        sqld.execute("DELETE FROM log");
        let answer = shell.ask(&format!("SELECT a, rows_affected FROM {from}"));
        assert_eq!(written(&sqld), "1:9", "{from}: {answer}");
    }
}

#[test]
fn a_transaction_is_begun_and_ended_once() {
    let (sqld, _folder, _db, mut shell) = log();
    shell.run("SELECT r IS NULL, r IS NULL FROM (SELECT replica_begin() r FROM src LIMIT 1)");
    shell.run("SELECT replica_write('INSERT INTO log(x) VALUES (1)')");
    let answer = shell.run(
        "SELECT r ->> 'synced', r ->> 'frame_no' > 0 FROM (SELECT replica_commit() r FROM src \
         LIMIT 1) WHERE r ->> 'synced'",
    );
    assert_eq!(answer, "1|1");
    assert_eq!(written(&sqld), "1:1");
}
