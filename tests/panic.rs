//! A panic inside the extension becomes an SQL error: the host goes on, and so
//! does the replica. The panics are simulated, at the named places where other
//! tests kill the process.

mod common;

use std::process::Command;

use common::*;

/// Runs a script in a shell whose extension panics at `place`.
fn run_armed(place: &str, db: &std::path::Path, script: &str) -> Output {
    let mut command = Command::new("sqlite3");
    command.args(["-batch", "-init", "/dev/null"]).arg(db);
    command.env("REPLICA_FAULT", format!("panic {place}:1"));
    common::shell::shell_in(command, &format!("{}{script}", common::shell::load()))
}

#[test]
fn a_panic_at_any_kind_of_place_is_an_error_and_the_next_call_works() {
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(x); INSERT INTO t VALUES (1)");
    let attach = format!("SELECT replica_attach('{}') IS NOT NULL;\n", sqld.url());
    for place in ["write lock taken", "commit frame written", "commit between header copies"] {
        let (_folder, db) = empty_place();
        let script = format!(
            "{attach}{attach}SELECT count(*) FROM t;\nSELECT replica_sync() ->> 'frames_synced';\n"
        );
        let output = run_armed(place, &db, &script);
        let expected = format!(
            "replica_attach: internal error: armed at {place}; the database is \
             unharmed, please report this"
        );
        assert!(output.stderr.contains(&expected), "{place}: {}", output.stderr);
        assert_eq!(output.stderr.lines().count(), 1, "{place}: {}", output.stderr);
        assert_eq!(output.stdout, "1\n1\n0\n", "{place}");
        assert_replica_equals_primary(&db, &sqld);
    }
}

#[test]
fn a_panic_of_the_worker_ends_it_and_is_reported() {
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(x)");
    let (_folder, db) = empty_place();
    Shell::attached(&db, &sqld.url()).close();
    sqld.execute("INSERT INTO t VALUES (1)");
    let script = format!(
        "SELECT replica_attach('{}', NULL, '{{\"live\": true}}') IS NOT NULL;\n.shell sleep 1\n\
         SELECT state, last_error FROM replica_status;\nSELECT replica_sync() ->> 'frames_synced';\n\
         SELECT count(*) FROM t;\n",
        sqld.url()
    );
    let output = run_armed("commit published", &db, &script);
    let expected = "1\nerror|internal error: armed at commit published; the database is unharmed, \
                    please report this\n0\n1\n";
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), (expected, ""));
    assert_replica_equals_primary(&db, &sqld);
}
