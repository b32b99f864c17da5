//! SQL to the simulated cloud: streams, counts, and answers that are lost.

use serde_json::{Value, json};

use super::common::*;
use super::{PULL, SQL, asked, attach, replica};

const WRITE: &str = "SELECT replica_write('INSERT INTO t(x) VALUES (1)')";
const COUNT: &str = "SELECT count(*) FROM t";

#[test]
fn a_write_is_one_request_and_a_pull_and_leaves_no_stream_behind() {
    for switches in
        [json!({}), json!({ "keeps_idle_streams": true }), json!({ "v2_is_strict": true })]
    {
        let aws = Aws::with(switches.clone());
        let (_folder, db, mut shell) = replica(&aws, "{}");
        for _ in 0..2 {
            let written = shell.json(WRITE);
            assert_eq!(written["synced"], true, "{written}");
            assert_eq!(asked(&aws), [SQL, PULL], "{switches}");
        }
        let row = "SELECT row FROM replica_query('SELECT count(*) FROM t')";
        assert_eq!(shell.run(row), "[2]");
        assert_eq!(asked(&aws), [SQL]);
        assert_replica_equals_primary(&db, &aws);
    }
}

#[test]
fn changed_rows_are_counted_also_where_nothing_was_inserted() {
    let aws = Aws::start();
    let (_folder, _db, mut shell) = replica(&aws, "{}");
    for (sql, changed, rowid) in [
        ("INSERT INTO t(x) VALUES (1), (2), (3)", 3, json!(3)),
        ("UPDATE t SET x = x + 1 WHERE id < 3", 2, Value::Null),
        ("DELETE FROM t WHERE id = 1", 1, Value::Null),
        ("DELETE FROM t WHERE id = 1", 0, Value::Null),
        ("CREATE TABLE u(a)", 0, Value::Null),
    ] {
        let written = shell.json(&format!("SELECT replica_write('{sql}')"));
        assert_eq!(written["rows_affected"], changed, "{sql}: {written}");
        assert_eq!(written["last_insert_rowid"], rowid, "{sql}: {written}");
    }
    let error = shell.error("SELECT replica_write('INSERT INTO t(id) VALUES (2)')");
    assert_eq!(error, "replica_write: UNIQUE constraint failed: t.id");
    // The message says UNIQUE of a primary key; the server says more.
    assert_eq!(shell.run("SELECT replica_error() ->> 'code'"), "1555");
    let trigger = "CREATE TRIGGER no BEFORE DELETE ON t BEGIN SELECT RAISE(ABORT, ''never''); END";
    shell.json(&format!("SELECT replica_write('{trigger}')"));
    shell.error("SELECT replica_write('DELETE FROM t')");
    assert_eq!(shell.run("SELECT replica_error() ->> 'code'"), "1811");
}

#[test]
fn a_transaction_lasts_over_several_calls_and_goes_where_its_stream_is_bound_to() {
    let aws = Aws::start();
    let (_folder, db, mut shell) = replica(&aws, "{}");
    aws.switch(json!({ "base_url": format!("{}/pinned", aws.url()) }));
    shell.run("SELECT replica_begin()");
    shell.json(WRITE);
    let two = "SELECT replica_write('INSERT INTO t(x) VALUES (2); UPDATE t SET x = x + 10')";
    shell.json(two);
    let row = "SELECT row FROM replica_query('SELECT group_concat(x) FROM t')";
    assert_eq!(shell.run(row), "[\"11,12\"]");
    assert_eq!(aws.column(COUNT), ["0"], "nobody else sees it");
    assert_eq!(shell.json("SELECT replica_commit()")["synced"], true);
    assert_eq!(shell.run("SELECT group_concat(x) FROM t"), "11,12");
    let paths = asked(&aws);
    let pinned = format!("/pinned{SQL}");
    assert_eq!(paths.iter().filter(|path| **path == pinned).count(), paths.len() - 2, "{paths:?}");
    shell.run("SELECT replica_begin()");
    shell.json(WRITE);
    shell.run("SELECT replica_rollback()");
    assert_eq!(aws.column(COUNT), ["2"]);
    assert_replica_equals_primary(&db, &aws);
}

#[test]
fn a_stream_that_is_lost_takes_its_transaction_with_it_and_says_so() {
    for (remembers, said) in [(true, "rolled back"), (false, "stream not found")] {
        let aws = Aws::with(json!({ "remembers_streams": remembers }));
        let (_folder, db, mut shell) = replica(&aws, "{}");
        for call in [WRITE, "SELECT replica_commit()"] {
            shell.run("SELECT replica_begin()");
            shell.json(WRITE);
            aws.lose_streams();
            let error = shell.error(call);
            assert!(error.contains("nothing of it took effect"), "{error}");
            assert!(error.contains(said), "{error}");
            shell.run("SELECT replica_rollback()");
        }
        assert_eq!(aws.column(COUNT), ["0"]);
        assert_eq!(shell.json(WRITE)["synced"], true);
        assert_replica_equals_primary(&db, &aws);
    }
}

#[test]
fn a_batch_that_is_too_large_for_a_request_goes_through_a_transaction() {
    let aws = Aws::start();
    let (_folder, db, mut shell) = replica(&aws, "{}");
    let report = shell.json(
        "SELECT replica_batch('INSERT INTO t(x) VALUES (?)', printf('%0500d', value))
         FROM generate_series(1, 3000)",
    );
    assert_eq!(report["synced"], true, "{report}");
    let pieces = asked(&aws).iter().filter(|path| *path == SQL).count();
    assert!(pieces > 3, "{pieces}");
    assert_eq!(shell.run(COUNT), "3000");
    let error = shell.error(
        "SELECT replica_batch('INSERT INTO t(id, x) VALUES (?, ?)', 6000 - value, printf('%0500d', value))
         FROM generate_series(1, 3000)",
    );
    assert!(error.contains("UNIQUE constraint failed: t.id"), "{error}");
    assert_eq!(aws.column(COUNT), ["3000"], "none of it");
    assert_replica_equals_primary(&db, &aws);
}

#[test]
fn a_table_is_rebuilt_under_others_that_point_at_it() {
    let aws = Aws::start();
    let (_folder, db, mut shell) = replica(&aws, "{}");
    aws.execute("INSERT INTO t(x) VALUES (1); CREATE TABLE c(t REFERENCES t(id) ON DELETE CASCADE); INSERT INTO c VALUES (1)");
    let migration = "CREATE TABLE new(id INTEGER PRIMARY KEY, x, y); \
                     INSERT INTO new(id, x) SELECT id, x FROM t; DROP TABLE t; \
                     ALTER TABLE new RENAME TO t";
    shell.json(&format!("SELECT replica_migrate('{migration}')"));
    assert_eq!(shell.run("SELECT count(*) FROM c"), "1");
    assert_replica_equals_primary(&db, &aws);
}

/// Turso's specification allows it after a commit.
#[test]
fn a_408_after_a_commit_is_no_plain_failure() {
    let aws = Aws::start();
    let (_folder, _db, mut shell) = replica(&aws, "{}");
    let forms = [
        WRITE,
        "SELECT replica_write('INSERT INTO t(x) VALUES (1); INSERT INTO t(x) VALUES (2)')",
        "SELECT replica_batch('INSERT INTO t(x) VALUES (?)', value) FROM json_each('[1, 2]')",
    ];
    for form in forms {
        aws.switch(json!({ "late": 1 }));
        let error = shell.error(form);
        assert!(error.contains("the outcome of this write is unknown"), "{form}: {error}");
        assert!(error.contains("408"), "{error}");
    }
    assert_eq!(aws.column(COUNT), ["5"]);
    // What only reads is another matter.
    aws.switch(json!({ "late": 1 }));
    let error = shell.error("SELECT row FROM replica_query('SELECT 1')");
    assert!(!error.contains("unknown") && error.contains("408"), "{error}");
}

#[test]
fn a_write_that_is_to_happen_once_does_so_although_answers_are_lost() {
    let aws = Aws::start();
    let (_folder, db, mut shell) = replica(&aws, r#"{"exactly_once": true}"#);
    for late in 0..3 {
        aws.switch(json!({ "late": late }));
        assert_eq!(shell.json(WRITE)["synced"], true, "{late}");
        assert_eq!(aws.column(COUNT), [(late * 2 + 1).to_string()]);
        shell.run("SELECT replica_begin()");
        shell.json(WRITE);
        aws.switch(json!({ "late": late.min(1) }));
        assert_eq!(shell.json("SELECT replica_commit()")["synced"], true, "{late}");
        assert_eq!(aws.column(COUNT), [(late * 2 + 2).to_string()]);
    }
    assert_replica_equals_primary(&db, &aws);
}

/// A server that is older than version 3 of the protocol, or one as small as
/// Turso's own.
#[test]
fn a_server_without_version_3_writes_and_has_no_long_transactions() {
    let aws = Aws::start();
    let (_folder, db, mut shell) = replica(&aws, "{}");
    aws.switch(json!({ "only_v2": true }));
    assert_eq!(shell.json(WRITE)["synced"], true);
    assert_eq!(asked(&aws), [SQL, "/v2/pipeline", PULL]);
    assert_eq!(shell.json(WRITE)["synced"], true);
    assert_eq!(asked(&aws), ["/v2/pipeline", PULL], "that is remembered");
    let error = shell.error("SELECT replica_begin()");
    assert!(error.contains("no transactions over several calls"), "{error}");
    assert!(asked(&aws).is_empty());
    assert_replica_equals_primary(&db, &aws);
}

#[test]
fn what_the_cloud_does_not_allow_is_told_in_its_words() {
    let aws = Aws::start();
    let (_folder, _db, mut shell) = replica(&aws, "{}");
    for sql in ["PRAGMA journal_mode=DELETE", "PRAGMA user_version=3", "VACUUM"] {
        let error = shell.error(&format!("SELECT replica_write('{sql}')"));
        assert!(error.contains("not allowed") || error.contains("VACUUM"), "{sql}: {error}");
    }
    // A database without a page was asked for no PRAGMA at its attach.
    let (_folder, db) = empty_place();
    let empty = Aws::start();
    Shell::loaded(&db).json(&attach(&empty.url(), "{}"));
    assert!(!asked(&empty).iter().any(|path| path.ends_with("pipeline")));
}
