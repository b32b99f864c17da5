//! Batches that happen once: they begin by writing down their id, and come to
//! nothing where that is refused, because the same batch has arrived before.
//!
//! What is written down, and where, is the caller's affair.

use super::Stmt;
use super::steps::{
    Condition, Layout, Naming, Places, Steps, chain, number, refuse_transaction_words, stmts_of,
};
use crate::error::Result;
use crate::sqltext::statement::{Rows, Statement};

/// The statements around a caller's.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The last of them writes the id down. It violates a NOT NULL constraint
    /// where the id is refused.
    pub before: Vec<Statement>,
    /// Behind the caller's.
    pub after: Vec<Statement>,
    /// What is known of the id, asked where it was refused.
    pub ask: Statement,
}

/// What happens once.
#[derive(Clone, Copy, Debug)]
pub enum Work<'a> {
    Statements(&'a [Statement]),
    Rows(Rows<'a>),
}

impl Work<'_> {
    /// So many results come back.
    pub fn len(self) -> usize {
        match self {
            Work::Statements(statements) => statements.len(),
            Work::Rows(rows) => rows.rows.len(),
        }
    }

    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

/// A transaction of its own.
pub(super) fn alone<'a>(work: Work<'a>, record: &'a Record) -> Result<Steps<'a>> {
    let (stmts, naming) = match work {
        Work::Statements(statements) => {
            (statements.iter().map(Stmt::of).collect(), Naming::Statements)
        }
        Work::Rows(rows) => (stmts_of(rows), Naming::Rows(rows.first)),
    };
    let count = stmts.len();
    let first = 1 + record.before.len();
    let last = first + count + record.after.len();
    let places = Places { write_down: first - 1, ask: Some(last + 2) };
    let layout =
        Layout { steps: last + 3, first, count, last, probe: None, naming, record: Some(places) };
    refuse_transaction_words(&stmts, &layout)?;
    let mut list = vec![(Stmt::plain("BEGIN IMMEDIATE"), None)];
    chain(&mut list, quiet(&record.before));
    chain(&mut list, stmts);
    chain(&mut list, quiet(&record.after));
    list.push((Stmt::plain("COMMIT"), Some(Condition::Ok(number(last - 1)))));
    list.push((Stmt::plain("ROLLBACK"), Some(Condition::NotOk(number(last)))));
    list.push((Stmt::of(&record.ask), Some(Condition::NotOk(number(first - 1)))));
    Ok(Steps { list, layout })
}

/// The end of the transaction of a stream.
pub(super) fn commit(record: &Record) -> Steps<'_> {
    let last = record.before.len() + record.after.len();
    let places = Places { write_down: record.before.len() - 1, ask: None };
    let layout = Layout {
        steps: last + 1,
        first: record.before.len(),
        count: 0,
        last,
        probe: None,
        naming: Naming::Statements,
        record: Some(places),
    };
    let mut list = Vec::with_capacity(layout.steps);
    chain(&mut list, quiet(&record.before));
    chain(&mut list, quiet(&record.after));
    list.push((Stmt::plain("COMMIT"), Some(Condition::Ok(number(last - 1)))));
    Steps { list, layout }
}

fn quiet(statements: &[Statement]) -> Vec<Stmt<'_>> {
    statements.iter().map(|statement| Stmt { want_rows: false, ..Stmt::of(statement) }).collect()
}
