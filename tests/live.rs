//! Live replicas: changes arrive by themselves, the worker comes and goes with
//! its connection, every wait has an end.

mod common;

use std::io::Read as _;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::*;

/// A primary with a table `t`, and a shell attached to it with these options.
fn replica_with(options: &str) -> (Sqld, TempDir, PathBuf, Shell) {
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
    let (folder, db) = empty_place();
    let mut shell = Shell::loaded(&db);
    attach(&mut shell, &sqld.url(), options);
    (sqld, folder, db, shell)
}

fn attach(shell: &mut Shell, url: &str, options: &str) {
    shell.json(&format!("SELECT replica_attach('{url}', NULL, '{options}')"));
}

/// Asks `question` until the answer is `expected`; the time it took.
fn becomes(shell: &mut Shell, question: &str, expected: &str, within: Duration) -> Duration {
    let started = Instant::now();
    loop {
        let answer = shell.run(question);
        if answer == expected {
            return started.elapsed();
        }
        assert!(started.elapsed() < within, "{question}: {answer}, not {expected}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

const STATE: &str = "SELECT state FROM replica_status";
const COUNT: &str = "SELECT count(*) FROM t";
const SOON: Duration = Duration::from_secs(5);

#[test]
fn a_commit_reaches_a_plain_shell_of_another_process_by_itself() {
    if memory::cannot_do("no other process has it") {
        return;
    }
    let (sqld, _folder, db, mut shell) = replica_with(r#"{"live": true}"#);
    becomes(&mut shell, STATE, "live", SOON);
    let mut other = Shell::plain(&db);
    for count in 1..=20 {
        sqld.execute("INSERT INTO t(x) VALUES ('new')");
        becomes(&mut other, COUNT, &count.to_string(), SOON);
    }
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn several_waiting_commits_and_a_large_one_all_arrive() {
    let (sqld, _folder, db, mut shell) = replica_with(r#"{"live": true}"#);
    becomes(&mut shell, STATE, "live", SOON);
    for _ in 0..100 {
        sqld.execute("INSERT INTO t(x) VALUES (1)");
    }
    sqld.execute("INSERT INTO t(x) SELECT randomblob(2000000) FROM t LIMIT 10");
    becomes(&mut shell, COUNT, "110", Duration::from_secs(20));
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn an_interval_pulls_by_itself_and_leaves_out_what_a_sync_has_done() {
    let (sqld, _folder, _db, mut shell) = replica_with(r#"{"sync_interval": 0.2}"#);
    sqld.execute("INSERT INTO t(x) VALUES (1)");
    becomes(&mut shell, COUNT, "1", SOON);
    becomes(&mut shell, STATE, "idle", SOON);
    let syncs = |shell: &mut Shell| shell.run("SELECT syncs FROM replica_status").parse::<u64>();
    let before = syncs(&mut shell).unwrap();
    let until = Instant::now() + Duration::from_millis(600);
    let mut mine = 0;
    while Instant::now() < until {
        shell.sync();
        mine += 1;
        std::thread::sleep(Duration::from_millis(20));
    }
    let by_the_worker = syncs(&mut shell).unwrap() - before - mine;
    assert!(by_the_worker <= 1, "{by_the_worker} beside {mine}");
}

#[test]
fn a_live_write_is_readable_when_it_returns() {
    let (sqld, _folder, db, mut shell) = replica_with(r#"{"live": true}"#);
    for i in 1..=50 {
        let written =
            shell.json(&format!("SELECT replica_write('INSERT INTO t(x) VALUES (?)', {i})"));
        assert_eq!(written["synced"], true, "{written}");
        assert_eq!(shell.run("SELECT max(x) FROM t"), i.to_string());
    }
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn a_restarted_or_crashed_primary_is_followed_again() {
    let (mut sqld, _folder, db, mut shell) = replica_with(r#"{"live": true}"#);
    becomes(&mut shell, STATE, "live", SOON);
    sqld.stop();
    becomes(&mut shell, STATE, "reconnecting", SOON);
    assert!(shell.run("SELECT last_error FROM replica_status").contains("primary at"), "visible");
    assert_eq!(shell.run(COUNT), "0", "reads go on");
    sqld.resume();
    sqld.execute("INSERT INTO t(x) VALUES (1)");
    becomes(&mut shell, COUNT, "1", Duration::from_secs(15));

    sqld.kill9();
    sqld.resume();
    sqld.execute("INSERT INTO t(x) VALUES (2)");
    becomes(&mut shell, COUNT, "2", Duration::from_secs(15));
    becomes(&mut shell, STATE, "live", Duration::from_secs(15));
    assert_eq!(shell.run("SELECT last_error FROM replica_status"), "");
    assert_replica_equals_primary(&db, &sqld);
}

/// Simulated: a link that goes silent without closing, as a pulled cable or a
/// firewall does. A relay on loopback stops passing bytes on.
#[test]
fn a_connection_that_went_silent_is_noticed() {
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
    let relay = Relay::to(sqld.address());
    let (_folder, db) = empty_place();
    let mut shell = Shell::loaded(&db);
    attach(&mut shell, &relay.url(), r#"{"live": true, "timeout": 1}"#);
    becomes(&mut shell, STATE, "live", SOON);
    relay.freeze();
    sqld.execute("INSERT INTO t(x) VALUES (1)");
    becomes(&mut shell, STATE, "reconnecting", Duration::from_secs(10));
    relay.thaw();
    becomes(&mut shell, COUNT, "1", Duration::from_secs(15));
}

#[test]
fn detach_and_quit_do_not_wait_for_the_network() {
    // Simulated: a primary that takes connections and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    for options in
        [r#"{"live": true, "first_sync": false}"#, r#"{"sync_interval": 0.1, "first_sync": false}"#]
    {
        let (_folder, db) = empty_place();
        let mut shell = Shell::loaded(&db);
        attach(&mut shell, &url, options);
        std::thread::sleep(Duration::from_millis(300));
        let started = Instant::now();
        assert_eq!(shell.run("SELECT replica_detach()"), "1");
        assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());

        attach(&mut shell, &url, options);
        std::thread::sleep(Duration::from_millis(300));
        let started = Instant::now();
        shell.close();
        assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    }
}

#[test]
fn a_live_replica_says_nothing_on_stdout_or_stderr() {
    let (mut sqld, _folder, db, shell) = replica_with("{}");
    shell.close();
    sqld.stop();
    let script = format!(
        "{}SELECT replica_attach('{}', NULL, '{{\"live\": true}}') IS NOT NULL;\n.shell sleep 0.5\n",
        common::shell::load(),
        sqld.url()
    );
    let output = common::shell(&db, &script);
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("1\n", ""));
}

#[test]
fn waiting_ends_when_another_process_has_brought_the_frame() {
    if memory::cannot_do("no other process has it") {
        return;
    }
    let (sqld, _folder, db, mut live) = replica_with(r#"{"live": true}"#);
    becomes(&mut live, STATE, "live", SOON);
    let mut other = Shell::loaded(&db);
    attach(&mut other, &sqld.url(), "{}");
    sqld.execute("INSERT INTO t(x) VALUES (1)");
    let frame = sqld.frame_no();
    assert_eq!(other.run(&format!("SELECT replica_wait({frame}, 5)")), frame.to_string());
    assert_eq!(other.run(COUNT), "1");
}

#[test]
fn a_wait_that_is_not_fulfilled_names_both_frames() {
    let (sqld, _folder, _db, mut shell) = replica_with("{}");
    let frame = sqld.frame_no();
    let error = shell.error("SELECT replica_wait(1000, 0.2)");
    assert!(
        error.contains(&format!(
            "replica_wait: frame 1000 did not arrive within 0.2 s: the file is at frame {frame}; \
             sync it, or wait longer"
        )),
        "{error}"
    );
}

#[test]
fn the_progress_of_a_sync_comes_in_rows() {
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
    sqld.execute(
        "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 40) \
         INSERT INTO t(x) SELECT randomblob(1000000) FROM c",
    );
    let (_folder, db) = empty_place();
    let mut shell = Shell::loaded(&db);
    attach(&mut shell, &sqld.url(), r#"{"first_sync": false}"#);
    let rows = shell.run("SELECT phase, frames_done, percent FROM replica_sync_progress");
    let rows: Vec<&str> = rows.lines().collect();
    // How many come in between is a matter of time: one each 50 ms.
    assert!(rows.len() >= 2 && rows[0].starts_with("pull|"), "{rows:?}");
    let last = rows.last().unwrap();
    assert!(last.starts_with("done|") && last.ends_with("|100.0"), "{last}");
    assert_replica_equals_primary(&db, &sqld);

    let first = shell.run("SELECT phase FROM replica_sync_progress LIMIT 1");
    assert_eq!(first, "done", "nothing to do");
}

#[test]
fn live_and_an_interval_exclude_each_other() {
    let (_sqld, _folder, _db, mut shell) = replica_with("{}");
    let error = shell.error(
        r#"SELECT replica_attach('http://127.0.0.1:1', NULL, '{"live": 1, "sync_interval": 1}')"#,
    );
    assert!(error.contains("replica_attach: "), "{error}");
}

/// Interrupts, forks and exits need a host with threads and processes.
#[test]
fn interrupts_forks_and_exits_leave_host_and_replica_in_order() {
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
    sqld.execute(
        "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 60) \
         INSERT INTO t(x) SELECT randomblob(1000000) FROM c",
    );
    let (folder, _) = empty_place();
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/live.py");
    let output = std::process::Command::new(tool("PYTHON", "venv/bin/python"))
        .args([program, &sqld.url(), extension().to_str().unwrap()])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.is_empty(), "{stderr}");
    assert_replica_equals_primary(&folder.path().join("interrupt.db"), &sqld);
}

/// Passes bytes between a replica and its primary, until it is told to stop.
struct Relay {
    address: std::net::SocketAddr,
    frozen: Arc<AtomicBool>,
}

impl Relay {
    fn to(primary: std::net::SocketAddr) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let frozen = Arc::new(AtomicBool::new(false));
        let gate = frozen.clone();
        spawn(move || {
            for client in listener.incoming() {
                let (client, server) = (client.unwrap(), TcpStream::connect(primary).unwrap());
                let back = (server.try_clone().unwrap(), client.try_clone().unwrap());
                let (one, other) = (gate.clone(), gate.clone());
                spawn(move || pass(client, server, &one));
                spawn(move || pass(back.0, back.1, &other));
            }
        });
        Relay { address, frozen }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn freeze(&self) {
        self.frozen.store(true, Ordering::Relaxed);
    }

    fn thaw(&self) {
        self.frozen.store(false, Ordering::Relaxed);
    }
}

/// A connection that has lived through a freeze stays silent for ever.
fn pass(mut from: TcpStream, mut to: TcpStream, frozen: &AtomicBool) {
    let mut buffer = [0; 65536];
    let mut lost = frozen.load(Ordering::Relaxed);
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        lost |= frozen.load(Ordering::Relaxed);
        if !lost && std::io::Write::write_all(&mut to, &buffer[..read]).is_err() {
            break;
        }
    }
    if !lost {
        let _ = to.shutdown(Shutdown::Both);
    }
}

#[allow(clippy::disallowed_methods, reason = "the test's own threads")]
fn spawn(body: impl FnOnce() + Send + 'static) {
    std::thread::spawn(body);
}
