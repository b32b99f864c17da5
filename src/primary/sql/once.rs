//! Writes that happen once, however often they are sent.

use super::client::{Executed, Sql, first};
use super::effect::IfUnanswered;
use super::open::Transaction;
use super::record::{Fate, Once, is_about_the_table};
use crate::error::{Error, Kind, Result};
use crate::patience::Patience;
use crate::proto::hrana::{OnceWork, Request};
use crate::write_id::WriteId;

/// What came of a write that was sent.
#[derive(Clone, Debug, PartialEq)]
pub enum Attempt {
    /// It took effect now.
    Executed(Executed),
    /// Its id was not taken: nothing took effect now.
    NotTaken { fate: Fate, frame_no: Option<u64> },
}

impl Sql {
    /// Runs it as one transaction, together with its id, in one round trip. An
    /// error of kind OutcomeUnknown says that it may have happened or not: it
    /// may be sent again.
    pub fn execute_once(
        &self,
        work: OnceWork<'_>,
        once: &Once,
        patience: &Patience,
    ) -> Result<Attempt> {
        let last = match work {
            OnceWork::Statements(statements) => statements.last().map(|last| last.sql.as_str()),
            OnceWork::Rows(rows) => rows.rows.last().map(|last| &*last.sql),
        };
        let record = once.record(last, !self.dialect.without_rowid);
        let request = Request::Once { work, record: &record };
        let answer = self.alone(request, true, IfUnanswered::Ask, patience)?;
        let response =
            first(answer).map_err(|error| IfUnanswered::Ask.undecodable(clash(error)))?;
        let frame_no = response.frame_no.filter(|_| self.dialect.numbers_frames);
        Ok(match response.recorded {
            Some(rows) => Attempt::NotTaken { fate: once.fate(&rows), frame_no },
            None => {
                let results = self.counted(response.results);
                Attempt::Executed(Executed { results, frame_no, recovered: false })
            }
        })
    }

    /// What a write came to. One that has not happened never will after this.
    pub fn fate(&self, id: &WriteId, digest: &str, patience: &Patience) -> Result<Fate> {
        let once = Once { id: id.clone(), digest: digest.to_owned(), settled: 0, after: None };
        let record = once.fence(!self.dialect.without_rowid);
        let request = Request::Once { work: OnceWork::Statements(&[]), record: &record };
        // Asking twice is as good as asking once.
        let answer = self.alone(request, false, IfUnanswered::Harmless, patience)?;
        let response = first(answer).map_err(clash)?;
        Ok(response.recorded.map_or(Fate::Refused, |rows| once.fate(&rows)))
    }
}

impl Transaction {
    /// The same as `commit`, with the id of the transaction in it. After an
    /// error of kind OutcomeUnknown the id tells what happened.
    pub fn commit_once(&mut self, once: &Once, patience: &Patience) -> Result<Option<u64>> {
        let record = once.record(None, !self.sql.dialect.without_rowid);
        self.finish(Request::CommitOnce(&record), IfUnanswered::Ask, patience).map_err(clash)
    }
}

/// Says whose fault an error is that is about our table.
fn clash(error: Error) -> Error {
    let is_ours = matches!(error.kind(), Kind::Remote(_)) && is_about_the_table(&error.to_string());
    if !is_ours {
        return error;
    }
    Error::new(
        Kind::NotAllowed,
        format!(
            "the primary has a table _replica_writes that is not this extension's, and nothing \
             was written: {error}; rename it, or attach without exactly_once"
        ),
    )
}
