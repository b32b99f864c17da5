//! Reports as the JSON that SQL gets.

use serde_json::{Map, Value as Json, json};

use super::outbox::add_delivered;
use crate::error::Error;
use crate::position::Position;
use crate::primary::{Description, StatementResult};
use crate::replica::{
    Arrival, BatchReport, Described, Outcome, PromoteReport, Queued, SyncReport, WriteReport,
};
use crate::sqltext::value::Value;

pub fn sync(report: &SyncReport) -> String {
    let mut object = json!({
        "frame_no": report.frame_no(),
        "position": report.position.and_then(Position::token),
        "frames_synced": report.frames_synced,
        "pages_written": report.pages_written,
        "bytes_received": report.bytes_received,
        "snapshot": report.snapshot,
        "reset": report.reset,
        "duration_ms": report.duration_ms,
    });
    if let (Some(delivered), Json::Object(object)) = (&report.delivered, &mut object) {
        add_delivered(object, delivered);
    }
    object.to_string()
}

pub fn promote(report: &PromoteReport) -> String {
    json!({
        "promoted": true,
        "frame_no": report.position.and_then(Position::frame_no).map(|frame| frame.0),
        "position": report.position.and_then(Position::token),
        "reopen": "connections that are open stay read-only until they are closed and opened again",
    })
    .to_string()
}

/// How values are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Integers as text: JavaScript reads numbers of JSON with 53 bits.
    pub integers_as_text: bool,
}

impl Style {
    fn value(self, value: &Value) -> Json {
        match value {
            Value::Integer(integer) if self.integers_as_text => json!(integer.to_string()),
            value => value.to_json(),
        }
    }

    fn rowid(self, rowid: Option<i64>) -> Json {
        rowid.map_or(Json::Null, |rowid| self.value(&Value::Integer(rowid)))
    }
}

/// One statement: its result and how the write went in one object. Several:
/// the results in a list.
pub fn write(report: &WriteReport, style: Style) -> String {
    if let Some(entry) = &report.queued {
        return queued(entry);
    }
    let statement = |result| statement_of(report, result, style);
    let mut object = match report.results.as_slice() {
        [result] => statement(result),
        results => {
            let statement = |result| Json::Object(statement(result));
            let list = results.iter().map(statement).collect();
            Map::from_iter([("results".to_owned(), Json::Array(list))])
        }
    };
    arrival(&mut object, &report.arrival);
    recovered(&mut object, report.recovered);
    Json::Object(object).to_string()
}

/// Nothing has happened yet, so there is nothing else to tell.
fn queued(entry: &Queued) -> String {
    json!({
        "queued": true,
        "number": entry.number,
        "id": entry.id.to_string(),
        "rows_affected": null,
        "last_insert_rowid": null,
        "columns": null,
        "rows": null,
    })
    .to_string()
}

/// Results of which only what the primary has noted is known say so.
fn recovered(object: &mut Map<String, Json>, recovered: bool) {
    if recovered {
        object.insert("recovered".to_owned(), json!(true));
    }
}

fn statement_of(report: &WriteReport, result: &StatementResult, style: Style) -> Map<String, Json> {
    let mut object = statement(result, style);
    if report.recovered {
        // What the statement returned was in the answer that is lost.
        object.insert("columns".to_owned(), Json::Null);
        object.insert("rows".to_owned(), Json::Null);
    }
    object
}

/// What became of a write.
pub fn outcome(id: &str, outcome: &Outcome, style: Style) -> String {
    let (name, noted) = match outcome {
        Outcome::Committed(noted) => ("committed", Some(noted)),
        Outcome::NotCommitted => ("not committed", None),
        Outcome::Unknown => ("unknown", None),
        Outcome::Queued => ("queued", None),
    };
    let mut object =
        Map::from_iter([("id".to_owned(), json!(id)), ("outcome".to_owned(), json!(name))]);
    if let Some(noted) = noted {
        object.insert("rows_affected".to_owned(), json!(noted.rows_affected));
        object.insert("last_insert_rowid".to_owned(), style.rowid(noted.last_insert_rowid));
    }
    Json::Object(object).to_string()
}

/// The results in a list, also where there is one only.
pub fn write_list(report: &WriteReport, style: Style) -> String {
    let statement = |result| Json::Object(statement_of(report, result, style));
    let results = report.results.iter().map(statement);
    let mut object = Map::from_iter([("results".to_owned(), Json::Array(results.collect()))]);
    arrival(&mut object, &report.arrival);
    recovered(&mut object, report.recovered);
    Json::Object(object).to_string()
}

pub fn described(described: &Described) -> String {
    let Description { columns, is_explain, is_readonly } = &described.description;
    let column =
        |(name, declared): &(String, Option<String>)| json!({"name": name, "type": declared});
    json!({
        "readonly": is_readonly,
        "explain": is_explain,
        "parameters": described.parameters,
        "columns": columns.iter().map(column).collect::<Vec<_>>(),
    })
    .to_string()
}

/// An error in parts.
pub fn error(function: &str, error: &Error, transaction: Option<&str>) -> String {
    let text = error.to_string();
    json!({
        "function": function,
        "text": text,
        "message": error.said().unwrap_or(&text),
        "code": error.code(),
        "statement": error.statement(),
        "can_retry": error.can_retry(),
        "transaction": transaction,
    })
    .to_string()
}

pub fn batch(report: &BatchReport, style: Style) -> String {
    let mut object = Map::from_iter([
        ("count".to_owned(), json!(report.count)),
        ("rows_affected".to_owned(), json!(report.rows_affected)),
        ("last_insert_rowid".to_owned(), style.rowid(report.last_insert_rowid)),
    ]);
    arrival(&mut object, &report.arrival);
    recovered(&mut object, report.recovered);
    Json::Object(object).to_string()
}

pub fn commit(report: &Arrival) -> String {
    let mut object = Map::new();
    arrival(&mut object, report);
    Json::Object(object).to_string()
}

fn arrival(object: &mut Map<String, Json>, arrival: &Arrival) {
    object.insert("frame_no".to_owned(), json!(arrival.frame_no));
    object.insert("position".to_owned(), json!(arrival.position.and_then(Position::token)));
    object.insert("synced".to_owned(), json!(arrival.synced));
    if let Some(error) = &arrival.sync_error {
        object.insert("sync_error".to_owned(), json!(error));
    }
    if arrival.in_transaction {
        object.insert("in_transaction".to_owned(), json!(true));
    }
}

/// A row of values as an array.
pub fn row(values: &[Value], style: Style) -> String {
    Json::Array(values.iter().map(|value| style.value(value)).collect()).to_string()
}

/// The names of columns as an array.
pub fn columns(names: &[String]) -> String {
    json!(names).to_string()
}

fn statement(result: &StatementResult, style: Style) -> Map<String, Json> {
    let row = |row: &Vec<Value>| Json::Array(row.iter().map(|value| style.value(value)).collect());
    let rows = result.rows.iter().map(row).collect();
    Map::from_iter([
        ("rows_affected".to_owned(), json!(result.rows_affected)),
        ("last_insert_rowid".to_owned(), style.rowid(result.last_insert_rowid)),
        ("columns".to_owned(), json!(result.columns)),
        ("rows".to_owned(), Json::Array(rows)),
    ])
}
