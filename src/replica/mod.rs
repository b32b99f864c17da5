//! The replica of one file: attach, sync, write, status, detach.
//!
//! `attach` opens it, `writes` sends work up and waits for what comes of it.
//! How pages come down is in `sync`. Nothing here knows a wire format.

mod attach;
mod outcome;
mod promote;
mod repair;
mod status;
mod wait;
mod writes;

use std::cell::RefCell;

use self::writes::{Ids, OpenState, OwnWrites, Retreat};
use crate::credentials;
use crate::error::Result;
use crate::host::HostDb;
use crate::options::{Options, SyncOptions};
use crate::primary::Endpoint;
use crate::secret::Secret;
use crate::sync::Syncer;
use crate::sync::worker::Worker;

pub use self::attach::Request;
pub use self::outcome::Outcome;
pub use self::promote::PromoteReport;
pub use self::repair::repair;
pub use self::status::Status;
pub use self::wait::Awaited;
pub use self::writes::{
    Arrival, Batch, BatchReport, Described, Discard, Queued, WriteReport, split,
};
pub use crate::delivery::Delivered;
pub use crate::outbox::Row as Entry;
pub use crate::primary::Mode;
pub use crate::sync::health;
pub use crate::sync::{Progress, SyncReport, WatchedSync};

/// The replica that a connection is attached to.
pub struct Replica {
    syncer: Syncer,
    /// Where the primary is; shown without a token, because it holds none.
    endpoint: Endpoint,
    options: Options,
    /// Brings back what this connection writes, unless a worker does.
    own_writes: OwnWrites,
    /// Works until it is dropped.
    worker: Option<Worker>,
    /// The process that attached it.
    process: u32,
    /// The transaction that is open on the primary.
    open: RefCell<OpenState>,
    /// What its writes are called, where that matters.
    ids: Ids,
    /// When a primary that is away is worth trying again.
    retreat: Retreat,
}

impl Replica {
    /// Whether this is a copy in a child process. Its worker, its connections
    /// and its locks belong to the parent, and SQLite's own must not be used
    /// across a fork either (sqlite.org/howtocorrupt.html 2.6).
    pub fn is_forked(&self) -> bool {
        self.process != std::process::id()
    }

    /// Whether a transaction on the primary goes with a local one.
    pub fn has_local_transactions(&self) -> bool {
        self.options.local_transactions
    }

    /// Whether results in JSON have integers as text.
    pub fn integers_as_text(&self) -> bool {
        self.options.integers_as_text
    }

    /// Whether it was attached to write as well.
    pub fn writes(&self) -> bool {
        self.options.writes
    }

    /// Whether the main database of `host` is the replica still.
    pub fn is_main_of(&self, host: HostDb) -> bool {
        self.syncer.file.is_main_of(host)
    }

    /// Replaces the token of all later requests.
    pub fn set_token(&self, token: Option<&str>) -> Result<()> {
        if token.is_some() {
            credentials::check_way(&self.endpoint, &self.options)?;
        }
        self.syncer.primary.set_token(token.map(Secret::from));
        Ok(())
    }

    /// Brings the file to what the primary has now.
    pub fn sync(&self, host: HostDb, options: SyncOptions) -> Result<SyncReport> {
        self.syncer.file.size_limit.ask_when_it_grows(host);
        // Who has said that it only reads leaves the outbox to others.
        if self.has_outbox() && host.is_query_only() {
            self.syncer.sync_down(options)
        } else {
            self.syncer.sync(options)
        }
    }

    /// The same on a thread of its own, so that it can be watched.
    pub fn watched_sync(&self, host: HostDb, options: SyncOptions) -> Result<WatchedSync> {
        self.syncer.file.size_limit.ask(host);
        WatchedSync::start(&self.syncer, host, options)
    }

    /// What changes with each change of the file's schema, whoever brought it.
    pub fn schema_cookie(&self) -> Result<u32> {
        self.syncer.file.schema_cookie()
    }
}

impl Drop for Replica {
    /// The worker has ended before the last word is said.
    fn drop(&mut self) {
        self.worker = None;
        self.syncer.note_end();
    }
}
