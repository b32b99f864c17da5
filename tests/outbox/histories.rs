//! A primary that comes back with another history: what waits goes on where
//! nothing can have been lost, and stops where something may be.

use serde_json::{Value, json};

use crate::common::*;
use crate::{Place, on_sqld};

fn delivered(report: &Value) -> (u64, bool) {
    (report["delivered"].as_u64().expect("a number"), report["stopped"].is_string())
}

/// The primary as it was when `backup` was made.
fn put_back(place: &mut Place<Sqld>, backup: &std::path::Path) {
    place.server.stop();
    place.server.restore(backup);
    place.server.resume();
}

fn back_up(place: &mut Place<Sqld>) -> std::path::PathBuf {
    let backup = place.folder.path().join("backup");
    place.server.stop();
    place.server.back_up(&backup);
    place.server.resume();
    backup
}

#[test]
fn a_primary_that_has_merely_crashed_gets_what_waits_without_being_asked_for() {
    for how in ["delivered before", "written online", "never"] {
        let mut place = on_sqld(json!({ "exactly_once": how == "written online" }));
        match how {
            "delivered before" => {
                place.enqueue();
                place.shell.sync();
            }
            "written online" => {
                place.shell.run("SELECT replica_write('INSERT INTO t(v) VALUES (''x'')')");
                place.queued.push("x".to_owned());
            }
            // It rests on an id of somebody, and there is none.
            _ => {}
        }
        place.server.kill9();
        let number = place.shell.json(&crate::enqueue("waits"))["number"].clone();
        place.queued.push("waits".to_owned());
        place.server.resume();
        let report = place.shell.sync();
        assert_eq!(report["reset"], true, "{how}: {report}");
        let expected = if how == "never" { (0, true) } else { (1, false) };
        assert_eq!(delivered(&report), expected, "{how}: {report}");
        if how == "never" {
            let why = report["stopped"].as_str().expect("a reason");
            assert!(why.contains("nothing proves that it still has what was known here"), "{why}");
            assert_eq!(place.shell.run("SELECT queue_error NOTNULL FROM replica_status"), "1");
            // Not by a later sync either, whose file follows the new history.
            assert_eq!(delivered(&place.shell.sync()), (0, true));
            let anyway = r#"SELECT replica_deliver('{"after_reset":"always"}')"#;
            assert_eq!(place.shell.json(anyway)["delivered"], number);
        }
        place.assert_arrived(how);
        // From now on there is an id that proves it.
        for _ in 0..2 {
            place.server.kill9();
            place.queued.push(format!("after {how}"));
            place.shell.run(&crate::enqueue(&format!("after {how}")));
            place.server.resume();
            let report = place.shell.sync();
            assert_eq!(delivered(&report), (1, false), "{how}: {report}");
        }
        place.assert_arrived(how);
        assert_replica_equals_primary(&place.db, &place.server);
    }
}

#[test]
fn a_primary_that_has_lost_what_was_delivered_gets_nothing_before_somebody_says_so() {
    for exactly_once in [false, true] {
        let mut place = on_sqld(json!({ "exactly_once": exactly_once }));
        let backup = back_up(&mut place);
        if exactly_once {
            // Known by an id, but not from the outbox.
            place.shell.run("SELECT replica_write('INSERT INTO t(v) VALUES (1)')");
        } else {
            place.shell.run(&crate::enqueue("lost"));
            assert_eq!(place.shell.sync()["delivered"], 1);
        }
        place.shell.run(&crate::enqueue("one"));
        place.shell.run(&crate::enqueue("two"));
        put_back(&mut place, &backup);
        for _ in 0..2 {
            let report = place.shell.sync();
            assert_eq!(delivered(&report), (0, true), "{exactly_once}: {report}");
            assert_eq!(report["waiting"], 2);
            assert_eq!(place.rows(), [""; 0]);
        }
        // Nor when the log has grown past where this file once was.
        place.server.execute("CREATE TABLE later(x)");
        for _ in 0..9 {
            place.server.execute("INSERT INTO later VALUES (1)");
        }
        assert_eq!(delivered(&place.shell.sync()), (0, true), "{exactly_once}");
        // Also by who attaches anew.
        let mut other = place.another();
        assert_eq!(delivered(&other.sync()), (0, true));
        other.run("SELECT replica_lock()");
        let anyway = r#"SELECT replica_deliver('{"after_reset":"always"}')"#;
        assert!(other.error(anyway).contains("replica_lock() was called"));
        assert_eq!(place.shell.json(anyway)["delivered"], 2);
        assert_eq!(place.rows(), ["one", "two"]);
        place.shell.run(&crate::enqueue("three"));
        assert_eq!(delivered(&place.shell.sync()), (1, false));
        assert_replica_equals_primary(&place.db, &place.server);
    }
}

#[test]
fn a_primary_that_was_wiped_gets_nothing_either() {
    let mut place = on_sqld(json!({ "on_reset": "replace" }));
    place.enqueue();
    place.shell.sync();
    place.server.stop();
    place.server.wipe();
    place.server.resume();
    place.shell.run(&crate::enqueue("waits"));
    assert_eq!(delivered(&place.shell.sync()), (0, true));
    assert_eq!(place.states(), "delivered pending");
    place.server.execute(crate::TABLE);
    assert_eq!(delivered(&place.shell.sync()), (0, true));
    assert_eq!(place.rows(), [""; 0]);
}

#[test]
fn the_option_goes_on_always_or_never() {
    for (rule, arrives) in [("always", true), ("never", false)] {
        let mut place = on_sqld(json!({ "deliver_after_reset": rule }));
        place.enqueue();
        place.shell.sync();
        place.enqueue();
        place.server.kill9();
        place.server.resume();
        let report = place.shell.sync();
        assert_eq!(delivered(&report), (u64::from(arrives), !arrives), "{rule}: {report}");
        assert_eq!(place.rows().len(), 1 + usize::from(arrives));
    }
}

/// The documented way to tidy up takes away the rows by which a loss would be
/// noticed. While the history is the same, nothing can be lost.
#[test]
fn rows_that_were_tidied_up_stop_nothing() {
    let mut place = on_sqld(json!({}));
    for _ in 0..3 {
        place.enqueue();
        assert_eq!(place.shell.sync()["delivered"], 1);
        place.server.execute("DELETE FROM _replica_writes");
        sql(&place.outbox(), "UPDATE outbox SET delivered_unix_ms = 0;\n");
    }
    place.assert_arrived("each");
    // One that was there a moment ago was not tidied up.
    place.shell.run(&crate::enqueue("waits"));
    sql(&place.outbox(), "UPDATE outbox SET delivered_unix_ms = unixepoch() * 1000;\n");
    assert_eq!(delivered(&place.shell.sync()), (0, true));
}

/// The file of an outbox is copied, as with a folder, or put back from a
/// backup: both lives go on.
#[test]
fn a_copied_outbox_delivers_nothing_twice_and_loses_nothing() {
    let mut place = on_sqld(json!({}));
    place.enqueue();
    place.shell.sync();
    place.enqueue();
    place.enqueue();
    let copy = place.folder.path().join("copy.db");
    std::fs::copy(place.outbox(), crate::outbox_of(&copy)).expect("a copy");
    let mut twin = Shell::loaded(&copy);
    twin.run(&crate::attach(&place.server.url(), &json!({ "first_sync": false })));
    // Their new entries have the same numbers.
    twin.run(&crate::enqueue("of the twin"));
    place.enqueue();
    assert_eq!(place.shell.sync()["waiting"], 0);
    place.assert_arrived("the first life");
    let report = twin.sync();
    assert_eq!(report["waiting"], 0, "{report}");
    // What both had waiting is known to have happened, or told as unknown.
    let told = twin.run("SELECT number, state FROM replica_outbox ORDER BY number");
    let new = place.rows().split_off(place.queued.len());
    assert_eq!(new, ["of the twin"], "{told}");
    assert!(told.ends_with("4|delivered"), "{told}");
    assert!(told.contains("2|set_aside") && told.contains("3|set_aside"), "{told}");
    let error = twin.run("SELECT error FROM replica_outbox WHERE number = 2");
    assert!(error.contains("another copy of this outbox"), "{error}");
    // And from now on they are two.
    for _ in 0..2 {
        place.shell.run(&crate::enqueue("first life"));
        twin.run(&crate::enqueue("second life"));
        assert_eq!(place.shell.sync()["delivered"], 1);
        assert_eq!(twin.sync()["delivered"], 1);
    }
}
