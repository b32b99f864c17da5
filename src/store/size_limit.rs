//! How large the database may become: what an option says, and what the host
//! has set on its own connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::error::{Error, Kind, Result};
use crate::host::HostDb;
use crate::units::PageNo;

/// Shared by all that bring pages into the file for one connection of the
/// host's.
#[derive(Clone)]
pub struct SizeLimit(Arc<Limits>);

struct Limits {
    max_size: AtomicU32,
    max_page_count: AtomicU32,
}

impl Default for SizeLimit {
    fn default() -> SizeLimit {
        let most = || AtomicU32::new(u32::MAX);
        SizeLimit(Arc::new(Limits { max_size: most(), max_page_count: most() }))
    }
}

impl SizeLimit {
    /// What the option `max_size` comes to.
    pub fn set_max_size(&self, pages: u32) {
        self.0.max_size.store(pages, Ordering::Relaxed);
    }

    /// Asks the host's connection. Where it does not tell, what it has told
    /// before stands.
    pub fn ask(&self, host: HostDb) {
        if let Some(pages) = host.page_limit() {
            self.0.max_page_count.store(pages, Ordering::Relaxed);
        }
    }

    /// Before anything is written, be it aside: a page of the far end alone
    /// makes a file as long.
    pub fn refuse_beyond(&self, page: PageNo) -> Result<()> {
        let Limits { max_size, max_page_count } = &*self.0;
        for (limit, whose, remedy) in [
            (max_size, "max_size", "attach with a larger max_size"),
            (max_page_count, "max_page_count of this connection", "raise PRAGMA max_page_count"),
        ] {
            let most = limit.load(Ordering::Relaxed);
            if page.0 > most {
                let text = format!(
                    "the primary's database is larger than {whose}: it has page {} and may have \
                     {most} pages; {remedy}",
                    page.0
                );
                return Err(Error::new(Kind::NotAllowed, text));
            }
        }
        Ok(())
    }
}
