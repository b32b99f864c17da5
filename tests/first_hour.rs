//! What a new user types, and what is said to him; what somebody on call asks.

mod common;

use std::time::{Duration, Instant};

use common::*;

fn orders() -> (Sqld, TempDir, std::path::PathBuf) {
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE orders(id INTEGER PRIMARY KEY, item TEXT); INSERT INTO orders VALUES (7, 'lantern')");
    let (folder, db) = empty_place();
    (sqld, folder, db)
}

#[test]
fn guesses_that_miss_are_told_what_is_meant() {
    let (sqld, _folder, db) = orders();
    let mut shell = Shell::loaded(&db);
    let url = quoted(sqld.url());
    for (statement, said) in [
        (
            format!("SELECT replica_attach({url}, '{{\"live\": true}}')"),
            "replica_attach: token must not begin with a brace; options are the third argument: \
             replica_attach(sync_url, NULL, '{...}')",
        ),
        (
            format!("SELECT replica_attach({url}, NULL, 5)"),
            "replica_attach: options must be a text, not an integer; such as '{\"timeout\": 5}'",
        ),
        (
            "SELECT replica_query('SELECT 1')".to_owned(),
            "replica_query: this is a table; write SELECT row ->> 0 FROM replica_query('SELECT ...')",
        ),
        (
            "SELECT replica_sync_progress()".to_owned(),
            "replica_sync_progress: this is a table; write SELECT * FROM replica_sync_progress",
        ),
        (
            "SELECT replica_set_token('{\"timeout\": 5}')".to_owned(),
            "replica_set_token: token must not begin with a brace; options are the third argument: \
             replica_attach(sync_url, NULL, '{...}')",
        ),
        (
            "SELECT healthy FROM replica_health('app.db', 'old')".to_owned(),
            "replica_health: max_age_s must be a number of seconds, not a text",
        ),
        (
            "SELECT replica_wait('soon')".to_owned(),
            "replica_wait: position must be the text of that name in a result, or a frame number, \
             not a text",
        ),
        (
            "SELECT replica_write(CAST('DELETE FROM orders' AS BLOB))".to_owned(),
            "replica_write: sql must be a text, not a blob; what readfile() returns becomes one by \
             CAST(... AS TEXT)",
        ),
    ] {
        assert_eq!(shell.error(&statement), said, "{statement}");
    }
    // A file that is a text after all.
    let file = db.with_extension("sql");
    std::fs::write(&file, "INSERT INTO orders VALUES (8, 'kite')").unwrap();
    shell.attach(&sqld.url());
    shell.run(&format!("SELECT replica_write(CAST(readfile('{}') AS TEXT))", file.display()));
    assert_eq!(shell.run("SELECT item FROM orders WHERE id = 8"), "kite");
}

/// A transaction that was begun before: it cannot see what comes, and says so
/// by an error of its own or not at all.
#[test]
fn an_attach_inside_of_begin_works_or_says_why_not() {
    let (sqld, _folder, db) = orders();
    // On a new file and on a replica; with and without a read before.
    for read in ["", "SELECT count(*) FROM sqlite_schema;"] {
        let mut shell = Shell::loaded(&db);
        shell.run(&format!("BEGIN; {read}"));
        let answer =
            shell.ask(&format!("SELECT replica_attach({}) ->> 'frame_no'", quoted(sqld.url())));
        if let Some(error) = shell::error_in(&answer) {
            assert!(
                error.starts_with("replica_attach: ") && error.contains("transaction"),
                "{error}"
            );
        }
        shell.run("COMMIT");
        shell.attach(&sqld.url());
        assert_eq!(shell.run("SELECT item FROM orders WHERE id = 7"), "lantern");
        shell.close();
    }
}

#[test]
fn the_lag_is_not_0_while_the_primary_does_not_answer() {
    let (mut sqld, _folder, db) = orders();
    let mut shell = Shell::loaded(&db);
    let attach = format!("SELECT replica_attach('{}', NULL, '{{\"timeout\": 1}}')", sqld.url());
    shell.run(&attach);
    let lag = "SELECT coalesce(lag_frames, 'unknown') FROM replica_status";
    assert_eq!(shell.run(lag), "0");
    // An error of SQL is an answer.
    shell.error("SELECT replica_write('DELETE FROM nowhere')");
    assert_eq!(shell.run(lag), "0");
    sqld.stop();
    for call in ["replica_sync()", "replica_write('DELETE FROM orders')"] {
        shell.error(&format!("SELECT {call}"));
        assert_eq!(shell.run(lag), "unknown");
    }
    shell.error("SELECT * FROM replica_query('SELECT 1')");
    assert_eq!(shell.run(lag), "unknown");
    sqld.resume();
    shell.sync();
    assert_eq!(shell.run(lag), "0");
}

#[test]
fn the_lag_of_a_live_replica_is_unknown_while_it_reconnects() {
    let (mut sqld, _folder, db) = orders();
    let mut shell = Shell::loaded(&db);
    let attach = format!("SELECT replica_attach('{}', NULL, '{{\"live\": true}}')", sqld.url());
    shell.run(&attach);
    let wait = |shell: &mut Shell, wanted: &str| {
        let deadline = Instant::now() + Duration::from_secs(20);
        let question = "SELECT state || ' ' || coalesce(lag_frames, 'unknown') FROM replica_status";
        loop {
            let found = shell.run(question);
            if found == wanted {
                return;
            }
            assert!(Instant::now() < deadline, "{found}, not {wanted}");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    wait(&mut shell, "live 0");
    sqld.stop();
    wait(&mut shell, "reconnecting unknown");
    sqld.resume();
    wait(&mut shell, "live 0");
}

#[test]
fn a_query_counts_as_contact() {
    let (sqld, _folder, db) = orders();
    Shell::attached(&db, &sqld.url()).close();
    let mut shell = Shell::attached(&db, &sqld.url());
    let contact = "SELECT last_contact_unix_ms IS NULL, primary_frame_no IS NULL, lag_frames FROM replica_status";
    assert_eq!(shell.run(contact), "1|1|");
    shell.run("SELECT * FROM replica_query('SELECT 1')");
    assert_eq!(shell.run(contact), "0|0|0");
}

/// Frameworks do it when they close a connection. What SQLite says then is in
/// troubleshooting; nothing else may come of it.
#[test]
fn to_optimize_a_replica_changes_nothing() {
    let sqld = Sqld::start();
    sqld.execute(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, x); CREATE INDEX i ON t(x);\
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
         INSERT INTO t SELECT i, i % 7 FROM n",
    );
    let (_folder, db) = empty_place();
    let mut shell = Shell::attached(&db, &sqld.url());
    assert_eq!(shell.run("SELECT count(*) FROM t WHERE x = 3"), "714");
    for optimize in ["PRAGMA optimize", "PRAGMA optimize = 0x10002", "ANALYZE"] {
        let said = shell.ask(&format!("{optimize};\n"));
        assert!(said.is_empty() || said.contains("readonly database"), "{optimize}: {said}");
        shell.run("SELECT replica_write('UPDATE t SET x = x + 1 WHERE id = 1')");
        assert_eq!(shell.run("PRAGMA integrity_check"), "ok");
    }
    shell.close();
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn there_is_help() {
    let (_folder, db) = empty_place();
    let mut shell = Shell::loaded(&db);
    let kinds = "SELECT group_concat(DISTINCT kind) FROM replica_help";
    assert_eq!(shell.run(kinds), "function,table,aggregate,column,option");
    let line = |shell: &mut Shell, name: &str| {
        shell.run(&format!("SELECT shape || ': ' || text FROM replica_help WHERE name = '{name}'"))
    };
    assert_eq!(
        line(&mut shell, "replica_rollback"),
        "replica_rollback(): undoes it; nothing happens where none is open"
    );
    let lag = "INTEGER: the difference; NULL while the primary does not answer";
    assert_eq!(line(&mut shell, "replica_status.lag_frames"), lag);
    let live = "false: a worker keeps a stream of the primary's log open: commits arrive within milliseconds";
    assert_eq!(line(&mut shell, "replica_attach live"), live);
    // Every column of every table of ours that a SELECT * shows, and the other way.
    for table in [
        "replica_status",
        "replica_health",
        "replica_help",
        "replica_query",
        "replica_schema_notes",
        "replica_write",
        "replica_sync_progress",
        "replica_outbox",
        "replica_pending",
    ] {
        let told = format!(
            "SELECT group_concat(name) FROM (SELECT substr(name, length('{table}.') + 1) AS name FROM replica_help WHERE kind = 'column' AND name LIKE '{table}.%')"
        );
        let there = format!("SELECT group_concat(name) FROM pragma_table_info('{table}')");
        assert_eq!(shell.run(&told), shell.run(&there), "{table}");
    }
    let text = shell.run("SELECT replica_help()");
    assert!(text.starts_with("replica_attach([sync_url"), "{text}");
    assert!(text.ends_with("SELECT kind, name, shape, text FROM replica_help"), "{text}");
}
