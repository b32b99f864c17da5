//! Writes that were queued without a network take effect on the primary once
//! and in order, or are kept, wherever the network, the primary or a process
//! dies: after each story the primary's table is compared row by row with what
//! was queued.

#[path = "../common/mod.rs"]
mod common;
mod deaths;
mod histories;
mod offline_writes;

use std::path::{Path, PathBuf};

use common::net::free_address;
use common::proxy::{Cut, LOSSES, Proxy};
use common::*;
use serde_json::{Value, json};

/// In each request that the proxy is to cut.
const MARKER: &str = "marked";

const TABLE: &str = "CREATE TABLE t(id INTEGER PRIMARY KEY, v)";

struct Place<S: Server> {
    server: S,
    proxy: Proxy,
    shell: Shell,
    db: PathBuf,
    folder: TempDir,
    options: Value,
    /// What was queued so far, in order.
    queued: Vec<String>,
}

impl<S: Server> Place<S> {
    fn behind(server: S, options: Value) -> Place<S> {
        server.execute(TABLE);
        let address = server.url()["http://".len()..].parse().expect("an address");
        let proxy = Proxy::start(address, MARKER);
        let (folder, db) = empty_place();
        let mut shell = Shell::loaded(&db);
        shell.run(&attach(&proxy.url(), &options));
        Place { server, proxy, shell, db, folder, options, queued: Vec::new() }
    }

    fn another(&self) -> Shell {
        let mut shell = Shell::loaded(&self.db);
        shell.run(&attach(&self.proxy.url(), &self.options));
        shell
    }

    fn outbox(&self) -> PathBuf {
        outbox_of(&self.db)
    }

    fn enqueue(&mut self) {
        let name = format!("marked {}", self.queued.len() + 1);
        let queued = self.shell.json(&enqueue(&name));
        assert_eq!(queued["number"].as_u64(), Some(self.queued.len() as u64 + 1), "{queued}");
        self.queued.push(name);
    }

    fn rows(&self) -> Vec<String> {
        self.server.column("SELECT v FROM t ORDER BY id")
    }

    /// Everything that was queued is on the primary, once and in order.
    fn assert_arrived(&self, what: &str) {
        assert_eq!(self.rows(), self.queued, "{what}");
    }

    fn states(&mut self) -> String {
        self.shell.run("SELECT group_concat(state, ' ') FROM replica_outbox")
    }
}

fn attach(url: &str, options: &Value) -> String {
    format!("SELECT replica_attach({}, NULL, {})", quoted(url), quoted(options))
}

fn enqueue(name: &str) -> String {
    format!("SELECT replica_enqueue('INSERT INTO t(v) VALUES (?)', {})", quoted(name))
}

fn outbox_of(db: &Path) -> PathBuf {
    PathBuf::from(format!("{}-outbox", db.display()))
}

fn on_sqld(options: Value) -> Place<Sqld> {
    Place::behind(Sqld::start(), options)
}

#[test]
fn what_was_queued_without_a_primary_survives_kill_9_and_arrives_in_order() {
    let mut place = on_sqld(json!({}));
    place.server.stop();
    for _ in 0..5 {
        place.enqueue();
    }
    std::mem::replace(&mut place.shell, Shell::plain(&place.db)).kill9();
    place.shell = place.another();
    place.enqueue();
    let error = place.shell.error("SELECT replica_sync()");
    assert!(error.contains("primary"), "{error}");
    assert_eq!(place.shell.run("SELECT queued FROM replica_status"), "6");
    assert_eq!(place.shell.run("SELECT count(*) FROM t"), "0");
    let waits = "SELECT number || ' ' || sql || ' ' || args FROM replica_pending LIMIT 1";
    assert_eq!(place.shell.run(waits), r#"1 INSERT INTO t(v) VALUES (?) ["marked 1"]"#);

    place.server.resume();
    let report = place.shell.sync();
    assert_eq!((&report["delivered"], &report["waiting"]), (&json!(6), &json!(0)), "{report}");
    place.assert_arrived("after the sync");
    assert_eq!(place.shell.run("SELECT count(*) FROM t"), "6");
    assert_eq!(place.shell.run("SELECT count(*) FROM replica_pending"), "0");
    assert_replica_equals_primary(&place.db, &place.server);
}

#[test]
fn values_scripts_and_their_ids_arrive_as_they_were_queued() {
    let mut place = on_sqld(json!({}));
    let queued = place
        .shell
        .json("SELECT replica_enqueue('INSERT INTO t VALUES (?, ?)', 9007199254740993, x'00ff')");
    place.shell.run("SELECT replica_enqueue('INSERT INTO t VALUES (:id, :v)', 2, 0.1)");
    place.shell.run("SELECT replica_enqueue('INSERT INTO t VALUES (3, ?1 || ?1)', 'a''b')");
    place.shell.run(
        "SELECT replica_enqueue('INSERT INTO t VALUES (4, 1); UPDATE t SET v = 5 WHERE id = 4;')",
    );
    let id = queued["id"].as_str().expect("an id").to_owned();
    let outcome = |shell: &mut Shell| {
        shell.json(&format!("SELECT replica_outcome('{id}')"))["outcome"].clone()
    };
    assert_eq!(outcome(&mut place.shell), "queued");
    assert_eq!(place.shell.run("SELECT max(statement) FROM replica_pending"), "2");
    assert_eq!(place.shell.json("SELECT replica_deliver()")["delivered"], 4);
    assert_eq!(outcome(&mut place.shell), "committed");
    let rows = place.server.column("SELECT id || ' ' || quote(v) FROM t ORDER BY id");
    let expected = ["2 0.1", "3 'a''ba''b'", "4 5", "9007199254740993 X'00FF'"];
    assert_eq!(rows, expected);
    for (sql, part) in [
        ("BEGIN; DELETE FROM t; COMMIT", "BEGIN cannot stand here"),
        ("DELETE FROM t; DELETE FROM t WHERE id = ?", "arguments go with one statement"),
        ("", "no statement"),
        ("INSERT INTO t VALUES (?, ?)", "2"),
    ] {
        let error = place.shell.error(&format!("SELECT replica_enqueue('{sql}', 1)"));
        assert!(error.contains(part), "{sql}: {error}");
    }
}

#[test]
fn a_file_that_was_never_synced_can_queue_and_deliver_too() {
    let mut server = Sqld::start();
    server.execute(TABLE);
    server.stop();
    let (_folder, db) = empty_place();
    let mut shell = Shell::loaded(&db);
    shell.run(&attach(&server.url(), &json!({ "first_sync": false })));
    shell.run(&enqueue("first"));
    shell.close();
    let mut shell = Shell::loaded(&db);
    shell.run(&attach(&server.url(), &json!({ "first_sync": false })));
    shell.run(&enqueue("second"));
    server.resume();
    assert_eq!(shell.sync()["delivered"], 2);
    assert_eq!(server.column("SELECT v FROM t ORDER BY id"), ["first", "second"]);
    assert_replica_equals_primary(&db, &server);
}

fn every_cut_leaves_each_once<S: Server>(place: &mut Place<S>) {
    for cut in LOSSES {
        for times in [1, 2] {
            for _ in 0..3 {
                place.enqueue();
            }
            place.proxy.cut_next(cut, times);
            // An answer that is lost ends a delivery; the next one goes on.
            for call in ["SELECT replica_deliver()", "SELECT replica_sync()"].iter().cycle() {
                let output = place.shell.ask(call);
                let rows = place.rows();
                assert!(place.queued.starts_with(&rows), "{cut:?} {times}: {rows:?}\n{output}");
                if place.shell.run("SELECT queued FROM replica_status") == "0" {
                    break;
                }
            }
            place.proxy.cut(Cut::Never);
            place.assert_arrived(&format!("{cut:?} {times}"));
            // A copy that was kept on the way comes too late, whenever.
            let kept = place.proxy.release();
            assert_eq!(kept > 0, cut == Cut::Kept);
            place.assert_arrived(&format!("{cut:?} {times}, released"));
        }
    }
    place.shell.sync();
    assert_replica_equals_primary(&place.db, &place.server);
}

#[test]
fn wherever_a_request_or_an_answer_is_lost_each_entry_arrives_once_and_in_order() {
    every_cut_leaves_each_once(&mut on_sqld(json!({})));
}

#[test]
fn the_same_holds_for_turso() {
    let Some(turso) = Turso::start() else { return };
    every_cut_leaves_each_once(&mut Place::behind(turso, json!({})));
}

#[test]
fn what_the_primary_refuses_is_set_aside_and_can_be_tried_again_or_discarded() {
    let mut place = on_sqld(json!({}));
    place.server.execute("INSERT INTO t VALUES (7, 'there')");
    for sql in [
        "INSERT INTO t VALUES (1, ''a'')",
        "INSERT INTO t VALUES (7, ''b'')",
        "INSERT INTO t(gone) VALUES (''c'')",
        "INSERT INTO t VALUES (8, ''d''); INSERT INTO t VALUES (7, ''e'')",
        "INSERT INTO t VALUES (9, ''f'')",
    ] {
        place.shell.run(&format!("SELECT replica_enqueue('{sql}')"));
    }
    let report = place.shell.sync();
    assert_eq!((&report["delivered"], &report["set_aside"]), (&json!(2), &json!(3)), "{report}");
    assert_eq!(place.states(), "delivered set_aside set_aside set_aside delivered");
    assert_eq!(place.rows(), ["a", "there", "f"]);
    let errors = place.shell.run("SELECT error FROM replica_outbox WHERE state = 'set_aside'");
    let errors: Vec<&str> = errors.lines().collect();
    assert!(errors[0].contains("UNIQUE constraint failed: t.id"), "{errors:?}");
    assert!(errors[1].contains("gone"), "{errors:?}");
    assert!(errors[2].starts_with("statement 2 of 2"), "{errors:?}");
    assert_eq!(place.shell.run("SELECT set_aside, queued FROM replica_status"), "3|0");

    // What was in the way is gone: again, at its old place.
    place.server.execute("DELETE FROM t WHERE id = 7");
    let again = place.shell.json("SELECT replica_retry(2)");
    assert_eq!(again["number"], 2);
    assert_eq!(place.shell.run("SELECT replica_discard(3)"), "discarded");
    assert_eq!(place.shell.sync()["delivered"], 1);
    assert_eq!(place.states(), "delivered delivered discarded set_aside delivered");
    assert_eq!(place.rows(), ["a", "b", "f"]);
    for (call, part) in [
        ("replica_retry(2)", "entry 2 is delivered"),
        ("replica_retry(3)", "entry 3 is discarded"),
        ("replica_discard(1)", "nothing left to discard"),
        ("replica_discard(99)", "there is no entry 99"),
        ("replica_retry('x')", "number must be the number of an entry"),
    ] {
        let error = place.shell.error(&format!("SELECT {call}"));
        assert!(error.contains(part), "{call}: {error}");
    }
    assert_replica_equals_primary(&place.db, &place.server);
}

#[test]
fn with_stop_those_behind_a_refused_one_wait_until_somebody_decides() {
    let mut place = on_sqld(json!({ "on_conflict": "stop" }));
    place.server.execute("INSERT INTO t VALUES (7, 'there')");
    for id in [7, 8] {
        place.shell.run(&format!("SELECT replica_enqueue('INSERT INTO t VALUES ({id}, 1)')"));
    }
    for _ in 0..2 {
        let report = place.shell.sync();
        assert_eq!((&report["delivered"], &report["waiting"]), (&json!(0), &json!(1)), "{report}");
        let why = report["stopped"].as_str().expect("a reason");
        assert!(why.contains("call replica_retry(1) or replica_discard(1)"), "{why}");
    }
    place.shell.run("SELECT replica_discard(1)");
    assert_eq!(place.shell.sync()["delivered"], 1);
    assert_eq!(place.rows(), ["there", "1"]);
}

/// An entry that was refused must not take effect later, by a copy that
/// somebody on the way has kept, when nothing is in its way any more.
#[test]
fn a_late_copy_of_what_was_set_aside_or_discarded_comes_to_nothing() {
    let mut place = on_sqld(json!({}));
    place.server.execute("INSERT INTO t VALUES (7, 'there')");
    place.shell.run("SELECT replica_enqueue('INSERT INTO t VALUES (7, ''marked'')')");
    place.proxy.cut_next(Cut::Kept, 1);
    place.shell.ask("SELECT replica_deliver()");
    place.shell.sync();
    assert_eq!(place.states(), "set_aside");
    place.server.execute("DELETE FROM t");
    assert_eq!(place.proxy.release(), 1);
    assert_eq!(place.rows(), [""; 0]);

    // Discarded while it is under way: the primary is asked, and takes no copy.
    place.enqueue_named("marked by hand");
    place.proxy.cut_next(Cut::Kept, 2);
    place.shell.ask("SELECT replica_deliver()");
    assert_eq!(place.states(), "set_aside sent");
    assert_eq!(place.shell.run("SELECT replica_discard(2)"), "discarded");
    assert_eq!(place.proxy.release(), 2);
    assert_eq!(place.rows(), [""; 0]);

    // It had arrived: there is nothing left to discard.
    place.enqueue_named("marked once more");
    place.proxy.cut_next(Cut::AfterRequest, 2);
    place.shell.ask("SELECT replica_deliver()");
    assert_eq!(place.shell.run("SELECT replica_discard(3)"), "delivered");
    assert_eq!(place.states(), "set_aside discarded delivered");
    assert_eq!(place.rows(), ["marked once more"]);

    // And while the primary is away, nobody can know.
    place.enqueue_named("marked at last");
    place.proxy.cut_next(Cut::AfterRequest, 2);
    place.shell.ask("SELECT replica_deliver()");
    place.server.stop();
    let error = place.shell.error("SELECT replica_discard(4)");
    assert!(error.contains("entry 4 may be under way"), "{error}");
    place.server.resume();
    place.shell.sync();
    assert_eq!(place.rows(), ["marked once more", "marked at last"]);
}

impl<S: Server> Place<S> {
    fn enqueue_named(&mut self, name: &str) {
        self.shell.run(&enqueue(name));
    }
}

#[test]
fn a_file_of_that_name_that_is_not_ours_is_left_alone() {
    let mut place = on_sqld(json!({}));
    let path = place.outbox();
    sql(&path, "CREATE TABLE mine(a); INSERT INTO mine VALUES (1);\n");
    let bytes = std::fs::read(&path).expect("a file");
    for call in [enqueue("x"), "SELECT replica_deliver()".to_owned()] {
        let error = place.shell.error(&call);
        assert!(error.contains("is not a replica's outbox and was left alone"), "{error}");
    }
    assert!(place.shell.sync()["delivery_error"].is_string());
    assert_eq!(
        place.shell.run("SELECT coalesce(queued, 'nobody knows') FROM replica_status"),
        "nobody knows"
    );
    std::fs::write(&path, "a letter to my aunt, and longer than a header of SQLite's is".repeat(9))
        .expect("a file");
    assert!(place.shell.error(&enqueue("x")).contains("was left alone"));
    std::fs::write(&path, &bytes).expect("a file");
    // A link leads to somebody's file.
    let elsewhere = place.folder.path().join("elsewhere");
    std::fs::rename(&path, &elsewhere).expect("renamed");
    std::os::unix::fs::symlink(&elsewhere, &path).expect("a link");
    place.shell.error(&enqueue("x"));
    assert_eq!(std::fs::read(&elsewhere).expect("a file"), bytes);
    std::fs::remove_file(&path).expect("removed");
    // And an empty one is nobody's.
    std::fs::write(&path, "").expect("a file");
    place.shell.run(&enqueue("x"));
    assert_eq!(place.shell.sync()["delivered"], 1);
}

#[test]
fn the_outbox_may_be_read_by_those_who_may_read_the_database() {
    use std::os::unix::fs::PermissionsExt as _;
    let (_folder, db) = empty_place();
    std::fs::write(&db, "").expect("a file");
    std::fs::set_permissions(&db, std::fs::Permissions::from_mode(0o600)).expect("its owner");
    let mut shell = Shell::loaded(&db);
    let nobody = format!("http://{}", free_address());
    shell.run(&attach(&nobody, &json!({ "first_sync": false })));
    shell.run(&enqueue("x"));
    let mode = std::fs::metadata(outbox_of(&db)).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn an_outbox_that_a_stranger_has_put_there_is_not_delivered() {
    let mut place = on_sqld(json!({}));
    place.enqueue();
    if std::os::unix::fs::chown(place.outbox(), Some(54321), None).is_err() {
        println!("skipped: only root can give a file away");
        return;
    }
    let error = place.shell.error("SELECT replica_deliver()");
    assert!(error.contains("belongs to a user who may not write the database"), "{error}");
    assert!(place.shell.sync()["delivery_error"].is_string());
    assert_eq!(place.rows(), [""; 0]);
    // Who may write the database may queue for it, too.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    std::fs::set_permissions(&place.db, mode).expect("its owner");
    assert_eq!(place.shell.sync()["delivered"], 1);
}

#[test]
fn who_may_not_write_neither_queues_nor_delivers() {
    let mut place = on_sqld(json!({}));
    place.enqueue();
    for prepare in ["", "PRAGMA query_only=1", "SELECT replica_lock('writes')"] {
        let writes = json!({ "writes": !prepare.is_empty() });
        let mut other = Shell::loaded(&place.db);
        other.run(&attach(&place.proxy.url(), &writes));
        if prepare.is_empty() {
            assert_eq!(place.rows(), [""; 0]);
        }
        let before = place.rows();
        place.enqueue();
        other.run(prepare);
        for call in [enqueue("x").as_str(), "SELECT replica_deliver()", "SELECT replica_discard(1)"]
        {
            other.error(call);
        }
        assert_eq!(other.sync()["delivered"], Value::Null, "{prepare}");
        assert_eq!(place.rows(), before, "{prepare}");
        // It may look.
        assert_ne!(other.run("SELECT count(*) FROM replica_pending"), "0");
    }
    place.shell.sync();
    place.assert_arrived("by who may");
}

#[test]
fn a_sync_that_is_watched_leaves_the_queue_to_others_where_one_only_reads() {
    let mut place = on_sqld(json!({}));
    place.enqueue();
    place.shell.run("PRAGMA query_only=1");
    let done = "SELECT count(*) FROM replica_sync_progress WHERE phase = 'done'";
    assert_eq!(place.shell.run(done), "1");
    assert_eq!(place.rows(), [""; 0]);
    place.shell.run("PRAGMA query_only=0");
    assert_eq!(place.shell.run(done), "1");
    place.assert_arrived("by the same, when it may");
}

/// A write that has to pull its way back pulls, and no more.
#[test]
fn a_write_of_its_own_leaves_the_queue_alone() {
    let mut place = on_sqld(json!({}));
    place.enqueue();
    place.shell.json("SELECT replica_write('CREATE TABLE IF NOT EXISTS t(id)')");
    place.shell.json("SELECT replica_write('CREATE TABLE other(id)')");
    assert_eq!(place.rows(), [""; 0]);
    place.shell.sync();
    place.assert_arrived("with the sync");
}

/// The answer was lost, and when it is sent again nobody listens.
#[test]
fn an_entry_that_may_have_arrived_is_asked_for_before_it_is_discarded() {
    let mut place = on_sqld(json!({}));
    place.enqueue();
    place.proxy.cut_next(Cut::Last, 1);
    place.shell.error("SELECT replica_deliver()");
    place.assert_arrived("it has arrived");
    assert_eq!(place.states(), "sent");
    place.shell.error("SELECT replica_discard(1)");
    place.proxy.cut(Cut::Never);
    place.proxy.listen();
    assert_eq!(place.shell.run("SELECT replica_discard(1)"), "delivered");
    assert_eq!(place.states(), "delivered");
    place.assert_arrived("once");
}

#[test]
fn a_replica_in_memory_says_that_it_has_no_outbox() {
    let server = Sqld::start();
    server.execute(TABLE);
    let mut shell = Shell::plain(Path::new(":memory:"));
    shell.run(load_line().trim_end());
    let memory = shell.ask(&attach(&server.url(), &json!({})));
    if memory.contains("3.39") {
        println!("skipped: this SQLite has no replicas in memory");
        return;
    }
    let error = shell.error(&enqueue("x"));
    assert!(error.contains("a queued write must outlive the process; attach a file"), "{error}");
    assert_eq!(shell.run("SELECT count(*) FROM replica_outbox"), "0");
    assert!(shell.sync()["frame_no"].is_number());
}

#[test]
fn a_replica_is_not_promoted_while_something_waits() {
    let mut place = on_sqld(json!({}));
    place.enqueue();
    let error = place.shell.error("SELECT replica_promote()");
    assert!(error.contains("1 queued writes wait for the primary"), "{error}");
    place.shell.sync();
    assert_eq!(place.shell.json("SELECT replica_promote()")["promoted"], true);
}

#[test]
fn the_demo_shows_what_it_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut demo = std::process::Command::new(root.join("tests/demo-offline.sh"));
    demo.arg(extension()).env("SQLD", tool("SQLD", "sqld"));
    if std::env::var_os("PYTHON").is_none() {
        demo.env("PYTHON", "python3");
    }
    let output = demo.output().expect("bash");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
}

fn load_line() -> String {
    common::shell::load()
}

#[test]
fn two_connections_deliver_each_entry_once_and_in_order() {
    let mut place = on_sqld(json!({}));
    let mut other = place.another();
    for round in 0..4 {
        for _ in 0..25 {
            place.enqueue();
        }
        place.shell.send("SELECT replica_sync()");
        other.send("SELECT replica_deliver()");
        place.shell.answer();
        other.answer();
        place.assert_arrived(&format!("round {round}"));
    }
    place.shell.sync();
    assert_replica_equals_primary(&place.db, &place.server);
}

/// One that says nothing any more is not waited for by who finds its process
/// gone; of one that merely sleeps, its turn ends.
#[test]
fn a_deliverer_that_was_killed_holds_nobody_up() {
    let mut place = on_sqld(json!({}));
    for _ in 0..3 {
        place.enqueue();
    }
    let mut other = place.another();
    place.proxy.cut(Cut::RequestSwallowed);
    other.ask("SELECT replica_deliver()");
    other.send("SELECT replica_deliver()");
    other.kill9();
    place.proxy.cut(Cut::Never);
    place.shell.sync();
    place.assert_arrived("after the other one was killed");
}

#[test]
fn a_worker_delivers_by_itself_as_soon_as_the_primary_is_back() {
    for options in [json!({ "live": true }), json!({ "sync_interval": 0.1 })] {
        let mut place = on_sqld(options.clone());
        place.server.stop();
        for _ in 0..3 {
            place.enqueue();
        }
        place.server.resume();
        let arrived = |place: &mut Place<Sqld>| {
            let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
            let here = "SELECT count(*) FROM t";
            while place.shell.run(here) != place.queued.len().to_string() {
                assert!(std::time::Instant::now() < deadline, "{options}: {:?}", place.rows());
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            place.assert_arrived("by the worker");
        };
        arrived(&mut place);
        // And while it is there.
        place.enqueue();
        arrived(&mut place);
    }
}
