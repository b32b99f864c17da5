//! Says in the same number of bytes, and in words that SQLite knows, what only
//! the primary understands.
//!
//! | the primary's text | becomes | because |
//! |---|---|---|
//! | `RANDOM ROWID` behind a table | a comment | it says how rowids are made, which happens on the primary |
//! | an index over `libsql_vector_idx(...)` | an index of no rows, `WHERE 0` | its b-tree is empty: SQLite would find no rows through it |
//! | `CHECK (f(x))` with a function that SQLite lacks | `CHECK (1)` | rows are checked on the primary; `integrity_check` and `VACUUM INTO` cannot call it |
//!
//! A rewritten text carries a comment, so that whoever reads the file later can
//! tell what stood there.

use super::tree::Entry;
use crate::sqltext::tokens::{Kind, Token, tokens};

/// Whether the host's SQLite has a function of this name.
pub type HasFunction<'a> = &'a dyn Fn(&str) -> bool;

const VECTOR_INDEX: &str = "libsql_vector_idx";

/// In the place of `RANDOM ROWID`, which is as long.
const RANDOM_ROWID: &str = "/* random */";

/// In the place of `STRICT`.
const STRICT: &str = "/*ST*/";

/// Begins what is said about other changes.
const MARK: &str = "/*replica:";

/// What a text has in it that this SQLite does not do as the primary does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    pub name: String,
    pub kind: String,
    /// What was done about it; None where nothing can be done.
    pub rewritten: bool,
    pub text: String,
}

/// The text to write in the place of the entry's own, of the same length; None
/// where it can stay.
pub fn rewrite(entry: &Entry, has_function: HasFunction<'_>) -> Option<String> {
    let sql = entry.sql.as_deref()?;
    let list = significant(sql);
    let new = match entry.kind.as_str() {
        "index" => vector_index(sql, &list)?,
        "table" => table(sql, &list, has_function)?,
        _ => return None,
    };
    (new.len() == sql.len() && new != sql).then_some(new)
}

/// A text for an object that this SQLite cannot read at all, in the place of
/// which something must stand that it can: a view whose use is an error, a
/// trigger that does nothing (nothing fires here), a table without STRICT
/// (nothing is inserted here). None where there is no such thing.
pub fn give_up(entry: &Entry) -> Option<String> {
    let sql = entry.sql.as_deref()?;
    let list = significant(sql);
    let new = match entry.kind.as_str() {
        // CREATE VIEW name ...
        "view" => {
            let head = &sql[..list.get(2)?.end()];
            let long = format!("{head} AS SELECT * FROM \"not in this SQLite's SQL\"");
            let begin =
                if long.len() <= sql.len() { long } else { format!("{head} AS SELECT*FROM\"?\"") };
            padded(begin, "view", "", sql.len())?
        }
        // CREATE TRIGGER name ... ON table ...
        "trigger" => {
            let head = &sql[..list.get(2)?.end()];
            let on = list.iter().position(|token| token.is("ON"))?;
            let table = list.get(on + 1)?.text;
            let instead =
                if list[..on].iter().any(|token| token.is("INSTEAD")) { " INSTEAD OF" } else { "" };
            let begin = format!("{head}{instead} INSERT ON {table} BEGIN SELECT 1;END");
            padded(begin, "trigger", "", sql.len())?
        }
        "table" => {
            let close = closing(&list, list.iter().position(|token| token.is("("))?)?;
            let at = (close + 1..list.len()).find(|at| list[*at].is("STRICT"))?;
            let mut new = sql.to_owned();
            new.replace_range(list[at].at..list[at].end(), STRICT);
            let comma =
                |at: usize| list.get(at).filter(|token| token.is(",")).map(|token| token.at);
            if let Some(comma) = comma(at - 1).or_else(|| comma(at + 1)) {
                new.replace_range(comma..comma + 1, " ");
            }
            new
        }
        _ => return None,
    };
    (new.len() == sql.len() && new != sql).then_some(new)
}

/// What is to be said about an entry as the file has it now.
pub fn notes(entry: &Entry, has_function: HasFunction<'_>) -> Vec<Note> {
    let Some(sql) = entry.sql.as_deref() else { return Vec::new() };
    let note = |rewritten, text: String| Note {
        name: entry.name.clone(),
        kind: entry.kind.clone(),
        rewritten,
        text,
    };
    let mut notes = Vec::new();
    for token in tokens(sql).filter(|token| token.kind == Kind::Blank) {
        if token.text == RANDOM_ROWID {
            notes.push(note(true, "RANDOM ROWID, which SQLite does not know, is left out".into()));
        } else if token.text == STRICT {
            notes.push(note(true, "STRICT, which this SQLite does not know, is left out".into()));
        } else if let Some(what) = token.text.strip_prefix(MARK) {
            let what = what.trim_end_matches("*/").trim();
            notes.push(note(true, reworded(&entry.kind, what)));
        }
    }
    if notes.is_empty() && is_padded(&entry.kind, sql) {
        notes.push(note(true, reworded(&entry.kind, VECTOR_INDEX)));
    }
    if matches!(entry.kind.as_str(), "index" | "table") {
        let list = significant(sql);
        let mut lacking: Vec<String> = calls(&list)
            .map(|(_, name)| name.to_ascii_lowercase())
            .filter(|name| !has_function(name))
            .collect();
        lacking.sort();
        lacking.dedup();
        for name in lacking {
            notes.push(note(false, still_calls(&entry.kind, &name)));
        }
    }
    notes
}

/// Whether it is one of our texts that had no room for a comment.
fn is_padded(kind: &str, sql: &str) -> bool {
    let ends: &[&str] = match kind {
        "index" => &[" WHERE 0"],
        "view" => &["FROM\"?\"", "FROM \"not in this SQLite's SQL\""],
        "trigger" => &["BEGIN SELECT 1;END"],
        _ => &[],
    };
    sql.ends_with(' ') && ends.iter().any(|end| sql.trim_end().ends_with(end))
}

fn reworded(kind: &str, what: &str) -> String {
    match kind {
        "index" => format!(
            "an index over {what}(), which only the primary can search (replica_query); here it is \
             empty and never used"
        ),
        "view" | "trigger" => format!(
            "the {kind} is written in SQL that this SQLite cannot read: here it is an error to use \
             the view, and the trigger does nothing"
        ),
        _ => format!("a CHECK calls {what}(), which this SQLite lacks; the primary checks it"),
    }
}

fn still_calls(kind: &str, name: &str) -> String {
    match kind {
        "index" => format!(
            "the index calls {name}(), which this SQLite lacks: integrity_check, VACUUM INTO and \
             queries that call it fail here"
        ),
        _ => format!(
            "a generated column or a default calls {name}(), which this SQLite lacks: reading such \
             a column and VACUUM INTO fail here"
        ),
    }
}

fn significant(sql: &str) -> Vec<Token<'_>> {
    tokens(sql).filter(|token| token.kind != Kind::Blank).collect()
}

/// Words with a bracket behind them that may be functions, with their place in
/// the list. Names of tables, columns and types are not told apart here: only
/// those inside of brackets, behind a keyword or an operator, count.
fn calls<'a>(list: &'a [Token<'a>]) -> impl Iterator<Item = (usize, &'a str)> {
    let inside = expressions(list);
    (0..list.len().saturating_sub(1)).filter_map(move |at| {
        let is_call = list[at].kind == Kind::Word && list[at + 1].is("(");
        let counts = is_call && inside[at] && !KEYWORDS.iter().any(|word| list[at].is(word));
        counts.then_some((at, list[at].text))
    })
}

/// Keywords that a bracket may follow inside an expression.
const KEYWORDS: [&str; 17] = [
    "and", "or", "not", "in", "case", "when", "then", "else", "is", "between", "like", "glob",
    "cast", "check", "exists", "as", "select",
];

/// For each token, whether it is in an expression: in the brackets of CHECK,
/// AS or DEFAULT, in those of an index, or behind its WHERE.
fn expressions(list: &[Token<'_>]) -> Vec<bool> {
    let is_index = list.iter().take(4).any(|token| token.is("INDEX"));
    let mut inside = vec![false; list.len()];
    let (mut depth, mut from) = (0_usize, None);
    for (at, token) in list.iter().enumerate() {
        if token.is("(") {
            depth += 1;
            let begins = ["CHECK", "AS", "DEFAULT"];
            let opens = at > 0 && begins.iter().any(|word| list[at - 1].is(word));
            if from.is_none() && (opens || is_index && depth == 1) {
                from = Some(depth);
            }
        } else if token.is(")") {
            if from == Some(depth) {
                from = None;
            }
            depth = depth.saturating_sub(1);
        } else if is_index && depth == 0 && token.is("WHERE") {
            from = Some(usize::MAX);
        }
        inside[at] = from.is_some();
    }
    inside
}

/// `CREATE [UNIQUE] INDEX name ON table (libsql_vector_idx(column, ...))`.
fn vector_index(sql: &str, list: &[Token<'_>]) -> Option<String> {
    let open = list.iter().position(|token| token.is("("))?;
    let call = list.get(open + 1).filter(|token| token.is(VECTOR_INDEX))?;
    let column = list.get(open + 3).filter(|_| list[open + 2].is("("))?;
    // All of the rest is replaced: `column) WHERE 0` needs less room than
    // `libsql_vector_idx(column))` had.
    let begin = format!("{}{}) WHERE 0", &sql[..call.at], column.text);
    padded(begin, VECTOR_INDEX, "", sql.len())
}

/// `begin`, a comment that names `what` if there is room for it, and `end`, in
/// `length` bytes.
fn padded(begin: String, what: &str, end: &str, length: usize) -> Option<String> {
    let room = length.checked_sub(begin.len() + end.len())?;
    let comment = format!("{MARK}{what}*/");
    let comment = if comment.len() <= room { comment } else { String::new() };
    let blanks = " ".repeat(room - comment.len());
    Some(format!("{begin}{comment}{blanks}{end}"))
}

fn table(sql: &str, list: &[Token<'_>], has_function: HasFunction<'_>) -> Option<String> {
    let mut new = sql.to_owned();
    let mut changed = false;
    for (from, to, what) in lacking_checks(list, has_function) {
        // The text between the brackets.
        let (from, to) = (list[from].end(), list[to].at);
        if let Some(check) = padded("1".to_owned(), what, "", to - from) {
            new.replace_range(from..to, &check);
            changed = true;
        }
    }
    if let Some((from, to, comma)) = random_rowid(list) {
        new.replace_range(from..to, &format!("{RANDOM_ROWID:<0$}", to - from));
        if let Some(comma) = comma {
            new.replace_range(comma..comma + 1, " ");
        }
        changed = true;
    }
    changed.then_some(new)
}

/// The brackets of each CHECK that calls a function SQLite lacks, and its name.
fn lacking_checks<'a>(
    list: &'a [Token<'a>],
    has_function: HasFunction<'_>,
) -> Vec<(usize, usize, &'a str)> {
    let lacking: Vec<(usize, &str)> = calls(list).filter(|(_, name)| !has_function(name)).collect();
    let mut found = Vec::new();
    for open in 1..list.len() {
        if !(list[open].is("(") && list[open - 1].is("CHECK")) {
            continue;
        }
        let Some(close) = closing(list, open) else { break };
        let inside = lacking.iter().find(|(at, _)| (open..close).contains(at));
        found.extend(inside.map(|(_, name)| (open, close, *name)));
    }
    found
}

/// The bracket that closes the one at `open`.
fn closing(list: &[Token<'_>], open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, token) in list.iter().enumerate().skip(open) {
        if token.is("(") {
            depth += 1;
        } else if token.is(")") {
            depth -= 1;
            if depth == 0 {
                return Some(at);
            }
        }
    }
    None
}

/// Where `RANDOM ROWID` stands behind the columns, and the comma that goes
/// with it.
fn random_rowid(list: &[Token<'_>]) -> Option<(usize, usize, Option<usize>)> {
    let open = list.iter().position(|token| token.is("("))?;
    let close = closing(list, open)?;
    let random = (close + 1..list.len().checked_sub(1)?)
        .find(|at| list[*at].is("RANDOM") && list[at + 1].is("ROWID"))?;
    let comma = |at: usize| list.get(at).filter(|token| token.is(",")).map(|token| token.at);
    let comma = comma(random - 1).or_else(|| comma(random + 2));
    Some((list[random].at, list[random + 1].end(), comma))
}

#[cfg(test)]
#[path = "rewrite_tests.rs"]
mod tests;
