//! SQL statements and what a primary says of them, independent of the
//! protocol that carries them.
//!
//! Nothing here knows SQL beyond the first word of a statement.

use std::sync::Arc;

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

/// The words that begin or end a transaction, as far as one request may not
/// hold them: it is a transaction of its own.
const TRANSACTION_WORDS: [&str; 6] = ["BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE"];

/// The word of `sql` that begins or ends a transaction, if it starts with one.
///
/// `ROLLBACK TO` ends none; the caller decides about savepoints, which are
/// harmless inside a transaction and useless alone.
pub(crate) fn transaction_word(sql: &str) -> Option<&'static str> {
    let mut words = Words(sql);
    let first = words.next()?;
    let word = TRANSACTION_WORDS.into_iter().find(|word| first.eq_ignore_ascii_case(word))?;
    if word != "ROLLBACK" {
        return Some(word);
    }
    let mut next = words.next();
    if next.is_some_and(|next| next.eq_ignore_ascii_case("TRANSACTION")) {
        next = words.next();
    }
    let partial = next.is_some_and(|next| next.eq_ignore_ascii_case("TO"));
    if partial { None } else { Some(word) }
}

/// The words of a statement up to the first thing that is not a word; blanks
/// and comments between them are skipped.
struct Words<'a>(&'a str);

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let rest = skip_blanks(self.0);
        let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        self.0 = after;
        if word.is_empty() { None } else { Some(word) }
    }
}

/// Whether there is nothing in `sql` but blanks, comments and semicolons.
pub fn is_blank(sql: &str) -> bool {
    skip_blanks(sql).is_empty()
}

/// `sql` without leading white space, comments and empty statements.
fn skip_blanks(mut sql: &str) -> &str {
    loop {
        let start = sql;
        sql = sql
            .trim_start_matches(|c: char| c.is_ascii_whitespace() || c == ';' || c == '\u{feff}');
        if let Some(comment) = sql.strip_prefix("--") {
            sql = comment.find('\n').map_or("", |end| &comment[end + 1..]);
        } else if let Some(comment) = sql.strip_prefix("/*") {
            sql = comment.find("*/").map_or("", |end| &comment[end + 2..]);
        }
        if sql.len() == start.len() {
            return sql;
        }
    }
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
}
