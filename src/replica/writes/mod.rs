//! Work for the primary: what it runs is readable here when the call returns.
//!
//! `run` is the one way up. Work is a value, so that it can be looked at and
//! sent where it belongs: into the transaction that is open there (`open`), or
//! alone, and then brought back (`own_writes`).

mod arrival;
mod batch;
mod migrate;
mod offline;
mod once;
mod open;
mod own_writes;
mod queue;
mod script;

use crate::error::{Error, Kind, Result};
use crate::host::statement_is_complete;
use crate::options::SyncOptions;
use crate::patience::Patience;
use crate::primary::{Executed, OnceWork, Primary, Rows, Statement, StatementResult, Transaction};
use crate::replica::Replica;
use crate::sqltext::parameters::Arguments;
use crate::sqltext::script::{cut, only, statements};

pub use self::arrival::Arrival;
pub use self::batch::{Batch, BatchReport};
pub use self::offline::Retreat;
pub use self::once::Ids;
pub use self::open::OpenState;
pub use self::own_writes::OwnWrites;
pub use self::queue::{Discard, Queued, outbox_in_memory};
pub use self::script::{Described, split};

use self::migrate::refuse_key_pragmas;

/// What a write did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WriteReport {
    /// One per statement.
    pub results: Vec<StatementResult>,
    pub arrival: Arrival,
    /// The answer was lost, and this is what the primary has noted.
    pub recovered: bool,
    /// The primary could not be reached: nothing has happened yet.
    pub queued: Option<Queued>,
}

/// Something for the primary to run.
#[derive(Clone, Copy)]
pub(in crate::replica) enum Work<'a> {
    /// All or nothing.
    Script(&'a [Statement]),
    /// The rows of a batch: all or nothing alone; in a transaction, those
    /// before an error are in it.
    Rows(Rows<'a>),
    /// Reads; should it write, that is undone.
    Query(&'a Statement),
}

impl Work<'_> {
    /// As a request of its own.
    fn alone(self, primary: &Primary, patience: &Patience) -> Result<Executed> {
        let sql = primary.sql(patience)?;
        match self {
            Work::Script(statements) => sql.execute(statements, patience),
            Work::Rows(rows) => sql.execute_rows(rows, patience),
            Work::Query(statement) => sql.query(statement, patience),
        }
    }

    /// As something that can happen once; None for what only reads.
    fn once(&self) -> Option<OnceWork<'_>> {
        match *self {
            Work::Script(statements) => Some(OnceWork::Statements(statements)),
            Work::Rows(rows) => Some(OnceWork::Rows(rows)),
            Work::Query(_) => None,
        }
    }

    /// In an open transaction.
    fn inside(self, remote: &mut Transaction, patience: &Patience) -> Result<Vec<StatementResult>> {
        match self {
            Work::Script(statements) => remote.execute(statements, patience),
            Work::Rows(rows) => remote.execute_rows(rows, patience),
            Work::Query(statement) => Ok(vec![remote.query(statement, patience)?]),
        }
    }
}

impl Replica {
    /// Runs `sql` on the primary, several statements as one transaction, then
    /// waits until the file holds it. Once the primary has run it, no error of
    /// the way back makes it look failed.
    pub fn write(&self, sql: &str, args: Arguments) -> Result<WriteReport> {
        let cuts = cut(sql, statement_is_complete)?;
        refuse_key_pragmas(&cuts)?;
        let statements = statements(cuts, args)?;
        self.run_or_queue(&statements)
    }

    /// The same with one statement only.
    pub fn write_one(&self, sql: &str, args: Arguments) -> Result<WriteReport> {
        let cuts = cut(sql, statement_is_complete)?;
        refuse_key_pragmas(&cuts)?;
        let statement = only(cuts)?.bind(args)?;
        self.run_or_queue(&[statement])
    }

    /// What one statement that reads returns.
    pub fn query(&self, sql: &str, args: Arguments) -> Result<StatementResult> {
        let cuts = cut(sql, statement_is_complete)?;
        if cuts.len() > 1 {
            return Err(Error::new(Kind::BadArgument, "only one statement can be queried"));
        }
        let statement = only(cuts)?.bind(args)?;
        let report = self.run(Work::Query(&statement))?;
        let result = report.results.into_iter().next().unwrap_or_default();
        if !is_read(&result) {
            return Err(Error::new(
                Kind::NotAllowed,
                "the statement does not only read, so that nothing of it took effect; call \
                 replica_write()",
            ));
        }
        Ok(result)
    }

    /// Runs it in the open transaction, if there is one; else alone.
    pub(in crate::replica) fn run(&self, work: Work<'_>) -> Result<WriteReport> {
        self.run_as(work, self.writes_once())
    }

    /// The same; `once`: alone, it happens once.
    pub(in crate::replica) fn run_as(&self, work: Work<'_>, once: bool) -> Result<WriteReport> {
        if let Some(results) = self.run_inside(work)? {
            return Ok(WriteReport {
                results,
                arrival: Arrival::in_transaction(),
                ..WriteReport::default()
            });
        }
        let (executed, arrival) = match work {
            Work::Query(_) => {
                let executed = work.alone(&self.syncer.primary, &self.patience());
                let executed = self.noted(executed)?;
                self.syncer.counters.lock().answered(executed.frame_no);
                (executed, Arrival::default())
            }
            _ => self.run_and_arrive(work, once)?,
        };
        let Executed { results, recovered, .. } = executed;
        Ok(WriteReport { results, arrival, recovered, queued: None })
    }

    /// Remembers an error for the status.
    pub(in crate::replica) fn noted<T>(&self, outcome: Result<T>) -> Result<T> {
        let exactly = |error| self.with_exact_code(error);
        outcome.map_err(exactly).inspect_err(|error| {
            self.syncer.counters.lock().failed(error);
            self.syncer.note();
        })
    }

    /// A primary says of its unique indexes and of its primary keys the same;
    /// the schema here tells which one it was.
    fn with_exact_code(&self, error: Error) -> Error {
        const UNIQUE: i32 = 2067;
        const PRIMARY_KEY: i32 = 1555;
        const ROWID: i32 = 2579;
        let columns = error.said().and_then(|said| said.strip_prefix("UNIQUE constraint failed: "));
        let (Kind::Remote(UNIQUE), Some(columns)) = (error.kind(), columns) else { return error };
        let names: Vec<(&str, &str)> =
            columns.split(", ").filter_map(|column| column.split_once('.')).collect();
        let Some((table, first)) = names.first().copied() else { return error };
        let key = self.syncer.file.primary_key(table);
        let same = key.len() == names.len()
            && names.iter().all(|(_, name)| key.iter().any(|key| key.eq_ignore_ascii_case(name)));
        match (same, key.is_empty() && first.eq_ignore_ascii_case("rowid")) {
            (true, _) => error.with_code(PRIMARY_KEY),
            (_, true) => error.with_code(ROWID),
            _ => error,
        }
    }

    pub(in crate::replica) fn patience(&self) -> Patience {
        self.syncer.patience(SyncOptions::default())
    }
}

/// The statements of a write that is to be queued: what can be said of it
/// without the primary is said now.
pub(in crate::replica) fn to_be_queued(sql: &str, args: Arguments) -> Result<Vec<Statement>> {
    let cuts = cut(sql, statement_is_complete)?;
    refuse_key_pragmas(&cuts)?;
    if let Some(word) = cuts.iter().find_map(|cut| cut.head.transaction_word()) {
        let text = format!("{word} cannot stand here: a queued write is one transaction already");
        return Err(Error::new(Kind::BadArgument, text));
    }
    statements(cuts, args)
}

/// A statement that reads has columns and changes nothing.
fn is_read(result: &StatementResult) -> bool {
    !result.columns.is_empty() && result.rows_affected.unwrap_or(0) == 0
}
