//! SQL statements and what a primary says of them, independent of the
//! protocol that carries them.
//!
//! Nothing here knows SQL beyond the first word of a statement.

use std::sync::Arc;

use crate::sqltext::tokens::{Kind, tokens};
use crate::sqltext::value::Value;

/// One SQL statement with its positional arguments.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    pub sql: String,
    pub args: Vec<Value>,
}

/// A statement of many that mostly have the same text.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub sql: Arc<str>,
    pub args: Vec<Value>,
}

/// Some of the rows of a batch.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    pub rows: &'a [Row],
    /// What the first row is called in errors.
    pub first: u64,
}

/// What the primary says of one statement.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StatementResult {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<Value>>,
    /// None where the primary does not count.
    pub rows_affected: Option<u64>,
    pub last_insert_rowid: Option<i64>,
}

/// What a primary says of a statement without running it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// Names, and types as the schema declares them.
    pub columns: Vec<(String, Option<String>)>,
    pub is_explain: bool,
    pub is_readonly: bool,
}

/// How many of a statement's first tokens are kept to tell what it is.
pub const HEAD: usize = 8;

/// The first tokens of a statement, without blanks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head<'a>(pub Vec<&'a str>);

/// The words that begin or end a transaction, as far as one request may not
/// hold them: it is a transaction of its own.
const TRANSACTION_WORDS: [&str; 6] = ["BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE"];

/// A PRAGMA, by its name and what it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pragma<'a> {
    pub name: &'a str,
    /// `= value` or `(value)` follows.
    pub has_value: bool,
}

impl<'a> Head<'a> {
    pub fn of(sql: &'a str) -> Head<'a> {
        let matters = |kind| !matches!(kind, Kind::Blank | Kind::Semicolon);
        let tokens = tokens(sql).filter(|token| matters(token.kind));
        Head(tokens.map(|token| token.text).take(HEAD).collect())
    }

    fn is(&self, at: usize, word: &str) -> bool {
        self.0.get(at).is_some_and(|token| token.eq_ignore_ascii_case(word))
    }

    /// The word of the statement that begins or ends a transaction, if it
    /// starts with one.
    ///
    /// `ROLLBACK TO` ends none; the caller decides about savepoints, which are
    /// harmless inside a transaction and useless alone.
    pub fn transaction_word(&self) -> Option<&'static str> {
        let word = TRANSACTION_WORDS.into_iter().find(|word| self.is(0, word))?;
        let to = if self.is(1, "TRANSACTION") { 2 } else { 1 };
        if word == "ROLLBACK" && self.is(to, "TO") { None } else { Some(word) }
    }

    /// The name in `CREATE TEMP TABLE [IF NOT EXISTS] name`.
    pub fn temporary_table(&self) -> Option<&'a str> {
        let temporary = self.is(1, "TEMP") || self.is(1, "TEMPORARY");
        if !(self.is(0, "CREATE") && temporary && self.is(2, "TABLE")) {
            return None;
        }
        let name = if self.is(3, "IF") { 6 } else { 3 };
        self.0.get(name).copied()
    }

    /// The name in `DROP TABLE [IF EXISTS] name`.
    pub fn dropped_table(&self) -> Option<&'a str> {
        if !(self.is(0, "DROP") && self.is(1, "TABLE")) {
            return None;
        }
        let name = if self.is(2, "IF") { 4 } else { 2 };
        self.0.get(name).copied()
    }

    /// Whether it is known to insert rows; behind a WITH it may do so unseen.
    pub fn inserts(&self) -> bool {
        self.is(0, "INSERT") || self.is(0, "REPLACE")
    }

    /// Whether it is known to do nothing but return rows.
    pub fn only_reads(&self) -> bool {
        ["SELECT", "VALUES", "EXPLAIN"].iter().any(|word| self.is(0, word))
    }

    /// `PRAGMA [schema.]name [= value | (value)]`.
    pub fn pragma(&self) -> Option<Pragma<'a>> {
        if !self.is(0, "PRAGMA") {
            return None;
        }
        let at = if self.is(2, ".") { 3 } else { 1 };
        let name = unquoted(self.0.get(at)?);
        Some(Pragma { name, has_value: self.is(at + 1, "=") || self.is(at + 1, "(") })
    }
}

/// A name without its quotes. One with quotes inside is not a name that
/// anybody here looks for.
pub fn unquoted(name: &str) -> &str {
    let pairs = [('"', '"'), ('\'', '\''), ('`', '`'), ('[', ']')];
    let inside = |(open, close): (char, char)| name.strip_prefix(open)?.strip_suffix(close);
    pairs.into_iter().find_map(inside).unwrap_or(name)
}

/// The word of `sql` that begins or ends a transaction, if it starts with one.
pub(crate) fn transaction_word(sql: &str) -> Option<&'static str> {
    Head::of(sql).transaction_word()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transaction_words_are_found_behind_blanks_and_comments() {
        for (sql, word) in [
            ("BEGIN", Some("BEGIN")),
            ("begin immediate", Some("BEGIN")),
            (" \n-- why\n/* and */;Commit;", Some("COMMIT")),
            ("end transaction", Some("END")),
            ("rollback", Some("ROLLBACK")),
            ("rollback transaction", Some("ROLLBACK")),
            ("rollback to a", None),
            ("rollback /* x */ transaction to a", None),
            ("savepoint a", Some("SAVEPOINT")),
            ("insert into begin values(1)", None),
            ("beginning", None),
            ("-- begin", None),
            ("/* begin", None),
            ("", None),
        ] {
            assert_eq!(transaction_word(sql), word, "{sql:?}");
        }
    }

    #[test]
    fn pragmas_are_known_by_name_and_by_whether_they_set_something() {
        for (sql, name, has_value) in [
            ("pragma foreign_keys", "foreign_keys", false),
            ("PRAGMA foreign_keys = OFF", "foreign_keys", true),
            ("/* x */ PRAGMA main . foreign_keys=0;", "foreign_keys", true),
            ("pragma \"foreign_keys\"(off)", "foreign_keys", true),
            ("pragma [main].[table_info](t)", "table_info", true),
        ] {
            assert_eq!(Head::of(sql).pragma(), Some(Pragma { name, has_value }), "{sql}");
        }
        assert_eq!(Head::of("select 'pragma'").pragma(), None);
        assert_eq!(Head::of("pragma").pragma(), None);
    }
}
