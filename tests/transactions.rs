//! Transactions on the primary over several calls, and what ends them.

mod common;

use std::path::PathBuf;
use std::time::Duration;

use common::*;

fn accounts() -> (Sqld, TempDir, PathBuf, Shell) {
    let sqld = Sqld::start();
    sqld.execute(
        "CREATE TABLE a(id INTEGER PRIMARY KEY, n INTEGER CHECK (n >= 0)); \
         INSERT INTO a VALUES (1, 100), (2, 0)",
    );
    let (folder, db) = empty_place();
    let shell = Shell::attached(&db, &sqld.url());
    (sqld, folder, db, shell)
}

const THERE: &str = "SELECT row ->> 0 FROM replica_query('SELECT group_concat(n) FROM a')";
const HERE: &str = "SELECT group_concat(n) FROM a";

#[test]
fn a_transaction_is_seen_by_itself_first_and_by_all_at_its_end() {
    let (sqld, _folder, db, mut shell) = accounts();
    shell.run("SELECT replica_begin()");
    let report = shell.json("SELECT replica_write('UPDATE a SET n = n - ? WHERE id = ?', 30, 1)");
    assert_eq!(report["rows_affected"], 1);
    assert_eq!(report["in_transaction"], true);
    assert_eq!(report["synced"], false);
    shell.run("SELECT replica_write('UPDATE a SET n = n + 30 WHERE id = 2')");
    assert_eq!(shell.run(THERE), "70,30");
    assert_eq!(shell.run(HERE), "100,0");
    assert_eq!(sqld.scalar(HERE), "100,0");
    shell.sync();
    assert_eq!(shell.run(HERE), "100,0");
    let report = shell.json("SELECT replica_commit()");
    assert_eq!(report["frame_no"], sqld.frame_no());
    assert_eq!(report["synced"], true);
    assert_eq!(shell.run(HERE), "70,30");
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn a_rollback_leaves_nothing() {
    let (sqld, _folder, db, mut shell) = accounts();
    let frame_no = sqld.frame_no();
    for mode in ["'deferred'", "'IMMEDIATE'", "NULL"] {
        shell.run(&format!("SELECT replica_begin({mode})"));
        shell.run("SELECT replica_write('DELETE FROM a')");
        shell.run("SELECT replica_rollback()");
        assert_eq!(shell.run(THERE), "100,0");
    }
    assert_eq!(sqld.frame_no(), frame_no);
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn an_error_of_a_statement_leaves_the_transaction_open() {
    let (sqld, _folder, _db, mut shell) = accounts();
    shell.run("SELECT replica_begin()");
    shell.run("SELECT replica_write('UPDATE a SET n = 5 WHERE id = 2')");
    for (sql, error) in [
        ("UPDATE a SET n = -1", "CHECK constraint failed: n >= 0"),
        ("nonsense", "SQL string could not be parsed: near \"nonsense\": syntax error"),
        (
            "INSERT INTO a VALUES (3, 3); UPDATE a SET n = -1",
            "statement 2 of 2: CHECK constraint failed: n >= 0",
        ),
    ] {
        let found = shell.error(&format!("SELECT replica_write({})", quoted(sql)));
        assert!(found == format!("replica_write: {error}") || sql == "nonsense", "{sql}: {found}");
        assert_eq!(shell.run(THERE), "100,5", "{sql}");
    }
    shell.run("SELECT replica_commit()");
    assert_eq!(sqld.scalar(HERE), "100,5");
}

#[test]
fn calls_that_do_not_fit_the_state_are_errors() {
    let (_sqld, _folder, _db, mut shell) = accounts();
    let nothing = "no transaction is open; call replica_begin() first";
    assert_eq!(shell.error("SELECT replica_commit()"), format!("replica_commit: {nothing}"));
    // Pools roll back to be sure.
    assert_eq!(shell.run("SELECT replica_rollback() IS NULL"), "1");
    assert_eq!(
        shell.error("SELECT replica_begin('exclusive')"),
        "replica_begin: mode must be 'deferred', 'immediate', 'read' or 'migration'"
    );
    shell.run("SELECT replica_begin()");
    let open = "a transaction is open already; end it with replica_commit() or replica_rollback()";
    assert_eq!(shell.error("SELECT replica_begin()"), format!("replica_begin: {open}"));
    for sql in ["COMMIT", "BEGIN", "rollback", "/* */ END"] {
        let error = shell.error(&format!("SELECT replica_write('{sql}')"));
        assert!(error.contains("cannot stand here: a transaction is open already"), "{error}");
    }
    shell.run("SELECT replica_write('SAVEPOINT s')");
    shell.run("SELECT replica_write('DELETE FROM a')");
    shell.run("SELECT replica_write('ROLLBACK TO s')");
    shell.run("SELECT replica_write('RELEASE s')");
    assert_eq!(shell.run(THERE), "100,0");
    shell.run("SELECT replica_rollback()");
    let error = shell.error("SELECT replica_write('BEGIN')");
    assert!(error.contains("call replica_begin()"), "{error}");
}

#[test]
fn a_transaction_that_reads_sees_one_moment_and_writes_nothing() {
    let (sqld, _folder, _db, mut shell) = accounts();
    let frame_no = sqld.frame_no();
    shell.run("SELECT replica_begin('read')");
    assert_eq!(shell.run(THERE), "100,0");
    sqld.execute("UPDATE a SET n = 1");
    assert_eq!(shell.run(THERE), "100,0");
    for sql in ["DELETE FROM a", "UPDATE a SET n = 7 RETURNING n", "CREATE TABLE b(x)"] {
        let error = shell.error(&format!("SELECT replica_write('{sql}')"));
        assert!(error.starts_with("replica_write: the transaction was begun to read"), "{error}");
    }
    let error = shell.error("SELECT replica_batch('DELETE FROM a')");
    assert!(error.starts_with("replica_batch: the transaction was begun to read"), "{error}");
    let report = shell.json("SELECT replica_write('SELECT sum(n) FROM a')");
    assert_eq!(report["rows"][0][0], 100);
    shell.run("SELECT replica_commit()");
    assert_eq!(shell.run(THERE), "1,1");
    assert_eq!(sqld.frame_no(), frame_no + 1);
}

#[test]
fn detach_and_the_end_of_the_connection_roll_back() {
    let (sqld, _folder, db, mut shell) = accounts();
    shell.run("SELECT replica_begin('immediate')");
    shell.run("SELECT replica_write('DELETE FROM a')");
    shell.run("SELECT replica_detach()");
    // Nobody holds the lock any more.
    sqld.execute("UPDATE a SET n = n + 1");
    shell.attach(&sqld.url());
    shell.run("SELECT replica_begin('immediate')");
    shell.run("SELECT replica_write('DELETE FROM a')");
    shell.close();
    sqld.execute("UPDATE a SET n = n + 1");
    assert_eq!(sqld.scalar(HERE), "102,2");
    let mut shell = Shell::attached(&db, &sqld.url());
    shell.sync();
    assert_replica_equals_primary(&db, &sqld);
}

/// After a loss nothing is written until the caller has said that it knows:
/// the rest of a script would take effect without its beginning.
fn assert_lost(shell: &mut Shell, sqld: &Sqld, error: &str) {
    assert!(
        error.contains("the primary ended the transaction: ")
            && error.ends_with("; nothing of it took effect, begin it again"),
        "{error}"
    );
    for call in
        ["SELECT replica_write('DELETE FROM a')", THERE, "SELECT replica_batch('DELETE FROM a')"]
    {
        let error = shell.error(call);
        assert!(
            error.contains("the transaction was lost before, so that this was not sent"),
            "{error}"
        );
    }
    let before = sqld.scalar(HERE);
    shell.run("SELECT replica_rollback()");
    assert_eq!(shell.run(THERE), before);
    shell.run("SELECT replica_begin()");
    shell.run("SELECT replica_write('UPDATE a SET n = n')");
    shell.run("SELECT replica_commit()");
    assert_eq!(sqld.scalar(HERE), before);
}

#[test]
fn an_expired_transaction_is_an_error_and_leaves_nothing() {
    let (sqld, _folder, db, mut shell) = accounts();
    shell.run("SELECT replica_begin()");
    shell.run("SELECT replica_write('DELETE FROM a')");
    std::thread::sleep(Duration::from_millis(11_500));
    let error = shell.error("SELECT replica_write('INSERT INTO a VALUES (9, 9)')");
    assert_lost(&mut shell, &sqld, &error);
    assert_eq!(sqld.scalar(HERE), "100,0");
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn a_commit_that_comes_too_late_is_an_error() {
    let (sqld, _folder, _db, mut shell) = accounts();
    shell.run("SELECT replica_begin()");
    shell.run("SELECT replica_write('DELETE FROM a')");
    std::thread::sleep(Duration::from_millis(11_500));
    let error = shell.error("SELECT replica_commit()");
    assert!(error.contains("nothing of it took effect, begin it again"), "{error}");
    assert_eq!(sqld.scalar(HERE), "100,0");
    assert_eq!(shell.run(THERE), "100,0");
}

#[test]
fn a_transaction_that_another_writer_has_taken_over_is_an_error() {
    let (sqld, _folder, db, mut shell) = accounts();
    shell.run("SELECT replica_begin('immediate')");
    shell.run("SELECT replica_write('DELETE FROM a')");
    sqld.execute("UPDATE a SET n = n + 1");
    let error = shell.error("SELECT replica_write('INSERT INTO a VALUES (9, 9)')");
    let remedy = "it was open for more than 5 s while another writer waited, so make it smaller";
    assert!(error.contains(remedy), "{error}");
    assert_lost(&mut shell, &sqld, &error);
    shell.run("SELECT replica_begin('immediate')");
    shell.run("SELECT replica_write('DELETE FROM a')");
    sqld.execute("UPDATE a SET n = n + 1");
    let error = shell.error("SELECT replica_commit()");
    assert!(error.contains("nothing of it took effect, begin it again"), "{error}");
    assert_eq!(sqld.scalar(HERE), "102,2");
    shell.sync();
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn a_restart_of_the_primary_loses_the_transaction() {
    let (mut sqld, _folder, _db, mut shell) = accounts();
    shell.run("SELECT replica_begin()");
    shell.run("SELECT replica_write('DELETE FROM a')");
    sqld.restart();
    let error = shell.error("SELECT replica_write('INSERT INTO a VALUES (9, 9)')");
    assert_lost(&mut shell, &sqld, &error);
}

#[test]
fn a_statement_that_ends_the_transaction_is_noticed() {
    let (sqld, _folder, _db, mut shell) = accounts();
    shell.run("SELECT replica_begin()");
    shell.run("SELECT replica_write('UPDATE a SET n = 50 WHERE id = 1')");
    let error = shell.error("SELECT replica_write('INSERT OR ROLLBACK INTO a VALUES (1, 1)')");
    assert_eq!(
        error,
        "replica_write: UNIQUE constraint failed: a.id; this has ended the transaction, and \
         nothing of it took effect"
    );
    let error = shell.error("SELECT replica_write('DELETE FROM a')");
    assert!(error.contains("the transaction was lost before"), "{error}");
    let error = shell.error("SELECT replica_commit()");
    assert!(error.contains("nothing of it took effect"), "{error}");
    assert_eq!(sqld.scalar(HERE), "100,0");
}

#[test]
fn a_deferred_constraint_fails_at_the_commit() {
    let (sqld, _folder, _db, mut shell) = accounts();
    sqld.execute("CREATE TABLE child(id INTEGER REFERENCES a(id) DEFERRABLE INITIALLY DEFERRED)");
    shell.run("SELECT replica_begin()");
    shell.run("SELECT replica_write('INSERT INTO child VALUES (77)')");
    let error = shell.error("SELECT replica_commit()");
    assert_eq!(error, "replica_commit: the primary did not commit: FOREIGN KEY constraint failed");
    assert_eq!(sqld.scalar("SELECT count(*) FROM child"), "0");
    shell.run("SELECT replica_write('INSERT INTO child VALUES (1)')");
    assert_eq!(sqld.scalar("SELECT count(*) FROM child"), "1");
}

#[test]
fn a_migration_rebuilds_a_table_under_those_that_point_at_it() {
    let rebuild = "SELECT replica_write('CREATE TABLE new_a(id INTEGER PRIMARY KEY, n TEXT)');
        SELECT replica_write('INSERT INTO new_a SELECT id, n FROM a');
        SELECT replica_write('DROP TABLE a');
        SELECT replica_write('ALTER TABLE new_a RENAME TO a');
        SELECT replica_commit();";
    for (mode, left) in [("immediate", "0"), ("migration", "2")] {
        let (sqld, _folder, db, mut shell) = accounts();
        sqld.execute(
            "CREATE TABLE child(a INTEGER REFERENCES a(id) ON DELETE CASCADE); \
             INSERT INTO child VALUES (1), (2)",
        );
        shell.run(&format!("SELECT replica_begin('{mode}')"));
        for statement in rebuild.split(";\n") {
            shell.run(statement);
        }
        assert_eq!(sqld.scalar("SELECT count(*) FROM child"), left, "{mode}");
        assert_eq!(shell.run(HERE), "100,0");
        assert_replica_equals_primary(&db, &sqld);
        // It ends with the transaction.
        let error = shell.error("SELECT replica_write('INSERT INTO child VALUES (77)')");
        assert!(error.contains("FOREIGN KEY constraint failed"), "{error}");
    }
}

#[test]
fn queries_on_the_primary_join_with_local_tables() {
    let (sqld, _folder, _db, mut shell) = accounts();
    sqld.execute("CREATE TABLE there(id, name); INSERT INTO there VALUES (1, 'one'), (2, 'two')");
    assert_eq!(
        shell.run(
            "SELECT a.id, a.n, q.row ->> 0 FROM a, \
             replica_query('SELECT name FROM there WHERE id = ?', json_array(a.id)) q ORDER BY 1"
        ),
        "1|100|one\n2|0|two"
    );
    let values = "[null, 9223372036854775807, 1.5, \"text\", {\"base64\": \"AP8=\"}, true]";
    assert_eq!(
        shell.run(&format!("SELECT row FROM replica_query('SELECT ?,?,?,?,?,?', '{values}')")),
        r#"[null,9223372036854775807,1.5,"text",{"base64":"AP8="},1]"#
    );
    assert_eq!(
        shell.run("SELECT json_object('rows', json_group_array(row)) FROM replica_query('VALUES (1, 2), (3, 4)')"),
        r#"{"rows":[[1,2],[3,4]]}"#
    );
    assert_eq!(shell.run("SELECT count(*) FROM replica_query('SELECT 1 WHERE 0')"), "0");
    let frame_no = sqld.frame_no();
    for (query, error) in [
        ("replica_query", "the SQL text is missing; write replica_query(sql [, args])"),
        ("replica_query(NULL)", "sql must be a text, not NULL"),
        ("replica_query('')", "there is no statement in the SQL text"),
        ("replica_query('SELECT 1; SELECT 2')", "only one statement can be queried"),
        (
            "replica_query('SELECT ?')",
            "the statement has 1 parameter and the call gives 0 arguments; one belongs to each parameter",
        ),
        ("replica_query('SELECT ?', '{}')", "there is no argument for the parameter ?1"),
        ("replica_query('SELECT ?', 5)", "args must be a JSON array, such as json_array(1, 'a')"),
        (
            "replica_query('SELECT ?', '[[]]')",
            "args[0]: an argument is neither null, a number, a text, nor {\"base64\": \"...\"}",
        ),
        ("replica_query('SELECT * FROM nowhere')", "no such table: nowhere"),
        (
            "replica_query('DELETE FROM a RETURNING n')",
            "the statement does not only read, so that nothing of it took effect; call replica_write()",
        ),
        (
            "replica_query('CREATE TABLE b(x)')",
            "the statement does not only read, so that nothing of it took effect; call replica_write()",
        ),
        (
            "replica_query('COMMIT')",
            "COMMIT cannot stand here: the statements are one transaction already; leave it out",
        ),
    ] {
        let found = shell.error(&format!("SELECT * FROM {query}"));
        assert!(found.starts_with("replica_query: ") && found.contains(error), "{query}: {found}");
    }
    assert_eq!(sqld.frame_no(), frame_no);
}
