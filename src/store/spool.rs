//! Pages of a pull that do not fit in memory and may not go to the file yet: a
//! temporary file with each page at its own place, of which the last image
//! counts. It is as long as the database at most, its holes take no room, and it
//! gives back what is taken out of it.

use std::cell::RefCell;

use super::page_set::PageSet;
use crate::error::Result;
use crate::host::TemporaryFile;
use crate::units::{PAGE_SIZE, PageImage, PageNo};
use crate::wal::coalesce::Coalescer;

pub struct Spool {
    file: TemporaryFile,
    pages: PageSet,
    /// Neighbours on their way to the file.
    run: RefCell<Coalescer>,
}

impl Spool {
    pub fn new(file: TemporaryFile) -> Spool {
        Spool { file, pages: PageSet::default(), run: RefCell::default() }
    }

    /// Keeps a page, instead of an earlier image of it.
    pub fn put(&mut self, page: PageNo, image: &PageImage) -> Result<()> {
        self.pages.insert(page);
        let file = &self.file;
        self.run.get_mut().push(page.offset(), image, |bytes, at| file.write(bytes, at))
    }

    pub fn contains(&self, page: PageNo) -> bool {
        self.pages.contains(page)
    }

    /// Reads a page that is in it.
    pub fn read(&self, page: PageNo, image: &mut PageImage) -> Result<()> {
        self.run.borrow_mut().flush(|bytes, at| self.file.write(bytes, at))?;
        self.file.read(image, page.offset())
    }

    /// Hands on all pages up to `last`, stretch by stretch from the end of the
    /// file. The file is cut behind each, so that what is in it and where it
    /// goes to never take the room of it twice.
    pub fn drain(
        self,
        last: PageNo,
        mut take: impl FnMut(PageNo, &PageImage) -> Result<()>,
    ) -> Result<()> {
        let mut image = [0; PAGE_SIZE];
        for stretch in self.pages.stretches() {
            for page in stretch.iter().filter(|page| **page <= last) {
                self.read(*page, &mut image)?;
                take(*page, &image)?;
            }
            if let Some(first) = stretch.first() {
                self.file.shorten(first.offset());
            }
        }
        Ok(())
    }
}
