//! Pulls that do not fit in memory: what they lock, what they leave on the
//! disk, and how long the log gets. The primary is made up, so that it can
//! stop in the middle of its answer.

mod common;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::made_up::*;
use common::net::http_answer;
use common::*;

/// Pages of each database: more than the 4096 that are kept in memory.
const ROWS: u32 = 5200;

/// A database that fills its pages, as SQLite makes it.
fn database(folder: &Path, name: &str) -> PathBuf {
    let db = folder.join(name);
    sql(
        &db,
        &format!(
            "PRAGMA page_size = 4096; CREATE TABLE t(id INTEGER PRIMARY KEY, name, b);
             WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {ROWS})
             INSERT INTO t SELECT n, '{name}', randomblob(3500) FROM c;"
        ),
    );
    db
}

/// The pages of a database as a log with a commit after each 500 frames.
fn log_of(db: &Path) -> Vec<Frame> {
    let bytes = std::fs::read(db).expect("bytes");
    let pages: Vec<Image> =
        bytes.chunks(PAGE).map(|page| page.try_into().expect("a page")).collect();
    let last = pages.len() as u32;
    (1..)
        .zip(pages)
        .map(|(page, image)| Frame {
            number: u64::from(page) - 1,
            page,
            size_after: if page % 500 == 0 || page == last { page } else { 0 },
            image,
        })
        .collect()
}

/// A primary that can be given another log, and be stopped close to its end.
struct Primary {
    log: Arc<Mutex<(&'static str, Vec<Frame>)>>,
    stopped: Arc<AtomicBool>,
    waiting: Arc<AtomicUsize>,
    server: FakeServer,
}

impl Primary {
    fn start(log_id: &'static str, frames: Vec<Frame>) -> Primary {
        let log = Arc::new(Mutex::new((log_id, frames)));
        let (stopped, waiting) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let (shared, stop, wait) = (log.clone(), stopped.clone(), Arc::clone(&waiting));
        let server = FakeServer::start(move |request| {
            let (log_id, frames) = shared.lock().expect("no panic").clone();
            let last = frames.len() as u64 - 1;
            match request.path.rsplit('/').next() {
                Some("Hello") => hello(log_id, last),
                Some("BatchLogEntries") => {
                    let next = next_offset(request);
                    let wait: &AtomicUsize = &wait;
                    while stop.load(Ordering::SeqCst) && next + 800 > last {
                        wait.store(1, Ordering::SeqCst);
                        std::thread::sleep(Duration::from_millis(10));
                    }
                    let rest: Vec<Frame> =
                        frames.into_iter().skip_while(|frame| frame.number < next).collect();
                    let end = (1024..rest.len()).find(|end| rest[end - 1].size_after != 0);
                    encode(&rest[..end.unwrap_or(rest.len())])
                }
                _ => http_answer("404 Not Found", "", b""),
            }
        });
        Primary { log, stopped, waiting, server }
    }

    fn becomes(&self, log_id: &'static str, frames: Vec<Frame>) {
        *self.log.lock().expect("no panic") = (log_id, frames);
    }

    fn stop(&self) {
        self.waiting.store(0, Ordering::SeqCst);
        self.stopped.store(true, Ordering::SeqCst);
    }

    fn go_on(&self) {
        self.stopped.store(false, Ordering::SeqCst);
    }

    /// Until somebody waits for the end of the log.
    fn is_waited_for(&self) {
        let started = Instant::now();
        while self.waiting.load(Ordering::SeqCst) == 0 {
            assert!(started.elapsed() < Duration::from_secs(30), "nobody asks for the rest");
            std::thread::sleep(Duration::from_millis(10));
        }
        // What came before it is on its way into the file or aside.
        std::thread::sleep(Duration::from_millis(700));
    }
}

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |file| file.len())
}

/// What only the spool could leave.
fn left_beside(db: &Path) -> Vec<String> {
    let names = files(db.parent().expect("a folder"));
    names.into_iter().filter(|name| name.contains("spool")).collect()
}

const ROWS_OF: &str = "SELECT group_concat(DISTINCT name) || count(*) FROM t";

#[test]
fn a_reset_takes_no_lock_before_it_has_arrived_and_leaves_nothing_behind() {
    let (sources, (_folder, db)) = (tempfile::tempdir().expect("a folder"), empty_place());
    let (one, two) = (database(sources.path(), "one"), database(sources.path(), "two"));
    let primary = Primary::start("one", log_of(&one));
    Shell::attached(&db, &primary.server.url()).close();
    let mut other = Shell::plain(&db);
    assert_eq!(other.run(ROWS_OF), format!("one{ROWS}"));

    primary.becomes("two", log_of(&two));
    primary.stop();
    let mut shell = Shell::attached(&db, &primary.server.url());
    shell.send("SELECT replica_sync()");
    primary.is_waited_for();
    // This needs both locks that a writer has, and waits for none.
    assert_eq!(other.run("PRAGMA wal_checkpoint(TRUNCATE)"), "0|0|0");
    assert_eq!(other.run(ROWS_OF), format!("one{ROWS}"));
    let mut late = Shell::attached(&db, &primary.server.url());
    let pages = size(&one) / PAGE as u64;
    assert_eq!(late.run("SELECT frame_no FROM replica_status"), format!("{}", pages - 1));
    assert_eq!(left_beside(&db), [] as [&str; 0], "it has no name");

    // One that dies meanwhile leaves nothing either.
    late.send("SELECT replica_sync()");
    std::thread::sleep(Duration::from_millis(500));
    late.kill9();
    assert_eq!(left_beside(&db), [] as [&str; 0]);

    primary.go_on();
    let report: serde_json::Value = serde_json::from_str(&shell.answer()).expect("a report");
    assert_eq!(report["reset"], true, "{report}");
    assert_eq!(other.run(ROWS_OF), format!("two{ROWS}"));
    assert_replica_equals_file(&db, &two);
    shell.close();
    other.close();
    assert_eq!(left_beside(&db), [] as [&str; 0]);
}

/// The bound: the pages of the old database that changed, once each, and the
/// first page.
#[test]
fn a_reset_writes_each_page_into_the_log_once_at_most() {
    let (sources, (_folder, db)) = (tempfile::tempdir().expect("a folder"), empty_place());
    let (one, two) = (database(sources.path(), "one"), database(sources.path(), "two"));
    let primary = Primary::start("one", log_of(&one));
    let mut shell = Shell::attached(&db, &primary.server.url());
    shell.run("PRAGMA wal_checkpoint(TRUNCATE)");
    shell.close();
    let wal = PathBuf::from(format!("{}-wal", db.display()));
    let pages = size(&one) / PAGE as u64;

    // Every page comes twice, and a reader keeps the log from being copied.
    let mut reader = Shell::plain(&db);
    reader.run("BEGIN; SELECT count(*) FROM t");
    let mut twice = log_of(&one);
    twice.extend(log_of(&two));
    (0..).zip(&mut twice).for_each(|(number, frame)| frame.number = number);
    primary.becomes("two", twice);
    let mut shell = Shell::attached(&db, &primary.server.url());
    assert_eq!(shell.sync()["reset"], true);
    let length = size(&wal);
    assert!(length <= 32 + (pages + 2) * 4120, "{length} bytes for {pages} pages");
    assert_eq!(reader.run(ROWS_OF), format!("one{ROWS}"), "in its transaction");
    reader.run("COMMIT");
    assert_eq!(reader.run(ROWS_OF), format!("two{ROWS}"));
    assert_replica_equals_file(&db, &two);

    // Without a reader in its way the log is cut down at once.
    primary.becomes("three", log_of(&one));
    shell.close();
    let mut shell = Shell::attached(&db, &primary.server.url());
    assert_eq!(shell.sync()["reset"], true);
    assert!(size(&wal) <= 4 << 20, "{} bytes", size(&wal));
    assert_replica_equals_file(&db, &one);
}

/// The bound beside readers whose transactions overlap for ever: the changed
/// pages of each reset once. None of them waits for the others, and the log is
/// cut once they let go.
#[test]
fn resets_beside_readers_without_a_gap_cost_their_own_pages_only() {
    let (sources, (_folder, db)) = (tempfile::tempdir().expect("a folder"), empty_place());
    let sources = ["one", "two"].map(|name| (name, database(sources.path(), name)));
    let primary = Primary::start("zero", log_of(&sources[1].1));
    Shell::attached(&db, &primary.server.url()).close();
    let wal = PathBuf::from(format!("{}-wal", db.display()));
    let pages = size(&sources[0].1).max(size(&sources[1].1)) / PAGE as u64;

    let mut readers = [Shell::plain(&db), Shell::plain(&db)];
    readers[1].run("BEGIN");
    let mut seen = readers[1].run(ROWS_OF);
    let options = r#"'{"busy_timeout": 0.3}'"#;
    let attach =
        format!("SELECT replica_attach({}, NULL, {options})", quoted(primary.server.url()));
    // A server that begins anew knows nobody: each time somebody new asks.
    let sync = || {
        let mut shell = Shell::loaded(&db);
        shell.run(&attach);
        let report = shell.sync();
        assert_eq!(report["reset"], true, "{report}");
        shell.close();
    };
    for (round, log_id) in (1..).zip(["a", "b", "c"]) {
        let (name, source) = &sources[round % 2];
        primary.becomes(log_id, log_of(source));
        let [odd, even] = &mut readers;
        let (comes, goes) = if round % 2 == 0 { (even, odd) } else { (odd, even) };
        comes.run("BEGIN");
        assert_eq!(comes.run(ROWS_OF), seen);
        sync();
        assert_eq!(goes.run(ROWS_OF), seen, "in its transaction");
        goes.run("COMMIT");
        seen = format!("{name}{ROWS}");
        assert_eq!(goes.run(ROWS_OF), seen, "after it");
        goes.run("BEGIN");
        assert_eq!(goes.run(ROWS_OF), seen);
        comes.run("COMMIT");
        goes.run("SELECT 1");
        let length = size(&wal);
        assert!(length <= 32 + round as u64 * (pages + 2) * 4120, "{length} after reset {round}");
        // Who has just gone is the next to come.
        readers.swap(0, 1);
    }
    readers.iter_mut().for_each(|reader| drop(reader.ask("COMMIT")));
    primary.becomes("last", log_of(&sources[0].1));
    sync();
    assert!(size(&wal) <= 4 << 20, "{} bytes", size(&wal));
    assert_replica_equals_file(&db, &sources[0].1);
}

/// A small disk of its own; only root may make one.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path, megabytes: u32) -> Option<SmallDisk> {
        let size = format!("size={megabytes}m");
        let mount = |arguments: &[&str]| {
            let mut command = std::process::Command::new("mount");
            command.args(arguments).arg(at).stderr(std::process::Stdio::null());
            command.status().is_ok_and(|status| status.success())
        };
        mount(&["-t", "tmpfs", "-o", &size, "tmpfs"]).then(|| SmallDisk(at.to_owned()))
    }

    fn grows(&self, megabytes: u32) {
        let options = format!("remount,size={megabytes}m");
        let mut command = std::process::Command::new("mount");
        assert!(command.args(["-o", &options]).arg(&self.0).status().expect("mount").success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Where the disk has room for the database and a little, for a part of what
/// waits aside, and for a part of the log.
#[test]
fn a_disk_that_is_full_during_a_reset_keeps_the_old_state_and_the_next_one_goes_on() {
    let sources = tempfile::tempdir().expect("a folder");
    let (one, two) = (database(sources.path(), "one"), database(sources.path(), "two"));
    let megabytes = (size(&one) >> 20) as u32;
    for room in [megabytes + 1, megabytes + 6, 2 * megabytes] {
        let (folder, db) = empty_place();
        let Some(disk) = SmallDisk::mount(folder.path(), room) else {
            return println!("skipped: this user may not mount a small disk");
        };
        let primary = Primary::start("one", log_of(&one));
        Shell::attached(&db, &primary.server.url()).close();
        primary.becomes("two", log_of(&two));
        let mut other = Shell::plain(&db);
        let mut shell = Shell::attached(&db, &primary.server.url());
        for _ in 0..2 {
            let error = shell.error("SELECT replica_sync()");
            assert!(error.contains("the disk is full"), "{room} MB: {error}");
            assert_eq!(other.run(ROWS_OF), format!("one{ROWS}"), "{room} MB");
        }
        assert_eq!(left_beside(&db), [] as [&str; 0]);
        assert_replica_equals_file(&db, &one);
        disk.grows(200);
        assert_eq!(shell.sync()["reset"], true, "{room} MB");
        assert_replica_equals_file(&db, &two);
        shell.close();
        other.close();
    }
}
