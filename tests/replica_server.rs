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
