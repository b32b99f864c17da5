//! What code that stands between an application and this extension needs to
//! know: what a statement is, where a text ends, what failed and what is open.

mod common;

use std::path::PathBuf;

use common::shell::error_and_code;
use common::*;

fn table() -> (Sqld, TempDir, PathBuf, Shell) {
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT UNIQUE)");
    let (folder, db) = empty_place();
    let shell = Shell::attached(&db, &sqld.url());
    (sqld, folder, db, shell)
}

#[test]
fn a_statement_is_described_without_being_run() {
    let (sqld, _folder, _db, mut shell) = table();
    let frame_no = sqld.frame_no();
    let described = shell
        .json("SELECT replica_describe('SELECT id, v AS w, 1 FROM t WHERE id > :a AND v = ?5')");
    assert_eq!(described["readonly"], true);
    assert_eq!(described["parameters"], serde_json::json!([":a", null, null, null, null]));
    let columns = serde_json::json!([
        {"name": "id", "type": "INTEGER"}, {"name": "w", "type": "TEXT"}, {"name": "1", "type": null}
    ]);
    assert_eq!(described["columns"], columns);
    let described =
        shell.json("SELECT replica_describe('INSERT INTO t(v) VALUES (?) RETURNING id')");
    assert_eq!(described["readonly"], false);
    assert_eq!(described["columns"][0]["name"], "id");
    assert_eq!(sqld.frame_no(), frame_no);
    // In a transaction: what only exists there.
    shell.run("SELECT replica_begin()");
    shell.run("SELECT replica_write('CREATE TABLE n(z BLOB)')");
    let described = shell.json("SELECT replica_describe('SELECT z FROM n')");
    assert_eq!(described["columns"][0]["type"], "BLOB");
    let error = shell.error("SELECT replica_describe('SELECT z FROM absent')");
    assert!(error.contains("no such table"), "{error}");
    assert_eq!(shell.run("SELECT replica_transaction()"), "deferred");
    shell.run("SELECT replica_commit()");
}

#[test]
fn a_text_is_split_where_sqlite_would() {
    let (_folder, db) = empty_place();
    let mut shell = Shell::loaded(&db);
    let text = "SELECT ';'; -- a;b\nCREATE TRIGGER x AFTER INSERT ON t BEGIN SELECT 1; SELECT 2; END;;\n SELECT :a";
    let list = shell.json(&format!("SELECT replica_split({})", quoted(text)));
    let expected = serde_json::json!([
        "SELECT ';';",
        "-- a;b\nCREATE TRIGGER x AFTER INSERT ON t BEGIN SELECT 1; SELECT 2; END;",
        "SELECT :a"
    ]);
    assert_eq!(list, expected);
}

#[test]
fn a_row_that_fails_in_a_batch_is_the_last_error() {
    let (_sqld, _folder, _db, mut shell) = table();
    for call in [
        "replica_batch('INSERT INTO t(v) VALUES (?)', value)",
        "replica_batch_args('INSERT INTO t(v) VALUES (?)', json_array(value))",
    ] {
        shell.error("SELECT replica_write('INSERT INTO absent VALUES (1)')");
        shell.error(&format!("SELECT {call} FROM json_each('[\"a\", \"a\"]')"));
        let error = shell.json("SELECT replica_error()");
        assert_eq!(error["message"], "UNIQUE constraint failed: t.v");
        assert_eq!(error["code"], 2067);
        assert!(call.starts_with(error["function"].as_str().expect("a name")), "{error}");
    }
}

#[test]
fn a_script_lasts_statement_by_statement_and_may_begin_and_commit() {
    let (sqld, _folder, db, mut shell) = table();
    let dump = "BEGIN TRANSACTION; CREATE TABLE d(x); INSERT INTO d VALUES (1); INSERT INTO d VALUES (2); COMMIT; \
                INSERT INTO t(v) VALUES ('after')";
    let report = shell.json(&format!("SELECT replica_script({})", quoted(dump)));
    assert_eq!(report["results"].as_array().expect("a list").len(), 6);
    assert_eq!(report["synced"], true);
    assert_eq!(shell.run("SELECT count(*) FROM d"), "2");
    // What came before an error stays, what was begun and not committed does not.
    let error = shell.error(
        "SELECT replica_script('INSERT INTO t(v) VALUES (''b''); BEGIN; INSERT INTO d VALUES (9); \
         INSERT INTO t(v) VALUES (''b''); COMMIT')",
    );
    assert!(error.contains("statement 4 of 5: UNIQUE constraint failed: t.v"), "{error}");
    assert_eq!(shell.run("SELECT group_concat(v) FROM t"), "after,b");
    assert_eq!(shell.run("SELECT count(*) FROM d"), "2");
    assert_eq!(shell.json("SELECT replica_error()")["statement"], 4);
    let error = shell.error("SELECT replica_script('BEGIN; DELETE FROM t')");
    assert!(error.contains("leaves a transaction open"), "{error}");
    assert_eq!(sqld.scalar("SELECT count(*) FROM t"), "2");
    shell.run("SELECT replica_write('DELETE FROM d')");
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn different_statements_have_their_arguments_and_results_in_one_request() {
    let (sqld, _folder, db, mut shell) = table();
    let list = r#"["INSERT INTO t(v) VALUES ('a')", ["INSERT INTO t(v) VALUES (?) RETURNING id, v", ["b"]],
                   {"sql": "UPDATE t SET v = :v WHERE id = :id", "args": {"v": "c", "id": 1}}, "SELECT count(*) AS n FROM t"]"#;
    let report = shell.json(&format!("SELECT replica_write_many({})", quoted(list)));
    let results = report["results"].as_array().expect("a list");
    assert_eq!(results.len(), 4);
    assert_eq!(results[1]["rows"], serde_json::json!([[2, "b"]]));
    assert_eq!(results[2]["rows_affected"], 1);
    assert_eq!(results[3]["columns"][0], "n");
    assert_eq!(report["synced"], true);
    let list = r#"["DELETE FROM t", ["INSERT INTO t(id) VALUES (?)", [7]], ["INSERT INTO t(id) VALUES (?)", [7]]]"#;
    let error = shell.error(&format!("SELECT replica_write_many({})", quoted(list)));
    assert!(error.contains("statement 3 of 3"), "{error}");
    assert_eq!(sqld.scalar("SELECT group_concat(v) FROM t"), "c,b");
    let report = shell.json("SELECT replica_write_many('[\"SELECT 1\"]')");
    assert_eq!(report["results"][0]["rows"][0][0], 1);
    for (list, error) in [
        ("{}", "list must be a JSON array"),
        ("[]", "there is no statement in the list"),
        ("[7]", "list[0] must be a text"),
        ("[[\"SELECT ?\", [1, 2]]]", "statement 1: the statement has 1 parameter"),
    ] {
        let found = shell.error(&format!("SELECT replica_write_many('{list}')"));
        assert!(found.contains(error), "{list}: {found}");
    }
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn an_error_comes_in_parts_and_a_primary_key_has_its_own_code() {
    let (sqld, _folder, _db, mut shell) = table();
    sqld.execute(
        "CREATE TABLE two(a, b, c, PRIMARY KEY (b, a), UNIQUE (c)); CREATE TABLE w(k TEXT PRIMARY KEY) WITHOUT ROWID; \
         CREATE TABLE r(x); INSERT INTO two VALUES (1, 2, 3); INSERT INTO w VALUES ('k'); INSERT INTO r VALUES (1); \
         INSERT INTO t VALUES (1, 'v')",
    );
    shell.sync();
    for (insert, code) in [
        ("INSERT INTO t VALUES (1, 'x')", 1555),
        ("INSERT INTO t VALUES (2, 'v')", 2067),
        ("INSERT INTO two VALUES (1, 2, 9)", 1555),
        ("INSERT INTO two VALUES (5, 6, 3)", 2067),
        ("INSERT INTO w VALUES ('k')", 1555),
        ("INSERT INTO r(rowid, x) VALUES (1, 1)", 2579),
    ] {
        let output = shell.ask(&format!("SELECT replica_write({})", quoted(insert)));
        let (text, found) = error_and_code(&output).unwrap_or_else(|| panic!("{insert}: {output}"));
        assert_eq!(found & 0xff, 19, "{text}");
        let error = shell.json("SELECT replica_error()");
        assert_eq!(error["code"], code, "{insert}: {error}");
        assert!(
            error["message"].as_str().expect("a text").starts_with("UNIQUE constraint failed: ")
        );
        assert_eq!(error["function"], "replica_write");
        assert_eq!(error["transaction"], "none");
    }
    shell.error("SELECT replica_write('SELECT z FROM absent')");
    assert_eq!(shell.json("SELECT replica_error()")["message"], "no such table: absent");
    shell.ask("SELECT replica_write('SELECT 1; SELECT 2; INSERT INTO r VALUES (1, 2)')");
    let error = shell.json("SELECT replica_error()");
    assert_eq!(error["statement"], 3);
    assert_eq!(error["message"], "table r has 1 columns but 2 values were supplied");
}

#[test]
fn the_transaction_that_an_error_has_ended_is_known_to_be_gone() {
    let (_sqld, _folder, _db, mut shell) = table();
    assert_eq!(shell.run("SELECT replica_transaction()"), "none");
    shell.run("SELECT replica_begin('immediate')");
    assert_eq!(shell.run("SELECT replica_transaction()"), "immediate");
    shell.run("SELECT replica_write('INSERT INTO t VALUES (1, ''a'')')");
    shell.error("SELECT replica_write('INSERT INTO t VALUES (1, ''b'')')");
    assert_eq!(shell.run("SELECT replica_transaction()"), "immediate");
    shell.error("SELECT replica_write('INSERT OR ROLLBACK INTO t VALUES (1, ''b'')')");
    assert_eq!(shell.run("SELECT replica_transaction()"), "lost");
    assert_eq!(shell.json("SELECT replica_error()")["transaction"], "lost");
    shell.run("SELECT replica_rollback()");
    assert_eq!(shell.run("SELECT replica_transaction()"), "none");
}

#[test]
fn the_connection_sees_its_own_schema_changes_at_once() {
    let (_sqld, _folder, _db, mut shell) = table();
    shell.run("SELECT count(*) FROM t");
    shell.run("SELECT replica_write('CREATE TABLE n(a, b); CREATE UNIQUE INDEX nx ON n(a)')");
    assert_eq!(shell.run("SELECT name FROM pragma_index_list('n')"), "nx");
    assert_eq!(shell.run("PRAGMA index_list('n')").split('|').nth(1), Some("nx"));
    shell.run("SELECT replica_write('ALTER TABLE n ADD COLUMN c')");
    assert_eq!(shell.run("PRAGMA table_info('n')").lines().count(), 3);
    shell.run("SELECT replica_begin()");
    shell.run("SELECT replica_write('ALTER TABLE n ADD COLUMN d')");
    shell.run("SELECT replica_commit()");
    assert_eq!(shell.run("PRAGMA table_info('n')").lines().count(), 4);
    shell.run("SELECT replica_migrate('CREATE INDEX ny ON n(b)')");
    assert_eq!(shell.run("PRAGMA index_list('n')").lines().count(), 2);
}

#[test]
fn a_sync_shows_the_schema_that_a_worker_has_brought() {
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(a)");
    let (_folder, db) = empty_place();
    let mut shell = Shell::loaded(&db);
    shell.run(&format!("SELECT replica_attach('{}', NULL, '{{\"live\": true}}')", sqld.url()));
    assert_eq!(shell.run("PRAGMA index_list('t')"), "");
    sqld.execute("CREATE INDEX tx ON t(a)");
    let arrived = sqld.frame_no();
    shell.run(&format!("SELECT replica_wait({arrived}, 30)"));
    // Nothing is left for it to bring.
    assert_eq!(shell.json("SELECT replica_sync()")["pages_written"], 0);
    assert_eq!(shell.run("PRAGMA index_list('t')").split('|').nth(1), Some("tx"));
}
