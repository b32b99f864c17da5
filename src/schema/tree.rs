//! Reads the b-tree of `sqlite_schema` (fileformat2 1.6, 2.1): its root is page
//! 1, its rows may lie on other pages and continue on overflow pages.
//!
//! What does not look like such a tree yields nothing: SQLite will say what is
//! wrong with it when it reads it.

use std::collections::BTreeSet;

use crate::error::Result;
use crate::units::{PAGE_SIZE, PageImage, PageNo};

/// Gives the image of a page.
pub type ReadPage<'a> = &'a mut dyn FnMut(PageNo) -> Result<Box<PageImage>>;

/// A row of `sqlite_schema`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// `table`, `index`, `view` or `trigger`.
    pub kind: String,
    pub name: String,
    pub table: String,
    pub root: u32,
    /// None for an index that belongs to a constraint.
    pub sql: Option<String>,
    /// Where the text is, in order.
    places: Vec<Place>,
}

/// A stretch of bytes on one page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    page: PageNo,
    at: usize,
    length: usize,
}

/// The whole tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schema {
    pub entries: Vec<Entry>,
    /// All pages that it lies on.
    pub pages: BTreeSet<PageNo>,
}

/// A change of some bytes of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit<'a> {
    pub page: PageNo,
    pub at: usize,
    pub bytes: &'a [u8],
}

impl Entry {
    /// One that is on no page.
    #[cfg(test)]
    pub fn made_up(kind: &str, name: &str, sql: &str) -> Entry {
        let text = str::to_owned;
        let (kind, name, table) = (text(kind), text(name), text(name));
        Entry { kind, name, table, root: 0, sql: Some(text(sql)), places: Vec::new() }
    }

    /// What writes `sql`, which is as long as the present text, in its place.
    pub fn edits<'a>(&self, sql: &'a str) -> Vec<Edit<'a>> {
        let mut rest = sql.as_bytes();
        let mut edits = Vec::new();
        for place in &self.places {
            let (bytes, after) = rest.split_at(place.length.min(rest.len()));
            edits.push(Edit { page: place.page, at: place.at, bytes });
            rest = after;
        }
        edits
    }
}

/// UTF-8 in the header of page 1 (fileformat2 1.3.13): 0 before the first
/// table.
const UTF8: [u32; 2] = [0, 1];

const INTERIOR: u8 = 0x05;
const LEAF: u8 = 0x0d;

/// Reads the schema of the database of `size` pages. None where the pages are
/// no such tree.
pub fn read(size: u32, read_page: ReadPage<'_>) -> Result<Option<Schema>> {
    let page_1 = read_page(PageNo::FIRST)?;
    let usable = PAGE_SIZE - usize::from(page_1[20]);
    let encoding = u32::from_be_bytes([page_1[56], page_1[57], page_1[58], page_1[59]]);
    if usable < 480 || !UTF8.contains(&encoding) {
        return Ok(None);
    }
    let mut walk = Walk { size, usable, schema: Schema::default(), taken: 0, read_page };
    let complete = walk.tree(PageNo::FIRST, 0)?.is_some();
    Ok(complete.then_some(walk.schema))
}

struct Walk<'a> {
    size: u32,
    usable: usize,
    schema: Schema,
    /// Bytes of the rows so far.
    taken: usize,
    read_page: ReadPage<'a>,
}

/// What all rows of a schema may take, each with what is kept beside its text.
/// Cells can lie on one another, so that a page holds more than a page.
const MOST_BYTES: usize = 64 << 20;
const BESIDE: usize = 256;

/// Deeper than any tree of 2^32 pages.
const MAX_DEPTH: usize = 20;

impl Walk<'_> {
    /// A page of the tree that was not met before.
    fn page(&mut self, number: u32) -> Result<Option<Box<PageImage>>> {
        let fits = (1..=self.size).contains(&number) && PageNo(number) != PageNo::LOCK;
        if !fits || !self.schema.pages.insert(PageNo(number)) {
            return Ok(None);
        }
        (self.read_page)(PageNo(number)).map(Some)
    }

    /// None where something is wrong.
    fn tree(&mut self, number: PageNo, depth: usize) -> Result<Option<()>> {
        let Some(page) = self.page(number.0)? else { return Ok(None) };
        let start = if number == PageNo::FIRST { 100 } else { 0 };
        let count = usize::from(be16(&page[..], start + 3));
        let interior = match page[start] {
            INTERIOR if depth < MAX_DEPTH => true,
            LEAF => false,
            _ => return Ok(None),
        };
        let pointers = start + if interior { 12 } else { 8 };
        if pointers + 2 * count > PAGE_SIZE {
            return Ok(None);
        }
        for cell in 0..count {
            let at = usize::from(be16(&page[..], pointers + 2 * cell));
            if at + 4 > self.usable {
                return Ok(None);
            }
            let done = if interior {
                self.tree(PageNo(be32(&page[..], at)), depth + 1)?
            } else {
                self.row(number, &page, at)?
            };
            if done.is_none() {
                return Ok(None);
            }
        }
        if interior {
            return self.tree(PageNo(be32(&page[..], start + 8)), depth + 1);
        }
        Ok(Some(()))
    }

    /// A cell of a leaf: length of the payload, rowid, payload, and the first
    /// overflow page if it does not fit.
    fn row(&mut self, number: PageNo, page: &PageImage, at: usize) -> Result<Option<()>> {
        let cell = &page[at..self.usable];
        let Some((length, first)) = varint(cell) else { return Ok(None) };
        let Some((_, second)) = varint(&cell[first..]) else { return Ok(None) };
        let Ok(length) = usize::try_from(length) else { return Ok(None) };
        let local = self.local_length(length);
        let start = at + first + second;
        if length > self.size as usize * PAGE_SIZE || start + local > self.usable {
            return Ok(None);
        }
        self.taken = self.taken.saturating_add(length + BESIDE);
        if self.taken > MOST_BYTES {
            return Ok(None);
        }
        let mut payload = page[start..start + local].to_vec();
        let mut places = vec![Place { page: number, at: start, length: local }];
        let mut next = match local < length {
            true if start + local + 4 <= self.usable => be32(&page[..], start + local),
            true => return Ok(None),
            false => 0,
        };
        while payload.len() < length {
            let Some(overflow) = self.page(next)? else { return Ok(None) };
            let here = (length - payload.len()).min(self.usable - 4);
            payload.extend_from_slice(&overflow[4..4 + here]);
            places.push(Place { page: PageNo(next), at: 4, length: here });
            next = be32(&overflow[..], 0);
        }
        let Some(entry) = entry(&payload, &places) else { return Ok(None) };
        self.schema.entries.push(entry);
        Ok(Some(()))
    }

    /// How much of a payload is on the leaf (fileformat2 1.6).
    fn local_length(&self, length: usize) -> usize {
        let most = self.usable - 35;
        if length <= most {
            return length;
        }
        let least = (self.usable - 12) * 32 / 255 - 23;
        let fitting = least + (length - least) % (self.usable - 4);
        if fitting <= most { fitting } else { least }
    }
}

/// A record of five columns: type, name, tbl_name, rootpage, sql.
fn entry(payload: &[u8], places: &[Place]) -> Option<Entry> {
    let (header, mut at) = varint(payload)?;
    let header = usize::try_from(header).ok().filter(|header| *header <= payload.len())?;
    let mut column = header;
    let mut columns: Vec<(u64, usize, usize)> = Vec::new();
    while at < header && columns.len() < 5 {
        let (serial, bytes) = varint(&payload[at..header])?;
        at += bytes;
        let length = content_length(serial)?;
        let end = column.checked_add(length).filter(|end| *end <= payload.len())?;
        columns.push((serial, column, length));
        column = end;
    }
    let [kind, name, table, root, sql] = <[_; 5]>::try_from(columns).ok()?;
    let text = |(serial, at, length): (u64, usize, usize)| {
        let bytes = payload.get(at..at + length)?;
        let is_text = serial >= 13 && serial % 2 == 1;
        is_text.then(|| std::str::from_utf8(bytes).ok().map(str::to_owned)).flatten()
    };
    let is_null = sql.0 == 0;
    Some(Entry {
        kind: text(kind)?,
        name: text(name)?,
        table: text(table)?,
        root: u32::try_from(integer(root.0, payload.get(root.1..root.1 + root.2)?)?).ok()?,
        sql: if is_null { None } else { Some(text(sql)?) },
        places: part(places, sql.1, sql.2),
    })
}

/// Where the bytes from `from` on are, `length` of them.
fn part(places: &[Place], from: usize, length: usize) -> Vec<Place> {
    let (mut skip, mut left) = (from, length);
    let mut found = Vec::new();
    for place in places {
        let skipped = skip.min(place.length);
        let here = (place.length - skipped).min(left);
        if here > 0 {
            found.push(Place { page: place.page, at: place.at + skipped, length: here });
        }
        skip -= skipped;
        left -= here;
    }
    found
}

/// Bytes of a column's content (fileformat2 2.1).
fn content_length(serial: u64) -> Option<usize> {
    match serial {
        0 | 8 | 9 => Some(0),
        1..=4 => Some(serial as usize),
        5 => Some(6),
        6 | 7 => Some(8),
        12.. => usize::try_from((serial - 12) / 2).ok(),
        _ => None,
    }
}

/// The integer of a column; NULL is 0, as for the root of a view.
fn integer(serial: u64, bytes: &[u8]) -> Option<i64> {
    match serial {
        0 | 8 => Some(0),
        9 => Some(1),
        1..=6 => {
            let negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
            let start = if negative { -1 } else { 0 };
            Some(bytes.iter().fold(start, |sum, byte| sum << 8 | i64::from(*byte)))
        }
        _ => None,
    }
}

/// A variable-length integer (fileformat2 1.6) and its length.
fn varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0_u64;
    for at in 0..8 {
        let byte = *bytes.get(at)?;
        value = value << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((value, at + 1));
        }
    }
    Some((value << 8 | u64::from(*bytes.get(8)?), 9))
}

fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
