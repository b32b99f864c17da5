//! Joins small writes that follow each other into larger ones.

use crate::error::Result;

/// Bytes that are held back at most.
const CAPACITY: usize = 64 * 1024;

/// Bytes that belong at one stretch of a file and are not written yet.
#[derive(Default)]
pub struct Coalescer {
    at: u64,
    bytes: Vec<u8>,
}

impl Coalescer {
    /// Adds `bytes` at offset `at`, writing what was held back where they do
    /// not follow it or there is no room left.
    pub fn push(
        &mut self,
        at: u64,
        bytes: &[u8],
        write: impl Fn(&[u8], u64) -> Result<()>,
    ) -> Result<()> {
        let follows = self.at + self.bytes.len() as u64 == at;
        if !follows || self.bytes.len() + bytes.len() > CAPACITY {
            self.flush(write)?;
        }
        if self.bytes.is_empty() {
            self.at = at;
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// Writes what is held back.
    pub fn flush(&mut self, write: impl Fn(&[u8], u64) -> Result<()>) -> Result<()> {
        if !self.bytes.is_empty() {
            write(&self.bytes, self.at)?;
            self.bytes.clear();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[test]
    fn neighbours_are_written_together_and_strangers_apart() {
        let writes = RefCell::new(Vec::new());
        let write = |bytes: &[u8], at: u64| {
            writes.borrow_mut().push((at, bytes.to_vec()));
            Ok(())
        };
        let mut run = Coalescer::default();
        for (at, byte) in [(10, 1), (11, 2), (20, 3)] {
            run.push(at, &[byte], write).unwrap();
        }
        run.flush(write).unwrap();
        run.flush(write).unwrap();
        assert_eq!(*writes.borrow(), [(10, vec![1, 2]), (20, vec![3])]);
    }

    #[test]
    fn no_more_is_held_back_than_one_write_may_take() {
        let longest = RefCell::new(0);
        let write = |bytes: &[u8], _: u64| {
            let mut longest = longest.borrow_mut();
            *longest = bytes.len().max(*longest);
            Ok(())
        };
        let mut run = Coalescer::default();
        for page in 0..100 {
            run.push(page * 4096, &[0; 4096], write).unwrap();
        }
        run.flush(write).unwrap();
        assert_eq!(*longest.borrow(), CAPACITY);
    }
}
