//! With `offline_writes`, `replica_write` queues by itself what cannot reach
//! the primary, and nothing overtakes what it has queued.

use std::path::Path;

use serde_json::json;

use crate::common::proxy::Cut;
use crate::common::*;
use crate::{Place, attach, on_sqld};

/// `timeout` is how long a write waits for a primary that does not answer: no
/// answer may take as long.
fn on_sqld_offline(timeout: u64) -> Place<Sqld> {
    on_sqld(json!({ "offline_writes": true, "timeout": timeout }))
}

impl Place<Sqld> {
    /// Writes the next row; whether it was queued.
    fn write(&mut self) -> bool {
        let name = format!("marked {}", self.queued.len() + 1);
        let call =
            format!("SELECT replica_write('INSERT INTO t(v) VALUES (?)', {})", quoted(&name));
        let report = self.shell.json(&call);
        self.queued.push(name);
        let queued = report["queued"] == true;
        if queued {
            assert!(report.get("synced").is_none() && report["id"].is_string(), "{report}");
        } else {
            assert_eq!(report["synced"], true, "{report}");
        }
        queued
    }

    /// Writes until one is not queued any more.
    fn write_until_it_arrives(&mut self) {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while self.write() {
            assert!(std::time::Instant::now() < deadline, "{:?}", self.rows());
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
    }
}

#[test]
fn writes_go_into_the_queue_while_the_primary_is_away_and_behind_it_when_it_is_back() {
    let mut place = on_sqld_offline(4);
    assert!(!place.write());
    place.server.stop();
    for _ in 0..3 {
        assert!(place.write());
    }
    std::mem::replace(&mut place.shell, Shell::plain(&place.db)).kill9();
    place.shell = place.another();
    assert!(place.write());
    assert_eq!(place.shell.run("SELECT count(*) FROM t"), "1");
    assert_eq!(place.shell.run("SELECT queued, state FROM replica_status"), "4|error");
    place.server.resume();
    // Not one of them overtakes those that wait.
    place.write_until_it_arrives();
    place.assert_arrived("after the first one that was not queued");
    assert!(!place.write());
    assert_replica_equals_primary(&place.db, &place.server);
    let here =
        place.shell.run("SELECT group_concat(v, char(10)) FROM (SELECT v FROM t ORDER BY id)");
    assert_eq!(here.lines().collect::<Vec<_>>(), place.queued);
}

#[test]
fn a_write_whose_answer_is_lost_is_queued_under_its_own_id_and_happens_once() {
    for cut in [Cut::AfterRequest, Cut::Kept, Cut::MidResponse(40)] {
        let mut place = on_sqld_offline(4);
        assert!(!place.write());
        place.proxy.cut(cut);
        assert!(place.write(), "{cut:?}");
        assert_eq!(place.states(), "sent");
        assert!(place.write(), "{cut:?}");
        place.proxy.cut(Cut::Never);
        assert_eq!(place.shell.sync()["waiting"], 0);
        place.assert_arrived(&format!("{cut:?}"));
        // The queue is empty, so this one goes straight up.
        assert!(!place.write());
        place.proxy.release();
        place.assert_arrived(&format!("{cut:?}, released"));
        assert_replica_equals_primary(&place.db, &place.server);
    }
}

#[test]
fn what_the_primary_says_is_told_and_what_cannot_be_queued_is_an_error() {
    let mut place = on_sqld_offline(4);
    place.server.execute("INSERT INTO t VALUES (7, 'there')");
    let clash = "SELECT replica_write('INSERT INTO t VALUES (7, 1)')";
    assert!(place.shell.error(clash).contains("UNIQUE constraint failed"));
    place.shell.run("SELECT replica_begin()");
    place.server.stop();
    for call in [
        "SELECT replica_write('INSERT INTO t(v) VALUES (1)')",
        "SELECT replica_write('SELECT 1')",
        "SELECT replica_batch('INSERT INTO t(v) VALUES (1)')",
        "SELECT replica_migrate('CREATE TABLE u(a)')",
        "SELECT row FROM replica_query('SELECT 1')",
    ] {
        place.shell.error(call);
        place.shell.run("SELECT replica_rollback()");
    }
    assert_eq!(place.shell.run("SELECT count(*) FROM replica_outbox"), "0");
    let table = "SELECT row IS NULL, synced IS NULL, queued FROM replica_write(\
                 'INSERT INTO t(v) VALUES (1) RETURNING v')";
    assert_eq!(place.shell.run(table), "1|1|1");
    let script = "SELECT replica_write('INSERT INTO t(v) VALUES (2); UPDATE t SET v = 3')";
    assert_eq!(place.shell.json(script)["number"], 2);
    place.server.resume();
    let report = place.shell.sync();
    assert_eq!(report["delivered"], 2, "{report}");
    assert_eq!(place.rows(), ["3", "3", "3"]);
}

#[test]
fn the_option_needs_a_file() {
    let mut shell = Shell::plain(Path::new(":memory:"));
    shell.run(shell::load().trim_end());
    let url = format!("http://{}", net::free_address());
    let output = shell.ask(&attach(&url, &json!({ "offline_writes": true, "first_sync": false })));
    assert!(
        output.contains("option offline_writes: this replica is in memory")
            || output.contains("3.39"),
        "{output}"
    );
    assert_eq!(shell.run("SELECT replica_status() IS NULL"), "1");
}

/// What a connection may do is asked when it does it.
#[test]
fn a_write_does_not_overtake_what_was_queued_by_one_that_only_read_at_first() {
    let mut place = on_sqld(json!({}));
    let mut shell = Shell::loaded(&place.db);
    shell.run("PRAGMA query_only=1");
    shell.run(&attach(&place.proxy.url(), &json!({ "offline_writes": true })));
    shell.run("PRAGMA query_only=0");
    place.enqueue();
    place.queued.push("second".to_owned());
    let written = shell.json("SELECT replica_write('INSERT INTO t(v) VALUES (''second'')')");
    assert_eq!(written["synced"], true, "{written}");
    place.assert_arrived("the one that was queued goes first");
}
