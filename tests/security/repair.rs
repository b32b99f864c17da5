//! A first page that some SQLite does not open is refused before anybody sees
//! it. Where one is in a file nevertheless (version 0.1.0 published them), that
//! SQLite runs no statement on it, `SELECT 1` neither, so nothing can be called
//! there; and everybody can be helped from elsewhere.

use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::schema::python;
use crate::common::*;

/// What 0.1.0 took: where in page 1, and the bytes there.
const DAMAGES: [(&str, u64, &[u8]); 5] = [
    ("a later schema format", 44, &[0, 0, 0, 7]),
    ("no b-tree", 100, &[0]),
    ("more cells than there is room for", 103, &[0xff, 0xff]),
    ("an encoding that is none", 56, &[0, 0, 0, 7]),
    ("noise", 100, &[0xa5; 60]),
];

fn primary() -> Sqld {
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(v); INSERT INTO t VALUES ('one'), ('two')");
    sqld
}

/// A replica whose first page is damaged.
fn wedged(sqld: &Sqld, db: &Path, at: u64, bytes: &[u8]) {
    let _ = std::fs::remove_file(db);
    Shell::attached(db, &sqld.url()).close();
    let file = std::fs::OpenOptions::new().write(true).open(db).expect("a replica");
    file.write_all_at(bytes, at).expect("damage");
}

#[test]
fn a_replica_that_no_statement_runs_on_is_made_a_new_one_from_elsewhere() {
    let sqld = primary();
    let (_folder, db) = empty_place();
    for (name, at, bytes) in DAMAGES {
        // This machine's SQLite.
        wedged(&sqld, &db, at, bytes);
        let mut other = Shell::loaded(Path::new(":memory:"));
        let reader = Shell::plain(&db);
        other.run(&format!("SELECT replica_repair('{}')", db.display()));
        drop(reader);
        assert_eq!(sql(&db, "PRAGMA integrity_check; SELECT count(*) FROM sqlite_schema"), "ok\n0");
        Shell::attached(&db, &sqld.url()).close();
        assert_replica_equals_primary(&db, &sqld);
        // The newest.
        wedged(&sqld, &db, at, bytes);
        println!("{name}");
        let url = sqld.url();
        python("repair.py", &[extension().as_path(), Path::new(&url), &db]);
        assert_replica_equals_primary(&db, &sqld);
    }
}

/// Old SQLites run what asks nothing of the schema, and need no repair.
#[test]
fn where_statements_run_a_sync_is_enough() {
    let sqld = primary();
    let (_folder, db) = empty_place();
    for (name, at, bytes) in DAMAGES {
        wedged(&sqld, &db, at, bytes);
        sqld.execute("CREATE TABLE IF NOT EXISTS u(x); INSERT INTO u VALUES (1)");
        sqld.execute("DROP TABLE u");
        let mut shell = Shell::loaded(&db);
        let attach = format!("SELECT replica_attach({}, NULL) IS NOT NULL", quoted(sqld.url()));
        let output = shell.ask(&attach);
        if output != "1" {
            println!("skipped: {name}: this SQLite does not run statements on it: {output}");
            continue;
        }
        shell.run("SELECT replica_sync()");
        shell.close();
        assert_replica_equals_primary(&db, &sqld);
    }
}

#[test]
fn nothing_else_is_emptied() {
    let sqld = primary();
    let (folder, db) = empty_place();
    Shell::attached(&db, &sqld.url()).close();
    let foreign = folder.path().join("foreign.db");
    sql(&foreign, "PRAGMA page_size = 4096; CREATE TABLE mine(x)");
    let damaged = folder.path().join("damaged.db");
    std::fs::copy(&foreign, &damaged).expect("a copy");
    let file = std::fs::OpenOptions::new().write(true).open(&damaged).expect("a file");
    file.write_all_at(&[0], 100).expect("damage");
    let missing = folder.path().join("missing.db");
    let pipe = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let text = folder.path().join("text");
    std::fs::write(&text, "just a text").expect("a text");
    let mut other = Shell::loaded(Path::new(":memory:"));
    for path in [&db, &foreign, &damaged, &text, &missing, &pipe, &folder.path().to_owned()] {
        let before = std::fs::metadata(path).ok().filter(|file| file.is_file());
        let before = before.map(|_| std::fs::read(path).expect("bytes"));
        let error = other.error(&format!("SELECT replica_repair('{}')", path.display()));
        println!("{}: {error}", path.display());
        if let Some(before) = before {
            assert_eq!(std::fs::read(path).expect("bytes"), before, "{}", path.display());
        }
    }
    assert!(!missing.exists());
    assert_replica_equals_primary(&db, &sqld);
}
