//! How a replica fares, asked from another process, and what its worker logs.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use common::*;

/// Waits until `look` finds something that is `right`.
fn until(what: &str, mut look: impl FnMut() -> String, right: impl Fn(&str) -> bool) -> String {
    let deadline = Instant::now() + Duration::from_secs(40);
    loop {
        let found = look();
        if right(&found) {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}: {found}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// What a shell is told that attaches nothing and has another database open.
fn health(db: &Path, columns: &str, max_age: &str) -> String {
    let elsewhere = Path::new(":memory:");
    let script = format!(
        "{}SELECT {columns} FROM replica_health({}, {max_age});\n",
        shell::load(),
        quoted(db.display())
    );
    sql(elsewhere, &script)
}

fn live(db: &Path, sqld: &Sqld, more: &str) -> Shell {
    let mut shell = Shell::loaded(db);
    let options = format!("{{\"live\": true, \"timeout\": 2{more}}}");
    shell.run(&format!("SELECT replica_attach('{}', NULL, '{options}')", sqld.url()));
    shell
}

#[test]
fn another_process_sees_a_live_replica_its_trouble_and_its_end() {
    let mut sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(x); INSERT INTO t VALUES (1)");
    let (_folder, db) = empty_place();
    let shell = live(&db, &sqld, "");
    let well = "healthy || worker || lag_frames || (trouble IS NULL) || (last_error IS NULL)";
    until("live", || health(&db, well, "NULL"), |found| found == "1live011");
    assert_eq!(health(&db, "worker_pid", "NULL"), shell.pid().to_string());
    assert_eq!(health(&db, "sync_url", "NULL"), sqld.url());
    sqld.stop();
    until(
        "trouble",
        || health(&db, "worker || ': ' || coalesce(trouble, '')", "1"),
        |found| {
            found.starts_with("reconnecting: not known to be fresh for ")
                && found.contains("s: the last error was: cannot reach the primary")
        },
    );
    // The lag of what is not fresh is not known.
    assert_eq!(health(&db, "lag_frames IS NULL, healthy", "1"), "1|0");
    sqld.resume();
    until("live again", || health(&db, well, "NULL"), |found| found == "1live011");
    shell.kill9();
    until("gone", || health(&db, "worker", "NULL"), |found| found == "gone");
    let trouble = until("old", || health(&db, "trouble", "1"), |found| !found.is_empty());
    assert!(trouble.contains("the worker that kept it so (process "), "{trouble}");
    // Somebody else takes over, and says good-bye.
    let other = live(&db, &sqld, "");
    until("live by another one", || health(&db, well, "NULL"), |found| found == "1live011");
    other.close();
    assert_eq!(health(&db, "worker IS NULL, healthy", "600"), "1|1");
    let trouble = until("nobody", || health(&db, "trouble", "0.1"), |found| !found.is_empty());
    assert!(trouble.ends_with("s: nobody keeps it so"), "{trouble}");
}

#[test]
fn a_replica_that_is_synced_by_jobs_is_as_fresh_as_the_last_of_them() {
    let mut sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(x); INSERT INTO t VALUES (1)");
    let (_folder, db) = empty_place();
    let mut shell = Shell::attached(&db, &sqld.url());
    shell.run("SELECT replica_write('INSERT INTO t VALUES (2)')");
    sqld.stop();
    shell.error("SELECT replica_sync('{\"timeout\": 1}')");
    // What has changed is told at once, and the last word when it is closed.
    let found = health(&db, "healthy, last_error, lag_frames IS NULL", "NULL");
    assert!(found.starts_with("1|cannot reach the primary") && found.ends_with("|1"), "{found}");
    shell.close();
    sqld.resume();
    let mut shell = Shell::attached(&db, &sqld.url());
    shell.sync();
    shell.run("SELECT replica_write('INSERT INTO t VALUES (3)')");
    let frame = shell.run("SELECT frame_no FROM replica_status");
    shell.close();
    let found = health(&db, "healthy, frame_no, primary_frame_no, lag_frames, last_error", "NULL");
    assert_eq!(found, format!("1|{frame}|{frame}|0|"));
    // What saves a question stands beside it still.
    let sidecar = fs::read_to_string(format!("{}-replica", db.display())).expect("notes");
    assert!(sidecar.starts_with("{\"sync_url\":") && sidecar.contains("\"protocol\":\"sqld\""));
    // Of the own file no path is needed, nor an attach.
    let mut shell = Shell::loaded(&db);
    assert_eq!(shell.run("SELECT healthy FROM replica_health"), "1");
    assert_eq!(shell.run("SELECT replica_health() ->> 'frame_no'"), frame);
    assert_eq!(shell.run("SELECT replica_health(NULL, 0.001) ->> 'healthy'"), "0");
}

#[test]
fn what_is_no_replica_is_told_in_one_sentence() {
    let (folder, db) = empty_place();
    sql(&db, "CREATE TABLE mine(x)");
    let link = folder.path().join("link.db");
    std::os::unix::fs::symlink(&db, &link).expect("a link");
    let display =
        |path: &Path| path.canonicalize().unwrap_or(path.to_owned()).display().to_string();
    let nowhere = folder.path().join("nowhere.db");
    for (path, said) in [
        (&nowhere, format!("there is no file {}", nowhere.display())),
        (&folder.path().to_owned(), format!("there is no file {}", display(folder.path()))),
        (
            &db,
            format!(
                "{} is no replica, or nobody has attached it since it was copied here",
                display(&db)
            ),
        ),
        (
            &link,
            format!(
                "{} is no replica, or nobody has attached it since it was copied here",
                display(&db)
            ),
        ),
    ] {
        assert_eq!(health(path, "healthy || ' ' || trouble", "NULL"), format!("0 {said}"));
    }
    for content in ["some notes", "{}", "[1]"] {
        fs::write(folder.path().join("app.db-replica"), content).expect("written");
        let said = health(&db, "trouble", "NULL");
        assert!(said.contains("is not a replica's"), "{said}");
    }
    let mut shell = Shell::plain(Path::new(":memory:"));
    shell.run(shell::load().trim_end());
    let said = shell.run("SELECT trouble FROM replica_health");
    assert!(said.starts_with("the main database of this connection is no file"), "{said}");
    assert_eq!(
        shell.error("SELECT * FROM replica_health(5)"),
        "replica_health: path must be a text, not an integer"
    );
    // Who runs SQL of others does not let it look around.
    shell.run("SELECT replica_lock()");
    let refused = shell.error(&format!("SELECT * FROM replica_health({})", quoted(db.display())));
    assert!(refused.contains("replica_lock() was called"), "{refused}");
    // To ask has changed nothing.
    assert_eq!(files(folder.path()), ["app.db", "app.db-replica", "link.db"]);
}

#[test]
fn the_log_has_a_line_for_the_beginning_of_trouble_and_one_for_its_end() {
    let mut sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(x); INSERT INTO t VALUES (1)");
    for how in ["\"live\": true", "\"sync_interval\": 0.1"] {
        let (folder, db) = empty_place();
        let log = folder.path().join("replica.log");
        let mut shell = Shell::loaded(&db);
        let options = format!("{{{how}, \"timeout\": 1, \"log\": \"{}\"}}", log.display());
        shell.run(&format!("SELECT replica_attach('{}', NULL, '{options}')", sqld.url()));
        let read = || fs::read_to_string(&log).expect("a log");
        assert_eq!(read(), "# log of sqlite-replica\n");
        assert_eq!(fs::metadata(&log).expect("a log").permissions().mode() & 0o777, 0o600);
        sqld.stop();
        until("the trouble", read, |text| text.lines().count() == 2);
        // Several attempts later it is still one line.
        let failing = "SELECT state = 'reconnecting' FROM replica_status";
        until("reconnecting", || shell.run(failing), |found| found == "1");
        sqld.resume();
        let text = until("its end", read, |text| text.lines().count() >= 3);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines[1].contains("Z replica ") && lines[1].contains("app.db: "), "{text}");
        assert!(lines[2].contains(": in touch with the primary again after "), "{text}");
        shell.close();
        // The next attach goes on in the same file.
        let mut shell = Shell::loaded(&db);
        shell.run(&format!("SELECT replica_attach('{}', NULL, '{options}')", sqld.url()));
        assert_eq!(read().lines().count(), 3);
    }
}

#[test]
fn a_log_is_written_only_where_one_of_ours_may_stand() {
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(x)");
    let (folder, db) = empty_place();
    let log = folder.path().join("replica.log");
    let attach = || {
        let options = format!("{{\"live\": true, \"log\": \"{}\"}}", log.display());
        Shell::loaded(&db)
            .error(&format!("SELECT replica_attach('{}', NULL, '{options}')", sqld.url()))
    };
    let victim = folder.path().join("victim");
    fs::write(&victim, "# log of sqlite-replica\n").expect("written");
    let makers: [&dyn Fn(); 5] = [
        &|| fs::write(&log, "export PATH=/bin\n").expect("written"),
        &|| fs::write(&log, "# log of sqlite").expect("written"),
        &|| std::os::unix::fs::symlink(&victim, &log).expect("a link"),
        &|| assert!(Command::new("mkfifo").arg(&log).status().expect("mkfifo").success()),
        &|| fs::create_dir(&log).expect("a folder"),
    ];
    for make in makers {
        make();
        let before = fs::symlink_metadata(&log).expect("there").len();
        let error = attach();
        assert!(error.contains("is not a log of this extension and was left alone"), "{error}");
        assert_eq!(fs::symlink_metadata(&log).expect("there").len(), before);
        let _ = fs::remove_file(&log).or_else(|_| fs::remove_dir(&log));
    }
    assert_eq!(fs::read_to_string(&victim).expect("there"), "# log of sqlite-replica\n");
    let nowhere = attach_with(&db, &sqld, "/nowhere/replica.log");
    assert!(nowhere.contains("option log: /nowhere/replica.log cannot be written: "), "{nowhere}");
    // Nothing of the replica was begun.
    assert_eq!(files(folder.path()), ["app.db", "victim"]);
}

fn attach_with(db: &Path, sqld: &Sqld, log: &str) -> String {
    let options = format!("{{\"live\": true, \"log\": \"{log}\"}}");
    Shell::loaded(db).error(&format!("SELECT replica_attach('{}', NULL, '{options}')", sqld.url()))
}
