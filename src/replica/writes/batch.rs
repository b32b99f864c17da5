//! A batch: many statements as one atomic write, sent in pieces while the
//! caller is still producing them.
//!
//! What fits into one piece is one request. More than that goes through a
//! transaction on the primary, so that memory is bounded by one piece. Inside
//! an open transaction of the caller, a savepoint takes its place.

use std::sync::Arc;

use super::Landed;
use crate::error::{Error, Kind, Result};
use crate::host::statement_is_complete;
use crate::primary::{Mode, RemoteTransaction, Row, Rows, Statement, StatementResult};
use crate::replica::Replica;
use crate::sqltext::script::{check_count, only_statement};
use crate::sqltext::value::Value;

/// A piece is sent when it has as many rows, or bytes.
const MAX_ROWS: usize = 8192;
const MAX_BYTES: usize = 1024 * 1024;

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
    pub landed: Landed,
}

/// Rows on their way.
#[derive(Default)]
pub struct Batch {
    /// The last text that was given, and what it is sent as.
    text: Option<(String, Arc<str>, usize)>,
    pending: Vec<Row>,
    bytes: usize,
    route: Route,
    report: BatchReport,
}

#[derive(Default)]
enum Route {
    /// Nothing has been sent.
    #[default]
    None,
    /// A transaction of our own; dropped, it is undone.
    Own(Box<dyn RemoteTransaction>),
    /// A savepoint in the caller's transaction.
    Inside,
}

impl Replica {
    /// Adds a statement, and sends what has come together if that is enough.
    pub fn batch_row(&self, batch: &mut Batch, sql: &str, args: Vec<Value>) -> Result<()> {
        let number = batch.report.count + 1;
        let row = batch.row(sql, args).map_err(|error| error.context(&format!("row {number}")))?;
        batch.bytes += size(&row);
        batch.pending.push(row);
        batch.report.count = number;
        if batch.pending.len() >= MAX_ROWS || batch.bytes >= MAX_BYTES {
            self.send_piece(batch)?;
        }
        Ok(())
    }

    /// Sends the rest and makes it last.
    pub fn batch_finish(&self, batch: &mut Batch) -> Result<BatchReport> {
        let sent_nothing = matches!(batch.route, Route::None);
        if sent_nothing && batch.pending.is_empty() {
            return Ok(BatchReport::empty());
        }
        if sent_nothing && !self.has_open_transaction() {
            return self.send_alone(batch);
        }
        self.send_piece(batch)?;
        let before = self.syncer.file.position()?;
        batch.report.landed = match std::mem::take(&mut batch.route) {
            Route::Own(mut transaction) => {
                self.batch_running.set(false);
                let committed = transaction.commit(&self.patience());
                let frame_no = self.noted(committed)?;
                self.land(before, frame_no, true)
            }
            Route::Inside | Route::None => {
                self.in_write_transaction(|remote, patience| {
                    remote.execute(&[plain(RELEASE)], patience)
                })?
                .ok_or_else(ended)?;
                Landed::in_transaction()
            }
        };
        Ok(std::mem::take(&mut batch.report))
    }

    /// Undoes what has been sent of a batch that will not be finished.
    pub fn batch_abandon(&self, batch: &mut Batch) {
        match std::mem::take(&mut batch.route) {
            Route::Own(mut transaction) => {
                self.batch_running.set(false);
                transaction.rollback();
            }
            // Fails only where the transaction is lost, and the batch with it.
            Route::Inside => {
                let _ = self.in_write_transaction(|remote, patience| {
                    remote.execute(&[plain(UNDO), plain(RELEASE)], patience)
                });
            }
            Route::None => {}
        }
    }

    /// A batch that sends pieces holds the primary's write lock.
    pub(in crate::replica) fn check_no_batch(&self) -> Result<()> {
        if !self.batch_running.get() {
            return Ok(());
        }
        let text = "a replica_batch() of the running statement is being sent; write before or \
                    after it";
        Err(Error::new(Kind::Misuse, text))
    }

    /// All of the batch in one request.
    fn send_alone(&self, batch: &mut Batch) -> Result<BatchReport> {
        let rows = Rows { rows: &batch.pending, first: 1 };
        let (executed, landed) =
            self.run(|primary, patience| primary.execute_rows(rows, patience))?;
        batch.sent(&executed.results);
        batch.report.landed = landed;
        Ok(std::mem::take(&mut batch.report))
    }

    fn send_piece(&self, batch: &mut Batch) -> Result<()> {
        if let Route::None = batch.route {
            self.open_route(batch)?;
        }
        if batch.pending.is_empty() {
            return Ok(());
        }
        let first = batch.report.count - batch.pending.len() as u64 + 1;
        let rows = Rows { rows: &batch.pending, first };
        let results = match &mut batch.route {
            Route::Own(transaction) => {
                let results = transaction.execute_rows(rows, &self.patience());
                self.noted(results)?
            }
            Route::Inside | Route::None => self
                .in_write_transaction(|remote, patience| remote.execute_rows(rows, patience))?
                .ok_or_else(ended)?,
        };
        batch.sent(&results);
        Ok(())
    }

    fn open_route(&self, batch: &mut Batch) -> Result<()> {
        let inside = self
            .in_write_transaction(|remote, patience| remote.execute(&[plain(SAVEPOINT)], patience))?
            .is_some();
        if inside {
            batch.route = Route::Inside;
            return Ok(());
        }
        self.check_no_batch()?;
        let begun = self.syncer.primary.clone().begin(Mode::Immediate, &self.patience());
        batch.route = Route::Own(self.noted(begun)?);
        self.batch_running.set(true);
        Ok(())
    }
}

impl BatchReport {
    /// Of no rows at all: nothing was sent.
    pub fn empty() -> BatchReport {
        let landed = Landed { synced: true, ..Landed::default() };
        BatchReport { rows_affected: Some(0), landed, ..BatchReport::default() }
    }
}

impl Batch {
    fn row(&mut self, sql: &str, args: Vec<Value>) -> Result<Row> {
        if !matches!(&self.text, Some((text, ..)) if text == sql) {
            let (statement, parameters) = only_statement(sql, statement_is_complete)?;
            self.text = Some((sql.to_owned(), statement.into(), parameters));
        }
        let (_, sql, parameters) = self.text.as_ref().expect("BUG: set above");
        check_count(*parameters, args.len())?;
        Ok(Row { sql: sql.clone(), args })
    }

    fn sent(&mut self, results: &[StatementResult]) {
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

/// Roughly what the row takes in a request and in memory.
fn size(row: &Row) -> usize {
    let value = |value: &Value| match value {
        Value::Null | Value::Integer(_) | Value::Real(_) => 16,
        Value::Text(text) => 32 + text.len(),
        Value::Blob(bytes) => 32 + bytes.len(),
    };
    48 + row.sql.len() + row.args.iter().map(value).sum::<usize>()
}

fn plain(sql: &str) -> Statement {
    Statement { sql: sql.to_owned(), args: Vec::new() }
}

fn ended() -> Error {
    let text = "the transaction that the batch was part of has been ended meanwhile";
    Error::new(Kind::TransactionLost, text)
}
