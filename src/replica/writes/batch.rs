//! A batch: many statements as one atomic write, sent in pieces while the
//! caller is still producing them.
//!
//! What fits into one piece is one request. More than that goes through a
//! transaction on the primary, so that memory is bounded by one piece. Inside
//! an open transaction of the caller, a savepoint takes its place.

use std::sync::Arc;

use super::migrate::refuse_key_pragmas;
use super::{Arrival, Work};
use crate::error::{Error, Kind, Result};
use crate::host::statement_is_complete;
use crate::primary::{Row, Rows, Statement, StatementResult};
use crate::replica::Replica;
use crate::sqltext::parameters::{Arguments, NamedParameters};
use crate::sqltext::script::{cut, only};
use crate::sqltext::value::Value;

/// A piece is sent when it has as many rows, or would have as many bytes with
/// the next one: what stands before a primary often takes no more than a
/// megabyte in one request.
const MAX_ROWS: usize = 8192;
const MAX_BYTES: usize = 700 * 1024;

const SAVEPOINT: &str = "SAVEPOINT replica_batch";
const RELEASE: &str = "RELEASE replica_batch";
const UNDO: &str = "ROLLBACK TO replica_batch";

/// What a batch did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BatchReport {
    /// Statements.
    pub count: u64,
    pub rows_affected: Option<u64>,
    pub last_insert_rowid: Option<i64>,
    pub arrival: Arrival,
    /// The answer was lost, and this is what the primary has noted.
    pub recovered: bool,
}

/// Rows on their way.
#[derive(Default)]
pub struct Batch {
    /// The last text that was given, and what it is sent as.
    text: Option<(String, Arc<str>, NamedParameters)>,
    pending: Vec<Row>,
    bytes: usize,
    sent: Sent,
    report: BatchReport,
}

/// Where the pieces go that were sent so far.
#[derive(Clone, Copy, Default, PartialEq)]
enum Sent {
    #[default]
    Nothing,
    /// Into a transaction of the batch's own.
    Own,
    /// Behind a savepoint in the caller's transaction.
    Inside,
}

impl Replica {
    /// Adds a statement, and sends what has come together if that is enough.
    pub fn batch_row(&self, batch: &mut Batch, sql: &str, args: Arguments) -> Result<()> {
        let number = batch.report.count + 1;
        let row = batch.row(sql, args).map_err(|error| error.context(&format!("row {number}")))?;
        let size = size(&row);
        if !batch.pending.is_empty() && batch.bytes + size > MAX_BYTES {
            self.send_piece(batch)?;
        }
        batch.bytes += size;
        batch.pending.push(row);
        batch.report.count = number;
        if batch.pending.len() >= MAX_ROWS || batch.bytes >= MAX_BYTES {
            self.send_piece(batch)?;
        }
        Ok(())
    }

    /// Sends the rest and makes it last.
    pub fn batch_finish(&self, batch: &mut Batch) -> Result<BatchReport> {
        if batch.sent == Sent::Nothing && batch.pending.is_empty() {
            return Ok(BatchReport::empty());
        }
        if batch.sent == Sent::Nothing && !self.has_open_transaction() {
            return self.send_alone(batch);
        }
        self.send_piece(batch)?;
        let before = self.syncer.file.position()?;
        batch.report.arrival = match std::mem::take(&mut batch.sent) {
            Sent::Own => {
                let frame_no = self.commit_batch()?;
                self.arrive(before, frame_no, true)
            }
            Sent::Inside | Sent::Nothing => {
                self.run_inside(Work::Script(&[plain(RELEASE)]))?.ok_or_else(ended)?;
                Arrival::in_transaction()
            }
        };
        Ok(std::mem::take(&mut batch.report))
    }

    /// Undoes what has been sent of a batch that will not be finished.
    pub fn batch_abandon(&self, batch: &mut Batch) {
        match std::mem::take(&mut batch.sent) {
            Sent::Own => self.rollback_batch(),
            // Fails only where the transaction is lost, and the batch with it.
            Sent::Inside => {
                let _ = self.run_inside(Work::Script(&[plain(UNDO), plain(RELEASE)]));
            }
            Sent::Nothing => {}
        }
    }

    /// All of the batch in one request.
    fn send_alone(&self, batch: &mut Batch) -> Result<BatchReport> {
        let rows = Rows { rows: &batch.pending, first: 1 };
        let written = self.run(Work::Rows(rows))?;
        batch.took(&written.results);
        batch.report.arrival = written.arrival;
        batch.report.recovered = written.recovered;
        Ok(std::mem::take(&mut batch.report))
    }

    fn send_piece(&self, batch: &mut Batch) -> Result<()> {
        if batch.sent == Sent::Nothing {
            batch.sent = self.open_for_batch()?;
        }
        if batch.pending.is_empty() {
            return Ok(());
        }
        let first = batch.report.count - batch.pending.len() as u64 + 1;
        let work = Work::Rows(Rows { rows: &batch.pending, first });
        let results = match batch.sent {
            Sent::Own => self.run_in_batch(work)?,
            Sent::Inside | Sent::Nothing => self.run_inside(work)?.ok_or_else(ended)?,
        };
        batch.took(&results);
        Ok(())
    }

    /// A savepoint in the caller's transaction, or a transaction of our own.
    fn open_for_batch(&self) -> Result<Sent> {
        if self.run_inside(Work::Script(&[plain(SAVEPOINT)]))?.is_some() {
            return Ok(Sent::Inside);
        }
        self.begin_batch()?;
        Ok(Sent::Own)
    }
}

impl BatchReport {
    /// Of no rows at all: nothing was sent.
    pub fn empty() -> BatchReport {
        let arrival = Arrival { synced: true, ..Arrival::default() };
        BatchReport { rows_affected: Some(0), arrival, ..BatchReport::default() }
    }
}

impl Batch {
    fn row(&mut self, sql: &str, args: Arguments) -> Result<Row> {
        if !matches!(&self.text, Some((text, ..)) if text == sql) {
            let cuts = cut(sql, statement_is_complete)?;
            refuse_key_pragmas(&cuts)?;
            let cut = only(cuts)?;
            let parameters = cut.parameters.keep();
            self.text = Some((sql.to_owned(), cut.text.into(), parameters));
        }
        let (_, sql, parameters) = self.text.as_ref().expect("BUG: set above");
        Ok(Row { sql: sql.clone(), args: args.bind(&parameters.borrow())? })
    }

    fn took(&mut self, results: &[StatementResult]) {
        self.pending.clear();
        self.bytes = 0;
        let report = &mut self.report;
        let so_far =
            if report.count == results.len() as u64 { Some(0) } else { report.rows_affected };
        let counts = results.iter().map(|result| result.rows_affected);
        report.rows_affected = counts.fold(so_far, |sum, count| Some(sum? + count?));
        let last = results.iter().rev().find_map(|result| result.last_insert_rowid);
        report.last_insert_rowid = last.or(report.last_insert_rowid);
    }
}

/// What the row takes in a request, at most: in JSON, which is the longer form.
fn size(row: &Row) -> usize {
    let value = |value: &Value| match value {
        Value::Null => 20,
        Value::Integer(_) | Value::Real(_) => 56,
        Value::Text(text) => 32 + in_json(text),
        Value::Blob(bytes) => 40 + bytes.len().div_ceil(3) * 4,
    };
    100 + in_json(&row.sql) + row.args.iter().map(value).sum::<usize>()
}

/// The length of a text with its escapes.
fn in_json(text: &str) -> usize {
    let extra = |byte| match byte {
        b'"' | b'\\' => 1,
        0..=31 => 5,
        _ => 0,
    };
    text.len() + text.bytes().map(extra).sum::<usize>()
}

fn plain(sql: &str) -> Statement {
    Statement { sql: sql.to_owned(), args: Vec::new() }
}

fn ended() -> Error {
    let text = "the transaction that the batch was part of has been ended meanwhile";
    Error::new(Kind::TransactionLost, text)
}
