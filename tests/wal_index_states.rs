//! Every state that a `kill -9` can leave in the shared memory inside of two of
//! SQLite's own procedures, which no fault point of ours reaches: the restart
//! of the log (`walRestartHdr`) and the clearing of a dead writer's remains
//! (`walCleanupHash`). Each prefix of their stores is put into the `-shm` file
//! of a replica that other processes have open; then the replica is synced
//! twice and its log copied, and each time a plain shell must see what the
//! primary has. Also the state in which an older version went on from there.
//!
//! The states are poked from outside of the processes that have the file open;
//! that each of them is met by a real kill is not shown here.

mod common;

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering::Relaxed};

use common::sqld::text_of;
use common::*;
use replica::units::PageNo;
use replica::wal::index::{self, Cells, SEGMENT_SLOTS, SEGMENT_WORDS, Segment};

/// A replica that stays open in two shells, one of ours and a plain one.
struct Stage {
    sqld: Sqld,
    _folder: TempDir,
    db: PathBuf,
    syncer: Shell,
    plain: Shell,
    changes: u32,
}

impl Stage {
    fn start() -> Stage {
        let sqld = Sqld::start();
        sqld.execute(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, v, b); CREATE INDEX i ON t(v);
             WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 60)
             INSERT INTO t SELECT n, 0, zeroblob(500) FROM c",
        );
        let (folder, db) = empty_place();
        let syncer = Shell::attached(&db, &sqld.url());
        let mut plain = Shell::plain(&db);
        plain.run("SELECT count(*) FROM t");
        Stage { sqld, _folder: folder, db, syncer, plain, changes: 0 }
    }

    fn beside(&self, end: &str) -> PathBuf {
        PathBuf::from(format!("{}{end}", self.db.display()))
    }

    fn change(&mut self) {
        self.changes += 1;
        let at = self.changes * 7 % 60 + 1;
        self.sqld.execute(&format!("UPDATE t SET v = {} WHERE id = {at}", self.changes));
        self.syncer.sync();
    }

    fn check(&mut self, what: &str) {
        let question = "SELECT sum(v * id), count(*), max(v) FROM t NOT INDEXED UNION ALL \
                        SELECT sum(v), count(*), max(v) FROM t INDEXED BY i";
        let there: Vec<String> = self
            .sqld
            .query(question)
            .iter()
            .map(|row| row.iter().map(text_of).collect::<Vec<_>>().join("|"))
            .collect();
        assert_eq!(self.plain.run(question), there.join("\n"), "{what}");
    }

    /// Goes on from what is in the shared memory now.
    fn goes_on(&mut self, what: &str) {
        for time in ["after a sync", "after another one"] {
            self.change();
            self.check(&format!("{what}, {time}"));
        }
        self.plain.run("PRAGMA wal_checkpoint");
        self.check(&format!("{what}, after a checkpoint"));
        assert_eq!(self.plain.run("PRAGMA integrity_check"), "ok", "{what}");
    }

    fn shm(&self) -> Vec<u8> {
        std::fs::read(self.beside("-shm")).expect("shared memory")
    }

    fn poke(&self, at: usize, bytes: &[u8]) {
        poke(&self.beside("-shm"), at, bytes);
    }
}

fn poke(path: &Path, at: usize, bytes: &[u8]) {
    let file = std::fs::File::options().write(true).open(path).expect("a file");
    file.write_all_at(bytes, at as u64).expect("a write");
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

/// Offsets in the order in which `walRestartHdr` stores them: the header's
/// second copy and its first, what was copied and tried, and the read marks.
fn restart_stores() -> Vec<usize> {
    let copies = (48..96).step_by(4).chain((0..48).step_by(4));
    copies.chain([96, 128, 104, 108, 112, 116]).collect()
}

#[test]
fn a_kill_inside_sqlites_own_restart_of_the_log_costs_nothing() {
    let mut stage = Stage::start();
    let mut states = 0;
    for stored in 0..=restart_stores().len() {
        // Enough frames that the next two syncs come to no more.
        for _ in 0..4 {
            stage.change();
        }
        stage.plain.run("PRAGMA wal_checkpoint");
        let (before, log) = (stage.shm(), std::fs::read(stage.beside("-wal")).expect("a log"));
        assert_eq!(word(&before, 16), word(&before, 96), "all of it is copied");
        assert_eq!(stage.plain.run("PRAGMA wal_checkpoint(TRUNCATE)"), "0|0|0");
        let after = stage.shm();
        let mut state = before.clone();
        for at in &restart_stores()[..stored] {
            state[*at..at + 4].copy_from_slice(&after[*at..at + 4]);
        }
        poke(&stage.beside("-wal"), 0, &log);
        stage.poke(0, &state[..136]);
        stage.check(&format!("{stored} stores"));
        stage.goes_on(&format!("{stored} stores of a restart"));
        states += 1;
    }
    println!("{states} states of a restart");
}

/// What 0.1.0 made of the state above: frames in the log, more of them said to
/// be copied.
#[test]
fn a_log_that_was_written_over_such_a_restart_is_recovered() {
    let mut stage = Stage::start();
    let mut states = 0;
    for frames in 1..4 {
        stage.plain.run("PRAGMA wal_checkpoint(TRUNCATE)");
        for _ in 0..frames {
            stage.change();
        }
        let last = word(&stage.shm(), 16);
        for more in [1, 2, 100] {
            stage.poke(96, &(last + more).to_ne_bytes());
            stage.goes_on(&format!("{frames} syncs, {more} more copied than there are"));
            stage.plain.run("PRAGMA wal_checkpoint(TRUNCATE)");
            for _ in 0..frames {
                stage.change();
            }
            states += 1;
        }
    }
    println!("{states} states of a damaged log");
}

/// The first segment of the wal-index, outside of the file.
struct Copy {
    words: Box<[AtomicU32; SEGMENT_WORDS]>,
    slots: Box<[AtomicU16; SEGMENT_SLOTS]>,
}

impl Copy {
    fn of(shm: &[u8]) -> Copy {
        let half = SEGMENT_WORDS * 4;
        let slot = |at: usize| u16::from_ne_bytes([shm[half + at * 2], shm[half + at * 2 + 1]]);
        Copy {
            words: Box::new(std::array::from_fn(|at| AtomicU32::new(word(shm, at * 4)))),
            slots: Box::new(std::array::from_fn(|at| AtomicU16::new(slot(at)))),
        }
    }

    fn segment(&self) -> Segment<'_> {
        Segment { words: &self.words, slots: &self.slots }
    }

    fn bytes(&self) -> Vec<u8> {
        let words = self.words.iter().flat_map(|word| word.load(Relaxed).to_ne_bytes());
        let slots = self.slots.iter().flat_map(|slot| slot.load(Relaxed).to_ne_bytes());
        words.chain(slots).collect()
    }
}

#[test]
fn a_kill_while_remains_of_a_dead_writer_are_cleared_costs_nothing() {
    const REMAINS: u32 = 6;
    let mut stage = Stage::start();
    // A reader keeps the log from beginning again.
    let mut reader = Shell::plain(&stage.db);
    let mut states = 0;
    for from_the_front in [true, false] {
        for stored in 0..=2 * REMAINS as usize {
            stage.change();
            reader.run("BEGIN; SELECT count(*) FROM t");
            let shm = Copy::of(&stage.shm());
            let (segment, last) = (shm.segment(), word(&stage.shm(), 16));
            for frame in last + 1..=last + REMAINS {
                // Pages of the table and others.
                index::append(&segment, frame, PageNo(frame % 9 + 2)).expect("room");
            }
            // All slots go first, in the order of the table; then the pages.
            let is_remains = |slot: &usize| u32::from(segment.slot(*slot)) > last;
            let slots: Vec<usize> = (0..SEGMENT_SLOTS).filter(is_remains).collect();
            slots.iter().take(stored).for_each(|slot| segment.set_slot(*slot, 0));
            for place in 0..stored.saturating_sub(slots.len()) {
                let place = if from_the_front { place } else { REMAINS as usize - 1 - place };
                segment.set_word(34 + last as usize + place, 0);
            }
            stage.poke(136, &shm.bytes()[136..]);
            let what = format!("{stored} stores, from the front: {from_the_front}");
            stage.check(&what);
            stage.goes_on(&what);
            reader.run("COMMIT");
            states += 1;
        }
    }
    println!("{states} states of a clean-up");
}
