//! What stands at the door of the simulated cloud: who may come in, how often,
//! where to, and in which protocol.

use std::time::{Duration, Instant};

use serde_json::json;

use super::common::net::open_proxy_to;
use super::common::*;
use super::{PULL, SQL, asked, attach, replica};

const WRITE: &str = "SELECT replica_write('INSERT INTO t(x) VALUES (1)')";

/// sqld's protocol is refused with a word or without one, and the refusal costs
/// no new connection.
#[test]
fn the_protocol_is_found_in_two_requests_over_one_connection() {
    for grpc in ["unimplemented", "unknown"] {
        let aws = Aws::with(json!({ "grpc": grpc }));
        aws.execute("CREATE TABLE t(x)");
        aws.requests();
        let (_folder, db) = empty_place();
        let mut shell = Shell::loaded(&db);
        shell.json(&attach(&aws.url(), "{}"));
        let requests = aws.requests();
        let paths: Vec<&str> = requests.iter().map(|asked| asked.path.as_str()).collect();
        assert_eq!(paths, ["/wal_log.ReplicationLog/Hello", PULL], "{grpc}");
        let connections: Vec<u64> = requests.iter().map(|asked| asked.connection).collect();
        assert_eq!(connections[0], connections[1], "{grpc}");
        assert_eq!(shell.run("SELECT protocol FROM replica_status"), "turso");
    }
}

/// Whose host says that it is at Turso is asked in Turso's protocol first.
#[test]
fn of_a_host_at_turso_nothing_is_asked_but_what_is_wanted() {
    let aws = Aws::start();
    aws.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
    aws.requests();
    let proxy = open_proxy_to(aws.url()["http://".len()..].to_owned());
    let (_folder, db) = empty_place();
    let mut shell = Shell::loaded(&db);
    let options = format!(r#"{{"proxy": "{}"}}"#, proxy.url());
    shell.json(&attach("http://db-org.aws-eu-west-1.turso.io", &options));
    assert_eq!(asked(&aws), [PULL]);
    shell.json(WRITE);
    assert_eq!(asked(&aws), [SQL, PULL]);
    assert_replica_equals_primary(&db, &aws);
}

/// Frames that sqld has prepared are billed there, read or not: so none are asked
/// for that may be sent twice.
#[test]
fn of_a_host_at_turso_the_log_is_read_in_one_go() {
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
    for _ in 0..12 {
        sqld.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400)
             INSERT INTO t(x) SELECT randomblob(4000) FROM n",
        );
    }
    let ways = |host: &str| {
        let proxy = open_proxy_to(sqld.address().to_string());
        let (_folder, db) = empty_place();
        let mut shell = Shell::loaded(&db);
        let options = format!(r#"{{"proxy": "{}", "protocol": "sqld"}}"#, proxy.url());
        shell.json(&attach(&format!("http://{host}"), &options));
        assert_replica_equals_primary(&db, &sqld);
        proxy.requests().len()
    };
    assert_eq!(ways("db-org.turso.io"), 1);
    assert!(ways("db-org.example") > 1, "elsewhere it is read in pieces side by side");
}

/// Whatever stands in between may be closing it just then.
#[test]
#[ignore = "half a minute: make soak"]
fn a_write_goes_over_no_connection_that_was_idle_for_long() {
    let aws = Aws::start();
    let (_folder, db, mut shell) = replica(&aws, "{}");
    let mut write = |idle| {
        std::thread::sleep(Duration::from_secs(idle));
        shell.json(WRITE);
        aws.requests().iter().map(|asked| asked.connection).collect::<Vec<_>>()
    };
    let first = write(0);
    assert_eq!(write(1)[0], first[0]);
    assert_ne!(write(22)[0], first[0], "a new one");
    assert_replica_equals_primary(&db, &aws);
}

#[test]
fn a_database_that_was_just_created_is_waited_for() {
    let aws = Aws::start();
    aws.execute("CREATE TABLE t(x)");
    aws.switch(json!({ "appears_in": 1.5 }));
    let (_folder, db) = empty_place();
    Shell::loaded(&db).json(&attach(&aws.url(), r#"{"protocol": "turso"}"#));
    assert!(aws.requests().iter().any(|asked| asked.status == 404));
    assert_replica_equals_primary(&db, &aws);
}

#[test]
fn who_asks_too_often_comes_again_when_told_to() {
    let aws = Aws::start();
    let (_folder, db, mut shell) = replica(&aws, "{}");
    aws.switch(json!({ "limited": 1 }));
    let started = Instant::now();
    assert_eq!(shell.json(WRITE)["synced"], true);
    assert!(started.elapsed() >= Duration::from_secs(1));
    aws.switch(json!({ "limited": 1, "retry_after": 3600 }));
    let error = shell.error("SELECT replica_sync('{\"timeout\": 2}')");
    assert!(error.contains("429: too many requests"), "{error}");
    shell.sync();
    assert_replica_equals_primary(&db, &aws);
}

/// Reads are blocked, and what is synced counts as read; writes are not.
#[test]
fn a_quota_that_is_used_up_is_told_as_that_and_blocks_no_write() {
    let aws = Aws::start();
    let (_folder, db, mut shell) = replica(&aws, "{}");
    aws.switch(json!({ "reads_blocked": true }));
    for call in ["SELECT replica_sync()", "SELECT row FROM replica_query('SELECT 1')"] {
        let error = shell.error(call);
        assert!(error.contains("SQL read operations are forbidden"), "{error}");
        assert!(!error.contains("token"), "{error}");
    }
    let written = shell.json(WRITE);
    assert_eq!(written["synced"], false, "{written}");
    assert!(written["sync_error"].as_str().unwrap().contains("forbidden"), "{written}");
    // Nor where nobody knows yet which protocol it is.
    let (_folder_2, db_2) = empty_place();
    let mut fresh = Shell::loaded(&db_2);
    fresh.json(&attach(&aws.url(), r#"{"first_sync": false}"#));
    assert_eq!(fresh.json(WRITE)["synced"], false);
    aws.switch(json!({ "reads_blocked": false }));
    shell.sync();
    fresh.sync();
    assert_replica_equals_primary(&db, &aws);
    assert_replica_equals_primary(&db_2, &aws);
}

#[test]
fn a_token_that_is_refused_is_named_and_can_be_replaced() {
    let aws = Aws::start();
    let (_folder, db, mut shell) = replica(&aws, "{}");
    aws.switch(json!({ "token": "right" }));
    let error = shell.error("SELECT replica_sync()");
    assert!(error.contains("wants a token") && error.contains("The JWT is invalid"), "{error}");
    shell.run("SELECT replica_set_token('WRONGSECRET')");
    let error = shell.error(WRITE);
    assert!(error.contains("refused the token") && !error.contains("WRONG"), "{error}");
    shell.run("SELECT replica_set_token('right')");
    assert_eq!(shell.json(WRITE)["synced"], true);
    aws.switch(json!({ "token": null }));
    assert_replica_equals_primary(&db, &aws);
}

#[test]
fn an_encrypted_database_is_read_and_written_with_its_key_and_not_without() {
    let aws = Aws::start();
    aws.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
    aws.switch(json!({ "encryption_key": "U0VDUkVUS0VZ" }));
    let (_folder, db) = empty_place();
    let mut shell = Shell::loaded(&db);
    let protocol = r#""protocol": "turso""#;
    let error = shell.error(&attach(&aws.url(), &format!("{{{protocol}}}")));
    assert!(error.contains("a key is required"), "{error}");
    let key = r#""encryption_key": "U0VDUkVUS0VZ""#;
    shell.json(&attach(&aws.url(), &format!("{{{protocol}, {key}}}")));
    assert_eq!(shell.json(WRITE)["synced"], true);
    assert_eq!(shell.run("SELECT row FROM replica_query('SELECT count(*) FROM t')"), "[1]");
    for shown in ["SELECT * FROM replica_status", "SELECT replica_debug()"] {
        assert!(!shell.run(shown).contains("U0VDUkVUS0VZ"), "{shown}");
    }
    aws.switch(json!({ "encryption_key": null }));
    assert_replica_equals_primary(&db, &aws);
}

#[test]
fn a_redirection_on_the_same_host_is_followed_and_another_is_not() {
    let aws = Aws::start();
    let (_folder, db, mut shell) = replica(&aws, "{}");
    aws.switch(json!({ "redirect": format!("{}/pinned", aws.url()) }));
    assert_eq!(shell.json(WRITE)["synced"], true);
    assert_eq!(asked(&aws), [SQL, "/pinned/v3/pipeline", PULL, "/pinned/pull-updates"]);
    let elsewhere = FakeServer::always("200 OK", "", "");
    aws.switch(json!({ "redirect": elsewhere.url() }));
    let error = shell.error(WRITE);
    assert!(error.contains("redirects to") && !error.contains("unknown"), "{error}");
    assert!(elsewhere.requests().is_empty());
    aws.switch(json!({ "redirect": null }));
    assert_eq!(shell.json(WRITE)["synced"], true);
    assert_replica_equals_primary(&db, &aws);
}

/// The log of the server is emptied now and then; what it remembers of before is
/// its own affair.
#[test]
fn the_end_of_a_generation_costs_what_changed_or_one_pull_of_everything() {
    for (switches, whole) in [
        (json!({}), false),
        (json!({ "knows_the_past": false }), true),
        (json!({ "knows_the_past": false, "unknown_state": 410 }), true),
    ] {
        let aws = Aws::with(switches.clone());
        let (_folder, db, mut shell) = replica(&aws, "{}");
        aws.execute("INSERT INTO t(x) SELECT randomblob(500000)");
        shell.sync();
        aws.execute("INSERT INTO t(x) VALUES ('before')");
        aws.next_generation();
        aws.execute("INSERT INTO t(x) VALUES ('after')");
        let synced = shell.sync();
        assert_eq!(synced["reset"], false, "{switches}: {synced}");
        let bytes = synced["bytes_received"].as_u64().unwrap();
        assert_eq!(bytes > 500_000, whole, "{switches}: {synced}");
        assert_eq!(shell.sync()["frames_synced"], 0);
        assert_replica_equals_primary(&db, &aws);
    }
}

/// A database that was made anew is a page without a table. Whether it is
/// another one cannot be told where the name of the file's state is lost.
#[test]
fn a_database_that_was_made_anew_and_holds_nothing_empties_no_replica_by_itself() {
    for forgets in [false, true] {
        let mut aws = Aws::start();
        let (_folder, db, mut shell) = replica(&aws, "{}");
        aws.execute("INSERT INTO t(x) VALUES (1)");
        shell.sync();
        shell.close();
        aws.stop();
        aws.wipe();
        aws.resume();
        if forgets {
            std::fs::remove_file(format!("{}-replica", db.display())).unwrap();
        }
        let mut shell = Shell::loaded(&db);
        shell.json(&attach(&aws.url(), "{}"));
        let error = shell.error("SELECT replica_sync()");
        assert!(error.contains("the primary is empty and this replica is not"), "{error}");
        assert_eq!(shell.run("SELECT count(*) FROM t"), "1", "{forgets}");
        let synced = shell.json("SELECT replica_sync('{\"on_reset\": \"replace\"}')");
        assert_eq!(synced["reset"], true, "{synced}");
        assert_eq!(shell.run("SELECT count(*) FROM sqlite_schema"), "0");
        // Where there is nothing to lose nothing is asked.
        aws.stop();
        aws.wipe();
        aws.resume();
        shell.sync();
        aws.execute("CREATE TABLE u(x)");
        shell.sync();
        assert_replica_equals_primary(&db, &aws);
    }
}

#[test]
fn a_database_in_mvcc_mode_is_refused_with_the_reason() {
    let aws = Aws::start();
    let (_folder, _db, mut shell) = replica(&aws, "{}");
    aws.switch(json!({ "mvcc": true }));
    assert!(shell.error("SELECT replica_sync()").contains("MVCC mode"));
    let (_folder_2, db) = empty_place();
    let error = Shell::loaded(&db).error(&attach(&aws.url(), "{}"));
    assert!(error.contains("MVCC mode"), "{error}");
}
