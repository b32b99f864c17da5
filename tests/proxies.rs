//! Replicas behind what stands in front of primaries out there: real nginx,
//! HAProxy and Apache, mostly with the settings they come with.

mod common;

use std::time::{Duration, Instant};

use common::front::Front;
use common::*;

const STATE: &str = "SELECT state FROM replica_status";
const ERROR: &str = "SELECT ifnull(last_error, '') FROM replica_status";
const COUNT: &str = "SELECT count(*) FROM t";

fn primary() -> Sqld {
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
    sqld
}

fn attached(url: &str, options: &str) -> (TempDir, std::path::PathBuf, Shell) {
    let (folder, db) = empty_place();
    let mut shell = Shell::loaded(&db);
    shell.json(&format!("SELECT replica_attach('{url}', NULL, '{options}')"));
    (folder, db, shell)
}

/// Writes and reads back; how long the write took.
fn write(shell: &mut Shell, count: usize) -> Duration {
    let started = Instant::now();
    let report = shell.json("SELECT replica_write('INSERT INTO t(x) VALUES (1)')");
    let took = started.elapsed();
    assert_eq!(report["synced"], true, "{report}");
    assert_eq!(shell.run(COUNT), count.to_string());
    took
}

/// Asks until the answer is `expected`; how long that took.
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

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// nginx keeps what it gets until it has a buffer full, and the frames of a
/// small write never are one.
#[test]
fn own_writes_behind_an_nginx_with_defaults_wait_no_longer_than_for_a_pull() {
    let sqld = primary();
    let Some(nginx) = Front::nginx(sqld.address(), "") else { return };
    let (_folder, db, mut shell) = attached(&nginx.url(), "{}");
    let first: Vec<_> = (1..=4).map(|count| write(&mut shell, count)).collect();
    for took in &first {
        assert!(*took < Duration::from_secs(1), "{first:?}");
    }
    // By the next write it is known that streams are of no use here.
    std::thread::sleep(Duration::from_millis(1200));
    write(&mut shell, 5);
    let later: Vec<_> = (6..=14).map(|count| write(&mut shell, count)).collect();
    let (_folder_2, _, mut direct) = attached(&sqld.url(), "{}");
    let direct = median((15..=23).map(|count| write(&mut direct, count)).collect());
    // Two requests instead of one, and room for a machine with other work.
    let allowed = 2 * direct + Duration::from_millis(40);
    assert!(median(later.clone()) < allowed, "{later:?}, direct {direct:?}");
    shell.sync();
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn a_write_that_changes_nothing_or_fails_does_not_wait_for_a_stream() {
    let sqld = primary();
    let Some(nginx) = Front::nginx(sqld.address(), "") else { return };
    let (_folder, _, mut shell) = attached(&nginx.url(), "{}");
    let started = Instant::now();
    shell.json("SELECT replica_write('DELETE FROM t')");
    shell.error("SELECT replica_write('INSERT INTO nowhere VALUES (1)')");
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
}

#[test]
fn live_behind_an_nginx_with_defaults_polls_and_says_why() {
    let sqld = primary();
    let Some(nginx) = Front::nginx(sqld.address(), "") else { return };
    let (_folder, db, mut shell) = attached(&nginx.url(), r#"{"live": true}"#);
    becomes(&mut shell, STATE, "polling", Duration::from_secs(10));
    for count in 1..=5 {
        sqld.execute("INSERT INTO t(x) VALUES ('new')");
        let lag = becomes(&mut shell, COUNT, &count.to_string(), Duration::from_secs(5));
        assert!(lag < Duration::from_secs(1), "{lag:?}");
        assert_eq!(shell.run(STATE), "polling");
        let error = shell.run(ERROR);
        assert!(error.contains("nginx: proxy_buffering off"), "{error}");
    }
    let took = write(&mut shell, 6);
    assert!(took < Duration::from_millis(500), "{took:?}");
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn an_nginx_that_does_not_buffer_is_not_noticed() {
    let sqld = primary();
    let Some(nginx) = Front::nginx(sqld.address(), "proxy_buffering off;") else { return };
    let (_folder, db, mut shell) = attached(&nginx.url(), r#"{"live": true}"#);
    becomes(&mut shell, STATE, "live", Duration::from_secs(10));
    for count in 1..=5 {
        sqld.execute("INSERT INTO t(x) VALUES ('new')");
        becomes(&mut shell, COUNT, &count.to_string(), Duration::from_secs(5));
    }
    assert_eq!((shell.run(STATE).as_str(), shell.run(ERROR).as_str()), ("live", ""));
    let (_folder_2, _, mut writer) = attached(&nginx.url(), "{}");
    let times: Vec<_> = (6..=14).map(|count| write(&mut writer, count)).collect();
    assert!(median(times.clone()) < Duration::from_millis(100), "{times:?}");
    becomes(&mut shell, COUNT, "14", Duration::from_secs(5));
    assert_replica_equals_primary(&db, &sqld);
}

/// A minute is what nginx, load balancers and Fly's edge allow; four seconds
/// stand for it.
#[test]
fn a_stream_that_is_cut_when_idle_is_no_error() {
    let sqld = primary();
    let extra = "proxy_buffering off; proxy_read_timeout 4s;";
    let Some(nginx) = Front::nginx(sqld.address(), extra) else { return };
    let (_folder, db, mut shell) = attached(&nginx.url(), r#"{"live": true}"#);
    becomes(&mut shell, STATE, "live", Duration::from_secs(10));
    let started = Instant::now();
    let mut count = 0;
    while started.elapsed() < Duration::from_secs(14) {
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(shell.run(ERROR), "");
        assert_ne!(shell.run(STATE), "reconnecting");
        // In each of the phases between two cuts.
        if started.elapsed().as_millis() / 4500 > count {
            count += 1;
            sqld.execute("INSERT INTO t(x) VALUES ('new')");
            let lag = becomes(&mut shell, COUNT, &count.to_string(), Duration::from_secs(5));
            assert!(lag < Duration::from_secs(1), "{lag:?}");
        }
    }
    assert!(count >= 2);
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn a_large_database_comes_through_a_buffering_nginx() {
    let sqld = primary();
    let Some(nginx) = Front::nginx(sqld.address(), "") else { return };
    for _ in 0..8 {
        sqld.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
             INSERT INTO t(x) SELECT randomblob(4000) FROM n",
        );
    }
    let started = Instant::now();
    let (_folder, db, _shell) = attached(&nginx.url(), "{}");
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    assert_eq!(scalar(&db, "PRAGMA integrity_check"), "ok");
    let sums = "SELECT count(*) || ' ' || sum(length(x)) FROM t";
    assert_eq!(scalar(&db, sums), sqld.scalar(sums));
}

fn writes_and_live(front: &Front, sqld: &Sqld) {
    let (_folder, db, mut live) = attached(&front.url(), r#"{"live": true}"#);
    let (_folder_2, _, mut writer) = attached(&front.url(), "{}");
    for count in 1..=8 {
        let took = write(&mut writer, count);
        assert!(took < Duration::from_secs(1), "{took:?}");
        let lag = becomes(&mut live, COUNT, &count.to_string(), Duration::from_secs(5));
        assert!(lag < Duration::from_secs(1), "{lag:?}");
    }
    assert_eq!(live.run(ERROR), "");
    assert_replica_equals_primary(&db, sqld);
}

#[test]
fn haproxy_with_defaults_is_not_noticed() {
    let sqld = primary();
    let Some(haproxy) = Front::haproxy(sqld.address()) else { return };
    writes_and_live(&haproxy, &sqld);
}

#[test]
fn apache_with_defaults_is_not_noticed() {
    let sqld = primary();
    let Some(apache) = Front::apache(sqld.address()) else { return };
    writes_and_live(&apache, &sqld);
}

/// A connection that wrote and then does nothing else may be one of hundreds.
#[test]
fn a_connection_that_wrote_once_soon_holds_no_stream() {
    let sqld = primary();
    let (_folder, _, mut shell) = attached(&sqld.url(), "{}");
    write(&mut shell, 1);
    write(&mut shell, 2);
    let sockets = |shell: &Shell| {
        std::fs::read_dir(format!("/proc/{}/fd", shell.pid()))
            .expect("Linux")
            .flatten()
            .filter_map(|fd| std::fs::read_link(fd.path()).ok())
            .filter(|link| link.to_string_lossy().starts_with("socket:"))
            .count()
    };
    let deadline = Instant::now() + Duration::from_secs(20);
    while sockets(&shell) > 1 {
        assert!(Instant::now() < deadline, "{} sockets", sockets(&shell));
        std::thread::sleep(Duration::from_millis(100));
    }
    // And it writes as before.
    for count in 3..=6 {
        write(&mut shell, count);
    }
}
