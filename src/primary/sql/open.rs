//! A transaction on sqld that lasts over several requests: a Hrana stream.
//!
//! The server names the stream by a baton, a new one in each answer. It closes
//! a stream that is idle for 10 seconds, and takes the transaction away from
//! one that holds the write lock for 5 seconds while another writer waits; so
//! each request asks whether the transaction is still there before it does
//! anything.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::effect::IfUnanswered;
use super::sqld::Line;
use crate::error::{Error, Kind, Result};
use crate::patience::Patience;
use crate::primary::pages::sqld::Sqld;
use crate::primary::{Mode, RemoteTransaction};
use crate::proto::hrana::{Request, Response};
use crate::sqltext::statement::{Description, Rows, Statement, StatementResult};

/// How long a transaction that is dropped may take to tell the server so, with
/// all that belongs to it: a detach is to take no second.
const FAREWELL: Duration = Duration::from_millis(750);

pub(in crate::primary) struct Transaction {
    sqld: Arc<Sqld>,
    /// None once the transaction is over.
    baton: Option<String>,
    base_url: Option<String>,
}

impl Transaction {
    pub fn begin(sqld: Arc<Sqld>, mode: Mode, patience: &Patience) -> Result<Transaction> {
        let request = match mode {
            Mode::Immediate => Request::Begin("IMMEDIATE"),
            Mode::Deferred | Mode::Read => Request::Begin("DEFERRED"),
            Mode::Migration => Request::BeginMigration,
        };
        let mut transaction = Transaction { sqld, baton: None, base_url: None };
        // One that is sent twice leaves an idle stream, which sqld closes.
        transaction.send(&[request], IfUnanswered::Harmless, patience)?;
        if transaction.baton.is_none() {
            let text = "the primary closed the stream after BEGIN: it has no transactions";
            return Err(Error::new(Kind::Protocol, text));
        }
        Ok(transaction)
    }

    /// One request; the answer is the one to the first of `requests`.
    fn send(
        &mut self,
        requests: &[Request<'_>],
        if_unanswered: IfUnanswered,
        patience: &Patience,
    ) -> Result<Response> {
        let baton = self.baton.clone();
        let base_url = self.base_url.clone();
        let line = Line { baton: baton.as_deref(), base_url: base_url.as_deref(), if_unanswered };
        let answer = match self.sqld.pipeline(line, requests, patience) {
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
        self.baton = answer.baton;
        if let Some(base_url) = answer.base_url.filter(|url| !url.is_empty()) {
            match self.sqld.link.bound_to(&base_url) {
                Ok(bound) => self.base_url = Some(bound),
                // The stream ends by itself where nobody goes to.
                Err(error) => {
                    self.baton = None;
                    return Err(error);
                }
            }
        }
        let mut results = answer.results.into_iter();
        let empty = || Error::new(Kind::Protocol, "the primary's answer is empty");
        let result = results.next().ok_or_else(empty)?;
        let over = answer.in_transaction == Some(false)
            || matches!(&result, Err(error) if error.kind() == Kind::TransactionLost);
        if over {
            self.hang_up();
        }
        let mut response = result?;
        let head = results.next().and_then(Result::ok).and_then(|head| head.frame_no);
        response.frame_no = response.frame_no.or(head);
        Ok(response)
    }

    /// Closes the stream, and with it the transaction; not being heard is no
    /// harm, because the server does the same by itself after a while.
    fn hang_up(&mut self) {
        let Some(baton) = self.baton.take() else { return };
        let end = Instant::now() + FAREWELL;
        let over = Arc::new(move || Instant::now() >= end);
        let patience = Patience { timeout: FAREWELL, cancelled: over };
        let base_url = self.base_url.as_deref();
        let line = Line { baton: Some(&baton), base_url, if_unanswered: IfUnanswered::Lost };
        let _ = self.sqld.pipeline(line, &[Request::Close], &patience);
    }

    fn results(
        &mut self,
        request: Request<'_>,
        patience: &Patience,
    ) -> Result<Vec<StatementResult>> {
        let response = self.send(&[request], IfUnanswered::Lost, patience)?;
        Ok(response.results)
    }
}

impl RemoteTransaction for Transaction {
    fn is_open(&self) -> bool {
        self.baton.is_some()
    }

    fn execute(
        &mut self,
        statements: &[Statement],
        patience: &Patience,
    ) -> Result<Vec<StatementResult>> {
        self.results(Request::Inside(statements), patience)
    }

    fn execute_rows(
        &mut self,
        rows: Rows<'_>,
        patience: &Patience,
    ) -> Result<Vec<StatementResult>> {
        self.results(Request::RowsInside(rows), patience)
    }

    fn query(&mut self, statement: &Statement, patience: &Patience) -> Result<StatementResult> {
        let results = self.results(Request::Query { statement, alone: false }, patience)?;
        let empty = || Error::new(Kind::Protocol, "the primary's answer is empty");
        results.into_iter().next().ok_or_else(empty)
    }

    fn describe(&mut self, sql: &str, patience: &Patience) -> Result<Description> {
        let response = self.send(&[Request::Describe(sql)], IfUnanswered::Lost, patience)?;
        let empty = || Error::new(Kind::Protocol, "the primary's answer is empty");
        response.description.ok_or_else(empty)
    }

    fn commit(&mut self, patience: &Patience) -> Result<Option<u64>> {
        let requests = [Request::Commit, Request::Head, Request::Close];
        let outcome = self.send(&requests, IfUnanswered::Unknown, patience);
        // Nothing was done: it may be tried again.
        let kinds = [Kind::Unreachable, Kind::Auth, Kind::Unavailable, Kind::Interrupted];
        if !matches!(&outcome, Err(error) if kinds.contains(&error.kind())) {
            self.hang_up();
        }
        Ok(outcome?.frame_no)
    }

    fn rollback(&mut self) {
        self.hang_up();
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        self.hang_up();
    }
}
