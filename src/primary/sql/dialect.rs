//! How the servers that speak Hrana differ.

use crate::proto::hrana::Encoding;
use crate::proto::{sqld_log, turso};

/// What one kind of server understands, and what it leaves out.
pub(in crate::primary) struct Dialect {
    /// What speaks it, in error texts.
    pub server: &'static str,
    /// The protocol's name, in error texts.
    pub protocol: &'static str,
    /// Where pipelines go, the best first. A server that does not know one of
    /// them says so, and has done nothing.
    pub routes: &'static [Route],
    /// It knows tables without rowids.
    pub without_rowid: bool,
    /// It tells the number of the last frame.
    pub numbers_frames: bool,
}

/// A way for pipelines into a server.
pub(in crate::primary) struct Route {
    pub encoding: Encoding,
    pub path: &'static str,
    /// Whoever knows it keeps to all of Hrana 3: a stream is a connection of its
    /// own which lasts until it is closed, so that there are transactions over
    /// several requests; statements are described without being run; the number
    /// of changed rows is told. Where it does not, one connection runs the
    /// statements of all clients.
    pub is_complete: bool,
}

const fn route(encoding: Encoding, path: &'static str, is_complete: bool) -> Route {
    Route { encoding, path, is_complete }
}

pub(in crate::primary) const SQLD: Dialect = Dialect {
    server: sqld_log::SERVER,
    protocol: "sqld's protocol",
    routes: &[
        route(Encoding::Protobuf, "/v3-protobuf/pipeline", true),
        route(Encoding::Json, "/v3/pipeline", true),
    ],
    without_rowid: true,
    numbers_frames: true,
};

/// Turso Cloud knows the first route. Turso's own server knows the second and
/// there only `execute` and `batch`, of which neither counts rows nor tells the
/// last rowid. What a server does not say is left unsaid.
pub(in crate::primary) const TURSO: Dialect = Dialect {
    server: turso::SERVER,
    protocol: "Turso's protocol",
    routes: &[
        route(Encoding::Json, "/v3/pipeline", true),
        route(Encoding::Json, "/v2/pipeline", false),
    ],
    without_rowid: false,
    numbers_frames: false,
};
