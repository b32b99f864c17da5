//! `kill -9` at every place of the source that an entry passes on its way into
//! the outbox and out of it, the primary killed between commit and answer, and
//! a while of everything at once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::proxy::Cut;
use crate::common::*;
use crate::{Place, attach, enqueue, on_sqld};

/// Runs a script, armed, and waits for its end; whether it was killed.
fn run_armed(db: &Path, url: &str, script: &str, variable: &str, value: &str) -> bool {
    let mut command = shell::command(db);
    command.env(variable, value);
    let script = format!("{}{};\n{script}", shell::load(), attach(url, &json!({})));
    shell::shell_in(command, &script).code.is_none()
}

/// How often each place of an outbox is passed.
fn places(db: &Path, url: &str, script: &str) -> BTreeMap<String, u32> {
    let trace = db.with_extension("trace");
    let killed = run_armed(db, url, script, "REPLICA_FAULT_TRACE", trace.to_str().expect("UTF-8"));
    assert!(!killed);
    let mut places = BTreeMap::new();
    for line in std::fs::read_to_string(&trace).unwrap_or_default().lines() {
        if line.starts_with("outbox") {
            *places.entry(line.to_owned()).or_default() += 1;
        }
    }
    std::fs::remove_file(&trace).expect("a trace");
    places
}

/// All of them, as the sources name them.
fn all_places() -> BTreeSet<String> {
    let mut places = BTreeSet::new();
    for folder in ["src/outbox", "src/delivery"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        for entry in std::fs::read_dir(folder).expect("a readable folder") {
            let text = std::fs::read_to_string(entry.expect("an entry").path()).expect("text");
            let names = text.split("fault::point(\"").skip(1);
            places.extend(names.map(|rest| rest.split('"').next().expect("a name").to_owned()));
        }
    }
    places
}

#[test]
fn a_kill_at_any_place_loses_and_doubles_nothing_that_was_promised() {
    let server = Sqld::start();
    server.execute(crate::TABLE);
    let url = server.url();
    let (_folder, db) = empty_place();
    Shell::attached(&db, &url).close();
    // Each call prints its number once it has promised something.
    let queue: String = (0..3).map(|at| format!("{};\n", enqueue(&format!("q{at}")))).collect();
    let conflict = "SELECT replica_enqueue('INSERT INTO t(id, v) VALUES (1, ''again'')');\n";
    let script = format!("{queue}{conflict}{}SELECT replica_deliver();\n", queue.replace('q', "r"));
    let script = script.replace("rereplica", "replica").replace("enrueue", "enqueue");
    server.execute("DELETE FROM t; INSERT INTO t VALUES (1, 'first')");
    let places = places(&db, &url, &script);
    assert_eq!(places.keys().cloned().collect::<BTreeSet<_>>(), all_places());
    let mut kills = 0;
    for (place, passages) in &places {
        for passage in 1..=*passages {
            server.execute("DELETE FROM t; INSERT INTO t VALUES (1, 'first')");
            let _ = std::fs::remove_file(crate::outbox_of(&db));
            let fault = format!("{place}:{passage}");
            assert!(run_armed(&db, &url, &script, "REPLICA_FAULT", &fault), "{fault}");
            kills += 1;
            let mut shell = Shell::attached(&db, &url);
            let entries = shell.run("SELECT count(*) FROM replica_outbox");
            assert_eq!(shell.sync()["waiting"].as_u64().unwrap_or(0), 0, "{fault}");
            // A prefix of what was to be queued is there, each of it once.
            let all = ["first", "q0", "q1", "q2", "r0", "r1", "r2"];
            let entries: usize = entries.parse().expect("a number");
            let expected = 1 + if entries > 3 { entries - 1 } else { entries };
            assert_eq!(server.column("SELECT v FROM t ORDER BY id"), all[..expected], "{fault}");
            assert_eq!(shell.run("PRAGMA main.integrity_check"), "ok");
        }
    }
    println!("{kills} kills at {} places", places.len());
    Shell::attached(&db, &url).sync();
    assert_replica_equals_primary(&db, &server);
}

#[test]
fn a_primary_that_dies_between_commit_and_answer_has_each_entry_once() {
    let mut place = on_sqld(json!({}));
    place.enqueue();
    place.shell.sync();
    for cut in [Cut::AfterRequest, Cut::RequestSwallowed, Cut::MidResponse(30)] {
        for _ in 0..3 {
            place.enqueue();
        }
        place.proxy.cut(cut);
        place.shell.ask("SELECT replica_deliver()");
        place.server.kill9();
        place.proxy.cut(Cut::Never);
        place.server.resume();
        let report = place.shell.sync();
        assert_eq!(report["stopped"], Value::Null, "{cut:?}: {report}");
        place.assert_arrived(&format!("{cut:?}"));
    }
    assert_replica_equals_primary(&place.db, &place.server);
}

/// What a long run has done.
#[derive(Debug, Default)]
struct Counts {
    queued: u64,
    cuts: u64,
    kept: u64,
    kills: u64,
    crashes: u64,
}

/// Two processes queue and deliver, one of them is killed now and then, the
/// network is cut, the primary crashes; each entry is to take effect once, and
/// those of one process in order.
fn everything_at_once(seed: u64, until: impl Fn(&Counts) -> bool) -> Counts {
    let mut place = on_sqld(json!({ "timeout": 5 }));
    let mut random = seed | 1;
    let mut draw = |below: u64| {
        // xorshift64
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    place.enqueue();
    place.shell.sync();
    let mut counts = Counts { queued: 1, ..Counts::default() };
    let mut other = place.another();
    while !until(&counts) {
        for _ in 0..draw(4) {
            let name = format!("marked {}", place.queued.len() + 1);
            // One after the other: the order of what was promised is known.
            let shell = if draw(2) == 0 { &mut place.shell } else { &mut other };
            shell.run(&enqueue(&name));
            place.queued.push(name);
            counts.queued += 1;
        }
        let cut = match draw(8) {
            0 => Cut::RequestSwallowed,
            1 => Cut::AfterRequest,
            2 => Cut::Kept,
            3 => Cut::AfterResponse,
            4 | 5 => Cut::MidResponse(draw(700) as usize),
            _ => Cut::Never,
        };
        let times = 1 + draw(3);
        place.proxy.cut_next(cut, times as usize);
        counts.cuts += if cut == Cut::Never { 0 } else { times };
        place.shell.send("SELECT replica_deliver()");
        other.send("SELECT replica_sync()");
        match draw(6) {
            0 => {
                std::thread::sleep(Duration::from_millis(draw(30)));
                std::mem::replace(&mut other, Shell::plain(&place.db)).kill9();
                other = place.another();
                counts.kills += 1;
            }
            1 => {
                std::thread::sleep(Duration::from_millis(draw(30)));
                place.server.kill9();
                place.server.resume();
                other.answer();
                counts.crashes += 1;
            }
            _ => drop(other.answer()),
        }
        place.shell.answer();
        place.proxy.cut(Cut::Never);
        if draw(3) == 0 {
            counts.kept += place.proxy.release() as u64;
        }
        let rows = place.rows();
        assert!(place.queued.starts_with(&rows), "seed {seed}: {counts:?}\n{rows:?}");
        if draw(4) == 0 {
            empty(&mut place, seed);
        }
    }
    empty(&mut place, seed);
    place.proxy.release();
    place.assert_arrived(&format!("seed {seed}: a copy came through"));
    place.shell.sync();
    assert_replica_equals_primary(&place.db, &place.server);
    counts
}

/// Delivers until nothing waits.
fn empty(place: &mut Place<Sqld>, seed: u64) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while place.shell.run("SELECT queued FROM replica_status") != "0" {
        let output = place.shell.ask("SELECT replica_sync()");
        assert!(Instant::now() < deadline, "seed {seed}: {output}");
    }
    place.assert_arrived(&format!("seed {seed}"));
}

#[test]
fn dozens_of_kills_and_cuts_reorder_lose_and_double_nothing() {
    let counts = everything_at_once(7, |counts| counts.cuts >= 40 && counts.kills >= 4);
    println!("{counts:?}");
}

#[test]
#[ignore = "make soak MINUTES=n runs it"]
fn thousands_of_kills_and_cuts_reorder_lose_and_double_nothing() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let minutes = number("MINUTES").unwrap_or(10);
    let seed = number("SEED").unwrap_or_else(|| u64::from(std::process::id()));
    let end = Instant::now() + Duration::from_secs(minutes * 60);
    let counts = everything_at_once(seed, |_| Instant::now() >= end);
    println!("seed {seed}: {counts:?}: each entry once, in order");
}
