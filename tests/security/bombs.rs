//! Schemas that cost more than they weigh. Our own code reads the pages of
//! `sqlite_schema` before readers see them, with the file locked: what it takes
//! in memory and time is bounded by what such a schema may be. The primaries
//! are simulated, because no honest one has such pages.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::common::made_up::{Frame, Image, PAGE, serve};
use crate::common::*;

const MB: usize = 1 << 20;

/// What follows may take so much memory and time, of which the machine's other
/// work takes most.
const LITTLE: usize = 160 * MB;
const SOON: Duration = Duration::from_secs(50);

/// The pages of a database as one transaction.
fn log_of(pages: &[Image]) -> Vec<Frame> {
    let last = pages.len() as u32;
    let frame = |(page, image): (u32, &Image)| Frame {
        number: u64::from(page) - 1,
        page,
        size_after: if page == last { last } else { 0 },
        image: *image,
    };
    (1..).zip(pages).map(frame).collect()
}

fn pages_of(db: &Path) -> Vec<Image> {
    let bytes = std::fs::read(db).expect("a database");
    bytes.chunks(PAGE).map(|page| page.try_into().expect("a page")).collect()
}

/// Attaches to a primary with these pages; what that says and costs.
fn attach(name: &str, pages: &[Image], options: &str) -> (String, Shell, TempDir) {
    let server = serve("log", log_of(pages), pages.len() as u64 - 1);
    let (folder, db) = empty_place();
    let mut shell = Shell::loaded(&db);
    let started = Instant::now();
    let sql = format!("SELECT replica_attach('{}', NULL, '{options}') ->> 'state'", server.url());
    let answer = shell.ask(&sql);
    let (took, peak) = (started.elapsed(), shell.peak().unwrap_or(0));
    println!("{name}: {took:.1?}, {} MB: {answer:.200}", peak / MB);
    assert!(peak < LITTLE, "{name}: {peak} bytes");
    assert!(took < SOON, "{name}: {took:?}");
    assert_eq!(shell.run("SELECT 'alive'"), "alive", "{name}");
    (answer, shell, folder)
}

/// A b-tree of `sqlite_schema` whose leaves have so many cells, all of which are
/// the same bytes.
fn one_row_many_times(leaves: u32, cells: u16) -> Vec<Image> {
    let (_folder, db) = empty_place();
    sql(&db, "PRAGMA page_size = 4096; CREATE TABLE t(x)");
    let mut page_1 = pages_of(&db)[0];
    page_1[28..32].copy_from_slice(&(leaves + 2).to_be_bytes());
    page_1[100..].fill(0);
    page_1[100] = 5;
    page_1[103..105].copy_from_slice(&(leaves as u16).to_be_bytes());
    page_1[108..112].copy_from_slice(&(leaves + 2).to_be_bytes());
    let mut at = PAGE;
    for leaf in 0..leaves as usize {
        at -= 5;
        page_1[at..at + 4].copy_from_slice(&(leaf as u32 + 2).to_be_bytes());
        page_1[at + 4] = 1;
        page_1[112 + 2 * leaf..][..2].copy_from_slice(&(at as u16).to_be_bytes());
    }
    page_1[105..107].copy_from_slice(&(at as u16).to_be_bytes());

    let text = format!("{:200}", "CREATE VIEW v AS SELECT 1");
    // Serial types: texts of 4, 1 and 1 bytes, the integer 0, a text of 200.
    let header = [7, 21, 15, 15, 8, 0x83, 0x1d];
    let payload = [&header, b"viewvv".as_slice(), text.as_bytes()].concat();
    let cell = [&[0x81, payload.len() as u8 & 0x7f, 1], payload.as_slice()].concat();
    let mut leaf = [0; PAGE];
    leaf[0] = 13;
    leaf[3..5].copy_from_slice(&cells.to_be_bytes());
    let at = PAGE - cell.len();
    leaf[5..7].copy_from_slice(&(at as u16).to_be_bytes());
    leaf[at..].copy_from_slice(&cell);
    for cell in 0..usize::from(cells) {
        leaf[8 + 2 * cell..][..2].copy_from_slice(&(at as u16).to_be_bytes());
    }
    let mut pages = vec![page_1];
    pages.resize(leaves as usize + 2, leaf);
    pages
}

#[test]
fn rows_that_are_the_same_bytes_take_no_memory_of_their_own() {
    let pages = one_row_many_times(400, 1900);
    attach("760000 rows in 400 pages", &pages, r#"{"timeout":10}"#);
}

/// A text that no primary has let pass, so often: each is looked at with all
/// others beside it.
fn unreadable(objects: u32) -> Vec<Image> {
    let (_folder, db) = empty_place();
    sql(
        &db,
        &format!(
            "PRAGMA page_size = 4096; CREATE TABLE t(x); PRAGMA writable_schema = ON;
             WITH n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < {objects})
             INSERT INTO sqlite_master SELECT 'view', 'v' || i, 'v' || i, 0,
                 'CREATE VIEW v' || i || ' AS SELECT a b c FROM t ORDER ORDER' FROM n"
        ),
    );
    pages_of(&db)
}

#[test]
fn thousands_of_objects_that_cannot_be_read_are_given_up_soon() {
    // So many are told one by one.
    let (answer, mut shell, _folder) = attach("50 unreadable views", &unreadable(50), "{}");
    assert_eq!(answer, "idle");
    assert_eq!(shell.run("SELECT count(*) FROM t"), "0");
    let error = shell.error("SELECT * FROM v7");
    assert!(error.contains("no such table: "), "{error}");
    let (answer, _shell, _folder) = attach("8000 unreadable views", &unreadable(8000), "{}");
    assert!(answer.contains("cannot be read by this SQLite"), "{answer}");
    let publish = r#"{"on_schema":"publish"}"#;
    let (answer, mut shell, _folder) = attach("8000, published", &unreadable(8000), publish);
    assert_eq!(answer, "error", "the status says what cannot be read");
    assert_ne!(shell.run("SELECT replica_status() ->> 'frame_no'"), "");
}
