//! The schema of the file comes from the primary, and SQLite runs it in the
//! program that reads.

use std::path::Path;
use std::process::Command;

use crate::common::shell::load;
use crate::common::*;

/// A view that has the shell's `edit()` start a program, which makes `file`.
fn view_that_touches(file: &Path) -> String {
    format!(
        "CREATE TABLE orders_real(id INTEGER PRIMARY KEY, item TEXT);
         INSERT INTO orders_real VALUES (7, 'lantern');
         CREATE VIEW orders AS SELECT id, item || coalesce(substr(edit('', 'touch {}; true'), 1, 0), '') \
         AS item FROM orders_real",
        file.display()
    )
}

#[test]
fn a_view_of_the_primary_starts_no_program_in_a_shell_that_is_attached() {
    let sqld = Sqld::start();
    let (folder, db) = empty_place();
    let touched = folder.path().join("touched");
    sqld.execute(&view_that_touches(&touched));
    let attach = format!("{}SELECT replica_attach('{}') ->> 'frame_no';\n", load(), sqld.url());
    // The session of the README, on a new file and on one that is a replica.
    for _ in 0..2 {
        let output = shell(&db, &format!("{attach}SELECT * FROM orders WHERE id = 7;\n"));
        assert!(output.stderr.contains("unsafe use of edit()"), "{output:?}");
        assert!(!touched.exists(), "a program was started");
    }
    // It stays so after a detach.
    let output = shell(&db, &format!("{attach}SELECT replica_detach(); SELECT * FROM orders;\n"));
    assert!(output.stderr.contains("unsafe use of edit()"), "{output:?}");
    assert!(!touched.exists(), "a program was started");
    // The remedy that the README names for a shell without the extension.
    let plain = shell(&db, "PRAGMA trusted_schema = 0; SELECT * FROM orders;\n");
    assert!(plain.stderr.contains("unsafe use of edit()") && !touched.exists(), "{plain:?}");
}

#[test]
fn a_view_that_comes_later_is_not_trusted_either_and_a_temporary_one_is() {
    let sqld = Sqld::start();
    let (_folder, db) = empty_place();
    sqld.execute("CREATE TABLE orders(id INTEGER PRIMARY KEY, item TEXT)");
    let mut shell = Shell::attached(&db, &sqld.url());
    sqld.execute("CREATE VIEW later AS SELECT edit('', 'true') AS item");
    shell.sync();
    let error = shell.error("SELECT * FROM later");
    assert!(error.contains("unsafe use of edit()"), "{error}");
    // What is in the TEMP schema is the user's own.
    shell.run("CREATE TEMP VIEW mine AS SELECT edit('x', 'true') AS item");
    assert_eq!(shell.run("SELECT item FROM mine"), "x");
}

/// The setting is the host's where the user says so.
#[test]
fn with_the_option_the_schema_is_trusted_as_before() {
    let sqld = Sqld::start();
    let (folder, db) = empty_place();
    let touched = folder.path().join("touched");
    sqld.execute(&view_that_touches(&touched));
    let mut shell = Shell::loaded(&db);
    let options = r#"'{"trusted_schema": true}'"#;
    shell.run(&format!("SELECT replica_attach('{}', NULL, {options})", sqld.url()));
    shell.run("SELECT * FROM orders WHERE id = 7");
    assert!(touched.exists(), "the attack of these tests does not work any more");
}

/// Old SQLites, 3.40.1 among them, take their own JSON functions for unsafe. A
/// file that the attached connection could not read is refused before anybody sees it.
#[test]
fn a_schema_that_is_only_read_with_trust_is_refused_with_the_remedy() {
    let table = "CREATE TABLE j(a, b AS (json_extract(a, '$.x')))";
    let (_scratch, plain) = empty_place();
    let distrusts_json =
        shell(&plain, &format!("PRAGMA trusted_schema = 0; {table};")).code != Some(0);
    let sqld = Sqld::start();
    let (_folder, db) = empty_place();
    sqld.execute("CREATE TABLE before(x); INSERT INTO before VALUES (1)");
    let mut shell = Shell::attached(&db, &sqld.url());
    sqld.execute(table);
    sqld.execute("INSERT INTO j(a) VALUES ('{\"x\": 5}')");
    if distrusts_json {
        let error = shell.error("SELECT replica_sync()");
        assert!(error.contains("unsafe use of json_extract()"), "{error}");
        assert!(error.contains("attach with '{\"trusted_schema\":true}'"), "{error}");
        assert_eq!(shell.run("SELECT x FROM before"), "1");
        shell.run("SELECT replica_detach()");
        let options = r#"'{"trusted_schema": true}'"#;
        shell.run(&format!("SELECT replica_attach('{}', NULL, {options})", sqld.url()));
        shell.run("PRAGMA trusted_schema = 1");
    }
    shell.sync();
    assert_eq!(shell.run("SELECT b FROM j"), "5");
}

/// Views, generated columns, CHECK constraints, indexes on expressions,
/// partial indexes and triggers, in a schema that a real sqld hands out.
#[test]
fn no_part_of_a_schema_calls_a_function_of_the_application() {
    let (folder, db) = empty_place();
    let made = folder.path().join("made.db");
    python("schema.py", &["make".as_ref(), made.as_ref()]);
    let sqld = Sqld::over(&made);
    let url = sqld.url();
    python("schema.py", &["read".as_ref(), extension().as_ref(), url.as_ref(), db.as_ref()]);
}

#[test]
fn the_whole_story_works_in_a_host_that_defends_itself() {
    let sqld = Sqld::start();
    sqld.execute(
        "CREATE TABLE orders(id INTEGER PRIMARY KEY, item TEXT UNIQUE); \
         INSERT INTO orders VALUES (7, 'lantern')",
    );
    let (_folder, db) = empty_place();
    let url = sqld.url();
    let arguments = [extension().into_os_string(), url.into(), db.clone().into_os_string()];
    let arguments: Vec<&Path> = arguments.iter().map(Path::new).collect();
    python("defended.py", &arguments);
    assert_replica_equals_primary(&db, &sqld);
}

/// Runs one of the Python hosts.
pub fn python(script: &str, arguments: &[&Path]) {
    let output = Command::new(tool("PYTHON", "venv/bin/python"))
        .arg(format!("tests/python/{script}"))
        .args(arguments)
        .output()
        .expect("python starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{script}: {}\n{stdout}\n{stderr}", output.status);
}
