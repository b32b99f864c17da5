//! What may happen to the local file: deleted, replaced, moved, copied,
//! damaged by hand, opened in unusual ways, promoted.

mod common;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use common::shell::shell_in;
use common::*;

fn primary() -> Sqld {
    let sqld = Sqld::start();
    sqld.execute(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 'one'), (2, 'two')",
    );
    sqld
}

/// An attached shell, with something on the primary that it does not have yet.
fn behind(db: &Path, sqld: &Sqld) -> Shell {
    let shell = Shell::attached(db, &sqld.url());
    sqld.execute("INSERT INTO t VALUES (3, 'three')");
    shell
}

fn names(db: &Path) -> Vec<String> {
    files(db.parent().expect("a folder"))
}

const GONE: &str = "replica_sync: the database file was moved, deleted or replaced while it was \
                    open; close the connection and open the file again";

#[test]
fn a_file_deleted_while_attached_is_not_written_any_more() {
    let sqld = primary();
    let (_folder, db) = empty_place();
    let mut shell = behind(&db, &sqld);
    for name in names(&db) {
        std::fs::remove_file(db.with_file_name(name)).expect("a file");
    }
    assert_eq!(shell.error("SELECT replica_sync()"), GONE);
    shell.kill9();
    assert!(names(&db).is_empty(), "{:?}", names(&db));
    Shell::attached(&db, &sqld.url()).close();
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn a_file_moved_while_attached_is_not_written_any_more() {
    let sqld = primary();
    let (_folder, db) = empty_place();
    let mut shell = behind(&db, &sqld);
    let moved = db.with_file_name("moved.db");
    std::fs::rename(&db, &moved).expect("a file");
    assert_eq!(shell.error("SELECT replica_sync()"), GONE);
    shell.close();
    assert_eq!(sql(&moved, "PRAGMA integrity_check;"), "ok");
}

#[test]
fn a_file_that_took_its_place_is_not_touched() {
    let sqld = primary();
    let (_folder, db) = empty_place();
    let other = db.with_file_name("other.db");
    sql(&other, "CREATE TABLE mine(x); INSERT INTO mine VALUES ('precious');");
    let bytes = std::fs::read(&other).expect("bytes");
    // While it is attached, and between the opening and the attach.
    let mut attached = behind(&db, &sqld);
    let mut loaded = Shell::loaded(&db);
    loaded.run("SELECT count(*) FROM t");
    std::fs::rename(&other, &db).expect("a file");
    assert_eq!(attached.error("SELECT replica_sync()"), GONE);
    let attach = format!("SELECT replica_attach({})", quoted(sqld.url()));
    assert_eq!(loaded.error(&attach), GONE.replace("replica_sync", "replica_attach"));
    loaded.kill9();
    attached.kill9();
    assert_eq!(std::fs::read(&db).expect("bytes"), bytes);
}

#[test]
fn symlinks_relative_paths_and_another_folder_lead_to_the_same_replica() {
    let sqld = primary();
    let (folder, db) = empty_place();
    let link = folder.path().join("link.db");
    std::os::unix::fs::symlink(&db, &link).expect("a link");
    sql(&db, "PRAGMA user_version;");
    Shell::attached(&link, &sqld.url()).close();
    assert_replica_equals_primary(&db, &sqld);

    sqld.execute("INSERT INTO t VALUES (4, 'four')");
    let mut command = Command::new("sqlite3");
    command.args(["-batch", "-init", "/dev/null", "app.db"]).current_dir(folder.path());
    let script = format!(
        "{}SELECT count(*) FROM t;\n.cd /\nSELECT replica_attach({}) IS NOT NULL;\nSELECT \
         replica_sync() ->> 'frames_synced' > 0;\n",
        shell::load(),
        quoted(sqld.url())
    );
    let output = shell_in(command, &script);
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("2\n1\n1\n", ""));
    assert_replica_equals_primary(&db, &sqld);
    let left = names(&db);
    assert_eq!(left, ["app.db", "app.db-replica", "link.db"], "the sidecar is beside the file");
}

#[test]
fn a_read_only_folder_is_an_error_and_changes_nothing() {
    let sqld = primary();
    let (folder, db) = empty_place();
    Shell::attached(&db, &sqld.url()).close();
    sqld.execute("INSERT INTO t VALUES (3, 'three')");
    let library = folder.path().join("replica.so");
    std::fs::copy(extension(), &library).expect("a copy");
    run_tool("chmod", &["555", folder.path().to_str().expect("UTF-8")]);
    run_tool("chmod", &["444", db.to_str().expect("UTF-8")]);
    // Nothing is read-only to root.
    let mut command = Command::new("sh");
    command.arg("-c").arg(
        "if [ $(id -u) = 0 ]; then exec setpriv --reuid=65534 --regid=65534 --clear-groups \
         sqlite3 -batch -init /dev/null \"$0\"; else exec sqlite3 -batch -init /dev/null \"$0\"; fi",
    );
    command.arg(&db);
    let script = format!(
        ".load {}\nSELECT replica_attach({});\nSELECT replica_sync();\nSELECT 'alive';\n",
        library.display(),
        quoted(sqld.url())
    );
    let output = shell_in(command, &script);
    run_tool("chmod", &["755", folder.path().to_str().expect("UTF-8")]);
    assert!(output.stderr.contains("replica_attach: "), "{output:?}");
    assert!(output.stdout.ends_with("alive\n"), "{output:?}");
    assert_eq!(scalar(&db, "SELECT count(*) FROM t"), "2");
}

fn run_tool(name: &str, args: &[&str]) {
    assert!(Command::new(name).args(args).status().expect("a tool").success());
}

/// Simulated by a VFS that refuses one write after another.
#[test]
fn a_full_disk_at_any_write_is_an_error_and_the_next_sync_goes_on() {
    let sqld = Sqld::start();
    let folder = tempfile::tempdir().expect("a folder");
    let output = Command::new(tool("PYTHON", "venv/bin/python"))
        .arg("tests/power/full.py")
        .arg(extension())
        .arg(sqld.url())
        .arg(folder.path())
        .output()
        .expect("python starts");
    println!("{}", String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_wal_index_deleted_between_runs_is_made_anew() {
    let sqld = primary();
    let (_folder, db) = empty_place();
    let mut shell = behind(&db, &sqld);
    shell.sync();
    shell.kill9();
    std::fs::remove_file(db.with_file_name("app.db-shm")).expect("a wal-index");
    assert_replica_equals_primary(&db, &sqld);
    Shell::attached(&db, &sqld.url()).close();
}

#[test]
fn a_log_deleted_between_runs_takes_the_position_with_it() {
    let sqld = primary();
    let (_folder, db) = empty_place();
    let mut shell = Shell::attached(&db, &sqld.url());
    shell.run("PRAGMA wal_checkpoint");
    sqld.execute("INSERT INTO t VALUES (3, 'three'); CREATE TABLE u(x)");
    shell.sync();
    shell.kill9();
    for end in ["-wal", "-shm"] {
        std::fs::remove_file(db.with_file_name(format!("app.db{end}"))).expect("a file");
    }
    assert_eq!(sql(&db, "SELECT count(*) FROM t; PRAGMA integrity_check;"), "2\nok");
    let mut shell = Shell::attached(&db, &sqld.url());
    assert!(shell.sync()["frames_synced"].as_u64() > Some(0));
    shell.close();
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn a_vacuumed_copy_is_an_ordinary_database() {
    let sqld = primary();
    let (_folder, db) = empty_place();
    let mut shell = Shell::attached(&db, &sqld.url());
    let copy = db.with_file_name("copy.db");
    shell.run(&format!("VACUUM INTO {}", quoted(copy.display())));
    sql(&copy, "INSERT INTO t VALUES (9, 'mine'); PRAGMA journal_mode = DELETE;");
    let error =
        Shell::loaded(&copy).error(&format!("SELECT replica_attach({})", quoted(sqld.url())));
    assert!(error.contains("holds data and is not a replica"), "{error}");
    assert_eq!(scalar(&copy, "SELECT count(*) FROM t"), "3");
}

#[test]
fn a_stamp_of_another_version_is_refused() {
    let sqld = primary();
    let (_folder, db) = empty_place();
    Shell::attached(&db, &sqld.url()).close();
    let mut bytes = std::fs::read(&db).expect("bytes");
    assert_eq!(&bytes[72..76], b"RPL\x01", "the stamp");
    bytes[75] = 2;
    std::fs::write(&db, &bytes).expect("a file");
    let error = Shell::loaded(&db).error(&format!("SELECT replica_attach({})", quoted(sqld.url())));
    assert!(error.contains("a replica of a later format (2): update this extension"), "{error}");
    assert_eq!(std::fs::read(&db).expect("bytes"), bytes);
}

#[test]
fn an_exclusive_host_gets_an_error_in_time() {
    let sqld = primary();
    let (_folder, db) = empty_place();
    Shell::attached(&db, &sqld.url()).close();
    let mut shell = Shell::loaded(&db);
    shell.run("PRAGMA locking_mode = EXCLUSIVE; SELECT count(*) FROM t");
    let attach = r#"SELECT replica_attach('URL', NULL, '{"busy_timeout": 0.2}')"#;
    let error = shell.error(&attach.replace("URL", &sqld.url()));
    assert!(error.starts_with("replica_attach: ") && error.contains("locked"), "{error}");
    assert_eq!(shell.run("SELECT count(*) FROM t"), "2");
}

#[test]
fn a_transaction_of_the_host_keeps_its_state_over_a_sync() {
    let sqld = primary();
    let (_folder, db) = empty_place();
    let mut shell = behind(&db, &sqld);
    shell.run("BEGIN; SELECT count(*) FROM t");
    assert!(shell.sync()["frames_synced"].as_u64() > Some(0));
    assert_eq!(shell.run("SELECT count(*) FROM t"), "2");
    assert_eq!(scalar(&db, "SELECT count(*) FROM t"), "3", "another connection sees it");
    shell.run("COMMIT");
    assert_eq!(shell.run("SELECT count(*) FROM t"), "3");
}

#[test]
fn a_sync_from_within_a_running_select_changes_nothing_of_it() {
    let sqld = primary();
    let (_folder, db) = empty_place();
    let mut shell = behind(&db, &sqld);
    let rows = shell.run("SELECT id, replica_sync() ->> 'frames_synced' > 0 FROM t ORDER BY id");
    assert_eq!(rows, "1|1\n2|0");
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn a_replica_stays_in_wal_mode() {
    let sqld = primary();
    let (_folder, db) = empty_place();
    Shell::attached(&db, &sqld.url()).close();
    for mode in ["DELETE", "MEMORY", "OFF", "TRUNCATE"] {
        let said = shell(&db, &format!("PRAGMA journal_mode = {mode};"));
        assert!(!said.stdout.contains(&mode.to_lowercase()), "{mode}: {said:?}");
        assert_replica_equals_primary(&db, &sqld);
    }
    let mut shell = behind(&db, &sqld);
    shell.error("PRAGMA journal_mode = DELETE");
    assert!(shell.sync()["frames_synced"].as_u64() > Some(0));
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn memory_mapped_and_shared_cache_hosts_see_each_sync() {
    let sqld = primary();
    let (_folder, db) = empty_place();
    Shell::attached(&db, &sqld.url()).close();
    let uri = format!("file:{}?cache=shared", db.display());
    let mut shared = Shell::attached(Path::new(&uri), &sqld.url());
    let mut mapped = Shell::attached(&db, &sqld.url());
    mapped.run("PRAGMA mmap_size = 268435456; SELECT sum(length(v)) FROM t");
    for (step, change) in [
        "INSERT INTO t SELECT value + 100, hex(randomblob(3000)) FROM json_each('[1,2,3,4,5,6,7,8,9]')",
        "UPDATE t SET v = hex(randomblob(4000)) WHERE id > 100",
        "DELETE FROM t WHERE id > 102",
        "INSERT INTO t(v) SELECT hex(randomblob(9000)) FROM t",
    ]
    .into_iter()
    .enumerate()
    {
        sqld.execute(change);
        let syncing = if step % 2 == 0 { &mut shared } else { &mut mapped };
        assert!(syncing.sync()["frames_synced"].as_u64() > Some(0));
        let expected = sqld.scalar("SELECT sum(length(v)) FROM t");
        for shell in [&mut shared, &mut mapped] {
            assert_eq!(shell.run("SELECT sum(length(v)) FROM t"), expected, "{change}");
            assert_eq!(shell.run("PRAGMA integrity_check"), "ok", "{change}");
            shell.run("PRAGMA wal_checkpoint(TRUNCATE)");
        }
    }
}

#[test]
fn a_promoted_replica_is_an_ordinary_database() {
    let sqld = primary();
    let (_folder, db) = empty_place();
    let mut shell = Shell::attached(&db, &sqld.url());
    let mut other = Shell::attached(&db, &sqld.url());
    let mut reader = Shell::plain(&db);
    reader.run("BEGIN; SELECT count(*) FROM t");

    assert_eq!(shell.run("SELECT count(*) FROM t"), "2");

    let promoted = shell.json("SELECT replica_promote()");
    assert_eq!(promoted["promoted"], true);
    assert_eq!(promoted["frame_no"].as_u64(), Some(sqld.frame_no()));
    assert!(promoted["reopen"].as_str().expect("a text").contains("opened again"), "{promoted}");
    assert_eq!(shell.run("SELECT count(*) FROM replica_status"), "0", "it is detached too");

    // SQLite remembers the read-only mark for the life of a connection.
    let read_only = "attempt to write a readonly database";
    assert_eq!(shell.error("INSERT INTO t VALUES (10, 'x')"), read_only);
    assert_eq!(sql(&db, "INSERT INTO t VALUES (10, 'mine'); SELECT count(*) FROM t;"), "3");
    assert_eq!(reader.run("SELECT count(*) FROM t"), "2", "its transaction is older");
    reader.run("COMMIT");
    assert_eq!(reader.run("SELECT count(*) FROM t; PRAGMA integrity_check"), "3\nok");

    // Nobody follows the primary any more.
    sqld.execute("INSERT INTO t VALUES (4, 'four')");
    let no_longer = "the file is no longer a replica; attach it again to see what it holds";
    assert_eq!(other.error("SELECT replica_sync()"), format!("replica_sync: {no_longer}"));
    let attach = format!("SELECT replica_attach({})", quoted(sqld.url()));
    for shell in [&mut Shell::loaded(&db), &mut shell] {
        let error = shell.error(&attach);
        assert!(error.contains("holds data and is not a replica: nothing was changed"), "{error}");
    }
    for shell in [shell, other, reader] {
        shell.close();
    }
    assert_eq!(names(&db), ["app.db"], "the sidecar is gone");
    sql(&db, "PRAGMA journal_mode = DELETE; UPDATE t SET v = 0; VACUUM; PRAGMA integrity_check;");
}

#[test]
fn only_an_attached_replica_is_promoted() {
    let (_folder, db) = empty_place();
    sql(&db, "CREATE TABLE t(x);");
    let error = Shell::loaded(&db).error("SELECT replica_promote()");
    assert!(error.contains("no replica is attached to this connection"), "{error}");
}

#[test]
fn a_name_that_is_not_utf_8_leads_to_that_file_and_no_other() {
    use std::os::unix::ffi::OsStrExt;
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(x); INSERT INTO t VALUES (1)");
    let (folder, _) = empty_place();
    let db = folder.path().join(std::ffi::OsStr::from_bytes(b"a\xff.db"));
    // What a careless conversion would make of the name.
    let decoy = folder.path().join("a\u{fffd}.db");
    std::fs::write(&decoy, "").expect("written");
    let mut replica = Shell::attached(&db, &sqld.url());
    sqld.execute("INSERT INTO t VALUES (2)");
    replica.sync();
    assert_replica_equals_primary(&db, &sqld);
    assert_eq!(std::fs::metadata(&decoy).expect("there").len(), 0);
    let sidecar = folder.path().join(std::ffi::OsStr::from_bytes(b"a\xff.db-replica"));
    assert!(sidecar.exists(), "{:?}", files(folder.path()));
}

/// A second worker of a server, or a cron job, while the first one brings a
/// large database over a slow line.
#[test]
fn an_attach_beside_a_first_sync_waits_for_it_or_says_so() {
    let sqld = Sqld::start();
    sqld.execute(
        "CREATE TABLE t(x); WITH n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 900) \
         INSERT INTO t SELECT randomblob(100000) FROM n",
    );
    let (_folder, db) = empty_place();
    let options = |timeout: f64| format!("'{{\"timeout\":{timeout},\"busy_timeout\":1}}'");
    let attach =
        |timeout| format!("SELECT replica_attach('{}', NULL, {})", sqld.url(), options(timeout));
    let (patient, impatient) = (attach(60.0), attach(1.5));
    let mut first = Shell::loaded(&db);
    let mut second = Shell::loaded(&db);
    first.send(&patient);
    // From 16 MB on the pages go straight into the file, under its locks.
    let deadline = Instant::now() + Duration::from_secs(60);
    while std::fs::metadata(&db).map_or(0, |found| found.len()) < 18_000_000 {
        assert!(Instant::now() < deadline, "the first sync does not get far");
        std::thread::sleep(Duration::from_millis(1));
    }
    sqld.signal("STOP");
    let error = second.error(&impatient);
    assert!(error.contains("another process is making the first sync"), "{error}");
    second.send(&patient);
    std::thread::sleep(Duration::from_millis(1200));
    sqld.signal("CONT");
    first.answer();
    second.answer();
    assert_eq!(second.run("SELECT count(*) FROM t"), "900");
    assert_replica_equals_primary(&db, &sqld);
}
