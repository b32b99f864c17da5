//! Writes without a network in SQL: the functions that queue, deliver and
//! decide, and the tables `replica_outbox` and `replica_pending`.

use std::rc::Rc;
use std::sync::LazyLock;

use serde_json::{Map, Value as Json, json};

use super::arguments::{optional_text, text, values};
use super::columns::{self, Column, create_table, integer};
use super::{Connection, options};
use crate::error::{Error, Kind, Result};
use crate::host::value::{Argument, Output};
use crate::host::vtab::{Rows, Table};
use crate::options::DeliverOptions;
use crate::replica::{Delivered, Discard, Entry, Queued, Replica};
use crate::sqltext::parameters::Arguments;
use crate::sqltext::statement::Statement;

pub const ENTRIES: &[Column] = &[
    integer("number", "its place in the queue"),
    columns::text("id", "what it is called on the primary, and for `replica_outcome`"),
    columns::text("sql", "its statements; NULL once it has ended"),
    columns::text("args", "the arguments of its only statement, as a JSON array"),
    columns::text(
        "state",
        "`pending`, `sent` (it may have arrived), `set_aside`, `delivered`, `discarded`",
    ),
    integer("attempts", "how often it was sent"),
    columns::text("error", "what was said of it last"),
    integer("enqueued_unix_ms", "when it was queued"),
    integer("tried_unix_ms", "when it was sent last"),
    integer("ended_unix_ms", "when it was delivered or discarded"),
    integer("rows_affected", "rows that its last statement changed"),
    integer("last_insert_rowid", "rowid of the last row that it inserted"),
];

pub const PENDING: &[Column] = &[
    integer("number", "the entry that it belongs to"),
    integer("statement", "its place in the entry, from 1 on"),
    columns::text("sql", "the statement"),
    columns::text("args", "its arguments as a JSON array"),
    columns::text("id", "what the entry is called on the primary"),
];

/// `replica_enqueue(sql [, arg ...])`: JSON, the number and the id.
pub fn enqueue(connection: &Connection, args: &[Argument]) -> Result<Output> {
    let Some((sql, args)) = args.split_first() else {
        return Err(Error::new(Kind::BadArgument, "the SQL text is missing"));
    };
    let sql = text("sql", sql)?;
    let args = Arguments::Listed(values(args)?);
    let queued = connection.with_replica(|replica| replica.enqueue(sql, args))?;
    Ok(Output::Json(number_and_id(&queued).to_string()))
}

/// `replica_deliver([options])`: JSON, what was done.
pub fn deliver(connection: &Connection, args: &[Argument]) -> Result<Output> {
    let options = match optional_text("options", args.first())? {
        Some(json) => options::parse(options::DELIVER, json)?,
        None => DeliverOptions::default(),
    };
    if options.after_reset.is_some() {
        connection.permit_other_content()?;
    }
    let report = connection.with_replica(|replica| replica.deliver(options))?;
    let mut object = Map::new();
    add_delivered(&mut object, &report);
    Ok(Output::Json(Json::Object(object).to_string()))
}

/// `replica_retry(number)`: JSON, the number and the new id.
pub fn retry(connection: &Connection, args: &[Argument]) -> Result<Output> {
    let number = number(&args[0])?;
    let queued = connection.with_replica(|replica| replica.retry(number))?;
    Ok(Output::Json(number_and_id(&queued).to_string()))
}

/// `replica_discard(number)`: `discarded`, or `delivered` where it had taken
/// effect already.
pub fn discard(connection: &Connection, args: &[Argument]) -> Result<Output> {
    let number = number(&args[0])?;
    let done = connection.with_replica(|replica| replica.discard(number))?;
    let done = match done {
        Discard::Discarded => "discarded",
        Discard::Delivered => "delivered",
    };
    Ok(Output::Text(done.to_owned()))
}

fn number(argument: &Argument) -> Result<i64> {
    match argument {
        Argument::Integer(number) => Ok(*number),
        // JavaScript binds all numbers as reals.
        Argument::Real(number) if number.fract() == 0.0 => Ok(*number as i64),
        _ => Err(Error::new(
            Kind::BadArgument,
            "number must be the number of an entry, an integer; SELECT * FROM replica_outbox",
        )),
    }
}

fn number_and_id(queued: &Queued) -> Json {
    json!({ "number": queued.number, "id": queued.id.to_string() })
}

/// What a delivery did, in its own report and in that of a sync.
pub fn add_delivered(object: &mut Map<String, Json>, report: &Delivered) {
    object.insert("delivered".to_owned(), json!(report.delivered));
    object.insert("set_aside".to_owned(), json!(report.set_aside));
    object.insert("waiting".to_owned(), json!(report.waiting));
    if let Some(why) = &report.stopped {
        object.insert("stopped".to_owned(), json!(why));
    }
    if let Some(error) = &report.error {
        object.insert("delivery_error".to_owned(), json!(error.to_string()));
    }
    if report.elsewhere {
        object.insert("elsewhere".to_owned(), json!(true));
    }
}

/// One row for each entry.
pub struct OutboxTable(pub Rc<Connection>);

impl Table for OutboxTable {
    fn name(&self) -> &'static str {
        "replica_outbox"
    }

    fn schema(&self) -> &str {
        static SCHEMA: LazyLock<String> = LazyLock::new(|| create_table(ENTRIES, ""));
        &SCHEMA
    }

    fn visible_columns(&self) -> usize {
        ENTRIES.len()
    }

    fn rows(&self, _: &[Option<Argument>]) -> Result<Box<dyn Rows>> {
        let entries = entries(&self.0, Replica::queued)?;
        Ok(Box::new(entries.into_iter().map(row).collect::<Vec<_>>().into_iter()))
    }
}

/// One row for each statement that waits.
pub struct PendingTable(pub Rc<Connection>);

impl Table for PendingTable {
    fn name(&self) -> &'static str {
        "replica_pending"
    }

    fn schema(&self) -> &str {
        static SCHEMA: LazyLock<String> = LazyLock::new(|| create_table(PENDING, ""));
        &SCHEMA
    }

    fn visible_columns(&self) -> usize {
        PENDING.len()
    }

    fn rows(&self, _: &[Option<Argument>]) -> Result<Box<dyn Rows>> {
        let entries = entries(&self.0, Replica::pending)?;
        let rows: Vec<Vec<Output>> = entries.iter().flat_map(pending_rows).collect();
        Ok(Box::new(rows.into_iter()))
    }
}

fn entries(
    connection: &Connection,
    which: fn(&Replica) -> Result<Vec<Entry>>,
) -> Result<Vec<Entry>> {
    if connection.is_attached() { connection.with_replica(which) } else { Ok(Vec::new()) }
}

fn row(entry: Entry) -> Vec<Output> {
    let count = |value: Option<u64>| value.and_then(|value| i64::try_from(value).ok()).into();
    let (sql, args) = match entry.statements.as_slice() {
        [] => (Output::Null, Output::Null),
        [one] => (Output::Text(one.sql.clone()), Output::Json(args_of(one))),
        // A script has no arguments.
        several => {
            let texts: Vec<&str> =
                several.iter().map(|one| one.sql.trim().trim_end_matches(';')).collect();
            (Output::Text(texts.join(";\n")), Output::Json("[]".to_owned()))
        }
    };
    vec![
        Output::Integer(entry.number),
        Output::Text(entry.id.to_string()),
        sql,
        args,
        Output::Text(entry.state.name().to_owned()),
        count(Some(entry.attempts)),
        entry.error.into(),
        Output::Integer(entry.enqueued_unix_ms),
        entry.tried_unix_ms.into(),
        entry.ended_unix_ms.into(),
        count(entry.done.rows_affected),
        entry.done.last_insert_rowid.into(),
    ]
}

fn pending_rows(entry: &Entry) -> Vec<Vec<Output>> {
    let statement = |(at, one): (i64, &Statement)| {
        vec![
            Output::Integer(entry.number),
            Output::Integer(at),
            Output::Text(one.sql.clone()),
            Output::Json(args_of(one)),
            Output::Text(entry.id.to_string()),
        ]
    };
    (1..).zip(&entry.statements).map(statement).collect()
}

/// The arguments of a statement as a JSON array.
fn args_of(statement: &Statement) -> String {
    Json::Array(statement.args.iter().map(|value| value.to_json()).collect()).to_string()
}
