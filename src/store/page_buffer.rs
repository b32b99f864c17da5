//! Pages on their way to the file: of several images of a page only the last
//! one is kept.
//!
//! They are in mappings of their own: so much memory would often stay with the
//! allocator, and thus with the process, after a single large sync.

use std::collections::HashMap;

use memmap2::MmapMut;

use crate::error::{Error, Kind, Result};
use crate::host::memory::{OutOfMemory, zeros};
use crate::units::{PAGE_SIZE, PageImage, PageNo};

/// Pages held at most on their way to a file: 16 MiB.
pub const BESIDE_A_FILE: usize = 4096;

/// The same on the way to a database in memory, where what does not fit is not
/// much further away, and where all of it counts: 4 MiB.
pub const BESIDE_MEMORY: usize = 1024;

/// Pages in a mapping.
const TOGETHER: usize = 256;

pub struct PageBuffer {
    /// Pages held at most.
    capacity: usize,
    places: HashMap<PageNo, usize>,
    mappings: Vec<MmapMut>,
}

impl PageBuffer {
    pub fn new(capacity: usize) -> PageBuffer {
        PageBuffer { capacity, places: HashMap::new(), mappings: Vec::new() }
    }

    /// Whether a page that is not here yet would still find room.
    pub fn has_room(&self) -> bool {
        self.places.len() < self.capacity
    }

    /// Whether it is time to empty it at the next opportunity.
    pub fn is_nearly_full(&self) -> bool {
        self.places.len() >= self.capacity / 4 * 3
    }

    pub fn contains(&self, page: PageNo) -> bool {
        self.places.contains_key(&page)
    }

    pub fn get(&self, page: PageNo) -> Option<&PageImage> {
        self.places.get(&page).map(|place| self.image(*place))
    }

    pub fn put(&mut self, page: PageNo, image: &PageImage) -> Result<()> {
        let next = self.places.len();
        let place = self.places.get(&page).copied().unwrap_or(next);
        if place / TOGETHER == self.mappings.len() {
            self.mappings.push(zeros(TOGETHER * PAGE_SIZE).map_err(|OutOfMemory| {
                Error::new(Kind::Local, "the pages of a sync: there is no memory left")
            })?);
        }
        self.mappings[place / TOGETHER][offset(place)..][..PAGE_SIZE].copy_from_slice(image);
        self.places.insert(page, place);
        Ok(())
    }

    /// All pages in ascending order, which makes neighbours of pages that are
    /// neighbours in the file.
    pub fn sorted(&self) -> impl Iterator<Item = (PageNo, &PageImage)> {
        let mut order: Vec<(PageNo, usize)> =
            self.places.iter().map(|(page, place)| (*page, *place)).collect();
        order.sort_unstable();
        order.into_iter().map(|(page, place)| (page, self.image(place)))
    }

    fn image(&self, place: usize) -> &PageImage {
        self.mappings[place / TOGETHER][offset(place)..]
            .first_chunk()
            .expect("BUG: mappings are whole pages")
    }

    /// Forgets the pages; the memory is for those that follow.
    pub fn clear(&mut self) {
        self.places.clear();
    }
}

/// Where in its mapping the image at `place` is.
fn offset(place: usize) -> usize {
    place % TOGETHER * PAGE_SIZE
}

const _: () = assert!(BESIDE_A_FILE * PAGE_SIZE == 16 << 20);
const _: () = assert!(BESIDE_MEMORY * PAGE_SIZE == 4 << 20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_image_of_a_page_wins_and_pages_come_in_order() {
        let mut buffer = PageBuffer::new(BESIDE_A_FILE);
        for (page, byte) in [(9, 1), (2, 2), (9, 3)] {
            buffer.put(PageNo(page), &[byte; PAGE_SIZE]).unwrap();
        }
        let pages: Vec<(u32, u8)> =
            buffer.sorted().map(|(page, image)| (page.0, image[0])).collect();
        assert_eq!(pages, [(2, 2), (9, 3)]);
        buffer.clear();
        assert!(buffer.has_room() && !buffer.contains(PageNo(2)));
    }
}
