//! Requests that are a batch of steps: what stands around the statements of a
//! caller, on which conditions, and what the outcomes of the steps mean.

use super::{Batch, Response, SqlError, Stmt, protocol};
use crate::error::{Error, Kind, Result};
use crate::sqltext::statement::{Row, Rows, Statement, transaction_word};

/// When a step is done.
#[derive(Clone, Copy)]
pub(super) enum Condition {
    /// The earlier step with this number succeeded.
    Ok(u32),
    /// It failed, or was not done.
    NotOk(u32),
    /// The stream is inside a transaction. Without it, a statement would be a
    /// transaction of its own where the primary has ended the caller's.
    InTransaction,
}

/// The steps of one batch, and which of them are the caller's.
pub(super) struct Steps<'a> {
    pub list: Vec<(Stmt<'a>, Option<Condition>)>,
    pub layout: Layout,
}

/// Where things stand among the steps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    pub steps: usize,
    /// The caller's statements.
    pub first: usize,
    pub count: usize,
    /// The step whose success is the success of all.
    pub last: usize,
    /// The step that is done if there is still a transaction at the end.
    pub probe: Option<usize>,
    pub naming: Naming,
    /// Where the id is, of a batch that has one.
    pub record: Option<Places>,
}

impl Layout {
    /// The caller's statements, and a probe behind them.
    fn probed(count: usize, naming: Naming) -> Layout {
        let last = count.saturating_sub(1);
        Layout { steps: count + 1, first: 0, count, last, probe: Some(count), naming, record: None }
    }
}

/// Where the steps stand that record an id.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    /// The one that writes the id down.
    pub write_down: usize,
    pub ask: Option<usize>,
}

/// How SQLite's message of the constraint begins.
const REFUSED: &str = "NOT NULL constraint failed: ";
const NO_TABLE: &str = "no such table";

/// What the caller's statements are called in errors.
#[derive(Clone, Copy, Debug)]
pub(super) enum Naming {
    Statements,
    /// The first one's number.
    Rows(u64),
}

impl Layout {
    /// Says in `error` which of the caller's statements it is about.
    pub fn name(&self, step: usize, error: Error) -> Error {
        let inside = (self.first..self.first + self.count).contains(&step);
        match self.naming {
            _ if !inside => error,
            Naming::Rows(first) => {
                error.context(&format!("row {}", first + (step - self.first) as u64))
            }
            Naming::Statements if self.count == 1 => error,
            Naming::Statements => error.at_statement(step - self.first + 1, self.count),
        }
    }
}

const PROBE: &str = "SELECT 1";

/// BEGIN, the statements, COMMIT, ROLLBACK.
pub(super) fn transaction(statements: &[Statement]) -> Result<Steps<'_>> {
    let stmts = statements.iter().map(Stmt::of).collect();
    whole(stmts, Naming::Statements)
}

/// The same with the rows of a batch.
pub(super) fn rows_alone(rows: Rows<'_>) -> Result<Steps<'_>> {
    whole(stmts_of(rows), Naming::Rows(rows.first))
}

pub(super) fn stmts_of<'a>(rows: Rows<'a>) -> Vec<Stmt<'a>> {
    let stmt = |row: &'a Row| Stmt { sql: &row.sql, args: &row.args, want_rows: false };
    rows.rows.iter().map(stmt).collect()
}

fn whole(stmts: Vec<Stmt<'_>>, naming: Naming) -> Result<Steps<'_>> {
    let count = stmts.len();
    let last = count + 1;
    let layout =
        Layout { steps: count + 3, first: 1, count, last, probe: None, naming, record: None };
    refuse_transaction_words(&stmts, &layout)?;
    let mut list = vec![(Stmt::plain("BEGIN IMMEDIATE"), None)];
    chain(&mut list, stmts);
    list.push((Stmt::plain("COMMIT"), Some(Condition::Ok(number(count)))));
    list.push((Stmt::plain("ROLLBACK"), Some(Condition::NotOk(number(last)))));
    Ok(Steps { list, layout })
}

/// Adds statements, each on condition that the one before succeeded.
pub(super) fn chain<'a>(list: &mut Vec<(Stmt<'a>, Option<Condition>)>, stmts: Vec<Stmt<'a>>) {
    for stmt in stmts {
        let before = list.len().checked_sub(1).map(|before| Condition::Ok(number(before)));
        list.push((stmt, before.or(Some(Condition::InTransaction))));
    }
}

/// All or none of the statements, inside the transaction of the stream.
pub(super) fn inside(statements: &[Statement]) -> Result<Steps<'_>> {
    let stmts: Vec<_> = statements.iter().map(Stmt::of).collect();
    let count = stmts.len();
    let naming = Naming::Statements;
    if count == 1 {
        return chained(stmts, Layout::probed(count, naming));
    }
    let (last, probe) = (count + 1, Some(count + 4));
    let layout = Layout { steps: count + 5, first: 1, count, last, probe, naming, record: None };
    refuse_transaction_words(&stmts, &layout)?;
    let mut list = vec![(Stmt::plain("SAVEPOINT replica_write"), Some(Condition::InTransaction))];
    chain(&mut list, stmts);
    let (done, undone) = (Condition::Ok(number(count)), Condition::NotOk(number(last)));
    list.push((Stmt::plain("RELEASE replica_write"), Some(done)));
    list.push((Stmt::plain("ROLLBACK TO replica_write"), Some(undone)));
    let undone = Condition::Ok(number(count + 2));
    list.push((Stmt::plain("RELEASE replica_write"), Some(undone)));
    list.push((Stmt::plain(PROBE), Some(Condition::InTransaction)));
    Ok(Steps { list, layout })
}

/// The rows of a batch, inside the transaction of the stream. After an
/// error some rows are in it: the caller undoes them.
pub(super) fn rows_inside(rows: Rows<'_>) -> Result<Steps<'_>> {
    let stmts = stmts_of(rows);
    let layout = Layout::probed(stmts.len(), Naming::Rows(rows.first));
    chained(stmts, layout)
}

/// The statements and a probe behind them.
fn chained(stmts: Vec<Stmt<'_>>, layout: Layout) -> Result<Steps<'_>> {
    refuse_transaction_words(&stmts, &layout)?;
    let mut list = Vec::with_capacity(layout.steps);
    chain(&mut list, stmts);
    list.push((Stmt::plain(PROBE), Some(Condition::InTransaction)));
    Ok(Steps { list, layout })
}

/// A statement whose effects, should it have any, are undone. `alone`: in a
/// transaction of its own, else in the one of the stream.
pub(super) fn query(statement: &Statement, alone: bool) -> Result<Steps<'_>> {
    let (steps, probe) = if alone { (3, None) } else { (5, Some(4)) };
    let naming = Naming::Statements;
    let layout = Layout { steps, first: 1, count: 1, last: 1, probe, naming, record: None };
    let stmt = Stmt::of(statement);
    refuse_transaction_words(&[stmt], &layout)?;
    let (ok, inside) = (Some(Condition::Ok(0)), Some(Condition::InTransaction));
    let list = if alone {
        vec![(Stmt::plain("BEGIN"), None), (stmt, ok), (Stmt::plain("ROLLBACK"), inside)]
    } else {
        vec![
            (Stmt::plain("SAVEPOINT replica_query"), inside),
            (stmt, ok),
            (Stmt::plain("ROLLBACK TO replica_query"), ok),
            (Stmt::plain("RELEASE replica_query"), ok),
            (Stmt::plain(PROBE), inside),
        ]
    };
    Ok(Steps { list, layout })
}

/// Each on condition that the one before succeeded, and a probe: does what they
/// leave end with a transaction that nobody will commit?
pub(super) fn sequence(statements: &[Statement]) -> Steps<'_> {
    let stmts: Vec<_> = statements.iter().map(Stmt::of).collect();
    let layout = Layout::probed(stmts.len(), Naming::Statements);
    let mut list = Vec::with_capacity(layout.steps);
    chain(&mut list, stmts);
    if let Some((_, first)) = list.first_mut() {
        *first = None;
    }
    list.push((Stmt::plain(PROBE), Some(Condition::InTransaction)));
    Steps { list, layout }
}

/// Foreign keys can only be switched off before a transaction, and are on
/// again with the next stream.
pub(super) fn begin_migration<'a>() -> Steps<'a> {
    let naming = Naming::Statements;
    let layout =
        Layout { steps: 2, first: 0, count: 0, last: 1, probe: None, naming, record: None };
    let off = (Stmt::plain("PRAGMA foreign_keys=OFF"), None);
    Steps { list: vec![off, (Stmt::plain("BEGIN IMMEDIATE"), Some(Condition::Ok(0)))], layout }
}

/// COMMIT, if there is still a transaction.
pub(super) fn commit<'a>() -> Steps<'a> {
    let naming = Naming::Statements;
    let layout =
        Layout { steps: 1, first: 0, count: 0, last: 0, probe: None, naming, record: None };
    Steps { list: vec![(Stmt::plain("COMMIT"), Some(Condition::InTransaction))], layout }
}

/// A COMMIT among the statements would end the transaction early, and the
/// statements behind it would no longer be part of anything.
pub(super) fn refuse_transaction_words(stmts: &[Stmt<'_>], layout: &Layout) -> Result<()> {
    for (index, stmt) in stmts.iter().enumerate() {
        // Rows mostly share one text.
        if index > 0 && std::ptr::eq(stmt.sql, stmts[index - 1].sql) {
            continue;
        }
        match transaction_word(stmt.sql) {
            None | Some("SAVEPOINT" | "RELEASE") => {}
            Some(word) => {
                let text = if layout.probe.is_some() {
                    format!(
                        "{word} cannot stand here: a transaction is open already; end it with \
                         replica_commit() or replica_rollback()"
                    )
                } else {
                    format!(
                        "{word} cannot stand here: the statements are one transaction already; \
                         leave it out"
                    )
                };
                let error = Error::new(Kind::BadArgument, text);
                return Err(layout.name(layout.first + index, error));
            }
        }
    }
    Ok(())
}

/// What the outcomes of the steps amount to, and whether the stream is still
/// inside a transaction, as far as the steps say.
pub(super) fn read(mut batch: Batch, layout: &Layout) -> (Result<Response>, Option<bool>) {
    if batch.results.len() != layout.steps || batch.errors.len() != layout.steps {
        let text = "the primary's answer has another number of steps than the request";
        return (Err(protocol(text)), None);
    }
    if let Some(refused) = layout.record.and_then(|record| refusal(&mut batch, record)) {
        return (Ok(refused), None);
    }
    let Batch { mut results, mut errors, frame_no } = batch;
    let open = layout.probe.map(|probe| results[probe].is_some());
    let skipped = results[0].is_none() && errors[0].is_none();
    if skipped {
        return (Err(lost("another writer waited for it, or a statement ended it")), Some(false));
    }
    // Errors behind the last step that matters are of the tidying up.
    let failed = errors.iter().take(layout.last + 1).position(Option::is_some);
    if let Some((step, error)) = failed.and_then(|step| Some((step, errors[step].take()?))) {
        return (Err(failure(step, error, layout)), open);
    }
    if results[layout.last].is_none() {
        return (Err(protocol("the primary neither finished nor said why")), open);
    }
    let mine = results.drain(layout.first..layout.first + layout.count);
    let response = match mine.collect::<Option<Vec<_>>>() {
        Some(results) => Ok(Response::of(results, frame_no)),
        None => Err(protocol("the primary's answer lacks a result")),
    };
    (response, open)
}

/// What the primary says of an id that it has refused; None where it has not.
fn refusal(batch: &mut Batch, places: Places) -> Option<Response> {
    let error = batch.errors[places.write_down].as_ref()?;
    if !error.message.contains(REFUSED) {
        return None;
    }
    let ask = places.ask?;
    let rows = match batch.results[ask].take() {
        Some(answer) => answer.rows,
        // It was made in the transaction that is undone.
        None if batch.errors[ask].as_ref()?.message.contains(NO_TABLE) => Vec::new(),
        None => return None,
    };
    Some(Response { recorded: Some(rows), ..Response::of(Vec::new(), batch.frame_no) })
}

fn failure(step: usize, error: SqlError, layout: &Layout) -> Error {
    let error = Error::from(error);
    if step < layout.first {
        error.context("cannot begin a transaction on the primary")
    } else if step >= layout.first + layout.count {
        error.context("the primary did not commit")
    } else {
        layout.name(step, error)
    }
}

/// The transaction that a stream was in is gone.
pub fn lost(why: &str) -> Error {
    let text = format!(
        "the primary ended the transaction: {why}; nothing of it took effect, begin it again"
    );
    Error::new(Kind::TransactionLost, text)
}

pub(super) fn number(step: usize) -> u32 {
    u32::try_from(step).unwrap_or(u32::MAX)
}
