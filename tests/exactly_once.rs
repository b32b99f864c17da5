//! Attached with `exactly_once`, a write happens once and its outcome is known,
//! wherever the network fails: what became of it is compared with the primary.

mod common;

use std::path::PathBuf;

use common::proxy::{Cut, LOSSES, Proxy};
use common::*;
use serde_json::{Value, json};

/// In each request that the proxy is to cut.
const MARKER: &str = "marked";

const TABLE: &str = "CREATE TABLE t(id INTEGER PRIMARY KEY, v)";
const WRITE: &str = "SELECT replica_write('INSERT INTO t(v) VALUES (''marked'')')";
const COUNT: &str = "SELECT count(*) FROM t";

struct Place<S: Server> {
    server: S,
    proxy: Proxy,
    shell: Shell,
    db: PathBuf,
    _folder: TempDir,
}

impl<S: Server> Place<S> {
    fn behind(server: S, marker: &'static str, options: Value) -> Place<S> {
        server.execute(TABLE);
        let address = server.url()["http://".len()..].parse().expect("an address");
        let proxy = Proxy::start(address, marker);
        let (folder, db) = empty_place();
        let mut shell = Shell::loaded(&db);
        shell.run(&attach(&proxy.url(), options));
        Place { server, proxy, shell, db, _folder: folder }
    }

    fn rows(&self) -> i64 {
        self.server.column(COUNT)[0].parse().expect("a number")
    }

    fn ids(&self) -> Vec<String> {
        self.server.column("SELECT outcome FROM _replica_writes ORDER BY client, sequence")
    }
}

fn attach(url: &str, options: Value) -> String {
    let mut all = json!({ "exactly_once": true });
    for (name, value) in options.as_object().expect("an object") {
        all[name] = value.clone();
    }
    format!("SELECT replica_attach({}, NULL, {})", quoted(url), quoted(all))
}

fn on_sqld() -> Place<Sqld> {
    Place::behind(Sqld::start(), MARKER, json!({}))
}

/// All forms of a write that is one request.
fn forms() -> [String; 4] {
    [
        WRITE.to_owned(),
        WRITE.replace("replica_write(", "replica_batch("),
        WRITE.replace("marked'')", "marked''); UPDATE t SET v = v"),
        r#"SELECT replica_write_many('[["INSERT INTO t(v) VALUES (?)", ["marked"]]]')"#.to_owned(),
    ]
}

/// Each form with each cut, once and three times in a row.
fn every_cut_leaves_one_write<S: Server>(place: &mut Place<S>) {
    for cut in LOSSES {
        for call in forms() {
            for times in [1, 3] {
                let before = place.rows();
                place.proxy.cut_next(cut, times);
                let report = place.shell.json(&call);
                place.proxy.cut(Cut::Never);
                assert_eq!(place.rows(), before + 1, "{cut:?} {times} {call}");
                // A copy that was kept on the way comes too late, whenever.
                let kept = place.proxy.release();
                assert_eq!(kept > 0, cut == Cut::Kept);
                assert_eq!(place.rows(), before + 1, "{cut:?} {times} {call}");
                let arrived = !matches!(cut, Cut::RequestSwallowed | Cut::Kept);
                assert_eq!(report["recovered"] == true, arrived, "{cut:?} {call}: {report}");
                assert_eq!(report["synced"], true, "{report}");
            }
        }
    }
}

#[test]
fn a_write_happens_once_wherever_its_request_or_its_answer_is_lost() {
    let mut place = on_sqld();
    every_cut_leaves_one_write(&mut place);
    assert_replica_equals_primary(&place.db, &place.server);
}

#[test]
fn a_write_to_turso_happens_once_too() {
    let Some(turso) = Turso::start() else { return };
    let mut place = Place::behind(turso, MARKER, json!({}));
    every_cut_leaves_one_write(&mut place);
    assert_replica_equals_primary(&place.db, &place.server);
}

#[test]
fn a_write_that_was_found_again_says_what_the_primary_has_noted() {
    let mut place = on_sqld();
    place.shell.run("SELECT replica_write('INSERT INTO t(id, v) VALUES (6, 1)')");
    place.proxy.cut_next(Cut::AfterRequest, 1);
    let report = place.shell.json(WRITE);
    assert_eq!(report["rows_affected"], 1);
    assert_eq!(report["last_insert_rowid"], 7);
    assert_eq!((&report["columns"], &report["rows"]), (&Value::Null, &Value::Null));
    place.proxy.cut_next(Cut::AfterRequest, 1);
    let report = place.shell.json("SELECT replica_write('UPDATE t SET v = ''marked''')");
    assert_eq!(report["rows_affected"], 2);
    assert_eq!(report["last_insert_rowid"], Value::Null);
    place.proxy.cut_next(Cut::AfterRequest, 1);
    let both = "SELECT replica_write('DELETE FROM t; INSERT INTO t(v) VALUES (''marked'')')";
    let report = place.shell.json(both);
    assert_eq!(report["results"][0]["rows_affected"], Value::Null, "{report}");
    assert_eq!(report["results"][1]["rows_affected"], 1, "{report}");
    let columns = "SELECT recovered, rows_affected FROM replica_write(\
                   'INSERT INTO t(v) VALUES (''marked'')')";
    place.proxy.cut_next(Cut::AfterRequest, 1);
    assert_eq!(place.shell.run(columns), "1|1");
    assert_eq!(place.shell.run(columns), "0|1");
}

#[test]
fn an_error_of_the_write_itself_is_told_although_an_answer_was_lost() {
    let mut place = on_sqld();
    let doubled = "SELECT replica_write('INSERT INTO t VALUES (1, ''marked'')')";
    place.shell.run(doubled);
    for cut in LOSSES {
        place.proxy.cut_next(cut, 1);
        let error = place.shell.error(doubled);
        assert!(error.contains("UNIQUE constraint failed: t.id"), "{cut:?}: {error}");
        // Were the copy taken now, it would no longer fail.
        place.server.execute("DELETE FROM t");
        place.proxy.release();
        assert_eq!(place.rows(), 0, "{cut:?}");
        place.server.execute("INSERT INTO t VALUES (1, 'marked')");
    }
}

#[test]
fn a_commit_whose_answer_is_lost_is_asked_for() {
    for options in [json!({}), json!({ "local_transactions": false })] {
        let mut place = Place::behind(Sqld::start(), "COMMIT", options);
        for cut in LOSSES {
            for begin in ["SELECT replica_begin()", "SELECT replica_begin('immediate')"] {
                let before = place.rows();
                place.shell.run(begin);
                place.shell.run("SELECT replica_write('INSERT INTO t(v) VALUES (1)')");
                place.proxy.cut_next(cut, 1);
                let happened = !matches!(cut, Cut::RequestSwallowed | Cut::Kept);
                if happened {
                    assert_eq!(place.shell.json("SELECT replica_commit()")["synced"], true);
                } else {
                    let error = place.shell.error("SELECT replica_commit()");
                    assert!(error.ends_with("took effect, begin it again"), "{cut:?}: {error}");
                }
                place.proxy.cut(Cut::Never);
                place.proxy.release();
                assert_eq!(place.rows(), before + i64::from(happened), "{cut:?}");
                assert_eq!(place.shell.run("SELECT replica_transaction()"), "none");
            }
        }
        place.shell.sync();
        assert_replica_equals_primary(&place.db, &place.server);
    }
}

#[test]
fn a_long_batch_and_a_migration_are_asked_for_too() {
    let mut place = Place::behind(Sqld::start(), "COMMIT", json!({}));
    let batch = "SELECT replica_batch('INSERT INTO t(v) VALUES (?)', value) FROM \
                 (WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n \
                 LIMIT 9000) SELECT value FROM n)";
    place.proxy.cut_next(Cut::AfterRequest, 1);
    assert_eq!(place.shell.json(batch)["count"], 9000);
    assert_eq!(place.rows(), 9000);
    place.proxy.cut_next(Cut::RequestSwallowed, 1);
    let error = place.shell.error(batch);
    assert!(error.contains("nothing of the transaction took effect"), "{error}");
    assert_eq!(place.rows(), 9000);
    place.proxy.cut_next(Cut::AfterRequest, 1);
    place.shell.run("SELECT replica_migrate('ALTER TABLE t ADD COLUMN w')");
    assert_replica_equals_primary(&place.db, &place.server);
}

#[test]
fn a_write_whose_primary_stays_away_is_named_and_told_later() {
    let mut place = Place::behind(Sqld::start(), MARKER, json!({ "timeout": 1 }));
    for (cut, committed) in [(Cut::AfterRequest, true), (Cut::Kept, false)] {
        let before = place.rows();
        place.proxy.cut(cut);
        let error = place.shell.error(WRITE);
        assert!(error.contains("the outcome of this write is unknown: "), "{error}");
        let id = error.split('\'').nth(1).expect("an id in quotes").to_owned();
        place.proxy.cut(Cut::Never);
        // Writes after it leave its record alone.
        for _ in 0..3 {
            place.shell.run("SELECT replica_write('UPDATE t SET v = v')");
        }
        // Another connection may ask as well.
        let mut other = Shell::attached(&place.db, &place.proxy.url());
        let told = other.json(&format!("SELECT replica_outcome('{id}')"));
        let name = if committed { "committed" } else { "not committed" };
        assert_eq!(told["outcome"], name, "{cut:?}: {told}");
        place.proxy.release();
        assert_eq!(place.rows(), before + i64::from(committed));
        let again = place.shell.json(&format!("SELECT replica_outcome('{id}')"));
        assert_eq!(again["outcome"], name, "{again}");
    }
    // And now they go.
    place.shell.run("SELECT replica_write('UPDATE t SET v = v')");
    assert_eq!(place.ids(), ["committed"]);
}

#[test]
fn asking_for_the_outcome_keeps_a_late_copy_out() {
    let mut place = Place::behind(Sqld::start(), MARKER, json!({ "timeout": 1 }));
    place.proxy.cut(Cut::Kept);
    let error = place.shell.error(WRITE);
    let id = error.split('\'').nth(1).expect("an id in quotes").to_owned();
    let ask = format!("SELECT replica_outcome('{id}')");
    place.proxy.cut(Cut::Never);
    // Nothing was written since.
    assert_eq!(place.shell.json(&ask)["outcome"], "not committed");
    assert!(place.proxy.release() > 0);
    assert_eq!(place.rows(), 0);
    assert_eq!(place.shell.json(&ask)["outcome"], "not committed");
    let error = place.shell.error("SELECT replica_outcome('x')");
    assert!(error.contains("no id of a write"), "{error}");
}

#[test]
fn an_id_costs_no_round_trip() {
    let sqld = Sqld::start();
    sqld.execute(TABLE);
    // Everything that comes is counted.
    let proxy = Proxy::start(sqld.address(), "HTTP/1.1");
    let mut counts = Vec::new();
    for once in [false, true] {
        let (_folder, db) = empty_place();
        let mut shell = Shell::loaded(&db);
        shell
            .run(&attach(&proxy.url(), json!({ "exactly_once": once, "read_your_writes": false })));
        shell.run(WRITE);
        proxy.seen();
        for call in forms() {
            shell.run(&call);
        }
        counts.push(proxy.seen());
    }
    assert_eq!(counts, [4, 4]);
}

#[test]
fn a_client_keeps_one_row_and_no_other_table_is_touched() {
    let mut place = on_sqld();
    for _ in 0..20 {
        place.shell.run(WRITE);
    }
    assert_eq!(place.ids(), ["committed"]);
    let mut other = Shell::loaded(&place.db);
    other.run(&attach(&place.proxy.url(), json!({})));
    other.run(WRITE);
    other.run(WRITE);
    assert_eq!(place.ids(), ["committed"; 2]);
    // A read in a transaction leaves nothing.
    other.run("SELECT replica_begin()");
    other.run("SELECT row FROM replica_query('SELECT 1')");
    other.run("SELECT replica_write('SELECT 1')");
    other.run("SELECT replica_commit()");
    let last = "SELECT max(sequence) FROM _replica_writes";
    assert_eq!(place.server.column(last), ["20"]);
    place.shell.sync();
    assert_replica_equals_primary(&place.db, &place.server);
}

#[test]
fn a_table_of_the_same_name_is_left_alone() {
    let mut place = on_sqld();
    for theirs in
        ["CREATE TABLE _replica_writes(a)", "CREATE VIEW _replica_writes AS SELECT 1 AS a"]
    {
        place.server.execute(theirs);
        let error = place.shell.error(WRITE);
        assert!(error.contains("has a table _replica_writes that is not"), "{error}");
        assert_eq!(place.rows(), 0);
        let word = if theirs.contains("VIEW") { "VIEW" } else { "TABLE" };
        place.server.execute(&format!("DROP {word} _replica_writes"));
    }
    place.shell.run(WRITE);
    assert_eq!(place.rows(), 1);
}

#[test]
fn one_call_alone_may_happen_once_and_a_script_may_not() {
    let mut place = Place::behind(Sqld::start(), MARKER, json!({ "exactly_once": false }));
    let call = |once: bool| {
        let list = json!({ "statements": ["INSERT INTO t(v) VALUES ('marked')"],
                           "exactly_once": once });
        format!("SELECT replica_write_many({})", quoted(list))
    };
    place.proxy.cut_next(Cut::AfterRequest, 1);
    assert_eq!(place.shell.json(&call(true))["recovered"], true);
    place.proxy.cut_next(Cut::AfterRequest, 1);
    let error = place.shell.error(&call(false));
    assert!(error.contains("the outcome of this write is unknown"), "{error}");
    let wrong = r#"SELECT replica_write_many('{"statements":[],"exact":true}')"#;
    assert!(place.shell.error(wrong).contains("no member \"exact\""));
    place.shell.run("SELECT replica_detach()");
    let url = place.proxy.url();
    place.shell.run(&attach(&url, json!({})));
    let error = place.shell.error("SELECT replica_script('UPDATE t SET v = 1')");
    assert!(error.contains("use replica_write() or replica_migrate()"), "{error}");
}

/// A primary that is killed at some moment, over and over.
#[test]
fn a_primary_that_dies_between_commit_and_answer_is_asked_when_it_is_back() {
    let mut place = Place::behind(Sqld::start(), MARKER, json!({ "timeout": 10 }));
    for (cut, happened) in [(Cut::AfterRequest, true), (Cut::RequestSwallowed, false)] {
        let before = place.rows();
        place.proxy.cut_next(cut, 1);
        let (mut shell, mut server) = (place.shell, place.server);
        let writer = std::thread::spawn(move || (shell.json(WRITE), shell));
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while place.proxy.seen() == 0 {
            assert!(std::time::Instant::now() < deadline, "the write does not come");
            std::thread::yield_now();
        }
        server.kill9();
        server.resume();
        let (report, shell) = writer.join().expect("no panic");
        (place.shell, place.server) = (shell, server);
        assert_eq!(place.rows(), before + 1, "{happened}: {report}");
    }
    place.shell.sync();
    assert_replica_equals_primary(&place.db, &place.server);
}

/// Writes under cuts drawn at random, each of them compared with the primary;
/// copies that were kept are released at random moments, too.
fn cuts_at_random<S: Server>(place: &mut Place<S>, seed: u64, until: impl Fn(u64) -> bool) -> u64 {
    let mut random = seed | 1;
    let mut draw = |below: u64| {
        // xorshift64
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    let (mut cuts, mut written) = (0, place.rows());
    while until(cuts) {
        let times = 1 + draw(3) as usize;
        let cut = match draw(7) {
            0 => Cut::RequestSwallowed,
            1 => Cut::AfterRequest,
            2 => Cut::Kept,
            3 => Cut::AfterResponse,
            _ => Cut::MidResponse(draw(700) as usize),
        };
        place.proxy.cut_next(cut, times);
        place.shell.run(&forms()[draw(4) as usize]);
        place.proxy.cut(Cut::Never);
        cuts += times as u64;
        written += 1;
        if draw(4) == 0 {
            place.proxy.release();
        }
        assert_eq!(place.rows(), written, "seed {seed}, after {cuts} cuts: {cut:?} {times}");
    }
    place.proxy.release();
    assert_eq!(place.rows(), written, "seed {seed}: a copy came through");
    cuts
}

#[test]
fn dozens_of_cuts_at_random_double_and_lose_nothing() {
    let mut place = on_sqld();
    cuts_at_random(&mut place, 7, |cuts| cuts < 60);
    place.shell.sync();
    assert_replica_equals_primary(&place.db, &place.server);
}

#[test]
#[ignore = "make soak MINUTES=n runs it"]
fn thousands_of_cuts_at_random_double_and_lose_nothing() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let minutes = number("MINUTES").unwrap_or(10);
    let seed = number("SEED").unwrap_or_else(|| u64::from(std::process::id()));
    let end = std::time::Instant::now() + std::time::Duration::from_secs(minutes * 60);
    let mut place = on_sqld();
    let cuts = cuts_at_random(&mut place, seed, |_| std::time::Instant::now() < end);
    place.shell.sync();
    assert_replica_equals_primary(&place.db, &place.server);
    println!("seed {seed}: {cuts} cuts, {} writes, each once", place.rows());
}
