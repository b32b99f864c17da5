//! Pages that are damaged at random on their way, or by a primary: in tables,
//! in the schema, and in the shadow tables of SQLite's own extensions (FTS5,
//! R-Tree). SQLite reads them, and says what it finds; ours looks at the schema
//! before. The host lives on, in bounded memory, and an honest primary heals the
//! file. The primary that damages them is simulated.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::common::made_up::{Frame, Image, PAGE, serve};
use crate::common::random::Random;
use crate::common::*;

const SCHEMA: &str = "
    PRAGMA page_size = 4096;
    CREATE TABLE plain(id INTEGER PRIMARY KEY, v, b); CREATE INDEX i ON plain(v);
    WITH n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 300)
    INSERT INTO plain SELECT i, i * 7 % 13, zeroblob(i * 20) FROM n;
    CREATE VIRTUAL TABLE words USING fts5(text);
    WITH n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 300)
    INSERT INTO words SELECT 'lantern ' || hex(i * 7919) || ' rope ' || i FROM n;
    CREATE VIRTUAL TABLE boxes USING rtree(id, x0, x1, y0, y1);
    WITH n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 300)
    INSERT INTO boxes SELECT i, i, i + 1, i, i + 2 FROM n;";

const QUESTIONS: [&str; 8] = [
    "SELECT count(*), sum(length(b)) FROM plain",
    "SELECT count(*) FROM plain INDEXED BY i WHERE v = 3",
    "SELECT count(*) FROM words WHERE words MATCH 'lantern AND rope'",
    "SELECT max(rank), count(snippet(words, 0, '<', '>', '..', 5)) FROM words WHERE words MATCH 'r*'",
    "SELECT count(*) FROM boxes WHERE x0 > 10 AND y1 < 200",
    "SELECT rtreecheck('boxes')",
    "PRAGMA quick_check",
    "SELECT group_concat(name) FROM sqlite_schema",
];

/// The pages of tables that other tables are made of.
fn shadow_pages(shell: &mut Shell) -> Vec<usize> {
    let pages = shell.run(
        "SELECT rootpage FROM sqlite_schema WHERE rootpage > 0
         AND (name LIKE 'words%' OR name LIKE 'boxes%')",
    );
    pages.lines().map(|page| page.parse::<usize>().expect("a page") - 1).collect()
}

fn damage(pages: &mut [Image], shadows: &[usize], random: &mut Random) -> String {
    let mut what = BTreeMap::new();
    for _ in 0..=random.below(6) {
        let page = match random.below(4) {
            // The schema: the first page, and what belongs to its tree.
            0 => 0,
            1 => random.below(pages.len()),
            _ => shadows[random.below(shadows.len())],
        };
        // Behind the header of the file: what is wrong there is refused.
        let from = if page == 0 { 100 } else { 0 };
        let reach = if random.below(2) == 0 { 60 } else { PAGE - from };
        let at = from + random.below(reach);
        let length = [1, 2, 4, 50][random.below(4)].min(PAGE - at);
        for byte in &mut pages[page][at..at + length] {
            *byte = [0, 0xff, 0x7f, 0x80, random.below(256) as u8][random.below(5)];
        }
        what.insert((page + 1, at), length);
    }
    format!("{what:?}")
}

fn run(rounds: u32, seed: u64) {
    let mut random = Random(seed | 1);
    let honest = Sqld::start();
    honest.execute("CREATE TABLE t(x); INSERT INTO t VALUES ('honest')");
    let (_folder, source) = empty_place();
    sql(&source, SCHEMA);
    let shadows = shadow_pages(&mut Shell::plain(&source));
    let bytes = std::fs::read(&source).expect("a database");
    let sound: Vec<Image> =
        bytes.chunks(PAGE).map(|page| page.try_into().expect("a page")).collect();
    let (mut refused, mut errors, mut peak) = (0, 0, 0);
    let mut slowest = Duration::ZERO;
    for round in 0..rounds {
        let mut pages = sound.clone();
        let what = damage(&mut pages, &shadows, &mut random);
        let what = format!("seed {seed}, round {round}: {what}");
        let last = pages.len() as u32;
        let frames = (1..).zip(pages).map(|(page, image)| Frame {
            number: u64::from(page) - 1,
            page,
            size_after: if page == last { last } else { 0 },
            image,
        });
        let server = serve("log", frames.collect(), u64::from(last) - 1);
        let (_folder, db) = empty_place();
        let mut shell = Shell::loaded(&db);
        shell.run("PRAGMA cell_size_check = ON; PRAGMA hard_heap_limit = 200000000");
        let answer = shell.ask(&format!(
            "SELECT replica_attach('{}', NULL, '{{\"timeout\": 5}}') ->> 'state'",
            server.url()
        ));
        refused += u32::from(answer != "idle");
        for question in QUESTIONS {
            let started = Instant::now();
            let answer = shell.ask(question);
            slowest = slowest.max(started.elapsed());
            errors += u32::from(shell::error_in(&answer).is_some());
        }
        assert_eq!(shell.run("SELECT 'alive'"), "alive", "{what}");
        peak = peak.max(shell.peak().unwrap_or(0));
        shell.run("SELECT replica_detach()");
        shell.attach_anew(&honest.url());
        assert_eq!(shell.sync()["sync_error"], serde_json::Value::Null, "{what}");
        assert_eq!(shell.run("SELECT x FROM t"), "honest", "{what}");
        shell.close();
        assert_replica_equals_primary(&db, &honest);
    }
    println!(
        "damage: seed {seed}: {rounds} files, {refused} refused, {errors} questions were errors, \
         slowest {slowest:.1?}, {} MB",
        peak >> 20
    );
    assert!(errors > rounds, "damage is met: {errors}");
}

/// The same damage each time: another SQLite may find other faults of its own.
#[test]
fn damaged_pages_and_shadow_tables_harm_neither_host_nor_file() {
    run(25, 20_261_125);
}

#[test]
#[ignore = "make soak runs it"]
fn much_damage_harms_neither_host_nor_file() {
    run(1000, u64::from(std::process::id()) << 16);
}
