//! Other hosts than the sqlite3 shell. The programs of `hosts/` all tell one
//! story; here those run that need nothing else, `make test-hosts` runs all.
//! The scripts of `python/` look closer, with apsw, which brings the newest
//! SQLite: one process each, because a process stays with the SQLite that
//! loaded the extension.

mod common;

use std::process::Command;

use common::*;

/// Runs a script of `tests/python/` with the library and the primary's URL.
fn python(script: &str, sqld: &Sqld, db: &std::path::Path) -> String {
    let output = Command::new(tool("PYTHON", "venv/bin/python"))
        .arg(format!("tests/python/{script}"))
        .arg(extension())
        .arg(sqld.url())
        .arg(db)
        .envs(tokens::NONE)
        .output()
        .expect("python starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    println!("{stdout}");
    assert!(output.status.success(), "{script}: {}\n{stdout}\n{stderr}", output.status);
    stdout
}

#[test]
fn every_host_that_is_here_tells_the_story() {
    let output = Command::new(tool("PYTHON", "venv/bin/python"))
        .args(["tests/hosts/run.py", "--no-install", "--extension"])
        .arg(extension())
        .args(["shell", "python_apsw", "python_stdlib"])
        .env("SQLD", tool("SQLD", "sqld"))
        .output()
        .expect("python starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    println!("{text}");
    assert!(output.status.success(), "{text}\n{errors}");
}

#[test]
fn the_newest_sqlite_tells_the_same_story() {
    let sqld = Sqld::start();
    sqld.execute(
        "CREATE TABLE orders(id INTEGER PRIMARY KEY, item TEXT UNIQUE); \
         INSERT INTO orders VALUES (7, 'lantern')",
    );
    let (_folder, db) = empty_place();
    python("story.py", &sqld, &db);
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn two_hundred_lives_of_a_connection_leak_nothing() {
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(x); INSERT INTO t VALUES (zeroblob(100000))");
    let (_folder, db) = empty_place();
    python("leaks.py", &sqld, &db);
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn many_connections_of_a_process_keep_few_sockets() {
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(x); INSERT INTO t VALUES (1)");
    let (_folder, db) = empty_place();
    python("sockets.py", &sqld, &db);
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn a_second_sqlite_library_in_the_process_is_refused() {
    let sqld = Sqld::start();
    let (_folder, db) = empty_place();
    python("second_library.py", &sqld, &db);
}

#[test]
fn a_host_that_unloads_its_sqlite_keeps_it_while_replicas_work() {
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(x); INSERT INTO t VALUES (1)");
    let (_folder, db) = empty_place();
    python("unloaded_library.py", &sqld, &db);
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn closing_comes_back_while_the_worker_is_in_a_callback_of_the_host() {
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(x)");
    let (_folder, db) = empty_place();
    python("closing.py", &sqld, &db);
    Shell::attached(&db, &sqld.url()).sync();
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn with_few_descriptors_left_an_attach_works_or_says_so() {
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(x); INSERT INTO t VALUES (1)");
    let (_folder, db) = empty_place();
    Shell::attached(&db, &sqld.url()).close();
    python("few_descriptors.py", &sqld, &db);
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn a_host_without_mutexes_gets_no_worker() {
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(x); INSERT INTO t VALUES (1)");
    let (_folder, db) = empty_place();
    python("single_thread.py", &sqld, &db);
    assert_replica_equals_primary(&db, &sqld);
}

/// What is written by a connection of ours would be plain, and could not be
/// read by the host.
#[test]
fn a_vfs_that_encrypts_beneath_a_shim_gets_no_page_of_the_primary_in_plain() {
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(i, x); INSERT INTO t VALUES (0, 'first')");
    let (_folder, db) = empty_place();
    python("keyed_vfs.py", &sqld, &db);
}
