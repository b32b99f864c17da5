//! Files that are reached in a way in which SQLite's locks mean nothing: by a
//! forked child, after a descriptor was closed, by a second name. Whoever
//! writes then destroys the file for all, so it is refused.

mod common;

use std::path::Path;
use std::process::Command;

use common::*;

/// Runs one case of `tests/python/locks.py`, with a table on the primary.
fn case(name: &str) {
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(i, x); INSERT INTO t VALUES (0, 'first')");
    let (_folder, db) = empty_place();
    let output = Command::new(tool("PYTHON", "venv/bin/python"))
        .arg("tests/python/locks.py")
        .arg(extension())
        .arg(sqld.url())
        .arg(&db)
        .arg(name)
        .output()
        .expect("python starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{name}: {}\n{stdout}\n{stderr}", output.status);
    Shell::attached(&db, &sqld.url()).sync();
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn a_forked_child_that_opens_the_file_anew_is_refused() {
    case("a_forked_child");
    case("a_forked_child_of_a_plain_reader");
}

#[test]
fn a_fork_is_noticed_through_a_second_one_and_through_a_link() {
    case("a_double_fork");
    case("another_path");
}

#[test]
fn pythons_process_pools_are_refused_after_a_fork_and_work_after_a_spawn() {
    case("multiprocessing_by_fork");
}

#[test]
fn a_child_whose_log_was_deleted_by_its_parent_is_refused() {
    case("the_parent_closes_first");
}

#[test]
fn a_host_that_reads_its_own_file_is_told_and_its_log_goes_nowhere() {
    case("a_file_that_the_host_reads_itself");
    case("only_the_shared_memory_is_read");
}

#[test]
fn a_log_that_was_deleted_under_an_open_connection_is_not_written() {
    case("a_log_that_is_deleted");
}

#[test]
fn many_descriptors_and_many_connections_are_in_order() {
    case("many_descriptors_and_connections");
}

#[test]
fn a_hard_link_is_refused() {
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(x)");
    let (folder, db) = empty_place();
    Shell::attached(&db, &sqld.url()).close();
    let other = folder.path().join("other.db");
    std::fs::hard_link(&db, &other).expect("a link");
    for name in [&db, &other] {
        let attach = format!("SELECT replica_attach('{}')", sqld.url());
        let error = Shell::loaded(name).error(&attach);
        assert!(error.contains("has another name (a hard link)"), "{error}");
    }
    std::fs::remove_file(&other).expect("removed");
    Shell::attached(&db, &sqld.url()).close();
}

#[test]
fn a_file_that_is_mounted_without_its_folder_is_refused() {
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(x)");
    let (folder, db) = empty_place();
    Shell::attached(&db, &sqld.url()).close();
    let mounted = folder.path().join("a place.db");
    std::fs::write(&mounted, "").expect("written");
    // In a mount namespace of its own, so that nothing is left behind.
    let script =
        "mount --bind \"$1\" \"$2\" && exec sqlite3 -batch -init /dev/null \"$2\" \"$3\" \"$4\"";
    let run = |first: &Path| {
        Command::new("unshare")
            .args(["-m", "sh", "-c", script, "sh"])
            .arg(first)
            .arg(&mounted)
            .arg(format!(".load {}", extension().display()))
            .arg(format!("SELECT replica_attach('{}') ->> 'state'", sqld.url()))
            .output()
    };
    let output = match run(&db) {
        Ok(output) if !String::from_utf8_lossy(&output.stderr).contains("permitted") => output,
        _ => return println!("skipped: this user may not mount anything"),
    };
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(stderr.contains("mounted by itself"), "{stderr} {:?}", output.stdout);
}
