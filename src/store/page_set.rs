//! Which pages a pull has delivered, in little memory: one bit a page, and
//! nothing for the stretches that nothing came of.

use std::collections::HashMap;

use crate::units::PageNo;

#[derive(Default)]
pub struct PageSet {
    /// 64 pages each, by their number divided by 64.
    words: HashMap<u32, u64>,
}

impl PageSet {
    pub fn insert(&mut self, page: PageNo) {
        *self.words.entry(page.0 / 64).or_default() |= 1 << (page.0 % 64);
    }

    /// Takes out all pages after `last`.
    pub fn cut(&mut self, last: PageNo) {
        let (number, bit) = (last.0 / 64, last.0 % 64);
        self.words.retain(|word, pages| {
            if *word == number {
                *pages &= u64::MAX >> (63 - bit);
            }
            *word <= number
        });
    }

    /// The first page from `first` to `last` that is not in the set. The page
    /// of the lock bytes, which SQLite never writes, is not missed.
    pub fn first_missing(&self, first: PageNo, last: PageNo) -> Option<PageNo> {
        let mut page = u64::from(first.0);
        while page <= u64::from(last.0) {
            let word = self.words.get(&((page / 64) as u32)).copied().unwrap_or(0);
            let (bit, left) = (page % 64, 64 - page % 64);
            let present = u64::from((word >> bit).trailing_ones());
            page += present;
            if present < left && page <= u64::from(last.0) {
                if page != u64::from(PageNo::LOCK.0) {
                    return Some(PageNo(page as u32));
                }
                page += 1;
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(pages: impl IntoIterator<Item = u32>, first: u32, last: u32) -> Option<u32> {
        let mut set = PageSet::default();
        pages.into_iter().for_each(|page| set.insert(PageNo(page)));
        set.first_missing(PageNo(first), PageNo(last)).map(|page| page.0)
    }

    #[test]
    fn the_first_hole_is_found() {
        assert_eq!(missing([], 1, 1), Some(1));
        assert_eq!(missing(1..=3, 1, 3), None);
        assert_eq!(missing(1..=3, 1, 4), Some(4));
        assert_eq!(missing(1..=1000, 1, 1000), None);
        for hole in [1, 63, 64, 65, 127, 128, 999] {
            let pages = (1..=1000).filter(|page| *page != hole);
            assert_eq!(missing(pages.clone(), 1, 1000), Some(hole));
            assert_eq!(missing(pages, hole + 1, 1000), None);
        }
    }

    #[test]
    fn what_is_cut_is_missing() {
        for last in [1, 62, 63, 64, 65, 500] {
            let mut set = PageSet::default();
            (1..=1000).for_each(|page| set.insert(PageNo(page)));
            set.cut(PageNo(last));
            assert_eq!(set.first_missing(PageNo(1), PageNo(1000)), Some(PageNo(last + 1)));
        }
    }

    #[test]
    fn ends_of_the_range_of_numbers_are_no_special_case() {
        assert_eq!(missing([u32::MAX], u32::MAX, u32::MAX), None);
        assert_eq!(missing([u32::MAX], 1, u32::MAX), Some(1));
        assert_eq!(missing([], 5, 4), None, "an empty range");
    }

    #[test]
    fn the_page_of_the_lock_bytes_is_not_missed() {
        let lock = PageNo::LOCK.0;
        assert_eq!(missing([lock - 1, lock + 1], lock - 1, lock + 1), None);
        assert_eq!(missing([lock - 1], lock - 1, lock), None);
        assert_eq!(missing([lock - 1], lock - 1, lock + 1), Some(lock + 1));
    }
}
