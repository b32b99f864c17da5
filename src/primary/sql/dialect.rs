//! How the servers that speak Hrana differ.

use crate::proto::hrana::Encoding;
use crate::proto::{sqld_log, turso};

/// What one kind of server understands, and what it leaves out.
pub(in crate::primary) struct Dialect {
    /// What speaks it, in error texts.
    pub server: &'static str,
    /// The protocol's name, in error texts.
    pub protocol: &'static str,
    /// How pipelines are written down and where they go, the best first. A
    /// server that does not know one of them says so, and has done nothing.
    pub routes: &'static [(Encoding, &'static str)],
    /// A stream is a connection of its own, which lasts until it is closed: so
    /// there are transactions over several requests. Where there are none, one
    /// connection runs the statements of all clients.
    pub has_streams: bool,
    /// It says what a statement is without running it.
    pub describes: bool,
    /// It tells the number of the last frame.
    pub numbers_frames: bool,
    /// Its number of changed rows means something even where the last rowid is
    /// not told.
    pub always_counts: bool,
}

pub(in crate::primary) const SQLD: Dialect = Dialect {
    server: sqld_log::SERVER,
    protocol: "sqld's protocol",
    routes: &[(Encoding::Protobuf, "/v3-protobuf/pipeline"), (Encoding::Json, "/v3/pipeline")],
    has_streams: true,
    describes: true,
    numbers_frames: true,
    always_counts: true,
};

/// Turso's own server knows only `execute` and `batch`, and neither counts rows
/// nor tells the last rowid. What a server does not say is left unsaid.
pub(in crate::primary) const TURSO: Dialect = Dialect {
    server: turso::SERVER,
    protocol: "Turso's protocol",
    routes: &[(Encoding::Json, "/v2/pipeline")],
    has_streams: false,
    describes: false,
    numbers_frames: false,
    always_counts: false,
};
