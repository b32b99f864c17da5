//! What a connection is not to do: one that only reads does not write, and one
//! that was locked stays with its primary, whoever writes the SQL.

use std::path::Path;
use std::process::Command;

use crate::common::shell::{command, load, shell_in};
use crate::common::*;

/// All that writes on the primary or makes the file writable.
const WRITING: [&str; 6] = [
    "SELECT replica_write('DELETE FROM t')",
    "SELECT replica_write('INSERT INTO t VALUES (?)', 9)",
    "SELECT replica_batch('DELETE FROM t WHERE a = ?', value) FROM json_each('[1, 2]')",
    "SELECT replica_begin()",
    "SELECT replica_begin('immediate')",
    "SELECT replica_promote()",
];

fn primary() -> Sqld {
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(a); INSERT INTO t VALUES (1), (2)");
    sqld
}

/// Each of `WRITING` is refused with code 8, and changed nothing anywhere.
fn assert_only_reads(mut shell: Shell, sqld: &Sqld, db: &Path, because: &str) {
    for statement in WRITING {
        let output = shell.ask(statement);
        let (text, code) =
            shell::error_and_code(&output).unwrap_or_else(|| panic!("{statement}: {output}"));
        assert!(text.contains(because) && code == 8, "{statement}: {text} ({code})");
    }
    assert_eq!(sqld.scalar("SELECT count(*) FROM t"), "2");
    // What keeps a reader fresh is allowed, and so is asking the primary.
    sqld.execute("INSERT INTO t VALUES (3)");
    shell.sync();
    assert_eq!(shell.run("SELECT count(*) FROM t"), "3");
    assert_eq!(shell.run("SELECT row ->> 0 FROM replica_query('SELECT sum(a) FROM t')"), "6");
    shell.run("SELECT replica_begin('read')");
    assert_eq!(shell.run("SELECT row ->> 0 FROM replica_query('SELECT sum(a) FROM t')"), "6");
    shell.run("SELECT replica_rollback()");
    shell.close();
    sqld.execute("DELETE FROM t WHERE a = 3");
    // The file is as read-only as it was.
    assert_eq!(sql_error(db, "INSERT INTO t VALUES (1)"), "attempt to write a readonly database");
}

#[test]
fn a_connection_that_was_opened_to_read_writes_nothing() {
    let sqld = primary();
    let (_folder, db) = empty_place();
    Shell::attached(&db, &sqld.url()).close();
    for open in [
        format!(".open --readonly {}", db.display()),
        format!(".open file:{}?mode=ro", db.display()),
    ] {
        let mut shell = Shell::plain(Path::new(":memory:"));
        shell.run(&open);
        shell.run(load().trim_end());
        shell.attach(&sqld.url());
        assert_only_reads(shell, &sqld, &db, "this connection was opened to read only");
    }
}

#[test]
fn a_connection_that_is_query_only_writes_nothing_while_it_is() {
    let sqld = primary();
    let (_folder, db) = empty_place();
    let mut shell = Shell::attached(&db, &sqld.url());
    shell.run("PRAGMA query_only = 1");
    assert_only_reads(shell, &sqld, &db, "PRAGMA query_only is on");
    let mut shell = Shell::attached(&db, &sqld.url());
    shell.run("PRAGMA query_only = 1; PRAGMA query_only = 0");
    shell.run("SELECT replica_write('INSERT INTO t VALUES (4)')");
}

#[test]
fn a_connection_that_was_attached_to_read_writes_nothing() {
    let sqld = primary();
    let (_folder, db) = empty_place();
    let mut shell = Shell::loaded(&db);
    let attach = format!("SELECT replica_attach('{}', NULL, '{{\"writes\": false}}')", sqld.url());
    shell.run(&attach);
    assert_only_reads(shell, &sqld, &db, "this connection was attached with");
}

#[test]
fn a_file_that_was_opened_to_read_does_not_become_a_replica() {
    let sqld = primary();
    let (folder, db) = empty_place();
    std::fs::write(&db, "").unwrap();
    for prepare in
        [format!(".open --readonly {}\n", db.display()), "PRAGMA query_only = 1;\n".into()]
    {
        let script = format!("{prepare}{}SELECT replica_attach('{}');\n", load(), sqld.url());
        let output = shell(&db, &script);
        assert!(
            output.stderr.contains("this connection only reads, and the file is not a replica yet"),
            "{output:?}"
        );
        assert_eq!(std::fs::metadata(&db).unwrap().len(), 0);
        assert_eq!(files(folder.path()), ["app.db"]);
    }
}

#[test]
fn a_locked_connection_stays_with_its_primary() {
    let (sqld, other) = (primary(), primary());
    let (_folder, db) = empty_place();
    let mut shell = Shell::attached(&db, &sqld.url());
    assert_eq!(shell.run("SELECT replica_lock()"), "");
    let governing = [
        "SELECT replica_detach()".to_owned(),
        "SELECT replica_promote()".to_owned(),
        "SELECT replica_set_token('x')".to_owned(),
        "SELECT replica_set_token(NULL)".to_owned(),
        format!("SELECT replica_attach('{}')", sqld.url()),
        format!("SELECT replica_attach('{}', NULL, '{{\"new_primary\": true}}')", other.url()),
        "SELECT replica_sync('{\"on_reset\": \"replace\"}')".to_owned(),
        "SELECT * FROM replica_sync_progress('{\"on_reset\": \"replace\"}')".to_owned(),
    ];
    let refused = |shell: &mut Shell, statement: &str| {
        let error = shell.error(statement);
        assert!(
            error.contains("called on this connection, which holds until it is closed"),
            "{error}"
        );
    };
    // Neither another load nor another lock opens it.
    for open in ["SELECT 1", load().trim_end(), "SELECT replica_lock()"] {
        shell.run(open);
        governing.iter().for_each(|statement| refused(&mut shell, statement));
    }
    // The rest goes on, and may be taken away as well.
    shell.run("SELECT replica_write('INSERT INTO t VALUES (3)')");
    shell.run("SELECT replica_sync('{\"timeout\": 5}')");
    shell.run("SELECT replica_begin(); SELECT replica_write('INSERT INTO t VALUES (4)')");
    shell.run("SELECT replica_lock('writes')");
    shell.run("SELECT replica_commit()");
    assert_eq!(shell.run("SELECT count(*) FROM t"), "4");
    shell.run("SELECT replica_lock()");
    WRITING.iter().for_each(|statement| refused(&mut shell, statement));
    governing.iter().for_each(|statement| refused(&mut shell, statement));
    assert!(shell.error("SELECT replica_lock('nothing')").contains("what must be 'writes'"));
    shell.close();
    // It ends with the connection.
    let mut shell = Shell::attached(&db, &sqld.url());
    shell.run("SELECT replica_detach()");
    assert_replica_equals_primary(&db, &sqld);
}

/// Whatever is added later: no name of this library writes by a connection
/// that is not to.
#[test]
fn no_function_and_no_table_writes_where_writing_was_taken_away() {
    let sqld = primary();
    let (_folder, db) = empty_place();
    for taken in ["SELECT replica_lock('writes')", "PRAGMA query_only = 1"] {
        let mut shell = Shell::attached(&db, &sqld.url());
        let names = |shell: &mut Shell, list: &str| -> Vec<String> {
            let names =
                shell.run(&format!("SELECT DISTINCT name FROM {list} WHERE name LIKE 'replica%'"));
            names.lines().map(str::to_owned).collect()
        };
        let functions = names(&mut shell, "pragma_function_list");
        let tables = names(&mut shell, "pragma_module_list");
        assert!(functions.len() > 10 && tables.len() > 3, "{functions:?} {tables:?}");
        shell.run(taken);
        for arguments in [
            "",
            "'DELETE FROM t'",
            "'DELETE FROM t', '[]'",
            "'DELETE FROM t WHERE a = ?', 1",
            "'DELETE FROM t WHERE a = ?', '[1]'",
            "'DELETE FROM t WHERE a = :a', '{\"a\": 1}'",
            "'immediate'",
        ] {
            // What ends the attachment only makes the test weaker.
            for name in functions.iter().filter(|name| *name != "replica_detach") {
                shell.ask(&format!("SELECT {name}({arguments})"));
            }
            for name in &tables {
                shell.ask(&format!("SELECT * FROM {name}({arguments})"));
            }
        }
        assert_eq!(sqld.scalar("SELECT group_concat(a) FROM t"), "1,2", "{taken}");
        shell.close();
        assert_eq!(sql_error(&db, "DELETE FROM t"), "attempt to write a readonly database");
    }
}

/// What the documents say of views and triggers: stored ones cannot call us,
/// temporary ones can, because the user of the connection has made them.
#[test]
fn stored_views_cannot_call_the_functions_and_temporary_ones_can() {
    let sqld = primary();
    sqld.execute(
        "CREATE VIEW stored AS SELECT replica_write('DELETE FROM t') AS a;
         CREATE VIEW token AS SELECT replica_set_token('evil') AS a;
         CREATE VIEW unlock AS SELECT replica_lock('writes') AS a;
         CREATE VIEW status AS SELECT sync_url AS a FROM replica_status;
         CREATE VIEW query AS SELECT row AS a FROM replica_query('SELECT 1')",
    );
    let (_folder, db) = empty_place();
    let mut shell = Shell::loaded(&db);
    let attach =
        format!("SELECT replica_attach('{}', NULL, '{{\"trusted_schema\": true}}')", sqld.url());
    shell.run(&attach);
    for view in ["stored", "token", "unlock", "status", "query"] {
        let error = shell.error(&format!("SELECT * FROM {view}"));
        assert!(error.contains("unsafe use of"), "{view}: {error}");
    }
    assert_eq!(sqld.scalar("SELECT count(*) FROM t"), "2");
    shell.run("CREATE TEMP VIEW mine AS SELECT replica_write('INSERT INTO t VALUES (3)') ->> 'synced' AS a");
    assert_eq!(shell.run("SELECT a FROM mine"), "1");
    shell.run("CREATE TEMP TABLE notes(a); CREATE TEMP TRIGGER tr AFTER INSERT ON notes BEGIN SELECT replica_write('INSERT INTO t VALUES (?)', new.a); END");
    shell.run("INSERT INTO notes VALUES (4)");
    assert_eq!(sqld.scalar("SELECT group_concat(a) FROM t"), "1,2,3,4");
}

/// The recipe for hosts that run other people's SELECTs.
#[test]
fn an_authorizer_denies_every_name() {
    let sqld = primary();
    let (_folder, db) = empty_place();
    let output = Command::new(tool("PYTHON", "venv/bin/python"))
        .arg("tests/python/authorizer.py")
        .args([extension().as_os_str(), sqld.url().as_ref(), db.as_os_str()])
        .envs(tokens::NONE)
        .output()
        .expect("python starts");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(sqld.scalar("SELECT count(*) FROM t"), "2");
}

/// A SELECT that was injected into a locked connection.
#[test]
fn an_injected_select_does_nothing_to_a_locked_connection() {
    let sqld = primary();
    let (_folder, db) = empty_place();
    let mut lines = format!(
        "{}SELECT replica_attach('{}') IS NULL;\nSELECT replica_lock('writes');\n",
        load(),
        sqld.url()
    );
    for statement in WRITING {
        lines += &format!("SELECT a FROM t WHERE 0 UNION ALL {statement};\n");
    }
    lines += "SELECT a FROM t WHERE 0 UNION ALL SELECT replica_detach() UNION ALL SELECT replica_attach('http://127.0.0.1:1');\n";
    let output = shell_in(command(&db), &lines);
    assert_eq!(output.stderr.matches("which holds until it is closed").count(), 7, "{output:?}");
    assert_eq!(sqld.scalar("SELECT count(*) FROM t"), "2");
}
