//! The file and SQLite around it: what a host did to it before it became a
//! replica, and what SQLite or a dead process left in its shared memory.

mod common;

use common::*;

fn primary() -> Sqld {
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 'one')");
    sqld.execute("CREATE TABLE u(x); CREATE INDEX i ON u(x)");
    sqld
}

/// An open connection compares the schema cookie only: one that has read the
/// schema of the empty file must find another cookie in the replica.
#[test]
fn a_host_that_has_read_the_empty_schema_sees_the_tables_after_the_first_sync() {
    let sqld = primary();
    let (_folder, first) = empty_place();
    Shell::attached(&first, &sqld.url()).close();
    let cookie: u32 = scalar(&first, "PRAGMA schema_version").parse().expect("a number");
    for seen in [0, 1, cookie - 1, cookie, cookie + 1, 1000] {
        let (_folder, db) = empty_place();
        let mut host = Shell::loaded(&db);
        host.run("CREATE TABLE gone(x); DROP TABLE gone; VACUUM");
        host.run(&format!("PRAGMA schema_version = {seen}"));
        assert_eq!(host.run("SELECT count(*) FROM sqlite_schema"), "0");
        host.attach(&sqld.url());
        assert_eq!(host.run("SELECT v FROM t"), "one", "cookie {seen}, the primary's is {cookie}");
        sqld.execute("INSERT INTO u VALUES (1)");
        host.sync();
        assert_replica_equals_primary(&db, &sqld);
    }
}

/// A number that a program has put into the header says whose file it is.
#[test]
fn an_empty_file_that_a_program_has_marked_is_refused_and_untouched() {
    let sqld = primary();
    for mark in ["PRAGMA user_version = 7", "PRAGMA application_id = -99"] {
        for mode in ["DELETE", "WAL"] {
            let (_folder, db) = empty_place();
            sql(&db, &format!("PRAGMA journal_mode = {mode}; {mark};"));
            let before = std::fs::read(&db).expect("bytes");
            for options in ["{}", r#"{"first_sync": false}"#] {
                let mut shell = Shell::loaded(&db);
                let attach =
                    format!("SELECT replica_attach({}, NULL, '{options}')", quoted(sqld.url()));
                let error = shell.error(&attach);
                assert!(error.contains("belongs to a program: nothing was changed"), "{error}");
            }
            assert_eq!(std::fs::read(&db).expect("bytes"), before, "{mark} in mode {mode}");
        }
    }
}

#[test]
fn a_database_that_is_larger_than_allowed_is_not_taken() {
    let sqld = primary();
    sqld.execute("CREATE TABLE large(b); INSERT INTO large VALUES (zeroblob(400000))");
    let (_folder, db) = empty_place();
    let attach = |size: &str| {
        let options = format!("{{\"max_size\": {size}}}");
        format!("SELECT replica_attach({}, NULL, '{options}')", quoted(sqld.url()))
    };
    let mut shell = Shell::loaded(&db);
    let error = shell.error(&attach("0.28"));
    assert!(error.contains("larger than max_size: it has page"), "{error}");
    assert_eq!(shell.run("SELECT count(*) FROM sqlite_schema"), "0");
    shell.run(&attach("0.55"));
    assert_replica_equals_primary(&db, &sqld);

    sqld.execute("INSERT INTO large VALUES (zeroblob(300000))");
    let error = shell.error("SELECT replica_sync()");
    assert!(error.contains("attach with a larger max_size"), "{error}");
    assert_eq!(shell.run("SELECT sum(length(b)) FROM large"), "400000");
    shell.close();
    let mut shell = Shell::loaded(&db);
    shell.run(&attach("5"));
    shell.sync();
    assert_replica_equals_primary(&db, &sqld);
}

/// Each looks at the empty file before any of them has made it a replica.
#[test]
fn many_make_one_empty_file_a_replica_at_once() {
    let sqld = primary();
    let attach = format!("SELECT replica_attach({}) ->> 'state'", quoted(sqld.url()));
    for _ in 0..5 {
        let (_folder, db) = empty_place();
        let mut shells: Vec<Shell> = (0..6).map(|_| Shell::loaded(&db)).collect();
        shells.iter_mut().for_each(|shell| shell.send(&attach));
        for shell in &mut shells {
            assert_eq!(shell.answer(), "idle");
            assert_eq!(shell.run("SELECT v FROM t"), "one");
        }
        assert_replica_equals_primary(&db, &sqld);
    }
}

/// SQLite's own limit, of the host's connection: at the first sync, at an
/// ordinary one, and when the content is replaced.
#[test]
fn max_page_count_of_the_connection_is_honoured() {
    let mut sqld = primary();
    let large = "CREATE TABLE large(b); INSERT INTO large VALUES (zeroblob(400000))";
    sqld.execute(large);
    let (_folder, db) = empty_place();
    let mut shell = Shell::loaded(&db);
    let attach = format!("SELECT replica_attach({}, NULL)", quoted(sqld.url()));
    let refused = |shell: &mut Shell, sql: &str| {
        let error = shell.error(sql);
        let named = "larger than max_page_count of this connection: it has page";
        assert!(error.contains(named) && error.contains("raise PRAGMA max_page_count"), "{error}");
    };
    shell.run("PRAGMA max_page_count = 50");
    refused(&mut shell, &attach);
    assert_eq!(shell.run("SELECT count(*) FROM sqlite_schema"), "0");
    // Either limit counts, and the error says which it was.
    let with_both = attach.replace("NULL", r#"NULL, '{"max_size": 0.1}'"#);
    let error = shell.error(&with_both);
    assert!(error.contains("larger than max_size: it has page"), "{error}");
    shell.run("PRAGMA max_page_count = 120");
    shell.run(&attach);
    assert_replica_equals_primary(&db, &sqld);

    sqld.execute("INSERT INTO large VALUES (zeroblob(300000))");
    refused(&mut shell, "SELECT replica_sync()");
    refused(&mut shell, "SELECT * FROM replica_sync_progress");
    assert_eq!(shell.run("SELECT sum(length(b)) FROM large"), "400000");
    shell.run("PRAGMA max_page_count = 500");
    shell.sync();
    assert_replica_equals_primary(&db, &sqld);

    // A primary that begins anew, and is larger than it was.
    sqld.kill9();
    sqld.wipe();
    sqld.resume();
    sqld.execute(large);
    sqld.execute("INSERT INTO large VALUES (zeroblob(700000))");
    shell.run("PRAGMA max_page_count = 200");
    refused(&mut shell, "SELECT replica_sync()");
    assert_eq!(shell.run("SELECT sum(length(b)) FROM large"), "700000");
    shell.run("PRAGMA max_page_count = 2000");
    assert_eq!(shell.sync()["reset"], true);
    assert_replica_equals_primary(&db, &sqld);
}

/// A main database in memory is opened anew by the attach, and keeps its limit.
#[test]
fn max_page_count_of_a_database_in_memory_is_honoured() {
    let sqld = primary();
    sqld.execute("CREATE TABLE large(b); INSERT INTO large VALUES (zeroblob(400000))");
    let mut shell = Shell::loaded(std::path::Path::new(":memory:"));
    shell.run("PRAGMA max_page_count = 50");
    let error = shell.error(&format!("SELECT replica_attach({}, NULL)", quoted(sqld.url())));
    assert!(error.contains("larger than max_page_count of this connection"), "{error}");
}

/// It is not asked for in a transaction, whose state that would fix.
#[test]
fn a_transaction_that_has_read_nothing_sees_what_a_sync_in_it_brings() {
    let sqld = primary();
    let (_folder, db) = empty_place();
    let mut shell = Shell::attached(&db, &sqld.url());
    sqld.execute("INSERT INTO t VALUES (2, 'two')");
    shell.run("BEGIN");
    shell.sync();
    assert_eq!(shell.run("SELECT count(*) FROM t"), "2");
    shell.run("COMMIT");
}
