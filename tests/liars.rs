//! Primaries that lie. They are simulated: a small server serves a log that is
//! made up (and known page by page), or plays what a real sqld once answered,
//! with damage. Whatever it says, the file shows either what it showed before
//! or exactly what the server committed; the host lives on; memory is bounded;
//! and a sync with an honest primary ends equal to it.
//!
//! What cannot be noticed is a lie about the content of a page: then the file
//! is as wrong as the primary says it is.

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use common::made_up::*;
use common::net::http_answer;
use common::random::Random;
use common::*;

/// A page of anything.
fn any_image(random: &mut Random) -> Image {
    let mut image = [0; PAGE];
    for chunk in image.chunks_mut(8) {
        chunk.copy_from_slice(&random.next().to_le_bytes());
    }
    image
}

/// The database that a list of frames adds up to after frame `last`.
fn state_at(frames: &[Frame], last: u64) -> Vec<Image> {
    let mut pages = BTreeMap::new();
    for frame in frames.iter().filter(|frame| frame.number <= last) {
        pages.insert(frame.page, frame.image);
        if frame.size_after != 0 {
            pages.retain(|page, _| *page <= frame.size_after);
        }
    }
    pages.into_values().collect()
}

/// A real database of some pages, as frames of one transaction.
fn real_database(folder: &Path) -> Vec<Image> {
    let db = folder.join("real.db");
    sql(
        &db,
        "PRAGMA page_size = 4096; CREATE TABLE t(x); INSERT INTO t VALUES (zeroblob(40000)), (7);",
    );
    let bytes = std::fs::read(&db).expect("bytes");
    bytes.chunks(PAGE).map(|page| page.try_into().expect("a page")).collect()
}

fn honest_log(base: &[Image], random: &mut Random) -> Vec<Frame> {
    let mut frames: Vec<Frame> = Vec::new();
    let mut add = |page: u32, size_after: u32, image: Image| {
        frames.push(Frame { number: frames.len() as u64, page, size_after, image });
    };
    let mut size = base.len() as u32;
    for (page, image) in (1..).zip(base) {
        add(page, if page == size { size } else { 0 }, *image);
    }
    for _ in 0..random.below(6) {
        let grown = (size + random.below(12) as u32).saturating_sub(random.below(9) as u32).max(3);
        let changed: Vec<u32> =
            (0..random.below(5)).map(|_| 2 + random.below(size as usize - 1) as u32).collect();
        for page in changed.into_iter().chain(size + 1..=grown) {
            add(page, 0, any_image(random));
        }
        let mut last = base[0];
        last[64] = random.below(256) as u8; // user_version's neighbour: any content
        add(1, grown, last);
        size = grown;
    }
    frames
}

/// One lie, or none, about what comes after the first `told` frames.
fn lie(frames: &mut Vec<Frame>, told: usize, head: &mut u64, random: &mut Random) -> String {
    if frames.len() == told {
        return "no lie".to_owned();
    }
    let at = told + random.below(frames.len() - told);
    let odd = [0, 2, 1_000_000_000, u32::MAX, 262_145][random.below(5)];
    let kind = random.below(14);
    match kind {
        0 => frames[at].page = odd,
        1 => frames[at].size_after = odd,
        2 => drop(frames.remove(at)),
        3 => frames.insert(at, frames[at].clone()),
        4 => frames[at].number += 1 + u64::from(odd),
        5 => frames[at].number = u64::MAX - u64::from(odd),
        6 => frames.iter_mut().skip(at).for_each(|frame| frame.number += u64::from(odd)),
        7 => *head += 1 + u64::from(odd),
        8 => *head = 0,
        9 => frames.truncate(at),
        10 => frames.iter_mut().skip(told).for_each(|frame| frame.size_after = 0),
        11 => frames
            .iter_mut()
            .skip(told)
            .filter(|frame| frame.page == 1)
            .for_each(|f| f.image[16] = 0x20),
        12 => frames
            .iter_mut()
            .skip(told)
            .filter(|frame| frame.page == 1)
            .for_each(|f| f.image[18] = 0xff),
        _ => {}
    }
    format!("lie {kind} at {at} with {odd}")
}

/// The file as SQLite shows it, page by page, without what we mark in page 1.
fn pages_of(db: &Path) -> Vec<Image> {
    sql(db, "PRAGMA wal_checkpoint(TRUNCATE);");
    let bytes = std::fs::read(db).expect("bytes");
    assert!(bytes.len() % PAGE == 0, "{} bytes", bytes.len());
    bytes.chunks(PAGE).map(|page| page.try_into().expect("a page")).collect()
}

/// Offsets 18 to 19, 28 to 31, 40 to 43, 72 to 95 are ours (`wal/page1.rs`).
/// What is in memory is seen by a backup, which SQLite gives a change counter
/// (24 to 27) and its own version (96 to 99).
fn without_marks(mut pages: Vec<Image>) -> Vec<Image> {
    if let Some(page_1) = pages.first_mut() {
        for range in [18..20, 28..32, 40..44, 72..96] {
            page_1[range].fill(0);
        }
        if memory::is_asked_for() {
            page_1[24..28].fill(0);
            page_1[96..100].fill(0);
        }
    }
    pages
}

#[test]
fn a_made_up_log_is_shown_as_it_was_committed_or_not_at_all() {
    let seed = u64::from(std::process::id()) << 16 | 1;
    let mut random = Random(seed);
    let folder = tempfile::tempdir().expect("a folder");
    let base = real_database(folder.path());
    let (mut refused, mut taken) = (0, 0);
    for round in 0..120 {
        let (_folder, db) = empty_place();
        let mut frames = honest_log(&base, &mut random);
        // First some honest commits in half of the rounds, then the lie.
        let (mut before, mut told, mut open) = (Vec::new(), 0, None);
        if round % 2 == 0 {
            let first = serve("log", frames[..base.len()].to_vec(), base.len() as u64 - 1);
            let mut shell = Shell::loaded(&db);
            shell.attach_anew(&first.url());
            let mut shell = shell.reopened();
            assert_eq!(shell.run("SELECT count(*) FROM replica_status"), "0");
            before = without_marks(pages_of(&db));
            assert!(before == without_marks(base.clone()));
            told = base.len();
            open = Some(shell);
        }
        let mut head = frames.len() as u64 - 1;
        let what = lie(&mut frames, told, &mut head, &mut random);
        let what = format!("seed {seed}, round {round}: {what}");
        let server = serve("log", frames.clone(), head);
        let mut shell = open.unwrap_or_else(|| Shell::loaded(&db));
        let attach = format!(
            "SELECT replica_attach({}, NULL, '{{\"timeout\": 1, \"new_primary\": true}}') ->> 'frame_no'",
            quoted(server.url())
        );
        let mut answer = shell.ask(&attach);
        if answer.parse::<u64>().is_ok() {
            answer = shell.ask("SELECT replica_sync() ->> 'frame_no'");
        }
        assert_eq!(shell.run("SELECT 'alive'"), "alive", "{what}");
        shell.close();
        let shown = without_marks(pages_of(&db));
        match answer.parse() {
            Ok(frame_no) => {
                taken += 1;
                let expected = without_marks(state_at(&frames, frame_no));
                assert!(shown == expected, "{what}: frame {frame_no} is not what was committed");
            }
            Err(_) => {
                refused += 1;
                assert!(answer.contains("replica_"), "{what}: {answer}");
                let nothing = before.is_empty() && shown.len() <= 1;
                assert!(nothing || shown == before, "{what}: {answer}: something was shown");
            }
        }
    }
    println!("seed {seed}: {refused} refused, {taken} taken");
    assert!(refused > 20 && taken > 20, "{refused} refused, {taken} taken");
}

#[test]
fn damaged_recordings_of_a_real_primary_hurt_neither_host_nor_file() {
    let seed = u64::from(std::process::id()) << 16 | 1;
    let mut random = Random(seed);
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
    // The first byte belongs to the fuzz target.
    let recorded =
        |name: &str| std::fs::read(corpus.join(name)).expect("a recording")[1..].to_vec();
    let (hello, batch) = (recorded("grpc_web/hello"), recorded("frames/batch"));
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(x); INSERT INTO t VALUES ('honest')");
    for round in 0..60 {
        let (mut hello, mut batch) = (hello.clone(), batch.clone());
        let damaged = if random.below(4) == 0 { &mut hello } else { &mut batch };
        for _ in 0..=random.below(3) {
            let at = random.below(damaged.len());
            match random.below(4) {
                0 => damaged[at] ^= 1 << random.below(8),
                1 => damaged.truncate(at),
                2 => drop(damaged.drain(at..(at + 50).min(at + damaged.len() - at))),
                _ => drop(damaged.splice(at..at, [0xff; 9])),
            }
            if damaged.is_empty() {
                break;
            }
        }
        let head = "content-type: application/grpc-web+proto\r\n";
        let server = FakeServer::start(move |request| match request.path.rsplit('/').next() {
            Some("Hello") => http_answer("200 OK", head, &hello),
            Some("BatchLogEntries") if next_offset(request) == 0 => {
                http_answer("200 OK", head, &batch)
            }
            _ => grpc(&[]),
        });
        let (_folder, db) = empty_place();
        let mut shell = Shell::loaded(&db);
        let attach = format!(
            "SELECT replica_attach({}, NULL, '{{\"timeout\": 1, \"new_primary\": true}}')",
            quoted(server.url())
        );
        let answer = shell.ask(&attach);
        assert_eq!(shell.run("SELECT 'alive'"), "alive", "seed {seed}, round {round}");
        shell.run("SELECT replica_detach()");
        shell.attach_anew(&sqld.url());
        shell.ask("SELECT replica_sync()");
        assert_eq!(shell.run("SELECT x FROM t"), "honest", "seed {seed}, round {round}: {answer}");
        shell.close();
        assert_replica_equals_primary(&db, &sqld);
    }
}

#[test]
fn a_transaction_that_never_ends_takes_little_memory_and_leaves_nothing() {
    if memory::cannot_do("what arrives is in memory, up to max_size") {
        return;
    }
    let (folder, db) = empty_place();
    let base = real_database(folder.path());
    // 100 MB in one answer, each page another one, far apart, without an end.
    let frames: Vec<Frame> = (0..25_000_u32)
        .map(|i| Frame {
            number: u64::from(i),
            page: if i == 0 { 1 } else { i * 97 },
            size_after: 0,
            image: base[0],
        })
        .collect();
    let server = serve("log", frames, 24_999);
    let mut shell = Shell::loaded(&db);
    let attach =
        format!("SELECT replica_attach({}, NULL, '{{\"timeout\": 5}}')", quoted(server.url()));
    let error = shell.error(&attach);
    assert!(error.starts_with("replica_attach: first sync: "), "{error}");
    let status = std::fs::read_to_string(format!("/proc/{}/status", shell.pid())).expect("Linux");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().expect("a number");
    assert!(peak < 64 * 1024, "{peak} KB");
    shell.close();
    assert_eq!(pages_of(&db).len(), 1, "nothing is left behind page 1");
}
