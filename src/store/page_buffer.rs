//! Pages on their way to the file: of several images of a page only the last
//! one is kept.

use std::collections::HashMap;

use crate::units::{PAGE_SIZE, PageImage, PageNo};

/// Pages held at most: 16 MiB.
const CAPACITY: usize = 4096;

#[derive(Default)]
pub struct PageBuffer {
    places: HashMap<PageNo, usize>,
    images: Vec<PageImage>,
}

impl PageBuffer {
    /// Whether a page that is not here yet would still find room.
    pub fn has_room(&self) -> bool {
        self.images.len() < CAPACITY
    }

    /// Whether it is time to empty it at the next opportunity.
    pub fn is_nearly_full(&self) -> bool {
        self.images.len() >= CAPACITY / 4 * 3
    }

    pub fn contains(&self, page: PageNo) -> bool {
        self.places.contains_key(&page)
    }

    pub fn get(&self, page: PageNo) -> Option<&PageImage> {
        self.places.get(&page).map(|place| &self.images[*place])
    }

    pub fn put(&mut self, page: PageNo, image: &PageImage) {
        match self.places.get(&page) {
            Some(place) => self.images[*place] = *image,
            None => {
                self.places.insert(page, self.images.len());
                self.images.push(*image);
            }
        }
    }

    /// All pages in ascending order, which makes neighbours of pages that are
    /// neighbours in the file.
    pub fn sorted(&self) -> impl Iterator<Item = (PageNo, &PageImage)> {
        let mut order: Vec<(PageNo, usize)> =
            self.places.iter().map(|(page, place)| (*page, *place)).collect();
        order.sort_unstable();
        order.into_iter().map(|(page, place)| (page, &self.images[place]))
    }

    pub fn clear(&mut self) {
        self.places.clear();
        self.images.clear();
    }
}

const _: () = assert!(CAPACITY * PAGE_SIZE == 16 << 20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_image_of_a_page_wins_and_pages_come_in_order() {
        let mut buffer = PageBuffer::default();
        for (page, byte) in [(9, 1), (2, 2), (9, 3)] {
            buffer.put(PageNo(page), &[byte; PAGE_SIZE]);
        }
        let pages: Vec<(u32, u8)> =
            buffer.sorted().map(|(page, image)| (page.0, image[0])).collect();
        assert_eq!(pages, [(2, 2), (9, 3)]);
        buffer.clear();
        assert!(buffer.has_room() && !buffer.contains(PageNo(2)));
    }
}
