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
fn what_the_program_runs_on_each_connection_does_not_lock_others_out() {
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(i, x); INSERT INTO t VALUES (0, 'first')");
    let (_folder, db) = empty_place();
    let output = Command::new("/usr/bin/python3")
        .arg("tests/python/auto_extension.py")
        .arg(extension())
        .arg(sqld.url())
        .arg(&db)
        .output();
    let Ok(output) = output else { return println!("skipped: no /usr/bin/python3") };
    print!("{}", String::from_utf8_lossy(&output.stdout));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{errors}", output.status);
}

/// A user who opens the database first owns its log.
#[test]
#[cfg(unix)]
fn the_owner_of_a_log_that_may_not_be_written_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(i, x); INSERT INTO t VALUES (0, 'first')");
    let (folder, db) = empty_place();
    Shell::attached(&db, &sqld.url()).close();
    // The library where every user can read it.
    let (library, script) = (folder.path().join("replica.so"), folder.path().join("attach.sql"));
    std::fs::copy(extension(), &library).unwrap();
    let sql = format!(".load {}\nSELECT replica_attach('{}');\n", library.display(), sqld.url());
    std::fs::write(&script, sql).unwrap();
    let open_to_all = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    open_to_all(folder.path(), 0o1777);
    open_to_all(&db, 0o644);
    let as_user = |uid: &str, arguments: &[&str]| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", uid, "--regid", uid, "--clear-groups", "sqlite3"]);
        command.args(arguments).arg(&db);
        command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
        command.stderr(std::process::Stdio::piped());
        command
    };
    let probe = as_user("65534", &["-version"]).stdin(std::process::Stdio::null()).output();
    if !probe.is_ok_and(|output| output.status.success()) {
        return println!("skipped: only root can be two users");
    }
    let owned = Command::new("chown").arg("1000").arg(&db).status().unwrap();
    assert!(owned.success());
    let mut reader = as_user("65534", &["-batch"]).spawn().unwrap();
    let mut input = reader.stdin.take().unwrap();
    std::io::Write::write_all(&mut input, b"BEGIN; SELECT count(*) FROM t;\n").unwrap();
    let shm = db.with_extension("db-shm");
    let since = std::time::Instant::now();
    while !shm.exists() && since.elapsed() < std::time::Duration::from_secs(5) {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    std::thread::sleep(std::time::Duration::from_millis(200));
    let read = format!(".read {}", script.display());
    let attached = as_user("1000", &["-batch", "-cmd", &read])
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    drop(input);
    reader.wait().unwrap();
    let error = String::from_utf8_lossy(&attached.stderr);
    let expected = format!("{}-shm belongs to uid 65534, who opened", db.display());
    assert!(error.contains(&expected), "{error}\n{}", String::from_utf8_lossy(&attached.stdout));
    assert!(error.contains("chmod g+w"), "{error}");
}

/// Synced by one user now and then, read by another who may not write there.
#[test]
#[cfg(unix)]
fn with_keep_wal_a_reader_without_rights_reads_while_nobody_is_attached() {
    use std::os::unix::fs::PermissionsExt;
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(i, x); INSERT INTO t VALUES (0, 'first')");
    let (folder, db) = empty_place();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let stranger = |arguments: &[&str]| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "sqlite3"]);
        let output =
            command.args(["-batch", "-init", "/dev/null"]).arg(&db).args(arguments).output();
        let output = output.expect("setpriv starts");
        let text = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&text).trim_end().to_owned()
    };
    if !stranger(&["-version"]).starts_with('3') {
        return println!("skipped: only root can be two users");
    }
    for (rows, options) in [
        (1, r#"{"keep_wal": true}"#),
        (2, r#"{"keep_wal": true, "live": true}"#),
        (3, r#"{"keep_wal": true, "first_sync": false, "sync_interval": 60}"#),
    ] {
        let mut shell = Shell::loaded(&db);
        shell.run(&format!("SELECT replica_attach('{}', NULL, '{options}')", sqld.url()));
        shell.sync();
        shell.close();
        assert_eq!(stranger(&["SELECT count(*) FROM t"]), rows.to_string(), "{options}");
        let log = std::fs::metadata(db.with_extension("db-wal")).expect("a log");
        assert_eq!(log.len(), 0, "{options}");
        sqld.execute("INSERT INTO t VALUES (1, 'another')");
    }
    // Whoever does not ask for it leaves nothing behind, as SQLite does.
    let mut shell = Shell::attached(&db, &sqld.url());
    shell.sync();
    shell.close();
    assert!(!db.with_extension("db-wal").exists());
    let error = stranger(&["SELECT count(*) FROM t"]);
    assert!(error.contains("attempt to write a readonly database"), "{error}");
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn a_forked_child_that_opens_the_file_anew_is_refused() {
    case("a_forked_child");
    case("a_forked_child_of_a_plain_reader");
    case("a_forked_child_while_somebody_writes");
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

/// An SQL text that names them as certificates, as a token or as a log.
#[test]
fn options_that_name_files_of_the_database_leave_its_locks_alone() {
    case("options_that_name_the_database");
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
