//! Statements as they are sent: several in one text told apart as SQLite does
//! it, parameters by position, their number checked before anything is sent.

use crate::error::{Error, Kind, Result};
use crate::sqltext::parameters::positional;
use crate::sqltext::parameters::token_length;
use crate::sqltext::statement::Statement;
use crate::sqltext::statement::is_blank;
use crate::sqltext::value::Value;

/// Says whether a text that ends in a semicolon is a complete statement: what
/// `sqlite3_complete` does.
pub type IsComplete = fn(&str) -> bool;

/// The statements in `sql`; `args` belong to the only one.
pub fn statements(sql: &str, args: Vec<Value>, is_complete: IsComplete) -> Result<Vec<Statement>> {
    let parts = split(sql, is_complete);
    let count = parts.len();
    match parts.as_slice() {
        [] => Err(bad("there is no statement in the SQL text")),
        [one] => {
            let (sql, parameters) = positional(one)?;
            check_count(parameters, args.len())?;
            Ok(vec![Statement { sql: sql.into_owned(), args }])
        }
        several if args.is_empty() => {
            let statement = |(index, sql): (usize, &&str)| match positional(sql)? {
                (sql, 0) => Ok(Statement { sql: sql.into_owned(), args: Vec::new() }),
                _ => Err(bad(format!(
                    "statement {} of {count}: there are parameters in it, and arguments go with \
                     one statement alone; call it once per statement",
                    index + 1
                ))),
            };
            several.iter().enumerate().map(statement).collect()
        }
        _ => Err(bad(format!(
            "arguments go with one statement, and there are {count}; write the values into the \
             SQL, or call it once per statement"
        ))),
    }
}

/// The only statement in `sql`, as it is to be sent, and how many arguments it
/// takes.
pub fn only_statement(sql: &str, is_complete: IsComplete) -> Result<(String, usize)> {
    match split(sql, is_complete).as_slice() {
        [] => Err(bad("there is no statement in the SQL text")),
        [one] => positional(one).map(|(sql, parameters)| (sql.into_owned(), parameters)),
        several => {
            Err(bad(format!("only one statement can stand here, and there are {}", several.len())))
        }
    }
}

pub fn check_count(parameters: usize, args: usize) -> Result<()> {
    if parameters == args {
        return Ok(());
    }
    let number = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    Err(bad(format!(
        "the statement has {} and the call gives {}",
        number(parameters, "parameter"),
        number(args, "argument")
    )))
}

/// Cuts at each semicolon where SQLite says that a statement is complete: not
/// in the body of a trigger. Those in strings and comments are not even shown
/// to it: it reads from the start of the statement each time. Blank ones are
/// left out.
fn split(sql: &str, is_complete: IsComplete) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut at) = (0, 0);
    while at < sql.len() {
        let end = at + token_length(&sql.as_bytes()[at..]).max(1);
        if sql.as_bytes()[at] == b';' && is_complete(&sql[start..end]) {
            parts.push(&sql[start..end]);
            start = end;
        }
        at = end;
    }
    parts.push(&sql[start..]);
    parts.retain(|part| !is_blank(part));
    parts
}

fn bad(text: impl Into<String>) -> Error {
    Error::new(Kind::BadArgument, text)
}
