//! Several statements in one text, told apart as SQLite does it.

use crate::error::{Error, Kind, Result};
use crate::host::statement_is_complete;
use crate::primary::Statement;
use crate::proto::statement::is_blank;
use crate::proto::value::Value;

/// The statements in `sql`; `args` belong to the only one.
pub fn statements(sql: &str, args: Vec<Value>) -> Result<Vec<Statement>> {
    let mut parts = split(sql);
    match parts.len() {
        0 => Err(bad("there is no statement in the SQL text")),
        1 => Ok(vec![Statement { sql: parts.remove(0).to_owned(), args }]),
        _ if args.is_empty() => {
            let statement = |sql: &str| Statement { sql: sql.to_owned(), args: Vec::new() };
            Ok(parts.into_iter().map(statement).collect())
        }
        count => Err(bad(format!(
            "arguments go with one statement, and there are {count}; write the values into the \
             SQL, or call it once per statement"
        ))),
    }
}

/// Cuts at each semicolon where SQLite says that a statement is complete: not
/// in strings, comments or the body of a trigger. Blank ones are left out.
fn split(sql: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    for (at, _) in sql.match_indices(';') {
        let part = &sql[start..=at];
        if statement_is_complete(part) {
            parts.push(part);
            start = at + 1;
        }
    }
    parts.push(&sql[start..]);
    parts.retain(|part| !is_blank(part));
    parts
}

fn bad(text: impl Into<String>) -> Error {
    Error::new(Kind::BadArgument, text)
}
