//! The parameters of an SQL statement: `?`, `?NNN`, `:name`, `@name`, `$name`.
//!
//! Numbers them as SQLite does (sqlite.org/c3ref/bind_blob.html) by looking at
//! the tokens alone, as SQLite's own tokenizer cuts them (tokenize.c): what is
//! in a string, a quoted name or a comment is none. Whether the rest is valid
//! SQL is for the primary to say.

use std::borrow::Cow;

use crate::error::{Error, Kind, Result};

/// SQLITE_MAX_VARIABLE_NUMBER as SQLite is usually built.
const MAX_NUMBER: usize = 32_766;

/// `sql` with numbers for names, and how many arguments it takes.
///
/// Servers bind arguments either by position or by name; with `?2` in the
/// place of `:name` it is always by position.
///
/// Errors of kind BadArgument: `?NNN` with a number that SQLite refuses, or a
/// NUL in the text, where SQLite would stop reading.
pub fn positional(sql: &str) -> Result<(Cow<'_, str>, usize)> {
    if sql.contains('\0') {
        return Err(bad(
            "there is a NUL character in the SQL text; pass such a text as an argument",
        ));
    }
    let mut names: Vec<(&str, usize)> = Vec::new();
    let (mut highest, mut copied) = (0, 0);
    let mut rewritten = String::new();
    let mut at = 0;
    while at < sql.len() {
        let end = at + token_length(&sql.as_bytes()[at..]);
        let token = &sql[at..end];
        if let Some(digits) = token.strip_prefix('?') {
            let number = if digits.is_empty() { Some(highest + 1) } else { digits.parse().ok() };
            let number = number.filter(|number| (1..=MAX_NUMBER).contains(number));
            let number = number.ok_or_else(|| {
                bad(format!("parameter {token}: the number must be between ?1 and ?{MAX_NUMBER}"))
            })?;
            highest = highest.max(number);
        } else if is_name(token) {
            let known = names.iter().find(|(name, _)| *name == token).map(|(_, number)| *number);
            let number = known.unwrap_or(highest + 1);
            if known.is_none() {
                names.push((token, number));
                highest = number;
            }
            rewritten.push_str(&sql[copied..at]);
            rewritten.push_str(&format!("?{number}"));
            copied = end;
        }
        at = end;
    }
    if names.is_empty() {
        return Ok((Cow::Borrowed(sql), highest));
    }
    rewritten.push_str(&sql[copied..]);
    Ok((Cow::Owned(rewritten), highest))
}

fn is_name(token: &str) -> bool {
    token.len() > 1 && token.starts_with([':', '@', '$'])
}

/// Length of the token at the start of `sql`, which is not empty; it always
/// ends at a character's border.
pub fn token_length(sql: &[u8]) -> usize {
    let ends = |mark: &[u8], from: usize| {
        let found = sql[from.min(sql.len())..].windows(mark.len()).position(|bytes| bytes == mark);
        found.map_or(sql.len(), |at| from + at + mark.len())
    };
    match sql[0] {
        b'-' if sql.starts_with(b"--") => ends(b"\n", 2),
        b'/' if sql.starts_with(b"/*") => ends(b"*/", 2),
        b'[' => ends(b"]", 1),
        quote @ (b'\'' | b'"' | b'`') => quoted_length(sql, quote),
        b'?' => 1 + sql[1..].iter().take_while(|byte| byte.is_ascii_digit()).count(),
        b':' | b'@' | b'$' => name_length(sql),
        first if is_word(first) => sql.iter().take_while(|byte| is_word(**byte)).count(),
        _ => 1,
    }
}

/// A quote inside is written twice.
fn quoted_length(sql: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < sql.len() {
        if sql[at] == quote {
            if sql.get(at + 1) != Some(&quote) {
                return at + 1;
            }
            at += 1;
        }
        at += 1;
    }
    sql.len()
}

/// Length of `:name`; 1 if there is no name. As in Tcl, `$a::b(c)` is one.
fn name_length(sql: &[u8]) -> usize {
    let (mut at, mut letters) = (1, 0);
    while at < sql.len() {
        match sql[at] {
            byte if is_word(byte) => letters += 1,
            b'(' if letters > 0 => {
                let inside = sql[at..].iter().position(|b| b.is_ascii_whitespace() || *b == b')');
                let closed = inside.filter(|end| sql[at + end] == b')');
                return closed.map_or(at, |end| at + end + 1);
            }
            b':' if sql.get(at + 1) == Some(&b':') => at += 1,
            _ => break,
        }
        at += 1;
    }
    if letters == 0 { 1 } else { at }
}

/// Part of a word or a number: IdChar in SQLite. All bytes of a letter beyond
/// ASCII are.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | 0x80..)
}

fn bad(text: impl Into<String>) -> Error {
    Error::new(Kind::BadArgument, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_counted_as_sqlite_does() {
        for (sql, count) in [
            ("", 0),
            ("select 1", 0),
            ("select ?", 1),
            ("select ?, ?", 2),
            ("select ?3", 3),
            ("select ?, ?3, ?", 4),
            ("select ?2, ?1, ?", 3),
            ("select '?', \"?\", `?`, [?], '''?'", 0),
            ("select '?', ? -- ?\n, ? /* ? */", 2),
            ("select ? /* ? ", 1),
            ("select '? ", 0),
            ("select a?, x'?', ?b", 2),
            ("select a$b, a:, :, @ , $", 0),
            ("select 1?", 1),
            ("select \u{e4}?\u{1F600}?", 2),
            ("-", 0),
            ("-- ?", 0),
            ("/", 0),
            ("/*", 0),
            ("select 5-?/?", 2),
        ] {
            let (same, found) = positional(sql).unwrap();
            assert_eq!(found, count, "{sql}");
            assert_eq!(same, sql);
        }
    }

    #[test]
    fn names_become_numbers_in_the_order_of_their_first_appearance() {
        for (sql, expected, count) in [
            ("select :a, :b, :a", "select ?1, ?2, ?1", 2),
            ("select :a, @a, $a", "select ?1, ?2, ?3", 3),
            ("select ?, :a, ?, :a, ?", "select ?, ?2, ?, ?2, ?", 4),
            ("select ?5, :a", "select ?5, ?6", 6),
            ("select :a, ?1", "select ?1, ?1", 1),
            ("select $a::b(c), ':a'", "select ?1, ':a'", 1),
            ("select :a(b c)", "select ?1(b c)", 1),
            ("select :1, :\u{e4}", "select ?1, ?2", 2),
            ("select a=:a,b=:b", "select a=?1,b=?2", 2),
        ] {
            let (rewritten, found) = positional(sql).unwrap();
            assert_eq!((rewritten.as_ref(), found), (expected, count), "{sql}");
        }
    }

    #[test]
    fn what_sqlite_would_not_read_is_refused() {
        for sql in ["select ?0", "select ?32767", "select ?99999999999999999999", "select 1\0, ?"] {
            assert_eq!(positional(sql).unwrap_err().kind(), Kind::BadArgument, "{sql:?}");
        }
        assert_eq!(positional("select ?32766").unwrap().1, 32_766);
    }
}
