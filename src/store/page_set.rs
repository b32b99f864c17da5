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
    /// Puts a page in; whether it was not there.
    pub fn insert(&mut self, page: PageNo) -> bool {
        let (word, bit) = (self.words.entry(page.0 / 64).or_default(), 1 << (page.0 % 64));
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    pub fn contains(&self, page: PageNo) -> bool {
        self.words.get(&(page.0 / 64)).is_some_and(|word| word & 1 << (page.0 % 64) != 0)
    }

    /// All pages in stretches of at most 256, each in ascending order, and the last
    /// stretch first.
    pub fn stretches(&self) -> impl Iterator<Item = Vec<PageNo>> + '_ {
        let mut numbers: Vec<u32> = self.words.keys().copied().collect();
        numbers.sort_unstable_by_key(|number| std::cmp::Reverse(*number));
        let ends: Vec<Vec<u32>> = numbers.chunks(4).map(<[u32]>::to_vec).collect();
        ends.into_iter().map(|numbers| {
            numbers.into_iter().rev().flat_map(|number| self.pages_of(number)).collect()
        })
    }

    fn pages_of(&self, number: u32) -> impl Iterator<Item = PageNo> + use<> {
        let word = self.words[&number];
        let bits = (0..64).filter(move |bit| word & 1 << bit != 0);
        bits.map(move |bit| PageNo(number * 64 + bit))
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
        pages.into_iter().for_each(|page| assert!(set.insert(PageNo(page))));
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
    fn stretches_have_all_pages_and_begin_at_the_end() {
        let mut set = PageSet::default();
        let pages: Vec<u32> = (1..=1000).filter(|page| page % 7 != 0).chain([90_000]).collect();
        pages.iter().for_each(|page| assert!(set.insert(PageNo(*page))));
        let stretches: Vec<Vec<PageNo>> = set.stretches().collect();
        let found = stretches.iter().rev().flatten().map(|page| page.0);
        assert_eq!(found.collect::<Vec<_>>(), pages);
        assert!(stretches.iter().all(|stretch| stretch.len() <= 256 && stretch.is_sorted()));
    }

    #[test]
    fn what_is_cut_is_missing() {
        for last in [1, 62, 63, 64, 65, 500] {
            let mut set = PageSet::default();
            (1..=1000).for_each(|page| assert!(set.insert(PageNo(page))));
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
    fn pages_come_in_order_and_once() {
        let mut set = PageSet::default();
        let inserted: Vec<bool> =
            [700, 1, 64, 63, 700, u32::MAX].map(|page| set.insert(PageNo(page))).into();
        assert_eq!(inserted, [true, true, true, true, false, true]);
        let pages: Vec<u32> = set.stretches().flatten().map(|page| page.0).collect();
        assert_eq!(pages, [1, 63, 64, 700, u32::MAX]);
        assert!(set.contains(PageNo(63)) && !set.contains(PageNo(62)));
    }

    /// What a pull remembers of a database of 100 GB: each of its two sets.
    #[test]
    fn all_pages_of_a_huge_database_take_little_memory() {
        let mut set = PageSet::default();
        let last = (100 << 30) / crate::units::PAGE_SIZE as u64;
        // One of each word takes as much as all.
        (0..last as u32).step_by(64).for_each(|page| assert!(set.insert(PageNo(page))));
        let bytes = set.words.capacity() * (size_of::<(u32, u64)>() + 1) * 8 / 7;
        assert!(bytes < 24 << 20, "{bytes} bytes");
    }

    #[test]
    fn the_page_of_the_lock_bytes_is_not_missed() {
        let lock = PageNo::LOCK.0;
        assert_eq!(missing([lock - 1, lock + 1], lock - 1, lock + 1), None);
        assert_eq!(missing([lock - 1], lock - 1, lock), None);
        assert_eq!(missing([lock - 1], lock - 1, lock + 1), Some(lock + 1));
    }
}
