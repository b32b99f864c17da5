//! How many pages the host lets its main database have.

use super::host_db::HostDb;

impl HostDb {
    /// What `PRAGMA max_page_count` is on the host's own connection. None where
    /// SQLite does not tell: it reads the schema for this, which may be
    /// unreadable, and an authorizer may deny it. Nor is it asked in a
    /// transaction, whose state that would fix.
    pub fn page_limit(self) -> Option<u32> {
        if !self.is_autocommit() {
            return None;
        }
        self.ask("PRAGMA main.max_page_count").ok()??.parse().ok()
    }

    /// Gives a main database that was opened anew the limit that the one before
    /// it had.
    pub(super) fn set_page_limit(self, pages: Option<u32>) {
        if let Some(pages) = pages.filter(|_| self.is_autocommit()) {
            // Where it is denied, it could not be asked for either.
            let _ = self.ask(&format!("PRAGMA main.max_page_count={pages}"));
        }
    }
}
