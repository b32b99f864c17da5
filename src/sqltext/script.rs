//! SQL text as the statements that are sent: told apart as SQLite does it,
//! parameters by position, their number checked before anything is sent.
//!
//! The text is read once, token by token; everything that is asked of a
//! statement later is answered from that reading.

use std::borrow::Cow;

use crate::error::{Error, Kind, Result};
use crate::sqltext::parameters::{Arguments, Parameters};
use crate::sqltext::statement::{HEAD, Head, Statement};
use crate::sqltext::tokens::{self, tokens};

/// Says whether a text that ends in a semicolon is a complete statement: what
/// `sqlite3_complete` does.
pub type IsComplete = fn(&str) -> bool;

/// One statement of a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Cut<'a> {
    /// As it was written.
    pub source: &'a str,
    /// With numbers in the place of names.
    pub text: Cow<'a, str>,
    pub parameters: Parameters<'a>,
    pub head: Head<'a>,
}

impl Cut<'_> {
    pub fn bind(self, args: Arguments) -> Result<Statement> {
        let args = args.bind(&self.parameters)?;
        Ok(Statement { sql: self.text.into_owned(), args })
    }
}

/// Cuts at each semicolon where SQLite says that a statement is complete: not
/// in the body of a trigger. Those in strings and comments are not even shown
/// to it: it reads from the start of the statement each time. Blank ones are
/// left out.
///
/// Errors of kind BadArgument: a parameter that SQLite refuses, or a NUL in
/// the text, where SQLite would stop reading.
pub fn cut(sql: &str, is_complete: IsComplete) -> Result<Vec<Cut<'_>>> {
    if sql.contains('\0') {
        return Err(bad(
            "there is a NUL character in the SQL text; pass such a text as an argument",
        ));
    }
    let mut cuts = Vec::new();
    let mut open = Open::default();
    for token in tokens(sql) {
        match token.kind {
            tokens::Kind::Blank => {}
            tokens::Kind::Semicolon => {
                if is_complete(&sql[open.start..token.end()]) {
                    cuts.extend(open.end(sql, token.end()));
                }
            }
            tokens::Kind::Parameter => {
                open.see(token.text);
                if let Some(number) = open.parameters.take(token.text)? {
                    open.rewritten.push_str(&sql[open.copied..token.at]);
                    open.rewritten.push_str(&format!("?{number}"));
                    open.copied = token.end();
                }
            }
            _ => open.see(token.text),
        }
    }
    cuts.extend(open.end(sql, sql.len()));
    Ok(cuts)
}

/// The statement that is being read.
#[derive(Default)]
struct Open<'a> {
    start: usize,
    /// Up to here the text is in `rewritten`, if anything is.
    copied: usize,
    rewritten: String,
    parameters: Parameters<'a>,
    head: Vec<&'a str>,
}

impl<'a> Open<'a> {
    fn see(&mut self, token: &'a str) {
        if self.head.len() < HEAD {
            self.head.push(token);
        }
    }

    /// What was read up to `end`, if it is a statement; the next one begins.
    fn end(&mut self, sql: &'a str, end: usize) -> Option<Cut<'a>> {
        let next = Open { start: end, copied: end, ..Open::default() };
        let Open { start, copied, mut rewritten, parameters, head } = std::mem::replace(self, next);
        if head.is_empty() {
            return None;
        }
        let text = if parameters.names.is_empty() {
            Cow::Borrowed(&sql[start..end])
        } else {
            rewritten.push_str(&sql[copied..end]);
            Cow::Owned(rewritten)
        };
        Some(Cut { source: &sql[start..end], text, parameters, head: Head(head) })
    }
}

/// The statements that were cut, ready to be sent; `args` belong to the only
/// one.
pub fn statements(cuts: Vec<Cut<'_>>, args: Arguments) -> Result<Vec<Statement>> {
    let count = cuts.len();
    if count < 2 {
        return Ok(vec![only(cuts)?.bind(args)?]);
    }
    if !args.is_empty() {
        return Err(bad(format!(
            "arguments go with one statement, and there are {count}; write the values into the \
             SQL, or call it once per statement"
        )));
    }
    let statement = |(index, cut): (usize, Cut<'_>)| match cut.parameters.count {
        0 => Ok(Statement { sql: cut.text.into_owned(), args: Vec::new() }),
        _ => Err(bad(format!(
            "statement {} of {count}: there are parameters in it, and arguments go with one \
             statement alone; call it once per statement",
            index + 1
        ))),
    };
    cuts.into_iter().enumerate().map(statement).collect()
}

/// The only statement of a text.
pub fn only(cuts: Vec<Cut<'_>>) -> Result<Cut<'_>> {
    let count = cuts.len();
    let mut cuts = cuts.into_iter();
    match (count, cuts.next()) {
        (1, Some(only)) => Ok(only),
        (_, None) => Err(bad("there is no statement in the SQL text")),
        _ => Err(bad(format!("only one statement can stand here, and there are {count}"))),
    }
}

fn bad(text: impl Into<String>) -> Error {
    Error::new(Kind::BadArgument, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Enough of `sqlite3_complete` for texts without triggers.
    fn always(_: &str) -> bool {
        true
    }

    #[test]
    fn a_text_is_cut_at_its_semicolons_and_blank_parts_are_left_out() {
        let cuts = cut("; select ';' -- ;\n; /* ; */ ;\n select :a, :a; select 2", always).unwrap();
        let texts: Vec<&str> = cuts.iter().map(|cut| cut.text.trim()).collect();
        assert_eq!(texts, ["select ';' -- ;\n;", "select ?1, ?1;", "select 2"]);
        assert_eq!(cuts[1].parameters.count, 1);
    }

    #[test]
    fn parameters_begin_anew_in_each_statement() {
        let cuts = cut("select ?, :a; select :b", always).unwrap();
        assert_eq!(cuts[0].text, "select ?, ?2;");
        assert_eq!(cuts[1].text, " select ?1");
    }

    #[test]
    fn arguments_go_with_one_statement() {
        let two = || cut("select 1; select 2", always).unwrap();
        assert_eq!(statements(two(), Arguments::default()).unwrap().len(), 2);
        let args = Arguments::Listed(vec![crate::sqltext::value::Value::Null]);
        assert!(statements(two(), args).unwrap_err().to_string().contains("there are 2"));
        assert_eq!(only(two()).unwrap_err().kind(), Kind::BadArgument);
        assert_eq!(only(cut(" ; -- x", always).unwrap()).unwrap_err().kind(), Kind::BadArgument);
    }
}
