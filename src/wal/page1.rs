//! Page 1 of a replica: the database header (fileformat2 1.3) with our marks.
//!
//! This is the only place that changes a byte of what the primary sent, and
//! these are all the bytes that it changes:
//!
//! | offset | what                        | value |
//! |-------:|-----------------------------|-------|
//! |     18 | file format write version   | 3: SQLite treats the file as read-only |
//! |     19 | file format read version    | 2: WAL |
//! |     28 | size of the database, pages | the size that the commit says |
//! |     40 | schema cookie               | the primary's plus the stamp's shift |
//! |     72 | reserved for expansion, 20  | the [`Stamp`] |
//! |     92 | version-valid-for           | the change counter, so that 28 counts |

use super::be32;
use crate::position::Position;
use crate::units::{PAGE_SIZE, PageImage};

const MAGIC_TEXT: &[u8; 16] = b"SQLite format 3\0";
const WRITE_VERSION: usize = 18;
const READ_VERSION: usize = 19;
const RESERVED: usize = 20;
const CHANGE_COUNTER: usize = 24;
const DATABASE_SIZE: usize = 28;
const SCHEMA_COOKIE: usize = 40;
const SCHEMA_FORMAT: usize = 44;
const TEXT_ENCODING: usize = 56;
const STAMP: usize = 72;
const VERSION_VALID_FOR: usize = 92;

/// Where the b-tree page begins, behind the header; and the two kinds that a
/// table's b-tree has.
const ROOT: usize = 100;
const LEAF: u8 = 0x0d;
const INTERIOR: u8 = 0x05;

/// Offset 21: three values that never differ (fileformat2 1.3.5).
const PAYLOAD_FRACTIONS: [u8; 3] = [64, 32, 32];

/// First bytes of a stamp; the last one is the version of its layout.
const STAMP_NAME: &[u8; 3] = b"RPL";
const STAMP_VERSION: u8 = 1;

/// A write version above 2 means "read-only" to every SQLite (fileformat2
/// 1.3.3), so no plain connection can fork the replica. It is the next one
/// above, because every promise is tested with it and files that exist have
/// it. SQLite's wal2 branch gives 3 a meaning; there the read version, which
/// stays 2, does not go with it. Should a build be met that writes such a file,
/// any larger number serves stock SQLites as well.
const READ_ONLY: u8 = 3;
const WAL: u8 = 2;

/// What a replica's page 1 says about itself, in the 20 reserved bytes at
/// offset 72: 3 bytes name, 1 byte version, 12 bytes position, 4 bytes shift of
/// the schema cookie.
///
/// The position thus commits in the same WAL commit as the data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// None before the first sync.
    pub position: Option<Position>,
    /// What is added to the primary's schema cookie, so that a connection that
    /// stays open over a change of the primary's log sees a cookie it has
    /// never seen before and reads the schema again.
    pub cookie_shift: u32,
}

/// Whose page 1 this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A replica of ours.
    Replica(Stamp),
    /// A replica made by a later version of this extension.
    LaterVersion(u8),
    /// Anything else.
    Foreign,
}

/// Whether a log belongs to the file whose first bytes these are.
pub fn is_in_wal_mode(header: &[u8]) -> bool {
    header.get(READ_VERSION) == Some(&WAL)
}

/// Reads whose page 1 `page` is; its first 100 bytes are enough.
pub fn owner(page: &[u8]) -> Owner {
    if page.len() < 100 || &page[..16] != MAGIC_TEXT || &page[STAMP..STAMP + 3] != STAMP_NAME {
        return Owner::Foreign;
    }
    if page[STAMP + 3] != STAMP_VERSION {
        return Owner::LaterVersion(page[STAMP + 3]);
    }
    let mut position = [0; Position::SIZE];
    position.copy_from_slice(&page[STAMP + 4..STAMP + 16]);
    Owner::Replica(Stamp {
        position: Position::decode(&position),
        cookie_shift: be32(page, STAMP + 16),
    })
}

/// Makes `page`, as the primary sent it, the replica's.
pub fn patch(page: &mut PageImage, stamp: &Stamp, size: u32) {
    page[WRITE_VERSION] = READ_ONLY;
    page[READ_VERSION] = WAL;
    let cookie = be32(page, SCHEMA_COOKIE).wrapping_add(stamp.cookie_shift);
    put32(page, SCHEMA_COOKIE, cookie);
    mark(page, stamp, size);
}

/// Gives a page that is the replica's already another position and size. The
/// schema cookie must not be shifted a second time.
pub fn restamp(page: &mut PageImage, stamp: &Stamp, size: u32) {
    page[WRITE_VERSION] = READ_ONLY;
    mark(page, stamp, size);
}

fn mark(page: &mut PageImage, stamp: &Stamp, size: u32) {
    put32(page, DATABASE_SIZE, size);
    let change: [u8; 4] = std::array::from_fn(|i| page[CHANGE_COUNTER + i]);
    page[VERSION_VALID_FOR..VERSION_VALID_FOR + 4].copy_from_slice(&change);
    let position = stamp.position.and_then(Position::encode).unwrap_or_default();
    page[STAMP..STAMP + 3].copy_from_slice(STAMP_NAME);
    page[STAMP + 3] = STAMP_VERSION;
    page[STAMP + 4..STAMP + 16].copy_from_slice(&position);
    put32(page, STAMP + 16, stamp.cookie_shift);
}

/// Makes the replica's page 1 that of an ordinary, writable WAL database.
pub fn promote(page: &mut PageImage) {
    page[WRITE_VERSION] = WAL;
    page[STAMP..STAMP + 20].fill(0);
}

/// Whether this is page 1 of a database without any table, view or trigger,
/// and without pages that once held some.
pub fn is_empty(page: &PageImage) -> bool {
    // A leaf of the schema's b-tree without cells (fileformat2 1.6).
    size(page) <= 1 && page[ROOT] == LEAF && page[103..105] == [0, 0]
}

/// Size of the database in pages, as the header says (offset 28).
pub fn size(page: &[u8]) -> u32 {
    be32(page, DATABASE_SIZE)
}

/// The schema cookie (offset 40).
pub fn schema_cookie(page: &[u8]) -> u32 {
    be32(page, SCHEMA_COOKIE)
}

/// Whether some program has marked the database as its own, by a user_version
/// (offset 60) or an application_id (offset 68).
pub fn is_claimed(page: &PageImage) -> bool {
    be32(page, 60) != 0 || be32(page, 68) != 0
}

/// Why a page cannot be page 1 of a database of `size` pages: with these bytes
/// some SQLite would not open the file again, so not even a later sync could
/// put it right.
pub fn refuse(page: &PageImage, size: u32) -> Option<&'static str> {
    if &page[..16] != MAGIC_TEXT {
        return Some("page 1 is not that of a SQLite database");
    }
    if page[WRITE_VERSION] == 0xff || page[READ_VERSION] == 0xff {
        return Some(
            "the primary's database is in Turso's MVCC mode, which is not SQLite's format",
        );
    }
    // Offset 16: page size.
    if usize::from(u16::from_be_bytes([page[16], page[17]])) != PAGE_SIZE {
        return Some("the primary's page size is not 4096 bytes");
    }
    if page[21..24] != PAYLOAD_FRACTIONS {
        return Some("page 1 is damaged: its payload fractions");
    }
    // Both are 0 in a database that never had a table.
    if be32(page, SCHEMA_FORMAT) > 4 {
        return Some("page 1 is damaged or of a later format: its schema format");
    }
    if be32(page, TEXT_ENCODING) > 3 {
        return Some("page 1 is damaged: its text encoding");
    }
    refuse_root(page, size)
}

/// The root of the schema's b-tree behind the database header (fileformat2
/// 1.6): all its cells have to lie in the page.
fn refuse_root(page: &PageImage, size: u32) -> Option<&'static str> {
    let be16 = |at: usize| usize::from(u16::from_be_bytes([page[at], page[at + 1]]));
    let usable = PAGE_SIZE - usize::from(page[RESERVED]);
    let pointers = match page[ROOT] {
        LEAF => ROOT + 8,
        INTERIOR if (2..=size).contains(&be32(page, ROOT + 8)) => ROOT + 12,
        INTERIOR => return Some("page 1 is damaged: it leads to a page that does not exist"),
        _ => return Some("page 1 is damaged: it is not the root of a schema"),
    };
    let end = pointers + 2 * be16(ROOT + 3);
    let lies_behind = |at: usize| (end..=usable).contains(&at);
    let (free, content) = (be16(ROOT + 1), be16(ROOT + 5));
    let sound = end <= usable
        && lies_behind(content)
        && (free == 0 || (lies_behind(free) && free + 4 <= usable))
        && (pointers..end).step_by(2).all(|at| be16(at) >= content && be16(at) + 4 <= usable);
    (!sound).then_some("page 1 is damaged: what it holds does not lie in it")
}

/// Page 1 of a database with no table in it, for a replica of a primary that
/// holds nothing (fileformat2 1.3 and 1.6). `cookie` is its schema cookie.
pub fn empty(cookie: u32) -> PageImage {
    let mut page = [0; PAGE_SIZE];
    page[..16].copy_from_slice(MAGIC_TEXT);
    page[16..18].copy_from_slice(&(PAGE_SIZE as u16).to_be_bytes());
    page[WRITE_VERSION] = WAL;
    page[READ_VERSION] = WAL;
    page[21..24].copy_from_slice(&PAYLOAD_FRACTIONS);
    put32(&mut page, CHANGE_COUNTER, 1);
    put32(&mut page, DATABASE_SIZE, 1);
    put32(&mut page, VERSION_VALID_FOR, 1);
    put32(&mut page, SCHEMA_COOKIE, cookie);
    put32(&mut page, SCHEMA_FORMAT, 4);
    put32(&mut page, TEXT_ENCODING, 1); // UTF-8
    put32(&mut page, 96, 3_038_000); // version of the library that wrote it
    page[ROOT] = LEAF; // no cells
    page[105..107].copy_from_slice(&(PAGE_SIZE as u16).to_be_bytes());
    page
}

fn put32(page: &mut PageImage, at: usize, value: u32) {
    page[at..at + 4].copy_from_slice(&value.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::Fingerprint;
    use crate::units::FrameNo;

    fn stamp(frame: u64) -> Stamp {
        let position = Position::of_frame(Fingerprint::of("a log"), FrameNo(frame));
        Stamp { position: Some(position), cookie_shift: 7 }
    }

    #[test]
    fn the_stamp_comes_back_and_the_file_reads_as_read_only() {
        let mut page = empty(0);
        assert_eq!(owner(&page), Owner::Foreign);
        patch(&mut page, &stamp(1), 99);
        assert_eq!(owner(&page[..100]), Owner::Replica(stamp(1)));
        assert_eq!((page[18], page[19]), (3, 2));
        assert_eq!((size(&page), schema_cookie(&page)), (99, 7));
        assert_eq!(page[24..28], page[92..96]);
    }

    #[test]
    fn a_second_stamp_moves_the_position_but_not_the_cookie() {
        let mut page = empty(0);
        patch(&mut page, &stamp(1), 99);
        let next = stamp(2);
        restamp(&mut page, &next, 98);
        assert_eq!(owner(&page), Owner::Replica(next));
        assert_eq!((size(&page), schema_cookie(&page)), (98, 7));
    }

    #[test]
    fn a_promoted_page_is_an_ordinary_one() {
        let mut page = empty(0);
        patch(&mut page, &Stamp::default(), 1);
        promote(&mut page);
        assert_eq!(page, empty(0));
        assert!(is_empty(&page));
        page[104] = 1;
        assert!(!is_empty(&page), "a view needs no page of its own");
    }

    #[test]
    fn a_stamp_of_a_later_version_is_told_apart() {
        let mut page = empty(0);
        patch(&mut page, &stamp(1), 1);
        page[75] = 2;
        assert_eq!(owner(&page), Owner::LaterVersion(2));
        assert_eq!(owner(&page[..50]), Owner::Foreign);
    }

    #[test]
    fn pages_that_cannot_be_replicated_say_why() {
        assert_eq!(refuse(&empty(0), 1), None);
        let mut mvcc = empty(0);
        mvcc[18] = 0xff;
        assert!(refuse(&mvcc, 1).unwrap().contains("MVCC"));
        let mut wide = empty(0);
        wide[16] = 0x20;
        assert!(refuse(&wide, 1).unwrap().contains("page size"));
        let mut fractions = empty(0);
        fractions[22] = 33;
        assert!(refuse(&fractions, 1).unwrap().contains("fractions"));
        assert!(refuse(&[0; PAGE_SIZE], 1).unwrap().contains("not that of a SQLite"));
    }

    /// Each of these made a SQLite refuse the file for good.
    #[test]
    fn a_page_1_that_some_sqlite_does_not_open_is_refused() {
        let damaged = |changes: &[(usize, u8)]| {
            let mut page = empty(3);
            changes.iter().for_each(|(at, byte)| page[*at] = *byte);
            refuse(&page, 9)
        };
        assert_eq!(damaged(&[]), None);
        assert_eq!(damaged(&[(47, 0), (59, 0)]), None, "a database that never had a table");
        assert!(damaged(&[(47, 5)]).unwrap().contains("schema format"));
        assert!(damaged(&[(44, 0x80)]).unwrap().contains("schema format"));
        assert!(damaged(&[(59, 9)]).unwrap().contains("encoding"));
        for kind in [0, 2, 10, 0xff] {
            assert!(damaged(&[(100, kind)]).unwrap().contains("root of a schema"));
        }
        for to in [0, 1, 10] {
            let text = damaged(&[(100, 5), (111, to)]).unwrap();
            assert!(text.contains("does not exist"), "{text}");
        }
        assert_eq!(damaged(&[(100, 5), (111, 9)]), None);
        for changes in [
            &[(103, 0xff)][..],                    // more cells than a page has room for
            &[(104, 1), (108, 0x0f), (109, 0xfe)], // a cell that reaches out of the page
            &[(104, 1), (108, 0), (109, 50)],      // a cell in the database header
            &[(101, 0x0f), (102, 0xfd)],           // a free block that does
            &[(105, 0x10), (106, 1)],              // content that begins behind the page
            &[(20, 200)],                          // or in the bytes that are reserved
        ] {
            assert!(damaged(changes).unwrap().contains("does not lie in it"), "{changes:?}");
        }
    }

    #[test]
    fn a_mark_of_some_program_is_seen() {
        assert!(!is_claimed(&empty(7)));
        for at in [60, 63, 68, 71] {
            let mut page = empty(0);
            page[at] = 1;
            assert!(is_claimed(&page));
        }
    }
}
