//! `replica_batch`: all rows of a query as one atomic write, sent in pieces.

mod common;

use std::path::PathBuf;

use common::net::http_answer;
use common::*;

/// A primary with a table, a replica of it, and 30 000 rows to load in a
/// temporary table.
fn staged() -> (Sqld, TempDir, PathBuf, Shell) {
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v)");
    let (folder, db) = empty_place();
    let mut shell = Shell::attached(&db, &sqld.url());
    shell.run(
        "CREATE TEMP TABLE staging AS WITH RECURSIVE c(i) AS \
         (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 30000) SELECT i, 'value ' || i AS v FROM c",
    );
    (sqld, folder, db, shell)
}

const INSERT: &str = "replica_batch('INSERT INTO t VALUES (?, ?)', i, v)";

#[test]
fn a_small_batch_is_one_request_and_one_transaction() {
    let (sqld, _folder, db, mut shell) = staged();
    let before = sqld.frame_no();
    let report = shell.json(&format!("SELECT {INSERT} FROM staging WHERE i <= 100"));
    assert_eq!(report["count"], 100);
    assert_eq!(report["rows_affected"], 100);
    assert_eq!(report["last_insert_rowid"], 100);
    assert_eq!(report["frame_no"], sqld.frame_no());
    assert_eq!(report["synced"], true);
    assert!(sqld.frame_no() - before < 10, "one transaction writes few pages");
    assert_eq!(shell.run("SELECT count(*), sum(id) FROM t"), "100|5050");
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn a_batch_of_many_pieces_is_one_transaction_too() {
    let (sqld, _folder, db, mut shell) = staged();
    let report = shell.json(&format!("SELECT {INSERT} FROM staging"));
    assert_eq!(report["count"], 30_000);
    assert_eq!(report["rows_affected"], 30_000);
    assert_eq!(report["synced"], true);
    assert_replica_equals_primary(&db, &sqld);
    assert_eq!(scalar(&db, "SELECT count(*) FROM t"), "30000");
}

#[test]
fn a_row_that_fails_is_named_and_nothing_is_applied() {
    let (sqld, _folder, db, mut shell) = staged();
    let frame_no = sqld.frame_no();
    for (collision, row) in [(3, 4), (20_000, 20_001), (29_999, 30_000)] {
        let error = shell.error(&format!(
            "SELECT replica_batch('INSERT INTO t VALUES (?, ?)', i % {collision} + 10, v) FROM staging"
        ));
        assert_eq!(error, format!("replica_batch: row {row}: UNIQUE constraint failed: t.id"));
    }
    // The stream that the error came from does not hold the lock.
    let report = shell.json(&format!("SELECT {INSERT} FROM staging WHERE i = 7"));
    assert_eq!(report["count"], 1);
    assert_eq!(sqld.scalar("SELECT count(*) FROM t"), "1");
    assert!(sqld.frame_no() - frame_no < 5);
    assert_replica_equals_primary(&db, &sqld);
}

/// SQLite ends an aggregate in the same way whether its query has come to the
/// end or was abandoned in the middle.
#[test]
fn a_query_that_fails_in_the_middle_applies_nothing() {
    let (sqld, _folder, db, mut shell) = staged();
    for at in [1, 2, 5_000, 20_000, 30_000] {
        let bad = format!("CASE i WHEN {at} THEN abs(-9223372036854775807 - 1) ELSE v END");
        let batch = format!("replica_batch('INSERT INTO t VALUES (?, ?)', i, {bad})");
        let queries = [
            format!("SELECT {batch} FROM staging"),
            format!("SELECT {batch}, count(*) FROM staging GROUP BY i > 0"),
            format!("SELECT * FROM (SELECT {batch} FROM staging)"),
            format!("SELECT (SELECT {batch} FROM staging)"),
        ];
        for query in queries {
            assert_eq!(shell.error(&query), "integer overflow", "{query}");
        }
    }
    assert_eq!(sqld.scalar("SELECT count(*) FROM t"), "0");
    shell.run(&format!("SELECT {INSERT} FROM staging WHERE i < 10"));
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn each_group_is_a_batch_of_its_own() {
    let (sqld, _folder, db, mut shell) = staged();
    let counts = shell.run(&format!(
        "SELECT i % 3, {INSERT} ->> 'count' FROM staging WHERE i <= 20 GROUP BY i % 3"
    ));
    assert_eq!(counts, "0|6\n1|7\n2|7");
    // Groups of many pieces, one after another.
    let counts = shell.run(&format!(
        "SELECT i % 2, {INSERT} ->> 'count' FROM staging WHERE i > 20 GROUP BY i % 2"
    ));
    assert_eq!(counts, "0|14990\n1|14990");
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn no_rows_are_no_request() {
    let server = FakeServer::start(|_| http_answer("500 No", "", b""));
    let (_folder, db) = empty_place();
    let mut shell = Shell::loaded(&db);
    shell.run(&format!(
        "SELECT replica_attach('{}', NULL, '{{\"first_sync\":false}}')",
        server.url()
    ));
    let report = shell.json("SELECT replica_batch('INSERT INTO t VALUES (?)', 1) WHERE 0");
    assert_eq!(report["count"], 0);
    assert_eq!(report["rows_affected"], 0);
    assert!(server.requests().is_empty());
}

#[test]
fn statements_may_differ_from_row_to_row() {
    let (sqld, _folder, db, mut shell) = staged();
    let report = shell.json(
        "SELECT replica_batch(sql) FROM (SELECT 'CREATE TABLE a(x)' AS sql UNION ALL \
         SELECT 'INSERT INTO a VALUES (1), (2)' UNION ALL SELECT 'UPDATE a SET x = x + 1' UNION ALL \
         SELECT 'SELECT * FROM a')",
    );
    assert_eq!(report["count"], 4);
    assert_eq!(report["rows_affected"], 4);
    assert_eq!(shell.run("SELECT group_concat(x) FROM a"), "2,3");
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn arguments_of_every_type_arrive_as_they_are() {
    let (sqld, _folder, db, mut shell) = staged();
    shell.run("CREATE TEMP TABLE v(i INTEGER PRIMARY KEY, v)");
    shell.run(
        "INSERT INTO v(v) VALUES (NULL), (9223372036854775807), (-9223372036854775808), (5e-324), \
         (2.9635135135135134e-05), (9e999), (-9e999), (''), (x''), (x'00ff'), (char(0) || 'a'), \
         (char(128512)), (zeroblob(2000000)), (1.0)",
    );
    shell.run("SELECT replica_batch('INSERT INTO t VALUES (:id, :v)', i, v) FROM v");
    assert_eq!(
        shell.run("SELECT count(*) FROM v JOIN t ON t.id = v.i AND t.v IS v.v AND typeof(t.v) = typeof(v.v)"),
        "14"
    );
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn what_cannot_be_sent_is_refused_by_its_row() {
    let (sqld, _folder, _db, mut shell) = staged();
    let frame_no = sqld.frame_no();
    for (call, error) in [
        ("replica_batch()", "the SQL text is missing; write replica_batch(sql, arg ...)"),
        ("replica_batch(NULL, i)", "sql must be a text, not NULL"),
        ("replica_batch('')", "row 1: there is no statement in the SQL text"),
        ("replica_batch('-- ' || i)", "row 1: there is no statement in the SQL text"),
        (
            "replica_batch('SELECT 1; SELECT 2')",
            "row 1: only one statement can stand here, and there are 2",
        ),
        (
            "replica_batch('SELECT ?', i, v)",
            "row 1: the statement has 1 parameter and the call gives 2 arguments; one belongs to each parameter",
        ),
        (
            "replica_batch(CASE i WHEN 3 THEN 'SELECT ?3' ELSE 'SELECT ?, ?' END, i, v)",
            "row 3: the statement has 3 parameters and the call gives 2 arguments; one belongs to each parameter",
        ),
        (
            "replica_batch(CASE i WHEN 2 THEN 'COMMIT' ELSE 'SELECT 1' END)",
            "row 2: COMMIT cannot stand here: the statements are one transaction already; leave it out",
        ),
    ] {
        let found = shell.error(&format!("SELECT {call} FROM staging WHERE i < 5"));
        assert_eq!(found, format!("replica_batch: {error}"), "{call}");
    }
    assert_eq!(sqld.frame_no(), frame_no);
    let (_folder, other) = empty_place();
    let error = Shell::loaded(&other).error("SELECT replica_batch('SELECT 1')");
    assert!(error.starts_with("replica_batch: no replica is attached"), "{error}");
}

#[test]
fn a_batch_in_an_open_transaction_is_a_part_of_it() {
    let (sqld, _folder, db, mut shell) = staged();
    shell.run("SELECT replica_begin('immediate')");
    let report = shell.json(&format!("SELECT {INSERT} FROM staging"));
    assert_eq!((&report["count"], &report["in_transaction"]), (&30_000.into(), &true.into()));
    // A second one fails in its last piece: the first one stays.
    shell.error(&format!("SELECT {} FROM staging", INSERT.replace("i,", "i % 29999 + 50000,")));
    let query = "SELECT row ->> 0 FROM replica_query('SELECT count(*) FROM t')";
    assert_eq!(shell.run(query), "30000");
    assert_eq!(sqld.scalar("SELECT count(*) FROM t"), "0");
    shell.run("SELECT replica_commit()");
    assert_eq!(scalar(&db, "SELECT count(*) FROM t"), "30000");
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn a_write_while_a_batch_is_being_sent_is_refused() {
    let (sqld, _folder, _db, mut shell) = staged();
    let error = shell.error(
        "SELECT replica_batch('INSERT INTO t VALUES (?, ?)', i, CASE i WHEN 20000 THEN \
         replica_write('INSERT INTO t VALUES (0, 0)') ELSE v END) FROM staging",
    );
    assert_eq!(
        error,
        "replica_write: a replica_batch() of the running statement is being sent; write before or \
         after it"
    );
    assert_eq!(sqld.scalar("SELECT count(*) FROM t"), "0");
}

#[test]
fn a_million_rows_need_little_memory() {
    let (sqld, _folder, db, mut shell) = staged();
    let peak = |pid: u32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("VmHWM"));
        line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).unwrap_or(0)
    };
    let before = peak(shell.pid());
    let rows = "(WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 1000000) \
                SELECT i, 'value ' || i AS v FROM c)";
    let report = shell.json(&format!("SELECT {INSERT} FROM {rows}"));
    assert_eq!(report["count"], 1_000_000);
    let grown = peak(shell.pid()) - before;
    assert!(grown < 64 * 1024, "{grown} KiB");
    assert_eq!(scalar(&db, "SELECT count(*) FROM t"), "1000000");
    assert_eq!(sqld.scalar("SELECT count(*) FROM t"), "1000000");
}
