//! Arguments beyond what a function call takes, by name, and with exact types;
//! results as SQL values.

mod common;

use std::path::PathBuf;

use common::*;

fn table() -> (Sqld, TempDir, PathBuf, Shell) {
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a, b, c, d)");
    let (folder, db) = empty_place();
    let shell = Shell::attached(&db, &sqld.url());
    (sqld, folder, db, shell)
}

#[test]
fn more_arguments_than_a_function_takes_come_as_one_json_text() {
    let (sqld, _folder, db, mut shell) = table();
    let marks = |n: usize| vec!["(?,?,?,?)"; n].join(",");
    let values = |from: usize, n: usize| {
        let list: Vec<String> = (from..from + 4 * n).map(|i| i.to_string()).collect();
        quoted(format!("[{}]", list.join(",")))
    };
    let insert = |n| quoted(format!("INSERT INTO t(a,b,c,d) VALUES {}", marks(n)));
    let call = format!("SELECT replica_write_args({}, {})", insert(500), values(0, 500));
    assert_eq!(shell.json(&call)["rows_affected"], 500);
    let call =
        format!("SELECT rows_affected FROM replica_write({}, {})", insert(500), values(0, 500));
    assert_eq!(shell.run(&call), "500");
    let call = format!(
        "SELECT replica_batch_args({}, {}) ->> 'rows_affected' FROM (VALUES (1), (2))",
        insert(100),
        values(0, 100)
    );
    assert_eq!(shell.run(&call), "200");
    let query = quoted(format!("SELECT count(*) FROM t WHERE a IN ({})", vec!["?"; 400].join(",")));
    let call = format!("SELECT c0 FROM replica_query({query}, {})", values(0, 100));
    assert_eq!(shell.run(&call), "400");
    assert_eq!(sqld.scalar("SELECT count(*) FROM t"), "1200");
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn every_type_arrives_and_comes_back_exactly() {
    let (_sqld, _folder, _db, mut shell) = table();
    let args = "[9007199254740993, -9223372036854775808, 1.0, 0.1, \"\u{e4}'\\\"\", null, true, \
                {\"base64\": \"AP8Q\"}, \"[1]\"]";
    let types = "integer|integer|real|real|text|null|integer|blob|text";
    let select = "SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9";
    for table in ["replica_write", "replica_query"] {
        let from = format!("FROM {table}({}, {})", quoted(select), quoted(args));
        let columns: Vec<String> = (0..9).map(|at| format!("typeof(c{at})")).collect();
        assert_eq!(shell.run(&format!("SELECT {} {from}", columns.join(", "))), types, "{table}");
        let exact = shell.run(&format!("SELECT c0, c1, c4, hex(c7), c8, c9 IS NULL {from}"));
        assert_eq!(
            exact, "9007199254740993|-9223372036854775808|\u{e4}'\"|00FF10|[1]|1",
            "{table}"
        );
    }
    let json =
        shell.run(&format!("SELECT replica_write_args({}, {})", quoted(select), quoted(args)));
    assert!(json.contains("[[9007199254740993,-9223372036854775808,1.0,0.1,"), "{json}");
}

#[test]
fn arguments_are_given_by_name() {
    let (sqld, _folder, _db, mut shell) = table();
    for (sql, args) in [
        ("INSERT INTO t(a, b, c) VALUES (:a, @b, $c)", "{\"a\": 1, \"b\": 2, \"c\": 3}"),
        ("INSERT INTO t(a, b, c) VALUES (:a, @b, $c)", "{\":a\": 1, \"@b\": 2, \"$c\": 3}"),
        ("INSERT INTO t(a, b, c) VALUES ($c, :x, ?)", "{\"c\": 1, \"x\": 2, \"3\": 3}"),
    ] {
        let (sql, args) = (quoted(sql), quoted(args));
        shell.run(&format!("SELECT replica_write_args({sql}, {args})"));
        shell.run(&format!("SELECT * FROM replica_write({sql}, {args})"));
        shell.run(&format!("SELECT replica_batch_args({sql}, {args})"));
    }
    assert_eq!(sqld.scalar("SELECT count(*) FROM t WHERE (a, b, c) = (1, 2, 3)"), "9");
    let query = "SELECT row FROM replica_query('SELECT :n + :n', '{\"n\": 4}')";
    assert_eq!(shell.run(query), "[8]");
    for (args, error) in [
        ("{\"a\": 1}", "there is no argument for the parameter :b"),
        ("{\"a\": 1, \"b\": 1, \"x\": 1}", "there is no parameter for the argument \"x\""),
        ("7", "args must be a JSON array"),
        (
            "[1]",
            "the statement has 2 parameters and the call gives 1 argument; one belongs to each parameter",
        ),
        ("[[1], 2]", "args[0]: an argument is neither"),
        ("nonsense", "args is not valid JSON"),
    ] {
        let call = format!("SELECT replica_write_args('SELECT :a, :b', {})", quoted(args));
        let found = shell.error(&call);
        assert!(found.contains(error), "{args}: {found}");
    }
}

#[test]
fn the_table_of_a_write_has_its_rows_and_what_it_did() {
    let (_sqld, _folder, _db, mut shell) = table();
    let row = shell.run(
        "SELECT row, rows_affected, last_insert_rowid, synced, in_transaction, columns, c0, c1 FROM \
         replica_write('INSERT INTO t(a) VALUES (1), (2) RETURNING id, a AS x')",
    );
    assert_eq!(row, "[1,1]|2|2|1|0|[\"id\",\"x\"]|1|1\n[2,2]|2|2|1|0|[\"id\",\"x\"]|2|2");
    let none =
        shell.run("SELECT row IS NULL, rows_affected, columns FROM replica_write('DELETE FROM t')");
    assert_eq!(none, "1|2|[]");
    let error = shell.error("SELECT * FROM replica_write('DELETE FROM t; SELECT 1')");
    assert!(error.contains("only one statement can stand here"), "{error}");
}

#[test]
fn integers_come_as_text_where_that_was_asked_for() {
    let (sqld, _folder, db, _shell) = table();
    let mut shell = Shell::loaded(&db);
    shell.json(&format!(
        "SELECT replica_attach('{}', NULL, '{{\"integers\":\"text\"}}')",
        sqld.url()
    ));
    let report = shell.json("SELECT replica_write('INSERT INTO t(id, a) VALUES (9007199254740993, 1.5) RETURNING id, a')");
    assert_eq!(report["rows"][0][0], "9007199254740993");
    assert_eq!(report["rows"][0][1], 1.5);
    assert_eq!(report["last_insert_rowid"], "9007199254740993");
    assert_eq!(report["rows_affected"], 1);
    assert_eq!(
        shell.run("SELECT row FROM replica_query('SELECT max(id) FROM t')"),
        "[\"9007199254740993\"]"
    );
    assert_eq!(
        shell.run("SELECT typeof(c0), c0 FROM replica_query('SELECT max(id) FROM t')"),
        "integer|9007199254740993"
    );
}
