//! How large the database may become: what an option says, and what the host
//! has set on its own connection.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::error::{Error, Kind, Result};
use crate::host::HostDb;
use crate::units::PageNo;

/// Shared by all that bring pages into the file for one connection of the
/// host's.
pub struct SizeLimit {
    limits: Arc<Limits>,
    /// The connection to ask as soon as it matters; only on its own thread.
    to_ask: Cell<Option<HostDb>>,
}

struct Limits {
    max_size: AtomicU32,
    max_page_count: AtomicU32,
}

impl Default for SizeLimit {
    fn default() -> SizeLimit {
        let most = || AtomicU32::new(u32::MAX);
        let limits = Arc::new(Limits { max_size: most(), max_page_count: most() });
        SizeLimit { limits, to_ask: Cell::new(None) }
    }
}

impl SizeLimit {
    /// The same limits, for another thread.
    pub fn beside(&self) -> SizeLimit {
        SizeLimit { limits: self.limits.clone(), to_ask: Cell::new(None) }
    }

    /// What the option `max_size` comes to.
    pub fn set_max_size(&self, pages: u32) {
        self.limits.max_size.store(pages, Ordering::Relaxed);
    }

    /// Asks the host's connection. Where it does not tell, what it has told
    /// before stands.
    pub fn ask(&self, host: HostDb) {
        if let Some(pages) = host.page_limit() {
            self.limits.max_page_count.store(pages, Ordering::Relaxed);
        }
    }

    /// Asks it once the database is to grow, which few syncs do.
    pub fn ask_when_it_grows(&self, host: HostDb) {
        self.to_ask.set(Some(host));
    }

    /// Before anything is written, be it aside: a page of the far end alone
    /// makes a file as long. `present` is the size that the database has.
    pub fn refuse_beyond(&self, page: PageNo, present: u32) -> Result<()> {
        let Limits { max_size, max_page_count } = &*self.limits;
        let matters = page.0 > present.min(max_page_count.load(Ordering::Relaxed));
        if let Some(host) = matters.then(|| self.to_ask.take()).flatten() {
            self.ask(host);
        }
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
