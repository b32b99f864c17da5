//! The tools of the other tests, tried on each other: what they would miss,
//! the others would miss too.

mod common;

use common::*;

#[test]
fn a_primary_keeps_its_data_over_a_restart_and_a_crash() {
    let mut sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(x); INSERT INTO t VALUES (1), (2.5), (NULL), ('a'), (x'00ff')");
    sqld.restart();
    assert_eq!(sqld.scalar("SELECT count(*) FROM t"), "5");
    sqld.kill9();
    sqld.resume();
    assert_eq!(sqld.scalar("SELECT group_concat(typeof(x)) FROM t"), "integer,real,null,text,blob");
}

#[test]
fn a_primary_with_tokens_serves_who_has_one() {
    let sqld = Sqld::with_tokens();
    sqld.execute("CREATE TABLE t(x)");
    let refused = ureq::post(format!("{}/v3/pipeline", sqld.url())).send("{}");
    assert!(matches!(refused, Err(ureq::Error::StatusCode(401))), "{refused:?}");
}

#[test]
fn namespaces_are_separate_databases() {
    let sqld = Sqld::with_namespaces();
    sqld.create_namespace("one");
    let count = "SELECT count(*) FROM sqlite_schema";
    assert_eq!(sqld.query_in(Some("one"), count)[0][0]["value"], "0");
}

#[test]
fn the_shell_reports_output_and_errors() {
    let (_folder, db) = empty_place();
    assert_eq!(
        sql(&db, "CREATE TABLE t(x); INSERT INTO t VALUES (1), (2); SELECT * FROM t;"),
        "1\n2"
    );
    assert_eq!(sql_error(&db, "SELECT * FROM nowhere;"), "no such table: nowhere");
    let mut shell = Shell::plain(&db);
    assert_eq!(shell.run("SELECT 'two' || char(10) || 'lines'"), "two\nlines");
    assert_eq!(shell.run("SELECT 1 WHERE 0"), "");
    assert_eq!(shell.error("SELECT abs('x', 2)"), "wrong number of arguments to function abs()");
    assert_eq!(shell.error("SELECT abs(-9223372036854775808)"), "integer overflow");
    assert_eq!(shell.run("SELECT sum(x) FROM t"), "3");
    shell.close();
}

/// The database of the primary, copied by a dump: what the comparison must
/// accept, and each kind of difference that it must see.
#[test]
fn the_comparison_sees_every_difference() {
    let sqld = Sqld::start();
    let statements = "CREATE TABLE t(a, b); CREATE TABLE w(k PRIMARY KEY, v) WITHOUT ROWID; \
        CREATE VIEW v AS SELECT count(*) AS n FROM t; \
        INSERT INTO t VALUES (1, 'x'), (NULL, x'00'), (0.1, '2'); INSERT INTO w VALUES ('k', 9);";
    sqld.execute(statements);
    let (_folder, db) = empty_place();
    sql(&db, &format!("PRAGMA page_size = 4096; {statements}"));
    assert_replica_equals_primary(&db, &sqld);
    let damages = [
        "UPDATE t SET a = '1' WHERE a = 1",
        "UPDATE t SET b = 2 WHERE b = '2'",
        "UPDATE t SET rowid = 9 WHERE rowid = 3",
        "DELETE FROM w",
        "INSERT INTO t VALUES (5, 5)",
        "CREATE INDEX i ON t(a)",
        "DROP VIEW v",
    ];
    for damage in damages {
        let copy = db.with_extension("copy");
        std::fs::copy(&db, &copy).expect("a copy");
        sql(&copy, &format!("{damage};"));
        let compared = std::panic::catch_unwind(|| assert_replica_equals_primary(&copy, &sqld));
        assert!(compared.is_err(), "not seen: {damage}");
    }
}

#[test]
fn a_fake_server_answers_and_remembers() {
    let server = FakeServer::always("200 OK", "content-type: text/html\r\n", "<p>hello</p>");
    let text = ureq::post(server.url() + "/x").send("body").unwrap().into_body().read_to_string();
    assert_eq!(text.unwrap(), "<p>hello</p>");
    let request = &server.requests()[0];
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/x"));
    assert_eq!(request.body, b"body");
}
