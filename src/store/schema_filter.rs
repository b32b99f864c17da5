//! The step of a publication that looks at the schema: what only the primary
//! understands is said in SQLite's words (`schema::rewrite`), and a schema that
//! this SQLite cannot read at all is not published, unless the caller wants it.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::draft::Draft;
use super::page_buffer::PageBuffer;
use super::readable::{Unreadable, first_unreadable, functions};
use super::spool::Spool;
use crate::error::{Error, Kind, Result};
use crate::position::Position;
use crate::schema::rewrite::{give_up, rewrite};
use crate::schema::tree::{self, Schema};
use crate::units::{PageImage, PageNo};

/// One look is at one entry. For each object that cannot be read all of them are
/// looked at once more, while the file is locked: for 450 of as many that is a
/// matter of seconds, and more of them are not given up.
const MOST_LOOKS: usize = 200_000;

/// What is known of the schema of a file.
#[derive(Default)]
pub struct SchemaFilter {
    /// Shows also what this SQLite cannot read.
    pub publish_unreadable: Cell<bool>,
    /// The host's connection trusts the schema: it may call any function.
    pub trusted: Cell<bool>,
    functions: OnceCell<BTreeSet<String>>,
    /// The pages that the schema of the state at this position lies on.
    pages: RefCell<Option<(Position, BTreeSet<PageNo>)>>,
    /// The schema that was found readable last.
    readable: Cell<Option<u64>>,
}

/// A state that is about to be published.
pub struct Next<'a, 'f> {
    pub page_1: &'a mut PageImage,
    /// Page 1 came with the pull.
    pub has_page_1: bool,
    pub buffer: &'a mut PageBuffer,
    /// Pages that did not fit the buffer.
    pub spool: Option<&'a Spool>,
    pub draft: &'a mut Draft<'f>,
    pub size: u32,
    pub position: Position,
}

impl SchemaFilter {
    pub fn has_function(&self, name: &str) -> bool {
        let known = self.functions.get_or_init(functions);
        known.is_empty() || known.contains(&name.to_ascii_lowercase())
    }

    /// Looks at the schema if it may have changed, and changes the pages that
    /// are about to be written.
    pub fn apply(&self, next: &mut Next<'_, '_>) -> Result<()> {
        let pages = match self.unchanged(next) {
            Some(pages) => pages,
            None => self.look(next)?,
        };
        self.pages.replace(Some((next.position, pages)));
        Ok(())
    }

    /// The pages of the schema, if none of them is written.
    fn unchanged(&self, next: &Next<'_, '_>) -> Option<BTreeSet<PageNo>> {
        let (at, pages) = self.pages.take()?;
        let known = next.draft.stamp().position == Some(at)
            && !next.has_page_1
            && next.draft.pages_written() == 0
            && !pages.iter().any(|page| next.comes(*page));
        known.then_some(pages)
    }

    fn look(&self, next: &mut Next<'_, '_>) -> Result<BTreeSet<PageNo>> {
        let Some(mut schema) = next.schema()? else { return Ok(BTreeSet::new()) };
        for at in 0..schema.entries.len() {
            if let Some(sql) = rewrite(&schema.entries[at], &|name| self.has_function(name)) {
                next.put(&mut schema, at, sql)?;
            }
        }
        let mut fingerprint = fingerprint(&schema);
        if self.readable.get() != Some(fingerprint) {
            let mut looked_at = 0;
            while let Some(found) = first_unreadable(&schema.entries, self.trusted.get())? {
                looked_at += schema.entries.len();
                let at = schema.entries.iter().position(|entry| entry.name == found.name);
                let other = at.and_then(|at| Some((at, give_up(&schema.entries[at])?)));
                let other = other.filter(|_| looked_at < MOST_LOOKS);
                match other {
                    Some((at, sql)) => next.put(&mut schema, at, sql)?,
                    None if self.publish_unreadable.get() => return Ok(schema.pages),
                    None => return Err(refused(&found)),
                }
                fingerprint = self::fingerprint(&schema);
            }
            self.readable.set(Some(fingerprint));
        }
        Ok(schema.pages)
    }
}

impl Next<'_, '_> {
    /// Whether a page that is not the first is about to be written.
    fn comes(&self, page: PageNo) -> bool {
        self.buffer.contains(page) || self.spool.is_some_and(|spool| spool.contains(page))
    }

    fn page(&mut self, page: PageNo) -> Result<Box<PageImage>> {
        if page == PageNo::FIRST {
            return Ok(Box::new(*self.page_1));
        }
        if let Some(image) = self.buffer.get(page) {
            return Ok(Box::new(*image));
        }
        let mut image = Box::new([0; crate::units::PAGE_SIZE]);
        match self.spool.filter(|spool| spool.contains(page)) {
            Some(spool) => spool.read(page, &mut image)?,
            None => self.draft.read(page, &mut image)?,
        }
        Ok(image)
    }

    fn schema(&mut self) -> Result<Option<Schema>> {
        let size = self.size;
        tree::read(size, &mut |page| self.page(page))
    }

    /// Writes another text of the same length.
    fn put(&mut self, schema: &mut Schema, at: usize, sql: String) -> Result<()> {
        let entry = &mut schema.entries[at];
        for edit in entry.edits(&sql) {
            let range = edit.at..edit.at + edit.bytes.len();
            if edit.page == PageNo::FIRST {
                self.page_1[range].copy_from_slice(edit.bytes);
                continue;
            }
            let mut image = self.page(edit.page)?;
            image[range].copy_from_slice(edit.bytes);
            self.buffer.put(edit.page, &image)?;
        }
        entry.sql = Some(sql);
        Ok(())
    }
}

fn fingerprint(schema: &Schema) -> u64 {
    let mut hasher = DefaultHasher::new();
    for entry in &schema.entries {
        (&entry.kind, &entry.name, &entry.table, &entry.sql).hash(&mut hasher);
    }
    hasher.finish()
}

fn refused(found: &Unreadable) -> Error {
    let remedy = if found.wants_trust {
        "use a newer SQLite, or, if whoever changes the primary's schema may call your program's \
         functions, attach with '{\"trusted_schema\":true}'"
            .to_owned()
    } else {
        format!(
            "change {} on the primary, use a newer SQLite, or attach with \
             '{{\"on_schema\":\"publish\"}}'",
            found.name
        )
    };
    let text =
        format!("{}; the file stays at the last state that it can read: {remedy}", found.text);
    Error::new(Kind::Local, text)
}
