//! A transaction on the primary that lasts over several requests: a Hrana
//! stream.
//!
//! The server names the stream by a baton, a new one in each answer. sqld closes
//! a stream that is idle for 10 seconds, and takes the transaction away from
//! one that holds the write lock for 5 seconds while another writer waits; so
//! each request asks whether the transaction is still there before it does
//! anything.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::client::{Sql, Stream, first, is_empty};
use super::effect::IfUnanswered;
use crate::error::{Error, Kind, Result};
use crate::patience::Patience;
use crate::proto::hrana::{Request, Response};
use crate::sqltext::statement::{Description, Rows, Statement, StatementResult};

/// How long a transaction that is dropped may take to tell the server so, with
/// all that belongs to it: a detach is to take no second.
const FAREWELL: Duration = Duration::from_millis(750);

/// How a transaction on the primary begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Takes the write lock with the first write.
    Deferred,
    /// Takes the write lock at once.
    Immediate,
    /// Nobody is to write in it; a view of one moment.
    Read,
    /// Takes the write lock at once; foreign keys do nothing in it, so that a
    /// table can be rebuilt under those that point at it.
    Migration,
}

/// A transaction on the primary that lasts over several requests; the primary
/// ends one that is left alone. Dropped without commit, it is undone.
///
/// An error of kind TransactionLost means that nothing of it took effect. An
/// error of a statement leaves the transaction open, unless `is_open` says
/// otherwise afterwards.
pub struct Transaction {
    pub(super) sql: Arc<Sql>,
    /// None once the transaction is over.
    baton: Option<String>,
    base_url: Option<String>,
}

impl Sql {
    /// Opens a transaction that lasts over several calls.
    pub fn begin(self: Arc<Self>, mode: Mode, patience: &Patience) -> Result<Transaction> {
        let request = match mode {
            Mode::Immediate => Request::Begin("IMMEDIATE"),
            Mode::Deferred | Mode::Read => Request::Begin("DEFERRED"),
            Mode::Migration => Request::BeginMigration,
        };
        let mut transaction = Transaction { sql: self, baton: None, base_url: None };
        // One that is sent twice leaves an idle stream, which the server closes.
        transaction.send(&[request], IfUnanswered::Harmless, patience)?;
        if transaction.baton.is_none() {
            let text = "the primary closed the stream after BEGIN: it has no transactions";
            return Err(Error::new(Kind::Protocol, text));
        }
        Ok(transaction)
    }
}

impl Transaction {
    /// One request; the answer is the one to the first of `requests`.
    fn send(
        &mut self,
        requests: &[Request<'_>],
        if_unanswered: IfUnanswered,
        patience: &Patience,
    ) -> Result<Response> {
        let baton = self.baton.clone();
        let base_url = self.base_url.clone();
        let stream = Stream { baton: baton.as_deref(), base_url: base_url.as_deref() };
        let mut answer = match self.sql.pipeline(stream, requests, if_unanswered, patience) {
            Ok(answer) => answer,
            Err(error) => {
                // What was turned away at the door leaves the stream as it was.
                // After all else the transaction is over: it is ended there,
                // too, or its lock would be held until the primary loses
                // patience with it.
                if matches!(error.kind(), Kind::TransactionLost | Kind::OutcomeUnknown) {
                    self.hang_up();
                }
                return Err(error);
            }
        };
        self.baton = answer.baton.take();
        if let Some(base_url) = answer.base_url.take().filter(|url| !url.is_empty()) {
            match self.sql.link.bound_to(&base_url) {
                Ok(bound) => self.base_url = Some(bound),
                // The stream ends by itself where nobody goes to.
                Err(error) => {
                    self.baton = None;
                    return Err(error);
                }
            }
        }
        let ended = answer.in_transaction == Some(false);
        let response = first(answer);
        if ended || matches!(&response, Err(error) if error.kind() == Kind::TransactionLost) {
            self.hang_up();
        }
        response
    }

    /// Closes the stream, and with it the transaction; not being heard is no
    /// harm, because the server does the same by itself after a while.
    fn hang_up(&mut self) {
        let Some(baton) = self.baton.take() else { return };
        let end = Instant::now() + FAREWELL;
        let over = Arc::new(move || Instant::now() >= end);
        let patience = Patience { timeout: FAREWELL, cancelled: over };
        let base_url = self.base_url.as_deref();
        let stream = Stream { baton: Some(&baton), base_url };
        let _ = self.sql.pipeline(stream, &[Request::Close], IfUnanswered::Lost, &patience);
    }

    fn results(
        &mut self,
        request: Request<'_>,
        patience: &Patience,
    ) -> Result<Vec<StatementResult>> {
        let response = self.send(&[request], IfUnanswered::Lost, patience)?;
        Ok(response.results)
    }

    pub fn is_open(&self) -> bool {
        self.baton.is_some()
    }

    /// Runs the statements; several all happen or none.
    pub fn execute(
        &mut self,
        statements: &[Statement],
        patience: &Patience,
    ) -> Result<Vec<StatementResult>> {
        self.results(Request::Inside(statements), patience)
    }

    /// Runs rows of a batch. After an error the rows before it are in the
    /// transaction.
    pub fn execute_rows(
        &mut self,
        rows: Rows<'_>,
        patience: &Patience,
    ) -> Result<Vec<StatementResult>> {
        self.results(Request::RowsInside(rows), patience)
    }

    /// Runs a statement that only reads; should it write, that is undone.
    pub fn query(&mut self, statement: &Statement, patience: &Patience) -> Result<StatementResult> {
        let results = self.results(Request::Query { statement, alone: false }, patience)?;
        results.into_iter().next().ok_or_else(is_empty)
    }

    /// Says what a statement is, without running it.
    pub fn describe(&mut self, sql: &str, patience: &Patience) -> Result<Description> {
        let response = self.send(&[Request::Describe(sql)], IfUnanswered::Lost, patience)?;
        response.description.ok_or_else(is_empty)
    }

    /// Makes it last. Yields the primary's last frame after it. It is over
    /// then, also after most errors: see `is_open`.
    pub fn commit(&mut self, patience: &Patience) -> Result<Option<u64>> {
        self.finish(Request::Commit, IfUnanswered::Unknown, patience)
    }

    pub(super) fn finish(
        &mut self,
        commit: Request<'_>,
        if_unanswered: IfUnanswered,
        patience: &Patience,
    ) -> Result<Option<u64>> {
        let head = self.sql.dialect.numbers_frames.then_some(Request::Head);
        let requests: Vec<_> =
            [Some(commit), head, Some(Request::Close)].into_iter().flatten().collect();
        let outcome = self.send(&requests, if_unanswered, patience);
        // Nothing was done: it may be tried again.
        let kinds = [Kind::Unreachable, Kind::Auth, Kind::Unavailable, Kind::Interrupted];
        if !matches!(&outcome, Err(error) if kinds.contains(&error.kind())) {
            self.hang_up();
        }
        Ok(outcome?.frame_no)
    }

    /// Undoes it all.
    pub fn rollback(&mut self) {
        self.hang_up();
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        self.hang_up();
    }
}
