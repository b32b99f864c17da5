//! How the replica of a file fares, asked from outside: the table
//! `replica_health(path [, max_age_s])`, and the same as JSON. It needs no
//! attach and no network.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Map, Value as Json, json};

use super::Connection;
use super::arguments::{optional_text, seconds};
use super::columns::{self, create_table};
use super::permit::Effect;
use crate::error::Result;
use crate::host::value::{Argument, Output};
use crate::host::vtab::{Rows, Table};
use crate::replica::health::{Report, of_file};

struct Column {
    told: columns::Column,
    value: fn(&Report) -> Output,
}

const fn column(told: columns::Column, value: fn(&Report) -> Output) -> Column {
    Column { told, value }
}

const COLUMNS: &[Column] = &[
    column(columns::text("path", "the file, links resolved"), |report| {
        Output::Text(report.path.display().to_string())
    }),
    column(columns::text("sync_url", "the primary, without token"), |report| {
        report.sync_url.clone().into()
    }),
    column(
        columns::integer(
            "healthy",
            "1 if the file held all that the primary had within the last `max_age_s` seconds \
             (60, or three times the `sync_interval` if that is more)",
        ),
        |report| Output::Integer(i64::from(report.trouble.is_none())),
    ),
    column(
        columns::text("trouble", "what is wrong, in one sentence; NULL while it is healthy"),
        |report| report.trouble.clone().into(),
    ),
    column(
        columns::text(
            "worker",
            "the `state` of the worker that keeps the file fresh; `gone` if it has ended without a \
             word (`kill -9`); NULL if there is none",
        ),
        |report| report.worker.clone().into(),
    ),
    column(columns::integer("worker_pid", "its process"), |report| {
        report.worker_pid.map(i64::from).into()
    }),
    column(
        columns::real("fresh_age_s", "seconds since the file held all that the primary had"),
        |report| real(report.fresh_age_s),
    ),
    column(
        columns::real("contact_age_s", "seconds since the primary last answered, whatever it said"),
        |report| real(report.contact_age_s),
    ),
    column(
        columns::integer("frame_no", "the last frame of the file, when that was noted"),
        |report| number(report.frame_no),
    ),
    column(
        columns::integer("primary_frame_no", "the last frame of the primary, when that was noted"),
        |report| number(report.primary_frame_no),
    ),
    column(
        columns::integer("lag_frames", "the difference; NULL where it is not known any more"),
        |report| number(report.lag_frames),
    ),
    column(
        columns::text("last_error", "of the last sync or write; NULL once it works again"),
        |report| report.last_error.clone().into(),
    ),
    column(columns::integer("last_error_unix_ms", "when that was"), |report| {
        report.last_error_unix_ms.into()
    }),
];

fn real(value: Option<f64>) -> Output {
    value.map_or(Output::Null, Output::Real)
}

fn number(value: Option<u64>) -> Output {
    value.and_then(|value| i64::try_from(value).ok()).into()
}

/// What the table has, in words.
pub fn columns() -> Vec<&'static columns::Column> {
    COLUMNS.iter().map(|column| &column.told).collect()
}

/// One row, whatever is at the path.
pub struct HealthTable {
    connection: Rc<Connection>,
    schema: String,
}

impl HealthTable {
    pub fn new(connection: Rc<Connection>) -> HealthTable {
        let schema = create_table(columns(), "of_path TEXT HIDDEN, max_age_s REAL HIDDEN");
        HealthTable { connection, schema }
    }
}

impl Table for HealthTable {
    fn name(&self) -> &'static str {
        "replica_health"
    }

    fn schema(&self) -> &str {
        &self.schema
    }

    fn visible_columns(&self) -> usize {
        COLUMNS.len()
    }

    fn hidden_columns(&self) -> usize {
        2
    }

    fn rows(&self, arguments: &[Option<Argument>]) -> Result<Box<dyn Rows>> {
        let report = report(&self.connection, arguments[0].as_ref(), arguments[1].as_ref())?;
        let row: Vec<Output> = COLUMNS.iter().map(|column| (column.value)(&report)).collect();
        Ok(Box::new(vec![row].into_iter()))
    }
}

/// `replica_health([path [, max_age_s]])`: JSON, the row.
pub fn as_json(connection: &Connection, args: &[Argument]) -> Result<Output> {
    let report = report(connection, args.first(), args.get(1))?;
    let member = |column: &Column| {
        let value = match (column.value)(&report) {
            Output::Integer(value) => json!(value),
            Output::Real(value) => json!(value),
            Output::Text(value) => json!(value),
            _ => Json::Null,
        };
        (column.told.name.to_owned(), value)
    };
    Ok(Output::Json(Json::Object(Map::from_iter(COLUMNS.iter().map(member))).to_string()))
}

/// Of the file at the path, else of this connection's own.
fn report(
    connection: &Connection,
    path: Option<&Argument>,
    max_age: Option<&Argument>,
) -> Result<Report> {
    let max_age: Option<Duration> =
        max_age.map(|age| seconds("max_age_s", age)).transpose()?.flatten();
    let path = match optional_text("path", path)? {
        Some(path) => {
            // Who may not attach may not look at other files either.
            connection.permit(Effect::Governs)?;
            Some(PathBuf::from(path))
        }
        None => connection.host.main_path().filter(|_| !connection.host.is_in_memory()),
    };
    Ok(match path {
        Some(path) => of_file(&path, max_age),
        None => Report {
            trouble: Some(
                "the main database of this connection is no file; name one: \
                 replica_health('app.db')"
                    .to_owned(),
            ),
            ..Report::default()
        },
    })
}
