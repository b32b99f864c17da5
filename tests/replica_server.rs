//! A sqld that is a replica server itself (`--primary-grpc-url`) as the sync
//! URL: reads fan out from it, writes go through it to the primary.

mod common;

use std::time::{Duration, Instant};

use common::net::free_address;
use common::*;

#[test]
fn a_replica_server_serves_pulls_and_passes_writes_on() {
    let grpc = free_address();
    let primary = Sqld::with(&[&format!("--grpc-listen-addr={grpc}")]);
    primary.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
    let server = Sqld::with(&[&format!("--primary-grpc-url=http://{grpc}")]);
    let (_folder, db) = empty_place();
    let mut shell = Shell::loaded(&db);
    shell.attach(&server.url());
    for count in 1..=5 {
        let report = shell.json("SELECT replica_write('INSERT INTO t(x) VALUES (1)')");
        assert_eq!(report["synced"], true, "{report}");
        assert_eq!(shell.run("SELECT count(*) FROM t"), count.to_string());
        assert_eq!(primary.scalar("SELECT count(*) FROM t"), count.to_string());
    }
    // What somebody else writes at the primary comes by way of the server.
    primary.execute("INSERT INTO t(x) VALUES ('elsewhere')");
    let deadline = Instant::now() + Duration::from_secs(10);
    while shell.run("SELECT count(*) FROM t") != "6" {
        assert!(Instant::now() < deadline, "{}", shell.sync());
        shell.sync();
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_replica_equals_primary(&db, &primary);

    let (_folder_2, db) = empty_place();
    let mut live = Shell::loaded(&db);
    let url = server.url();
    live.json(&format!("SELECT replica_attach('{url}', NULL, '{{\"live\": true}}')"));
    primary.execute("INSERT INTO t(x) VALUES ('live')");
    let deadline = Instant::now() + Duration::from_secs(10);
    while live.run("SELECT count(*) FROM t") != "7" {
        assert!(Instant::now() < deadline, "{}", live.run("SELECT state FROM replica_status"));
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Transactions and batches are passed on, too. Without its primary the server
/// has nothing to say, and what is here is read on.
#[test]
fn a_replica_server_that_has_lost_its_primary_costs_no_read_and_comes_back() {
    let grpc = free_address();
    let mut primary = Sqld::with(&[&format!("--grpc-listen-addr={grpc}")]);
    primary.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
    let server = Sqld::with(&[&format!("--primary-grpc-url=http://{grpc}")]);
    let (_folder, db) = empty_place();
    let mut shell = Shell::loaded(&db);
    let url = server.url();
    shell.json(&format!("SELECT replica_attach('{url}', NULL, '{{\"timeout\": 2}}')"));
    shell.run("SELECT replica_begin()");
    shell.json("SELECT replica_write('INSERT INTO t(x) VALUES (1)')");
    let inside = "SELECT row FROM replica_query('SELECT count(*) FROM t')";
    assert_eq!(shell.run(inside), "[1]");
    assert_eq!(shell.json("SELECT replica_commit()")["synced"], true);
    let batch = "SELECT replica_batch('INSERT INTO t(x) VALUES (?)', value)
                 FROM generate_series(1, 2000)";
    assert_eq!(shell.json(batch)["synced"], true);
    assert_eq!(shell.run("SELECT count(*) FROM t"), "2001");
    let taken = shell.error("SELECT replica_write('INSERT INTO t(id) VALUES (1)')");
    assert!(taken.contains("UNIQUE constraint failed: t.id"), "{taken}");
    assert_replica_equals_primary(&db, &primary);

    primary.stop();
    let error = shell.error("SELECT replica_write('INSERT INTO t(x) VALUES (2)')");
    assert!(error.contains("outcome of this write is unknown"), "{error}");
    let error = shell.error("SELECT replica_sync()");
    assert!(error.contains("is not ready") || error.contains("did not answer"), "{error}");
    assert_eq!(shell.run("SELECT count(*) FROM t"), "2001");

    primary.resume();
    let deadline = Instant::now() + Duration::from_secs(30);
    let write = "SELECT replica_write('INSERT OR REPLACE INTO t VALUES (9999, 3)')";
    while !shell.ask(write).contains("rows_affected") {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(200));
    }
    let rows = "SELECT group_concat(id || '=' || x) FROM (SELECT * FROM t ORDER BY id)";
    while shell.run(rows) != primary.scalar(rows) {
        assert!(Instant::now() < deadline);
        shell.ask("SELECT replica_sync()");
        std::thread::sleep(Duration::from_millis(50));
    }
    // The write whose outcome was unknown may still be on its way.
    assert_eq!(sql(&db, "PRAGMA integrity_check"), "ok");
}
