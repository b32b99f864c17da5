//! Pages on their way to the file: of several images of a page only the last
//! one is kept.
//!
//! Many of them are in mappings of their own: so much memory would often stay
//! with the allocator, and thus with the process, after a single large sync. The
//! few of a small one are not worth the calls that a mapping costs.

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

/// The first pages, which are on the heap.
const FEW: usize = 8;

/// Pages in a mapping.
const TOGETHER: usize = 256;

pub struct PageBuffer {
    /// Pages held at most.
    capacity: usize,
    places: HashMap<PageNo, usize>,
    few: Vec<PageImage>,
    mappings: Vec<MmapMut>,
}

impl PageBuffer {
    pub fn new(capacity: usize) -> PageBuffer {
        PageBuffer { capacity, places: HashMap::new(), few: Vec::new(), mappings: Vec::new() }
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
        match place.checked_sub(FEW) {
            None => self.put_among_few(place, image)?,
            Some(place) => self.put_in_mapping(place, image)?,
        }
        self.places.insert(page, place);
        Ok(())
    }

    fn put_among_few(&mut self, place: usize, image: &PageImage) -> Result<()> {
        if self.few.capacity() == 0 {
            self.few.try_reserve_exact(FEW).map_err(|_| no_memory())?;
        }
        match self.few.get_mut(place) {
            Some(present) => *present = *image,
            None => self.few.push(*image),
        }
        Ok(())
    }

    fn put_in_mapping(&mut self, place: usize, image: &PageImage) -> Result<()> {
        if place / TOGETHER == self.mappings.len() {
            let mapping = zeros(TOGETHER * PAGE_SIZE).map_err(|OutOfMemory| no_memory())?;
            self.mappings.push(mapping);
        }
        self.mappings[place / TOGETHER][offset(place)..][..PAGE_SIZE].copy_from_slice(image);
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
        let Some(place) = place.checked_sub(FEW) else { return &self.few[place] };
        self.mappings[place / TOGETHER][offset(place)..]
            .first_chunk()
            .expect("BUG: mappings are whole pages")
    }

    /// Forgets the pages; the memory is for those that follow.
    pub fn clear(&mut self) {
        self.places.clear();
    }
}

fn no_memory() -> Error {
    Error::new(Kind::Local, "the pages of a sync: there is no memory left")
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
    fn more_pages_than_a_few_are_all_found_again_also_after_a_clear() {
        let mut buffer = PageBuffer::new(BESIDE_A_FILE);
        for round in 1..=2_u8 {
            let many = FEW + TOGETHER + 3;
            for page in 1..=many {
                let image = [(page % 251) as u8 ^ round; PAGE_SIZE];
                buffer.put(PageNo(page as u32), &image).unwrap();
            }
            assert_eq!(buffer.sorted().count(), many);
            for (page, image) in buffer.sorted() {
                assert_eq!(image[PAGE_SIZE - 1], (page.0 % 251) as u8 ^ round, "page {}", page.0);
            }
            buffer.clear();
        }
    }

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
