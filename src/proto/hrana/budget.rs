//! What an answer may take in memory. It is counted before anything is
//! allocated: a few bytes of an answer may say that there are a million rows.

use crate::error::Error;

/// Why an answer is not read.
pub(super) enum Unread {
    /// It would take more memory than it may.
    TooBig,
    Broken(Error),
}

impl From<Error> for Unread {
    fn from(error: Error) -> Unread {
        Unread::Broken(error)
    }
}

/// Bytes that may still be taken.
pub(super) struct Budget(usize);

impl Budget {
    pub fn new(bytes: usize) -> Budget {
        Budget(bytes)
    }

    pub fn take(&mut self, bytes: usize) -> Result<(), Unread> {
        self.0 = self.0.checked_sub(bytes).ok_or(Unread::TooBig)?;
        Ok(())
    }

    /// `count` times so many bytes.
    pub fn take_each(&mut self, count: usize, bytes: usize) -> Result<(), Unread> {
        self.take(count.checked_mul(bytes).ok_or(Unread::TooBig)?)
    }
}
