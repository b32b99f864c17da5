//! The adapters of `packages/`: code that was written for libsql's clients, for
//! DB-API, SQLAlchemy, Django or better-sqlite3 runs on a replica as it is. Each
//! script of `adapters/` holds its cases in its own language and starts its own
//! sqld; here they run with the library under test.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::*;

/// Runs a script of `tests/adapters/`, or says why it cannot be run here.
fn runs(interpreter: &Path, script: &[&str]) {
    let output = Command::new(interpreter)
        .arg(format!("tests/adapters/{}", script[0]))
        .args(&script[1..])
        .env("SQLITE_REPLICA_PATH", extension())
        .env("SQLD", tool("SQLD", "sqld"))
        .env("TURSODB", tool("TURSODB", "tursodb"))
        .envs(tokens::NONE)
        .output()
        .expect("the interpreter starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    println!("{stdout}{stderr}");
    assert!(output.status.success(), "{script:?}: {}\n{stdout}\n{stderr}", output.status);
}

/// The first python3 whose sqlite3 loads extensions, as Debian's does.
fn python_with_extensions() -> Option<&'static Path> {
    let code = "import sqlite3; sqlite3.connect(':memory:').enable_load_extension(True)";
    ["/usr/bin/python3", "python3"].map(Path::new).into_iter().find(|python| {
        Command::new(python).args(["-c", code]).output().is_ok_and(|done| done.status.success())
    })
}

#[test]
fn a_db_api_program_runs_on_pythons_own_sqlite3() {
    match python_with_extensions() {
        Some(python) => runs(python, &["dbapi.py", "sqlite3"]),
        None => println!("skipped: no python3 here was built with loadable extensions"),
    }
}

#[test]
fn a_db_api_program_runs_on_apsw() {
    runs(&tool("PYTHON", "venv/bin/python"), &["dbapi.py", "apsw"]);
}

#[test]
fn what_sqlite3_says_and_raises_a_replica_says_and_raises() {
    match python_with_extensions() {
        Some(python) => runs(python, &["same.py", "sqlite3"]),
        None => println!("skipped: no python3 here was built with loadable extensions"),
    }
    runs(&tool("PYTHON", "venv/bin/python"), &["same.py", "apsw"]);
}

/// What `make test-suites` has installed, if it has: an interpreter with the
/// packages that the adapters are for.
fn installed(path: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("SUITES")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/suites"), PathBuf::from);
    let found = folder.join(path);
    if !found.exists() {
        println!("skipped: {} is not there; `make test-suites` installs it", found.display());
    }
    found.exists().then_some(found)
}

#[test]
fn sqlalchemy_and_django_write_to_the_primary() {
    if let Some(python) = installed("python/bin/python") {
        runs(&python, &["orm.py"]);
    }
}

/// The published @libsql/client and drizzle-orm, with this package in libsql's place.
fn stands_in_for_libsql(binding: &str) {
    if let Some(node) = installed("replica/node_modules/node/bin/node") {
        let folder = node.ancestors().nth(4).expect("the folder of node_modules");
        let folder = folder.to_str().expect("a path in UTF-8");
        runs(&node, &["libsql.mjs", folder, binding]);
    }
}

#[test]
fn the_npm_package_stands_in_for_libsql() {
    // One after the other: both put the sources under test into the same folder.
    stands_in_for_libsql("better-sqlite3");
    stands_in_for_libsql("node:sqlite");
}

#[test]
fn the_command_of_the_python_package_follows() {
    match python_with_extensions() {
        Some(python) => {
            let python_text = python.to_str().expect("a path in UTF-8");
            runs(python, &["follow.py", python_text, "-m", "sqlite_replica"]);
        }
        None => println!("skipped: no python3 here was built with loadable extensions"),
    }
}

#[test]
fn the_command_of_the_npm_package_follows() {
    let Some(node) = installed("replica/node_modules/node/bin/node") else { return };
    // better-sqlite3 is found from where the package is, and here it has none: node:sqlite.
    let command = "packages/npm/bin/sqlite-replica.cjs";
    let node = node.to_str().expect("a path in UTF-8");
    runs(&tool("PYTHON", "venv/bin/python"), &["follow.py", node, "--no-warnings", command]);
}
