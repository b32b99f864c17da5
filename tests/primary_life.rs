//! What may happen to the primary: restored from an older copy, replaced by one
//! with the same schema cookie, configured anew, compacting, with tokens that
//! expire. Crashes, restarts and wipes are in `shell/`, too.

mod common;

use common::*;
use serde_json::json;

#[test]
fn a_restart_in_between_downloads_nothing_again() {
    let mut sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(x); INSERT INTO t VALUES (zeroblob(500000))");
    let (_folder, db) = empty_place();
    let mut shell = Shell::attached(&db, &sqld.url());
    sqld.restart();
    let report = shell.sync();
    assert_eq!(report["frames_synced"], 0, "{report}");
    assert!(report["bytes_received"].as_u64() < Some(2000), "{report}");
    assert_eq!(report["reset"], false);
}

#[test]
fn a_primary_restored_from_an_older_copy_is_followed_back() {
    let mut sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(x); INSERT INTO t VALUES (1)");
    let (folder, db) = empty_place();
    let mut shell = Shell::attached(&db, &sqld.url());
    let backup = folder.path().join("backup");
    sqld.stop();
    sqld.back_up(&backup);
    sqld.resume();
    sqld.execute("INSERT INTO t VALUES (2); CREATE TABLE later(y)");
    shell.sync();
    let mut idle = Shell::plain(&db);
    assert_eq!(idle.run("SELECT count(*) FROM t, sqlite_schema"), "4");

    sqld.stop();
    sqld.restore(&backup);
    sqld.resume();
    let refused = shell.error(r#"SELECT replica_sync('{"on_reset": "error"}')"#);
    assert!(refused.contains("the primary's history is another one"), "{refused}");
    assert_eq!(idle.run("SELECT count(*) FROM t"), "2");
    let report = shell.sync();
    assert_eq!(report["reset"], true, "{report}");
    assert_eq!(idle.run("SELECT count(*) FROM t, sqlite_schema"), "1");
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn other_data_under_the_same_schema_cookie_is_seen_by_every_open_connection() {
    let mut sqld = Sqld::start();
    sqld.execute(
        "CREATE TABLE one(a, b, c); INSERT INTO one VALUES (1, 2, 3); CREATE INDEX i ON one(b)",
    );
    let cookie = sqld.scalar("PRAGMA schema_version");
    let (_folder, db) = empty_place();
    let mut shell = Shell::attached(&db, &sqld.url());
    let mut idle = Shell::plain(&db);
    assert_eq!(idle.run("SELECT * FROM one"), "1|2|3");

    sqld.stop();
    sqld.wipe();
    sqld.resume();
    sqld.execute("CREATE TABLE two(x PRIMARY KEY) WITHOUT ROWID; CREATE TABLE one(text); INSERT INTO one VALUES ('other'), ('rows')");
    while sqld.scalar("PRAGMA schema_version").parse::<u32>().expect("a number")
        < cookie.parse().expect("a number")
    {
        sqld.execute("CREATE VIEW v AS SELECT 1; DROP VIEW v");
    }
    assert_eq!(sqld.scalar("PRAGMA schema_version"), cookie, "the same cookie");
    assert_eq!(shell.sync()["reset"], true);
    for shell in [&mut idle, &mut shell] {
        assert_eq!(shell.run("SELECT * FROM one"), "other\nrows");
        assert_eq!(shell.run("SELECT count(*) FROM two; PRAGMA integrity_check"), "0\nok");
        assert!(shell.error("SELECT b FROM one").contains("no such column: b"));
    }
    // And again, with changes of the schema afterwards.
    sqld.execute("ALTER TABLE one ADD COLUMN more DEFAULT 5");
    shell.sync();
    assert_eq!(idle.run("SELECT * FROM one"), "other|5\nrows|5");
}

#[test]
fn an_empty_primary_is_followed_only_when_asked_to() {
    let mut sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(x); INSERT INTO t VALUES (zeroblob(100000))");
    let (_folder, db) = empty_place();
    let mut shell = Shell::attached(&db, &sqld.url());
    let mut idle = Shell::plain(&db);
    assert_eq!(idle.run("SELECT count(*) FROM t"), "1");
    sqld.stop();
    sqld.wipe();
    sqld.resume();
    let refused = shell.error("SELECT replica_sync()");
    assert!(refused.contains("it may be the last copy, so nothing was changed"), "{refused}");
    assert_eq!(idle.run("SELECT count(*) FROM t"), "1");
    assert_eq!(shell.json(r#"SELECT replica_sync('{"on_reset": "replace"}')"#)["reset"], true);
    assert_eq!(idle.run("SELECT count(*) FROM sqlite_schema; PRAGMA integrity_check"), "0\nok");
    sqld.execute("CREATE TABLE t(other, columns); INSERT INTO t VALUES (1, 2)");
    shell.sync();
    assert_eq!(idle.run("SELECT * FROM t"), "1|2");
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn a_primary_that_compacts_all_the_time_is_followed() {
    let sqld = Sqld::with(&["--max-log-size=1"]);
    sqld.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
    let (_folder, db) = empty_place();
    let mut shell = Shell::attached(&db, &sqld.url());
    for round in 0..12 {
        sqld.execute(&format!(
            "INSERT INTO t(x) VALUES (randomblob(300000)), (randomblob(300000)); \
             DELETE FROM t WHERE id < {round}"
        ));
        shell.sync();
        let (_fresh, other) = empty_place();
        Shell::attached(&other, &sqld.url()).close();
        assert_eq!(
            sql(&other, "SELECT count(*), max(id) FROM t; PRAGMA integrity_check;"),
            sql(&db, "SELECT count(*), max(id) FROM t; PRAGMA integrity_check;"),
        );
    }
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn a_new_configuration_of_the_namespace_ends_nothing() {
    let sqld = Sqld::with_namespaces();
    for name in ["one", "two"] {
        sqld.create_namespace(name);
    }
    let (folder, db) = empty_place();
    let attach = |name| {
        let options = json!({ "namespace": name }).to_string();
        format!("SELECT replica_attach({}, NULL, {})", quoted(sqld.url()), quoted(options))
    };
    let mut one = Shell::loaded(&db);
    one.json(&attach("one"));
    let mut two = Shell::loaded(&folder.path().join("two.db"));
    two.json(&attach("two"));
    for (shell, name) in [(&mut one, "one"), (&mut two, "two")] {
        shell.json(&format!("SELECT replica_write('CREATE TABLE {name}(x)')"));
    }
    let open = json!({ "block_reads": false, "block_writes": false });
    for config in [json!({ "block_reads": false, "block_writes": true }), open] {
        sqld.configure("one", &config);
        let report = one.sync();
        assert_eq!((&report["reset"], &report["frames_synced"]), (&json!(false), &json!(0)));
        let answer = one.ask("SELECT replica_write('INSERT INTO one VALUES (1)') ->> 'synced'");
        let blocked = config["block_writes"] == true;
        assert_eq!(answer != "1", blocked, "{config}: {answer}");
    }
    assert_eq!(one.run("SELECT count(*) FROM one"), "1");
    assert_eq!(two.run("SELECT group_concat(name) FROM sqlite_schema"), "two");
}

#[test]
fn an_expired_token_says_so_and_a_new_one_heals() {
    let sqld = Sqld::with_tokens();
    sqld.execute("CREATE TABLE t(x)");
    let (_folder, db) = empty_place();
    let attach =
        |token: &str| format!("SELECT replica_attach({}, {})", quoted(sqld.url()), quoted(token));
    let mut shell = Shell::loaded(&db);
    shell.json(&attach(tokens::READ_ONLY));
    sqld.execute("INSERT INTO t VALUES (1)");
    assert!(shell.sync()["frames_synced"].as_u64() > Some(0), "a read-only token syncs");
    let refused = shell.error("SELECT replica_write('INSERT INTO t VALUES (2)')");
    assert!(refused.starts_with("replica_write: "), "{refused}");

    shell.run(&format!("SELECT replica_set_token({})", quoted(tokens::EXPIRED)));
    let expired = shell.error("SELECT replica_sync()");
    assert!(expired.contains("refused the token") && expired.contains("xpired"), "{expired}");
    assert!(!expired.contains(tokens::EXPIRED));
    assert_eq!(shell.run("SELECT count(*) FROM t"), "1");
    shell.run(&format!("SELECT replica_set_token({})", quoted(tokens::READ_WRITE)));
    assert_eq!(shell.json("SELECT replica_write('INSERT INTO t VALUES (2)')")["synced"], true);
    assert_replica_equals_primary(&db, &sqld);
    for name in files(db.parent().expect("a folder")) {
        let bytes = std::fs::read(db.with_file_name(name)).expect("bytes");
        let secret = tokens::READ_WRITE.as_bytes();
        assert!(!bytes.windows(secret.len()).any(|window| window == secret), "on disk");
    }
}

/// A commit is refused if a page of it has never come. SQLite writes every page
/// that it adds, also those that are free again when the transaction ends.
#[test]
fn pages_that_are_free_when_their_transaction_ends_come_too() {
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, x); CREATE INDEX i ON t(length(x))");
    let (_folder, db) = empty_place();
    let mut shell = Shell::attached(&db, &sqld.url());
    let pages = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 400) \
                 INSERT INTO t(x) SELECT randomblob(3000) FROM c";
    for step in [
        format!("{pages}; DELETE FROM t"),
        format!(
            "SAVEPOINT s; {pages}; {pages}; ROLLBACK TO s; INSERT INTO t(x) VALUES (1); RELEASE s"
        ),
        "SAVEPOINT s; INSERT INTO t(x) VALUES (zeroblob(900000)); RELEASE s; UPDATE t SET x = 0"
            .to_owned(),
        format!("CREATE TABLE u AS SELECT 1; {pages}; DROP TABLE u; DELETE FROM t WHERE id % 2"),
        format!(
            "{pages}; DELETE FROM t WHERE id > 100; CREATE TABLE w(y); INSERT INTO w VALUES (zeroblob(50000))"
        ),
        "DELETE FROM t; DROP TABLE w; INSERT INTO t(x) VALUES (zeroblob(900000))".to_owned(),
    ] {
        sqld.transaction(&step);
        shell.sync();
        assert_replica_equals_primary(&db, &sqld);
        let (_fresh, other) = empty_place();
        Shell::attached(&other, &sqld.url()).close();
        assert_replica_equals_primary(&other, &sqld);
    }
}
