//! The log and its index, as `wal/` understands them, against SQLite itself:
//! what SQLite wrote is read here, what the extension wrote is read by SQLite.

mod common;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, AtomicU32};

use common::*;
use replica::units::{PAGE_SIZE, PageImage, PageNo};
use replica::wal::checksum::WordOrder;
use replica::wal::frame::{self, FrameHeader};
use replica::wal::header::{self, WalHeader};
use replica::wal::index::{self, IndexHeader, SEGMENT_SIZE, SEGMENT_SLOTS, SEGMENT_WORDS, Segment};

fn beside(db: &Path, suffix: &str) -> PathBuf {
    PathBuf::from(format!("{}{suffix}", db.display()))
}

/// The valid part of a log: its header and frames up to the last commit, each
/// with its page.
struct Log {
    header: WalHeader,
    frames: Vec<(FrameHeader, PageImage)>,
}

fn read_log(db: &Path) -> Log {
    let bytes = std::fs::read(beside(db, "-wal")).unwrap();
    let (header, mut checksum) = WalHeader::decode(bytes[..header::SIZE].try_into().unwrap())
        .expect("a header that SQLite takes");
    let mut frames = Vec::new();
    let mut committed = 0;
    for bytes in bytes[header::SIZE..].chunks_exact(frame::SIZE) {
        let frame = FrameHeader::decode(bytes[..frame::HEADER_SIZE].try_into().unwrap());
        let image: PageImage = bytes[frame::HEADER_SIZE..].try_into().unwrap();
        if !frame.verify(header.salt, &image, checksum, header.order) {
            break;
        }
        checksum = frame.checksum;
        frames.push((frame, image));
        if frame.commit_size != 0 {
            committed = frames.len();
        }
    }
    frames.truncate(committed);
    Log { header, frames }
}

/// The wal-index as it stands in the `-shm` file.
struct Index(Vec<(Words, Slots)>);

type Words = Box<[AtomicU32; SEGMENT_WORDS]>;
type Slots = Box<[AtomicU16; SEGMENT_SLOTS]>;

impl Index {
    fn read(db: &Path) -> Index {
        let bytes = std::fs::read(beside(db, "-shm")).unwrap();
        let word = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap());
        let half = |at: usize| u16::from_ne_bytes(bytes[at..at + 2].try_into().unwrap());
        let segments = (0..bytes.len() / SEGMENT_SIZE).map(|number| {
            let (start, middle) = (number * SEGMENT_SIZE, number * SEGMENT_SIZE + SEGMENT_SIZE / 2);
            (
                Box::new(std::array::from_fn(|i| AtomicU32::new(word(start + i * 4)))),
                Box::new(std::array::from_fn(|i| AtomicU16::new(half(middle + i * 2)))),
            )
        });
        Index(segments.collect())
    }

    fn segment(&self, number: usize) -> Segment<'_> {
        Segment { words: &self.0[number].0, slots: &self.0[number].1 }
    }

    fn header(&self) -> IndexHeader {
        IndexHeader::read(&self.segment(0), || ()).expect("a whole header")
    }

    fn find(&self, page: u32, last: u32) -> Option<u32> {
        (0..=index::segment_of(last))
            .rev()
            .find_map(|number| index::find(&self.segment(number), number, PageNo(page), last))
    }
}

/// The index must lead to the last frame of each page, and say of the log what
/// the log says of itself.
fn assert_index_fits_log(index: &Index, log: &Log) {
    let header = index.header();
    let (last, _) = log.frames.last().expect("frames");
    assert_eq!(header.max_frame as usize, log.frames.len());
    assert_eq!(header.frame_checksum, last.checksum);
    assert_eq!((header.pages, header.salt), (last.commit_size, log.header.salt));
    let newest: HashMap<u32, u32> =
        (1..).zip(&log.frames).map(|(number, (frame, _))| (frame.page.0, number)).collect();
    for page in 1..=header.pages + 10 {
        assert_eq!(index.find(page, header.max_frame), newest.get(&page).copied(), "page {page}");
    }
}

/// Every page as SQLite sees it: a backup copies them one by one.
fn pages_by_sqlite(shell: &mut Shell, folder: &Path) -> Vec<PageImage> {
    let copy = folder.join("copy.db");
    shell.run(&format!(".backup '{}'", copy.display()));
    let bytes = std::fs::read(&copy).unwrap();
    std::fs::remove_file(copy).unwrap();
    without_versions(bytes.chunks_exact(PAGE_SIZE).map(|page| page.try_into().unwrap()).collect())
}

/// Every page as our index, the log and the database file say.
fn pages_by_us(db: &Path) -> Vec<PageImage> {
    let (log, index, file) = (read_log(db), Index::read(db), std::fs::read(db).unwrap());
    let header = index.header();
    let page = |page: u32| match index.find(page, header.max_frame) {
        Some(frame) => log.frames[frame as usize - 1].1,
        None => {
            file[(page as usize - 1) * PAGE_SIZE..page as usize * PAGE_SIZE].try_into().unwrap()
        }
    };
    without_versions((1..=header.pages).map(page).collect())
}

/// A backup is a database of its own: it has other format versions, change
/// counters and cookie in its header.
fn without_versions(mut pages: Vec<PageImage>) -> Vec<PageImage> {
    for bytes in [18..20, 24..28, 40..44, 92..100] {
        pages[0][bytes].fill(0);
    }
    pages
}

/// A database whose log, of more than one segment of the index, SQLite wrote;
/// the shell keeps it from being copied.
fn logged_by_sqlite(db: &Path) -> Shell {
    let mut shell = Shell::plain(db);
    shell.run("PRAGMA page_size=4096");
    shell.run("PRAGMA journal_mode=WAL");
    shell.run("PRAGMA wal_autocheckpoint=0");
    shell.run("CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
    for _ in 0..3 {
        shell.run(
            "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 2000) \
             INSERT INTO t(x) SELECT randomblob(4000) FROM c",
        );
        shell.run("UPDATE t SET x = randomblob(3000) WHERE id % 100 = 0");
    }
    shell
}

#[test]
fn a_log_that_sqlite_wrote_is_read_frame_by_frame() {
    let (folder, db) = empty_place();
    let mut shell = logged_by_sqlite(&db);
    let log = read_log(&db);
    assert!(log.frames.len() > 4062 + 100, "more than a segment: {}", log.frames.len());
    assert_eq!(log.header.order, WordOrder::NATIVE);
    let index = Index::read(&db);
    assert_index_fits_log(&index, &log);
    assert_eq!(index.header().pages.to_string(), shell.run("PRAGMA page_count"));
    assert!(pages_by_us(&db) == pages_by_sqlite(&mut shell, folder.path()), "the same pages");
}

#[test]
fn a_log_in_either_word_order_is_taken_by_sqlite() {
    let (folder, db) = empty_place();
    let mut shell = logged_by_sqlite(&db);
    let (log, file, expected) =
        (read_log(&db), std::fs::read(&db).unwrap(), shell.run("SELECT sum(length(x)) FROM t"));
    for order in [WordOrder::Little, WordOrder::Big] {
        let copy = folder.path().join(format!("{order:?}.db"));
        let (bytes, mut checksum) = WalHeader { order, ..log.header }.encode();
        let mut wal = bytes.to_vec();
        for (old, image) in &log.frames {
            let salt = log.header.salt;
            let frame = FrameHeader::new(old.page, old.commit_size, salt, image, checksum, order);
            checksum = frame.checksum;
            wal.extend_from_slice(&frame.encode());
            wal.extend_from_slice(image);
        }
        std::fs::write(&copy, &file).unwrap();
        std::fs::write(beside(&copy, "-wal"), wal).unwrap();
        let mut shell = Shell::plain(&copy);
        assert_eq!(shell.run("SELECT sum(length(x)) FROM t"), expected, "{order:?}");
        assert_eq!(shell.run("PRAGMA integrity_check"), "ok", "{order:?}");
    }
}

#[test]
fn what_a_sync_appended_is_found_by_us_by_sqlite_and_after_a_lost_index() {
    let sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
    sqld.execute(
        "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 5000) \
         INSERT INTO t(x) SELECT randomblob(3900) FROM c",
    );
    let (folder, db) = empty_place();
    let mut writer = Shell::attached(&db, &sqld.url());
    // A reader that stays keeps the log from starting over.
    let mut reader = Shell::plain(&db);
    reader.run("BEGIN");
    assert_eq!(reader.run("SELECT count(*) FROM t"), "5000");
    for i in 0..3 {
        sqld.execute(&format!("UPDATE t SET x = randomblob(3900) WHERE id % 2 = {}", i % 2));
        sqld.execute("INSERT INTO t(x) SELECT randomblob(3900) FROM t LIMIT 50");
        writer.sync();
        assert_index_fits_log(&Index::read(&db), &read_log(&db));
    }
    assert!(read_log(&db).frames.len() > 4062 + 100, "more than a segment");

    let mut other = Shell::plain(&db);
    let expected = pages_by_us(&db);
    assert!(pages_by_sqlite(&mut other, folder.path()) == expected, "the same pages");

    // Without the index, SQLite makes it again from the log alone.
    for shell in [writer, reader, other] {
        shell.kill9();
    }
    std::fs::remove_file(beside(&db, "-shm")).unwrap();
    let mut again = Shell::plain(&db);
    assert!(
        pages_by_sqlite(&mut again, folder.path()) == expected,
        "the same pages from the log alone"
    );
    assert_index_fits_log(&Index::read(&db), &read_log(&db));
    assert_eq!(again.run("PRAGMA integrity_check"), "ok");
    assert_replica_equals_primary(&db, &sqld);
}
