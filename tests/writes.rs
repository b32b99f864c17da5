//! `replica_write` as people need it: values, parameters, results that compose,
//! codes that bindings understand, tokens that do not leak.

mod common;

use std::path::PathBuf;

use common::shell::error_and_code;
use common::*;

fn table() -> (Sqld, TempDir, PathBuf, Shell) {
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v)");
    let (folder, db) = empty_place();
    let shell = Shell::attached(&db, &sqld.url());
    (sqld, folder, db, shell)
}

#[test]
fn parameters_are_numbered_as_sqlite_does() {
    let (_sqld, _folder, _db, mut shell) = table();
    for (call, row) in [
        ("'SELECT ?, ?', 1, 2", "[1,2]"),
        ("'SELECT ?3, ?1', 1, 2, 3", "[3,1]"),
        ("'SELECT ?2, ?', 1, 2, 3", "[2,3]"),
        ("'SELECT :a, @b, $c, :a', 1, 2, 3", "[1,2,3,1]"),
        ("'SELECT ?, :a, ?', 1, 2, 3", "[1,2,3]"),
        ("'SELECT $a::b(c), '':x''', 1", "[1,\":x\"]"),
        ("'SELECT ''?'', \"?\", ? -- ?', 1", "[\"?\",\"?\",1]"),
        ("'SELECT /* :x */ ?;', x'00'", "[{\"base64\":\"AA==\"}]"),
    ] {
        assert_eq!(
            shell.run(&format!("SELECT replica_write({call}) ->> '$.rows[0]'")),
            row,
            "{call}"
        );
    }
}

#[test]
fn a_wrong_number_of_arguments_is_refused_before_anything_is_sent() {
    let server = FakeServer::always("500 No", "", "");
    let (_folder, db) = empty_place();
    let mut shell = Shell::loaded(&db);
    let attach = "SELECT replica_attach('$URL', NULL, '{\"first_sync\":false}')";
    shell.run(&attach.replace("$URL", &server.url()));
    for (call, error) in [
        (
            "'INSERT INTO t VALUES (?)'",
            "the statement has 1 parameter and the call gives 0 arguments; one belongs to each parameter",
        ),
        (
            "'INSERT INTO t VALUES (?)', 1, 2",
            "the statement has 1 parameter and the call gives 2 arguments; one belongs to each parameter",
        ),
        (
            "'INSERT INTO t VALUES (:a, :a)', 1, 2",
            "the statement has 1 parameter and the call gives 2 arguments; one belongs to each parameter",
        ),
        (
            "'INSERT INTO t VALUES (''?'')', 1",
            "the statement has 0 parameters and the call gives 1 argument; one belongs to each parameter",
        ),
        (
            "'SELECT 1; SELECT ?'",
            "statement 2 of 2: there are parameters in it, and arguments go with one statement alone; call it once per statement",
        ),
        ("'SELECT ?0', 1", "parameter ?0: the number must be between ?1 and ?32766"),
        (
            "'SELECT ''' || char(0) || ''''",
            "there is a NUL character in the SQL text; pass such a text as an argument",
        ),
        ("NULL", "sql must be a text, not NULL"),
        ("5", "sql must be a text, not an integer"),
        ("''", "there is no statement in the SQL text"),
        ("' ; -- nothing'", "there is no statement in the SQL text"),
    ] {
        let found = shell.error(&format!("SELECT replica_write({call})"));
        assert_eq!(found, format!("replica_write: {error}"), "{call}");
    }
    let hits = server.requests().iter().filter(|request| request.path.contains("pipeline")).count();
    assert_eq!(hits, 0);
}

#[test]
fn results_compose_as_json() {
    let (sqld, _folder, _db, mut shell) = table();
    let big = "SELECT replica_write('SELECT 9223372036854775807, -9223372036854775808, 1.0')";
    assert_eq!(shell.run(&format!("{big} ->> '$.rows[0][0]'")), "9223372036854775807");
    assert_eq!(
        shell.run(
            "SELECT json_extract(replica_write('SELECT -9223372036854775808'), '$.rows[0][0]')"
        ),
        "-9223372036854775808"
    );
    assert_eq!(
        shell.run("SELECT json_object('r', replica_write('SELECT 1 AS a')) ->> '$.r.columns[0]'"),
        "a"
    );
    assert_eq!(shell.run("SELECT json_type(json_array(replica_sync()), '$[0]')"), "object");
    let before = sqld.frame_no();
    let report = shell.json("SELECT replica_write('SELECT 1')");
    assert_eq!((&report["rows_affected"], &report["synced"]), (&0.into(), &true.into()));
    assert_eq!(report["frame_no"], before);
    let report = shell.json(
        "SELECT replica_write('INSERT INTO t(v) VALUES (?), (?) RETURNING id, v', 'a', x'ff')",
    );
    assert_eq!(report["rows"], serde_json::json!([[1, "a"], [2, {"base64": "/w=="}]]));
}

/// The table of the README.
#[test]
fn errors_of_the_primary_keep_their_codes() {
    let (sqld, _folder, _db, mut shell) = table();
    sqld.execute(
        "CREATE TABLE c(a NOT NULL, b UNIQUE, d CHECK (d > 0), e REFERENCES t(id)); \
         CREATE TABLE s(x INTEGER) STRICT; \
         CREATE TRIGGER no BEFORE INSERT ON t WHEN new.id = 99 BEGIN SELECT raise(ABORT, 'not 99'); END; \
         INSERT INTO c(a, b) VALUES (1, 1)",
    );
    for (sql, code, error) in [
        ("INSERT INTO c(a, b) VALUES (1, 1)", 19, "UNIQUE constraint failed: c.b"),
        ("INSERT INTO c(b) VALUES (2)", 19, "NOT NULL constraint failed: c.a"),
        ("INSERT INTO c(a, d) VALUES (1, 0)", 19, "CHECK constraint failed: d > 0"),
        ("INSERT INTO c(a, e) VALUES (1, 77)", 19, "FOREIGN KEY constraint failed"),
        ("INSERT INTO s VALUES ('x')", 19, "cannot store TEXT value in INTEGER column s.x"),
        ("INSERT INTO t(id) VALUES (99)", 19, "not 99"),
        ("SELECT * FROM nowhere", 1, "no such table: nowhere"),
        ("SELEC 1", 1, "SELEC"),
        ("VACUUM", 1, "VACUUM"),
        ("INSERT INTO t VALUES (1, zeroblob(2000000000))", 18, "too big"),
    ] {
        let output = shell.ask(&format!("SELECT replica_write({})", quoted(sql)));
        let (found, found_code) =
            error_and_code(&output).unwrap_or_else(|| panic!("{sql}: {output}"));
        assert!(found.starts_with("replica_write: ") && found.contains(error), "{sql}: {found}");
        assert_eq!(found_code, code, "{sql}: {found}");
    }
}

#[test]
fn a_failed_call_leaves_the_local_transaction_usable() {
    let (sqld, _folder, _db, mut shell) = table();
    shell.run("CREATE TEMP TABLE todo(sql, result)");
    shell.run("INSERT INTO todo(sql) VALUES ('INSERT INTO t VALUES (1, 1)'), ('INSERT INTO t VALUES (1, 2)')");
    shell.run("BEGIN");
    shell.run("INSERT INTO todo(sql) VALUES ('SELECT 1')");
    let error = shell.error("UPDATE todo SET result = replica_write(sql)");
    assert_eq!(error, "replica_write: UNIQUE constraint failed: t.id");
    shell.error("UPDATE todo SET result = replica_batch(sql)");
    shell.run("INSERT INTO todo(sql) VALUES ('SELECT 2')");
    shell.run("COMMIT");
    assert_eq!(shell.run("SELECT count(*), count(result) FROM todo"), "4|0");
    assert_eq!(sqld.scalar("SELECT count(*) FROM t"), "1");
}

#[test]
fn a_token_is_replaced_and_never_shown() {
    let sqld = Sqld::with_tokens();
    sqld.execute("CREATE TABLE t(x)");
    let (folder, db) = empty_place();
    let mut shell = Shell::loaded(&db);
    shell.run(&format!("SELECT replica_attach('{}', '{}')", sqld.url(), tokens::READ_WRITE));
    shell.run("SELECT replica_write('INSERT INTO t VALUES (1)')");
    let mut said = String::new();
    for token in [tokens::EXPIRED, tokens::FORGED, tokens::READ_ONLY] {
        shell.run(&format!("SELECT replica_set_token('{token}')"));
        for call in [
            "SELECT replica_write('INSERT INTO t VALUES (2)')",
            "SELECT replica_batch('INSERT INTO t VALUES (2)')",
            "SELECT replica_begin(); SELECT replica_write('INSERT INTO t VALUES (2)')",
        ] {
            let output = shell.ask(call);
            let (_, code) = error_and_code(&output).unwrap_or_else(|| panic!("{call}: {output}"));
            assert_eq!(code, 23, "{output}");
            said += &output;
        }
        shell.ask("SELECT replica_rollback()");
        said += &shell.run("SELECT * FROM replica_status");
    }
    shell.run(&format!("SELECT replica_set_token('{}')", tokens::READ_WRITE));
    shell.run("SELECT replica_write('INSERT INTO t VALUES (3)')");
    said += &shell.run("SELECT * FROM replica_status");
    assert_eq!(sqld.scalar("SELECT group_concat(x) FROM t"), "1,3");
    let mut written = said.into_bytes();
    for file in files(folder.path()) {
        written.extend(std::fs::read(folder.path().join(file)).unwrap());
    }
    for token in [tokens::READ_WRITE, tokens::EXPIRED, tokens::FORGED, tokens::READ_ONLY] {
        for part in token.split('.') {
            let found = written.windows(part.len()).any(|bytes| bytes == part.as_bytes());
            // The head is the same in every token of this kind.
            assert!(!found || part.len() < 40, "{part}");
        }
    }
}

#[test]
fn a_value_that_the_primary_does_not_take_is_refused_with_the_reason() {
    let (sqld, _folder, db, mut shell) = table();
    shell.run("SELECT replica_write('INSERT INTO t VALUES (1, ?)', zeroblob(2000000))");
    let output =
        shell.ask("SELECT replica_write('INSERT INTO t VALUES (2, ?)', zeroblob(30000000))");
    let (error, code) = error_and_code(&output).unwrap();
    assert!(error.starts_with("replica_write: ") && error.contains("too big"), "{error}");
    assert_eq!(code, 18);
    assert_eq!(sqld.scalar("SELECT group_concat(length(v)) FROM t"), "2000000");
    assert_replica_equals_primary(&db, &sqld);
}
