//! Migrations: tables are rebuilt with foreign keys off, in one transaction,
//! as Hrana's `migrate` does it; what points into nothing at its end undoes it.
//!
//! Generated migrations switch the keys and begin and commit by themselves.
//! That is done here, so these statements of theirs are left out.

use std::collections::BTreeMap;

use super::{Arrival, Work, WriteReport};
use crate::code;
use crate::error::{Error, Kind, Result};
use crate::host::statement_is_complete;
use crate::primary::{Mode, Statement, StatementResult, Transaction};
use crate::replica::Replica;
use crate::sqltext::parameters::Arguments;
use crate::sqltext::script::{Cut, cut};
use crate::sqltext::statement::unquoted;
use crate::sqltext::tokens::tokens;
use crate::sqltext::value::Value;

/// PRAGMAs that SQLite ignores in a transaction, or that end with it. Behind
/// them, a statement may delete what it was to keep.
const KEY_PRAGMAS: [&str; 2] = ["foreign_keys", "defer_foreign_keys"];

const CHECK: &str = "PRAGMA foreign_key_check";

impl Replica {
    /// Runs the statements of `sql` with foreign keys off: all or nothing.
    pub fn migrate(&self, sql: &str) -> Result<WriteReport> {
        if self.has_open_transaction() {
            let text = "a transaction is open; end it with replica_commit() or replica_rollback(), \
                        because a migration is one of its own";
            return Err(Error::new(Kind::Misuse, text));
        }
        let cuts = cut(sql, statement_is_complete)?;
        let steps: Vec<Cut<'_>> = cuts.into_iter().filter(|cut| !is_done_here(cut)).collect();
        if steps.is_empty() {
            return Err(Error::new(Kind::BadArgument, "there is no step in the migration"));
        }
        let check = || Statement { sql: CHECK.to_owned(), args: Vec::new() };
        let mut statements = vec![check()];
        let temporary = temporary_tables(&steps);
        for (index, step) in steps.into_iter().enumerate() {
            let is_temporary = step.head.temporary_table().is_some();
            let bound = step.bind(Arguments::default());
            let mut bound = bound.map_err(|error| error.context(&format!("step {}", index + 1)))?;
            if is_temporary {
                bound.sql = without_temporary(&bound.sql);
            }
            statements.push(bound);
        }
        let drop = |table| Statement { sql: format!("DROP TABLE {table}"), args: Vec::new() };
        statements.extend(temporary.into_iter().map(drop));
        statements.push(check());
        let before = self.syncer.file.position()?;
        let mut remote = self.begin_remote(Mode::Migration)?;
        let outcome = self.migrate_in(&mut remote, &statements);
        let (results, frame_no) = self.noted(outcome)?;
        let arrival: Arrival = self.arrive(before, frame_no, true);
        Ok(WriteReport { results, arrival, ..WriteReport::default() })
    }

    /// Dropped without a commit, the transaction is undone.
    fn migrate_in(
        &self,
        remote: &mut Transaction,
        statements: &[Statement],
    ) -> Result<(Vec<StatementResult>, Option<u64>)> {
        let patience = self.patience();
        let mut results = Work::Script(statements).inside(remote, &patience).map_err(|error| {
            // The checks before and behind the steps are not the caller's.
            error.renumbered(-1, statements.len() - 2).and("nothing of the migration took effect")
        })?;
        let after = violations(&results.pop().unwrap_or_default());
        let before = violations(&results.remove(0));
        let new = after.iter().find(|(what, count)| before.get(*what).unwrap_or(&0) < *count);
        if let Some(((table, parent), count)) = new {
            remote.rollback();
            let text = format!(
                "FOREIGN KEY constraint failed: {count} rows of {table} would point to rows of \
                 {parent} that are not there; nothing of the migration took effect"
            );
            return Err(Error::new(Kind::Remote(code::CONSTRAINT_FOREIGNKEY), text));
        }
        let frame_no = self.commit_remote(remote, true, &patience)?;
        Ok((results, frame_no))
    }
}

/// How many rows of a table point into nothing, by the table that they point
/// to: those that did so before a migration are not its fault.
fn violations(check: &StatementResult) -> BTreeMap<(String, String), u64> {
    let mut found = BTreeMap::new();
    for row in &check.rows {
        let text = |at: usize| match row.get(at) {
            Some(Value::Text(text)) => text.clone(),
            _ => String::new(),
        };
        *found.entry((text(0), text(2))).or_insert(0) += 1;
    }
    found
}

/// A primary has no temporary tables: in a migration they are ordinary ones
/// until its end. Those that it does not drop by itself.
fn temporary_tables(steps: &[Cut<'_>]) -> Vec<String> {
    let made = steps.iter().filter_map(|step| step.head.temporary_table());
    let dropped: Vec<&str> = steps.iter().filter_map(|step| step.head.dropped_table()).collect();
    let stays = |table: &&str| {
        !dropped.iter().any(|name| unquoted(name).eq_ignore_ascii_case(unquoted(table)))
    };
    made.filter(stays).map(str::to_owned).collect()
}

/// `CREATE TEMP TABLE ...` without its second word.
fn without_temporary(sql: &str) -> String {
    let word = tokens(sql).find(|token| token.is("TEMP") || token.is("TEMPORARY"));
    match word {
        Some(word) => format!("{}{}", &sql[..word.at], &sql[word.end()..]),
        None => sql.to_owned(),
    }
}

/// Whether the migration does this anyway.
fn is_done_here(cut: &Cut<'_>) -> bool {
    let switches_keys = cut.head.pragma().is_some_and(|pragma| {
        KEY_PRAGMAS.iter().any(|name| pragma.name.eq_ignore_ascii_case(name))
    });
    switches_keys || matches!(cut.head.transaction_word(), Some("BEGIN" | "COMMIT" | "END"))
}

/// Refuses what would be ignored, and what comes behind it would then do harm.
pub(super) fn refuse_key_pragmas(cuts: &[Cut<'_>]) -> Result<()> {
    for cut in cuts {
        let pragma = cut.head.pragma().filter(|pragma| pragma.has_value);
        let Some(pragma) = pragma else { continue };
        if KEY_PRAGMAS.iter().any(|name| pragma.name.eq_ignore_ascii_case(name)) {
            let text = format!(
                "PRAGMA {} would have no effect here, because SQLite ignores it in a transaction \
                 and each call is one; nothing was sent: to change tables with foreign keys off, \
                 call replica_migrate(text)",
                pragma.name.to_ascii_lowercase()
            );
            return Err(Error::new(Kind::BadArgument, text));
        }
    }
    Ok(())
}
