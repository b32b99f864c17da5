//! What a caller may choose of an attach and of one sync. How it is written in
//! SQL is the surface's.

use std::path::PathBuf;
use std::time::Duration;

use crate::secret::Secret;
use crate::units::MB;

/// What to do when the primary's history is not the one the file follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnReset {
    /// Replace the file's content atomically, unless the primary holds nothing:
    /// then the file may be the last copy.
    #[default]
    Auto,
    /// Replace the file's content whatever the primary holds.
    Replace,
    /// Leave the file as it is and say so.
    Error,
}

/// What to do with a queued write that the primary refuses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnConflict {
    /// Set it aside and go on with the next one.
    #[default]
    SetAside,
    /// Set it aside and let those behind it wait until somebody decides.
    Stop,
}

/// Whether queued writes go to a primary whose history is another one than when
/// they were queued.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AfterReset {
    /// Where it still has the last write that is known to have been there.
    #[default]
    Proved,
    Always,
    Never,
}

/// Options of `replica_attach`.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    pub sync_interval: Option<Duration>,
    pub live: bool,
    pub read_your_writes: bool,
    pub namespace: Option<String>,
    /// For each wait on the network.
    pub timeout: Duration,
    /// For each wait on a local lock.
    pub busy_timeout: Duration,
    pub ca_file: Option<PathBuf>,
    /// Of a database that the primary keeps encrypted.
    pub encryption_key: Option<Secret>,
    /// By way of which the primary is reached: a URL, or "none".
    pub proxy: Option<Secret>,
    /// Bytes that an answer to SQL may take in memory.
    pub max_answer: usize,
    pub on_reset: OnReset,
    pub protocol: Option<String>,
    pub first_sync: bool,
    /// Leaves the host's `trusted_schema` as it is.
    pub trusted_schema: bool,
    /// Follows the primary also where this SQLite cannot read its schema.
    pub publish_unreadable_schema: bool,
    /// Whether this connection may write to the primary.
    pub writes: bool,
    /// Lets the file follow another primary than the one it has followed.
    pub new_primary: bool,
    /// Holds the primary's URL and the token.
    pub token_file: Option<PathBuf>,
    /// Lets a token go over plain HTTP to another machine.
    pub token_over_http: bool,
    /// Bytes that the database may have.
    pub max_size: Option<usize>,
    /// Results in JSON have integers as text.
    pub integers_as_text: bool,
    /// A transaction on the primary goes with a local one.
    pub local_transactions: bool,
    /// The name under which a database in memory is shared in the process.
    pub share: Option<String>,
    /// Leaves the log beside the database when nobody has it open.
    pub keep_wal: bool,
    /// Each write leaves an id on the primary, by which a lost answer is found
    /// again.
    pub exactly_once: bool,
    /// A file that is told when the worker's trouble begins and ends.
    pub log: Option<PathBuf>,
    /// A write whose primary cannot be reached is queued.
    pub offline_writes: bool,
    pub on_conflict: OnConflict,
    pub deliver_after_reset: AfterReset,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            sync_interval: None,
            live: false,
            read_your_writes: true,
            namespace: None,
            timeout: Duration::from_secs(30),
            busy_timeout: Duration::from_secs(5),
            ca_file: None,
            encryption_key: None,
            proxy: None,
            max_answer: 32 * MB,
            on_reset: OnReset::Auto,
            protocol: None,
            first_sync: true,
            trusted_schema: false,
            publish_unreadable_schema: false,
            writes: true,
            new_primary: false,
            token_file: None,
            token_over_http: false,
            max_size: None,
            integers_as_text: false,
            local_transactions: true,
            share: None,
            keep_wal: false,
            exactly_once: false,
            log: None,
            offline_writes: false,
            on_conflict: OnConflict::SetAside,
            deliver_after_reset: AfterReset::Proved,
        }
    }
}

/// Options of one `replica_deliver`; None keeps what the attach said.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DeliverOptions {
    pub timeout: Option<Duration>,
    pub after_reset: Option<AfterReset>,
}

/// Options of one `replica_sync`; None keeps what the attach said.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SyncOptions {
    pub timeout: Option<Duration>,
    pub on_reset: Option<OnReset>,
}
