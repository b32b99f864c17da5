//! What a replica says of itself in SQL: the table `replica_status`, and the same
//! as JSON. One list of columns gives the schema, the row and the object.

use std::rc::Rc;
use std::sync::LazyLock;

use serde_json::{Map, Value as Json, json};

use super::Connection;
use crate::error::Result;
use crate::host::value::{Argument, Output};
use crate::host::vtab::{Rows, Table};
use crate::position::Position;
use crate::replica::{Replica, Status};

struct Column {
    name: &'static str,
    kind: &'static str,
    value: fn(&Status) -> Output,
}

const COLUMNS: &[Column] = &[
    text("path", |status| Output::Text(status.path.display().to_string())),
    text("sync_url", |status| Output::Text(status.sync_url.clone())),
    text("protocol", |status| Output::Text(status.protocol.to_owned())),
    text("state", |status| Output::Text(status.state.to_owned())),
    text("log_id", |status| status.log_id.clone().into()),
    integer("frame_no", |status| {
        number(status.position.and_then(Position::frame_no).map(|frame| frame.0))
    }),
    text("position", |status| status.position.and_then(Position::token).into()),
    integer("primary_frame_no", |status| number(status.primary_frame_no)),
    integer("lag_frames", |status| number(status.lag_frames)),
    integer("last_contact_unix_ms", |status| status.last_contact_unix_ms.into()),
    integer("last_sync_unix_ms", |status| status.last_sync_unix_ms.into()),
    integer("last_sync_ms", |status| number(status.last_sync_ms)),
    integer("bytes_received", |status| number(Some(status.bytes_received))),
    integer("frames_received", |status| number(Some(status.frames_received))),
    integer("pages_written", |status| number(Some(status.pages_written))),
    integer("syncs", |status| number(Some(status.syncs))),
    integer("writes", |status| number(Some(status.writes))),
    text("last_error", |status| status.last_error.clone().into()),
    integer("last_error_unix_ms", |status| status.last_error_unix_ms.into()),
];

const fn text(name: &'static str, value: fn(&Status) -> Output) -> Column {
    Column { name, kind: "TEXT", value }
}

const fn integer(name: &'static str, value: fn(&Status) -> Output) -> Column {
    Column { name, kind: "INTEGER", value }
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
        static SCHEMA: LazyLock<String> = LazyLock::new(|| {
            let column = |column: &Column| format!("{} {}", column.name, column.kind);
            let columns: Vec<String> = COLUMNS.iter().map(column).collect();
            format!("CREATE TABLE x({})", columns.join(", "))
        });
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
        (column.name.to_owned(), value)
    };
    Json::Object(Map::from_iter(COLUMNS.iter().map(member))).to_string()
}

#[cfg(test)]
mod tests {
    use super::COLUMNS;

    /// The README's table names each column, and no other.
    #[test]
    fn the_readme_tells_of_each_column() {
        let readme = include_str!("../../README.md");
        let section = readme.split("### Columns of `replica_status`").nth(1).expect("a section");
        let table = section.split("\n#").next().expect("its text");
        let cells = table.lines().filter_map(|line| line.strip_prefix("| `"));
        let mut told: Vec<&str> = cells
            .flat_map(|line| line.split(" |").next().expect("a cell").split(", "))
            .map(|name| name.trim_matches('`'))
            .collect();
        let mut columns: Vec<&str> = COLUMNS.iter().map(|column| column.name).collect();
        told.sort_unstable();
        columns.sort_unstable();
        assert_eq!(told, columns);
    }
}
