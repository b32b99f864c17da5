//! `kill -9` at every step that changes the disk or the shared memory.
//!
//! Each named place of the source (`fault::point`) is armed in turn in a shell
//! that syncs, resets or promotes, and dies there by SIGKILL. Two shells were
//! open meanwhile and share its wal-index: one idle, one in the middle of a
//! read transaction. What is left must be the state before, the one after, or
//! one between them that the primary really had: each was recorded, by its
//! frame number, when a replica of it equalled the primary row by row. Also
//! after a checkpoint by one of them. Then either they are killed as well, so
//! that the next shell recovers the log and must find the same; or they live
//! on, so that the next sync goes on with the wal-index that the dead one left,
//! and they must see what it brings. Either way the position that the next
//! attach reports must be that of the state it finds, and its sync must end at
//! what the primary has.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::*;
use replica::wal::medium::Step;

/// Something that is done to a replica, and may be killed.
struct Scenario {
    name: &'static str,
    /// A folder with the replica as it is before: database and log.
    before: PathBuf,
    /// Run after `.load`.
    script: String,
    /// The primary that the file ends at.
    url: String,
    /// What the primary was like, from the state before to the one afterwards.
    states: Vec<State>,
}

/// Something that the primary once was.
#[derive(Clone, Debug, PartialEq)]
struct State {
    /// Number of its last frame; None for nothing at all.
    frame_no: Option<u64>,
    /// Checksums of rows and schema.
    contents: String,
}

/// What the primary is now, as a replica has it that was just synced.
fn recorded(replica: &Path, primary: &Sqld) -> State {
    assert_replica_equals_primary(replica, primary);
    State { frame_no: Some(primary.frame_no()), contents: checksum(replica) }
}

impl Scenario {
    fn new(
        name: &'static str,
        before: &Path,
        url: &str,
        states: &[&State],
        statements: &str,
    ) -> Scenario {
        let script = format!(
            "SELECT replica_attach({}, NULL, '{{\"new_primary\": true}}');\n{statements}\n",
            quoted(url)
        );
        // Of a copy, because a shell that closes the file copies its log.
        let folder = tempfile::tempdir().expect("a folder");
        copy_replica(before, folder.path());
        assert_eq!(checksum(&folder.path().join("app.db")), states[0].contents, "{name}");
        let states = states.iter().map(|state| (*state).clone()).collect();
        Scenario { name, before: before.to_owned(), script, url: url.to_owned(), states }
    }

    fn old(&self) -> &str {
        &self.states[0].contents
    }

    fn new_state(&self) -> &str {
        &self.states[self.states.len() - 1].contents
    }

    /// Which of the primary's states this is, counted from the oldest.
    fn age(&self, contents: &str, what: &str) -> usize {
        let found = self.states.iter().position(|state| state.contents == contents);
        found.unwrap_or_else(|| panic!("{what}: a state that the primary never had"))
    }

    fn copy(&self, to: &Path) -> PathBuf {
        copy_replica(&self.before, to);
        to.join("app.db")
    }

    /// How often each place is passed when nothing goes wrong.
    fn places(&self) -> BTreeMap<String, u32> {
        let folder = tempfile::tempdir().expect("a folder");
        let (db, trace) = (self.copy(folder.path()), folder.path().join("trace"));
        let signal = run(&db, &self.script, "REPLICA_FAULT_TRACE", trace.to_str().expect("UTF-8"));
        assert_eq!(signal, None, "{}", self.name);
        let mut places = BTreeMap::new();
        for line in std::fs::read_to_string(trace).expect("a trace").lines() {
            *places.entry(line.to_owned()).or_default() += 1;
        }
        places
    }

    fn kill_at(&self, place: &str, passage: u32, next: Next) {
        let what = format!("{}, {place}:{passage}, {next:?}", self.name);
        let folder = tempfile::tempdir().expect("a folder");
        let db = self.copy(folder.path());
        let mut idle = Shell::plain(&db);
        let mut reading = Shell::plain(&db);
        idle.run("SELECT count(*) FROM sqlite_schema");
        if self.name == "sync that restarts the log" {
            // Now a reader looks at the file only and is not in the way.
            idle.run("PRAGMA wal_checkpoint");
        }
        // On an empty file, not in WAL mode yet, a reader keeps writers away;
        // and a log that is read is not cut, nor begun a second time.
        let cuts = place == "log cut" || (self.name == "large sync" && passage > 1);
        let with_reader = self.name != "first sync" && !cuts;
        if with_reader {
            reading.run("BEGIN; SELECT count(*) FROM sqlite_schema");
        }
        let signal = run(&db, &self.script, "REPLICA_FAULT", &format!("{place}:{passage}"));
        assert_eq!(signal, Some(9), "{what}: was not passed");

        if with_reader {
            assert_eq!(seen_by(&mut reading), self.old(), "{what}: in the middle of a transaction");
            reading.run("COMMIT");
        }
        let left = seen_by(&mut idle);
        let age = self.age(&left, &what);
        if next == Next::Recovery {
            // What another process may do before the log is recovered. This
            // one leaves the log in place.
            idle.run("PRAGMA wal_checkpoint(PASSIVE)");
            assert_eq!(seen_by(&mut idle), left, "{what}: after a checkpoint");
            idle.kill9();
            reading.kill9();
            // A commit that was whole in the log, but not published, comes
            // to light now; one that was seen does not go away.
            let recovered = checksum(&db);
            assert!(self.age(&recovered, &what) >= age, "{what}: older after a recovery");
            self.check_end(&db, &what);
        } else {
            self.check_end(&db, &what);
            assert_eq!(seen_by(&mut idle), self.new_state(), "{what}: with the old wal-index");
            idle.run("PRAGMA wal_checkpoint(TRUNCATE)");
            assert_eq!(seen_by(&mut reading), self.new_state(), "{what}: after a checkpoint");
        }
    }

    /// A plain shell makes every kind of checkpoint while the change stands
    /// still at a place, where some or all of the locks are held, or none.
    fn check_point_at(&self, place: &str, passage: u32) {
        let what = format!("{}, a checkpoint at {place}:{passage}", self.name);
        let folder = tempfile::tempdir().expect("a folder");
        let db = self.copy(folder.path());
        let mut child =
            start(&db, &self.script, "REPLICA_FAULT", &format!("stop {place}:{passage}"));
        let stat = format!("/proc/{}/stat", child.id());
        let state = || {
            let stat = std::fs::read_to_string(&stat).unwrap_or_default();
            stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().next()?.chars().next())
        };
        let since = Instant::now();
        while state() != Some('T') {
            assert!(since.elapsed() < Duration::from_secs(60), "{what}: it does not stop");
            let is_over = child.try_wait().expect("a child").is_some();
            assert!(!is_over, "{what}: was not passed");
            std::thread::sleep(Duration::from_millis(2));
        }
        let mut plain = Shell::plain(&db);
        // While the two copies of the index's header differ, or the log begins
        // anew, whoever comes has to wait; and a first sync that puts the file
        // into WAL mode is alone.
        let shm = std::fs::read(format!("{}-shm", db.display())).unwrap_or_default();
        let is_whole = shm.len() > 96 && shm[..48] == shm[48..96];
        let begins_anew = self.name == "sync that restarts the log"
            && [Step::RestartBackfillForgotten.name(), STORE].contains(&place);
        if is_whole && !begins_anew && self.name != "first sync" {
            for mode in ["PASSIVE", "FULL", "RESTART", "TRUNCATE", "PASSIVE"] {
                // Whether it is refused, and how far it gets, is SQLite's affair.
                plain.ask(&format!("PRAGMA wal_checkpoint({mode})"));
                self.age(&seen_by(&mut plain), &format!("{what} ({mode})"));
            }
        }
        let go_on = Command::new("kill").args(["-CONT", &child.id().to_string()]).status();
        assert!(go_on.expect("kill").success());
        assert_eq!(ended(child), None, "{what}");
        assert_eq!(seen_by(&mut plain), self.new_state(), "{what}");
        plain.run("PRAGMA wal_checkpoint(TRUNCATE)");
        self.check_end(&db, &what);
    }

    /// The next attach and sync end at what the primary has.
    fn check_end(&self, db: &Path, what: &str) {
        let mut shell = Shell::loaded(db);
        let attach = format!(
            "SELECT replica_attach({}, NULL, '{{\"new_primary\": true, \"first_sync\": false}}')",
            quoted(&self.url)
        );
        let answer = shell.ask(&attach);
        if answer.contains("holds data and is not a replica") {
            assert!(self.name == "promote", "{what}: {answer}");
            drop(shell);
            sql(db, "PRAGMA user_version = 7; CREATE TABLE mine(x); DROP TABLE mine;");
            return;
        }
        // The position is that of what is there.
        let frame_no: Option<u64> = shell.run("SELECT frame_no FROM replica_status").parse().ok();
        let found = State { frame_no, contents: seen_by(&mut shell) };
        assert!(self.states.contains(&found), "{what}: {found:?} is none of {:?}", self.states);
        let synced = shell.ask(r#"SELECT replica_sync('{"on_reset":"replace"}')"#);
        assert!(synced.starts_with('{'), "{what}: {answer} {synced}");
        assert_eq!(seen_by(&mut shell), self.new_state(), "{what}: {synced}");
        assert_eq!(shell.run("PRAGMA integrity_check"), "ok", "{what}");
        let again = shell.sync();
        assert_eq!(again["pages_written"], 0, "{what}: {again}");
    }
}

/// What comes after a kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Next {
    /// A checkpoint, then everybody else dies too.
    Recovery,
    /// A sync, while others keep the shared memory alive.
    Sync,
}

/// Runs a script that may be killed; the signal that ended it.
fn run(db: &Path, script: &str, variable: &str, value: &str) -> Option<i32> {
    ended(start(db, script, variable, value))
}

fn start(db: &Path, script: &str, variable: &str, value: &str) -> Child {
    let mut child = Command::new("sqlite3")
        .args(["-batch", "-init", "/dev/null"])
        .arg(db)
        .env(variable, value)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the sqlite3 shell starts");
    let script = format!(".load {}\n{script}", extension().display());
    // A shell that has died reads no more.
    let _ = std::io::Write::write_all(&mut child.stdin.take().expect("piped"), script.as_bytes());
    child
}

fn ended(child: Child) -> Option<i32> {
    let output = child.wait_with_output().expect("a child");
    let signal = output.status.signal();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(signal.is_some() || errors.is_empty(), "{errors}");
    signal
}

fn copy_replica(from: &Path, to: &Path) {
    for name in files(from) {
        // The wal-index is memory, not a file that survives its processes.
        if !name.ends_with("-shm") {
            std::fs::copy(from.join(&name), to.join(&name)).expect("a copy");
        }
    }
}

/// Contents and schema as one text.
const CHECKSUM: &str = ".sha3sum --schema";

fn checksum(db: &Path) -> String {
    sql(db, &format!("{CHECKSUM}\n.sha3sum\nPRAGMA integrity_check;\n"))
}

fn seen_by(shell: &mut Shell) -> String {
    let schema = shell.run(CHECKSUM);
    let rows = shell.run(".sha3sum");
    let sound = shell.run("PRAGMA integrity_check");
    // The shell prints an empty line where there are no rows to sum up.
    [schema, rows, sound].into_iter().filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

/// The replica as it is now, with a log that has not been copied.
fn snapshot(db: &Path, folder: &Path, name: &str) -> PathBuf {
    let to = folder.join(name);
    std::fs::create_dir(&to).expect("a folder");
    copy_replica(db.parent().expect("a folder"), &to);
    to
}

/// A primary with `kind` of tables in it, and replicas of it at several ages.
struct Stage {
    _primaries: Vec<Sqld>,
    _folder: TempDir,
    scenarios: Vec<Scenario>,
}

const SYNC: &str = "SELECT replica_sync();";

fn stage() -> Stage {
    let folder = tempfile::tempdir().expect("a folder");
    let (_live_folder, live) = empty_place();
    let sqld = Sqld::start();
    sqld.execute(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, v, b); CREATE INDEX i ON t(v);
         WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 300)
         INSERT INTO t SELECT n, n * 7 % 13, randomblob(600) FROM c",
    );
    let mut shell = Shell::attached(&live, &sqld.url());
    let first = recorded(&live, &sqld);
    let grown = snapshot(&live, folder.path(), "before growth");
    sqld.transaction(
        "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 200)
         INSERT INTO t(v, b) SELECT n * 5 % 11, randomblob(900) FROM c; CREATE TABLE u(x)",
    );
    shell.sync();
    let second = recorded(&live, &sqld);
    let shrunk = snapshot(&live, folder.path(), "before a small change");
    sqld.execute("UPDATE t SET v = v + 1 WHERE id % 50 = 0");
    shell.sync();
    let last = snapshot(&live, folder.path(), "at the end");
    let new = recorded(&live, &sqld);

    let other = Sqld::start();
    other.execute(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, v, b, extra);
         WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 900)
         INSERT INTO t SELECT n, n * 3 % 17, randomblob(500), 'x' FROM c; DELETE FROM t WHERE id < 99",
    );
    let (_other_folder, other_db) = empty_place();
    Shell::attached(&other_db, &other.url()).close();
    let after_reset = recorded(&other_db, &other);
    let blank = Sqld::start();

    let nothing = folder.path().join("nothing");
    std::fs::create_dir(&nothing).expect("a folder");
    let (url, other_url, blank_url) = (sqld.url(), other.url(), blank.url());
    let restart = format!("PRAGMA wal_checkpoint;\n{SYNC}");
    let replace = "SELECT replica_sync('{\"on_reset\":\"replace\"}');";
    let empty = State { frame_no: None, contents: checksum(&folder.path().join("no.db")) };
    let scenarios = vec![
        Scenario::new("first sync", &nothing, &url, &[&empty, &new], ""),
        Scenario::new("sync that grows the file", &grown, &url, &[&first, &second, &new], SYNC),
        Scenario::new("sync of a small change", &shrunk, &url, &[&second, &new], SYNC),
        Scenario::new("sync that restarts the log", &shrunk, &url, &[&second, &new], &restart),
        Scenario::new("reset", &last, &other_url, &[&new, &after_reset], SYNC),
        Scenario::new("reset to nothing", &last, &blank_url, &[&new, &empty], replace),
        Scenario::new("promote", &last, &url, &[&new], "SELECT replica_promote();"),
    ];
    Stage { _primaries: vec![sqld, other, blank], _folder: folder, scenarios }
}

/// A pull that does not fit the buffer: pages are written, and written again,
/// before the commit comes; the log grows so long that it is cut.
fn large_stage() -> Stage {
    let folder = tempfile::tempdir().expect("a folder");
    let (_live_folder, live) = empty_place();
    let sqld = Sqld::start();
    sqld.execute(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, v, b);
         WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 5000)
         INSERT INTO t SELECT n, 0, zeroblob(3000) FROM c",
    );
    Shell::attached(&live, &sqld.url()).close();
    let old = recorded(&live, &sqld);
    let before = snapshot(&live, folder.path(), "before");
    sqld.transaction("UPDATE t SET v = v + 1; UPDATE t SET v = v + 1 WHERE id < 300");
    let mut shell = Shell::attached(&live, &sqld.url());
    shell.sync();
    let between = recorded(&live, &sqld);
    sqld.execute("UPDATE t SET v = v + 3 WHERE id < 200");
    shell.sync();
    let new = recorded(&live, &sqld);
    let url = sqld.url();
    let scenarios = vec![Scenario::new("large sync", &before, &url, &[&old, &between, &new], SYNC)];
    Stage { _primaries: vec![sqld], _folder: folder, scenarios }
}

/// Kills at every place of each scenario; `passages` says at which of how many.
fn kill_everywhere(
    stage: &Stage,
    passages: impl Fn(&str, u32) -> Vec<(u32, Next)>,
) -> (BTreeSet<String>, u32) {
    let (mut places, mut kills) = (BTreeSet::new(), 0);
    for scenario in &stage.scenarios {
        for (place, count) in scenario.places() {
            for (passage, next) in BTreeSet::from_iter(passages(&place, count)) {
                scenario.kill_at(&place, passage, next);
                kills += 1;
            }
            places.insert(place);
        }
    }
    (places, kills)
}

/// All names in the source.
/// But for those of a queued write: `outbox/deaths.rs` dies at these.
fn all_places() -> BTreeSet<String> {
    let mut places = BTreeSet::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a readable folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(path).expect("text");
            let call = "fault::point(\"";
            for (at, _) in text.match_indices(call) {
                let name = text[at + call.len()..].split('"').next().expect("a name");
                places.insert(name.to_owned());
            }
        }
    }
    places.retain(|place| !place.starts_with("outbox"));
    places.extend(Step::ALL.map(|step| step.name().to_owned()));
    places
}

/// A store into the shared memory.
const STORE: &str = "wal-index stored";

#[test]
#[ignore = "make soak runs it"]
fn a_kill_at_each_store_into_the_shared_memory_leaves_the_state_before_or_after() {
    let mut kills = 0;
    for scenario in &stage().scenarios {
        let count = scenario.places().get(STORE).copied().unwrap_or(0);
        for passage in 1..=count {
            for next in [Next::Recovery, Next::Sync] {
                scenario.kill_at(STORE, passage, next);
                kills += 1;
            }
        }
        println!("{}: {count} stores", scenario.name);
    }
    println!("{kills} kills at stores");
}

#[test]
fn a_kill_at_any_step_leaves_the_state_before_or_after() {
    let small = |place: &str, count| {
        let (recovery, sync) = (Next::Recovery, Next::Sync);
        if place == STORE {
            // One by one it is the long form.
            let some = (1..=count).step_by(count as usize / 8 + 1);
            return some
                .map(|passage| (passage, if passage % 2 == 0 { sync } else { recovery }))
                .collect();
        }
        vec![(1, recovery), (1, sync), (count / 2 + 1, recovery), (count, sync)]
    };
    let (mut places, mut kills) = kill_everywhere(&stage(), small);
    let (large, more) = kill_everywhere(&large_stage(), |_, count| {
        vec![(1, Next::Sync), (count / 2 + 1, Next::Recovery)]
    });
    places.extend(large);
    kills += more;
    println!("{kills} kills at {} places", places.len());
    // The one is passed only after an error, the other after a kill inside of
    // SQLite: `wal/commit_tests.rs` dies at both.
    places.extend([Step::UndoneFileCut, Step::BackfillMended].map(|step| step.name().to_owned()));
    assert_eq!(places, all_places(), "each place is passed by some scenario");
}

/// At how many places of the scenarios that are asked for.
fn check_point_everywhere(stage: &Stage, asked: impl Fn(&str) -> bool, most: u32) -> u32 {
    let mut done = 0;
    for scenario in stage.scenarios.iter().filter(|scenario| asked(scenario.name)) {
        for (place, count) in scenario.places() {
            for passage in (1..=count).step_by((count / most + 1) as usize) {
                scenario.check_point_at(&place, passage);
                done += 1;
            }
        }
    }
    println!("{done} stops for checkpoints");
    done
}

#[test]
fn checkpoints_of_others_between_any_two_steps_do_no_harm() {
    let asked = |name: &str| name.contains("grows") || name.contains("restarts");
    assert!(check_point_everywhere(&stage(), asked, 1) > 20);
}

#[test]
#[ignore = "make soak runs it"]
fn checkpoints_of_others_at_many_passages_of_each_step_do_no_harm() {
    check_point_everywhere(&stage(), |_| true, 12);
    check_point_everywhere(&large_stage(), |_| true, 3);
}
