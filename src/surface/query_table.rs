//! The tables `replica_query(sql [, args])` and `replica_write(sql [, args])`:
//! the rows of a statement that the primary runs.
//!
//! `row` is a row as JSON; `c0`, `c1`, ... are its values as SQL has them, with
//! their types. They are hidden: `SELECT *` does not show a hundred of them.

use std::rc::Rc;

use super::arguments::text;
use super::columns::{self, Column, create_table, integer};
use super::permit::Effect;
use super::values::{column_names, from_json, output};
use super::{Connection, json};
use crate::error::{Error, Kind, Result};
use crate::host::value::{Argument, Output};
use crate::host::vtab::{Rows, Table};
use crate::position::Position;
use crate::replica::WriteReport;
use crate::sqltext::parameters::Arguments;
use crate::sqltext::value::Value;

pub const QUERY: &[Column] = &[columns::text("row", "one row as a JSON array")];

pub const WRITE: &[Column] = &[
    columns::text("row", "one row that came back as a JSON array; NULL where none came"),
    integer("rows_affected", "rows that the statement changed"),
    integer("last_insert_rowid", "rowid of the last row that was inserted"),
    integer("frame_no", "the primary's last frame after it"),
    columns::text("position", "the same with the fingerprint of its history, for `replica_wait`"),
    integer("synced", "1 if this file holds it already"),
    columns::text("sync_error", "why it does not, where that was an error"),
    integer("in_transaction", "1 if it is part of the open transaction"),
    integer("recovered", "1 if its answer was lost and its outcome was found out (`exactly_once`)"),
    columns::text("columns", "the names of the columns that came back, as a JSON array"),
    integer("queued", "its number, where the primary could not be reached (`offline_writes`)"),
];

/// What only reads.
pub struct QueryTable {
    connection: Rc<Connection>,
    schema: String,
}

impl QueryTable {
    pub fn new(connection: Rc<Connection>) -> QueryTable {
        let hidden = "sql TEXT HIDDEN, args TEXT HIDDEN, columns TEXT HIDDEN";
        let schema = create_table(QUERY, &format!("{hidden}, {}", column_names()));
        QueryTable { connection, schema }
    }
}

impl Table for QueryTable {
    fn name(&self) -> &'static str {
        "replica_query"
    }

    fn schema(&self) -> &str {
        &self.schema
    }

    fn visible_columns(&self) -> usize {
        QUERY.len()
    }

    fn hidden_columns(&self) -> usize {
        2
    }

    fn rows(&self, arguments: &[Option<Argument>]) -> Result<Box<dyn Rows>> {
        let (sql, args) = statement(self.name(), arguments)?;
        let result = self.connection.with_replica(|replica| replica.query(sql, args));
        let result = self.connection.noted(self.name(), result)?;
        let columns = json::columns(&result.columns);
        let style = self.connection.style();
        Ok(Box::new(Values {
            rows: result.rows.into_iter(),
            before: Box::new(move |row| vec![Output::Json(json::row(row, style))]),
            after: vec![Output::Json(columns)],
        }))
    }
}

/// What may write. A row of a table is computed once, whatever a query does
/// with it.
pub struct WriteTable {
    connection: Rc<Connection>,
    schema: String,
}

impl WriteTable {
    pub fn new(connection: Rc<Connection>) -> WriteTable {
        let hidden = "sql TEXT HIDDEN, args TEXT HIDDEN";
        let schema = create_table(WRITE, &format!("{hidden}, {}", column_names()));
        WriteTable { connection, schema }
    }
}

impl Table for WriteTable {
    fn name(&self) -> &'static str {
        "replica_write"
    }

    fn schema(&self) -> &str {
        &self.schema
    }

    fn visible_columns(&self) -> usize {
        WRITE.len()
    }

    fn hidden_columns(&self) -> usize {
        2
    }

    fn acts(&self) -> bool {
        true
    }

    fn rows(&self, arguments: &[Option<Argument>]) -> Result<Box<dyn Rows>> {
        self.connection.permit(Effect::Writes)?;
        let (sql, args) = statement(self.name(), arguments)?;
        let report = self.connection.with_replica(|replica| replica.write_one(sql, args));
        let report = self.connection.noted(self.name(), report)?;
        Ok(rows_of(report, self.connection.style()))
    }
}

/// The rows that came back, each with what the write did; one with nothing in
/// it where none came.
fn rows_of(report: WriteReport, style: json::Style) -> Box<dyn Rows> {
    let WriteReport { results, arrival, recovered, queued, .. } = report;
    let result = results.into_iter().next().unwrap_or_default();
    let number = |value: Option<u64>| value.and_then(|value| i64::try_from(value).ok()).into();
    let said = vec![
        number(result.rows_affected),
        result.last_insert_rowid.into(),
        number(arrival.frame_no),
        arrival.position.and_then(Position::token).into(),
        if queued.is_some() { Output::Null } else { Output::Integer(i64::from(arrival.synced)) },
        arrival.sync_error.into(),
        Output::Integer(i64::from(arrival.in_transaction)),
        Output::Integer(i64::from(recovered)),
        Output::Json(json::columns(&result.columns)),
        queued.map(|entry| entry.number).into(),
    ];
    if result.rows.is_empty() {
        let row = [vec![Output::Null], said].concat();
        return Box::new(vec![row].into_iter());
    }
    let before = move |row: &[Value]| {
        let mut outputs = vec![Output::Json(json::row(row, style))];
        outputs.extend(said.iter().cloned());
        outputs
    };
    Box::new(Values { rows: result.rows.into_iter(), before: Box::new(before), after: Vec::new() })
}

/// Shows a row in the columns before the arguments.
type Show = Box<dyn Fn(&[Value]) -> Vec<Output>>;

/// Rows of values; each becomes text only when it is read.
struct Values {
    rows: std::vec::IntoIter<Vec<Value>>,
    before: Show,
    /// Those between the arguments and the values.
    after: Vec<Output>,
}

impl Rows for Values {
    fn next(&mut self) -> Result<Option<Vec<Output>>> {
        let Some(row) = self.rows.next() else { return Ok(None) };
        let mut outputs = (self.before)(&row);
        // The arguments are not columns that anybody reads.
        outputs.extend([Output::Null, Output::Null]);
        outputs.extend(self.after.iter().cloned());
        outputs.extend(row.into_iter().map(output));
        Ok(Some(outputs))
    }
}

fn statement<'a>(name: &str, arguments: &[Option<Argument<'a>>]) -> Result<(&'a str, Arguments)> {
    let Some(sql) = &arguments[0] else {
        let text = format!("the SQL text is missing; write {name}(sql [, args])");
        return Err(Error::new(Kind::BadArgument, text));
    };
    Ok((text("sql", sql)?, from_json(arguments[1].as_ref())?))
}
