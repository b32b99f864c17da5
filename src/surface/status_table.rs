//! What a replica says of itself in SQL: the table `replica_status`, and the same
//! as JSON. One list of columns gives the schema, the row and the object.

use std::rc::Rc;
use std::sync::LazyLock;

use serde_json::{Map, Value as Json, json};

use super::Connection;
use super::columns::{self, create_table};
use crate::error::Result;
use crate::host::value::{Argument, Output};
use crate::host::vtab::{Rows, Table};
use crate::position::Position;
use crate::replica::{Replica, Status};

struct Column {
    told: columns::Column,
    value: fn(&Status) -> Output,
}

const COLUMNS: &[Column] = &[
    text("path", "the file; `:memory:` or the URI of one in memory", |status| {
        Output::Text(status.path.display().to_string())
    }),
    text("sync_url", "the primary, without token", |status| Output::Text(status.sync_url.clone())),
    text(
        "protocol",
        "how it speaks: `sqld`, `turso`, or `auto` before it has answered",
        |status| Output::Text(status.protocol.to_owned()),
    ),
    text(
        "state",
        "`idle`, `syncing`, `live`, `polling` (live was asked for and the primary has no stream, or [something in front of it](behind-a-proxy.md) holds it back: it is asked twice a second, a host that bills requests down to once in ten seconds), `reconnecting` (a worker tries again), `error` (the last call failed)",
        |status| Output::Text(status.counters.state().to_owned()),
    ),
    text("log_id", "name of the primary's history, once it has told it", |status| {
        status.log_id.clone().into()
    }),
    integer("frame_no", "the last frame that the file holds", |status| {
        number(status.position.and_then(Position::frame_no).map(|frame| frame.0))
    }),
    text("position", "the same with the fingerprint of its history", |status| {
        status.position.and_then(Position::token).into()
    }),
    integer("primary_frame_no", "the last frame of the primary when it last answered", |status| {
        number(status.counters.primary_frame_no)
    }),
    integer("lag_frames", "the difference; NULL while the primary does not answer", |status| {
        number(status.lag_frames())
    }),
    integer("last_contact_unix_ms", "when the primary last answered", |status| {
        status.counters.last_contact_unix_ms.into()
    }),
    integer("last_sync_unix_ms", "when the last sync ended", |status| {
        status.counters.last_sync_unix_ms.into()
    }),
    integer("last_sync_ms", "how long it took", |status| number(status.counters.last_sync_ms)),
    integer("bytes_received", "bytes that came from the primary since the attach", |status| {
        number(Some(status.counters.bytes_received))
    }),
    integer("frames_received", "frames that came since the attach", |status| {
        number(Some(status.counters.frames_received))
    }),
    integer("pages_written", "pages that were written to the file since the attach", |status| {
        number(Some(status.counters.pages_written))
    }),
    integer("syncs", "syncs that succeeded since the attach", |status| {
        number(Some(status.counters.syncs))
    }),
    integer("writes", "writes that succeeded since the attach", |status| {
        number(Some(status.counters.writes))
    }),
    text("last_error", "of the last sync or write; empty once it works again", |status| {
        status.last_error().map(|(text, _)| text.clone()).into()
    }),
    integer("last_error_unix_ms", "when that was", |status| {
        status.last_error().map(|(_, at)| *at).into()
    }),
    integer(
        "queued",
        "writes that [wait for the primary](offline.md#without-a-network)",
        |status| number(status.queue.as_ref().map(|queue| queue.waiting)),
    ),
    integer("set_aside", "queued writes that the primary has refused", |status| {
        number(status.queue.as_ref().map(|queue| queue.set_aside))
    }),
    text("queue_error", "what keeps the first one that waits", |status| {
        status.queue.as_ref().and_then(|queue| queue.error.clone()).into()
    }),
];

const fn text(name: &'static str, help: &'static str, value: fn(&Status) -> Output) -> Column {
    Column { told: columns::text(name, help), value }
}

const fn integer(name: &'static str, help: &'static str, value: fn(&Status) -> Output) -> Column {
    Column { told: columns::integer(name, help), value }
}

/// What the table has, in words.
pub fn columns() -> Vec<&'static columns::Column> {
    COLUMNS.iter().map(|column| &column.told).collect()
}

fn number(value: Option<u64>) -> Output {
    value.and_then(|value| i64::try_from(value).ok()).into()
}

/// One row for the replica of this connection, none while nothing is attached.
pub struct StatusTable(pub Rc<Connection>);

impl Table for StatusTable {
    fn name(&self) -> &'static str {
        "replica_status"
    }

    fn schema(&self) -> &'static str {
        static SCHEMA: LazyLock<String> = LazyLock::new(|| create_table(columns(), ""));
        &SCHEMA
    }

    fn visible_columns(&self) -> usize {
        COLUMNS.len()
    }

    fn rows(&self, _: &[Option<Argument>]) -> Result<Box<dyn Rows>> {
        let rows = match self.0.is_attached() {
            true => vec![row(&self.0.with_replica(Replica::status)?)],
            false => Vec::new(),
        };
        Ok(Box::new(rows.into_iter()))
    }
}

fn row(status: &Status) -> Vec<Output> {
    COLUMNS.iter().map(|column| (column.value)(status)).collect()
}

/// The row as a JSON object.
pub fn as_json(status: &Status) -> String {
    let member = |column: &Column| {
        let value = match (column.value)(status) {
            Output::Integer(value) => json!(value),
            Output::Text(value) => json!(value),
            _ => Json::Null,
        };
        (column.told.name.to_owned(), value)
    };
    Json::Object(Map::from_iter(COLUMNS.iter().map(member))).to_string()
}
