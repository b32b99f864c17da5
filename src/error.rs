//! The one error of this crate: what kind it is, a sentence for a human, the
//! SQLite result code that a host sees, and whether trying again can help.
//!
//! The only place that decides which code a host sees. IOERR, INTERRUPT,
//! CORRUPT, NOMEM and FULL are absent on purpose: returned by a function inside
//! a user's transaction, they make SQLite roll it back. The sentence reads
//! `<what>: <cause>[; <remedy>]`, in lower case, without a final dot; the
//! surface puts the name of the SQL function before it.

use std::fmt;

use crate::code;

pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong, as far as a caller may want to tell cases apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An argument or option that cannot be used; nothing was attempted.
    BadArgument,
    /// A function that needs an attached replica was called without one, or
    /// the call does not fit the state (commit without begin).
    Misuse,
    /// The primary refused the token, or wants one.
    Auth,
    /// The primary could not be reached: the request cannot have happened.
    Unreachable,
    /// The primary was reached and did not answer in time, or broke off, or
    /// answered 5xx to something that is safe to ask again.
    Unavailable,
    /// A write was sent and no answer came: it may have happened or not.
    /// Never retried by us.
    OutcomeUnknown,
    /// The primary has ended the open transaction, or the way to it is lost:
    /// nothing of it took effect.
    TransactionLost,
    /// A local lock was not free within the busy timeout.
    Busy,
    /// The primary's own lock is taken by another writer.
    RemoteBusy,
    /// The answer cannot be understood, or contradicts itself.
    Protocol,
    /// The file is not ours, or the replica may not be changed this way.
    NotAllowed,
    /// The host's SQLite or file system failed underneath us.
    Local,
    /// The primary ran the SQL and SQLite there reported this (extended)
    /// result code.
    Remote(i32),
    /// `sqlite3_interrupt`, or the replica is being detached.
    Interrupted,
    /// A bug of ours, caught before it reached the host.
    Panic,
}

/// What went wrong, in one sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    kind: Kind,
    text: String,
    /// What SQLite on the primary said, in its own words.
    said: Option<String>,
    /// Which of several statements it is about, from 1 on, and how many there
    /// are.
    statement: Option<(usize, usize)>,
}

impl Error {
    pub fn new(kind: Kind, text: impl Into<String>) -> Error {
        Error { kind, text: text.into(), said: None, statement: None }
    }

    /// What a primary says of a statement, and SQLite's own words in it.
    pub fn remote(code: i32, text: &str, said: &str) -> Error {
        Error { said: Some(said.to_owned()), ..Error::new(Kind::Remote(code), text) }
    }

    /// SQLite's own words, where it is an error of a statement.
    pub fn said(&self) -> Option<&str> {
        self.said.as_deref()
    }

    /// Which of several statements it is about, from 1 on.
    pub fn statement(&self) -> Option<usize> {
        self.statement.map(|(number, _)| number)
    }

    /// The same error of statement `number` of `count`.
    pub fn at_statement(mut self, number: usize, count: usize) -> Error {
        self.statement = Some((number, count));
        self.text = format!("statement {number} of {count}: {}", self.text);
        self
    }

    /// The same error with the number of its statement moved by `by`, of
    /// `count` statements.
    pub fn renumbered(self, by: isize, count: usize) -> Error {
        let Some((number, of)) = self.statement else { return self };
        let before = format!("statement {number} of {of}: ");
        let Some(text) = self.text.strip_prefix(&before).map(str::to_owned) else { return self };
        match number.checked_add_signed(by).filter(|number| (1..=count).contains(number)) {
            Some(number) => Error { text, statement: None, ..self }.at_statement(number, count),
            None => Error { text, statement: None, ..self },
        }
    }

    /// The same error with another of SQLite's codes.
    pub fn with_code(mut self, code: i32) -> Error {
        self.kind = Kind::Remote(code);
        self
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The SQLite result code a host sees.
    pub fn code(&self) -> i32 {
        match self.kind {
            Kind::BadArgument | Kind::Local => code::ERROR,
            Kind::Misuse => code::MISUSE,
            Kind::Auth => code::AUTH,
            Kind::Unreachable | Kind::Unavailable | Kind::OutcomeUnknown => code::CANTOPEN,
            Kind::Busy | Kind::RemoteBusy => code::BUSY,
            Kind::Protocol => code::PROTOCOL,
            Kind::NotAllowed => code::READONLY,
            Kind::Remote(extended) => remote_code(extended),
            Kind::Interrupted | Kind::TransactionLost => code::ABORT,
            Kind::Panic => code::INTERNAL,
        }
    }

    /// Whether the same request may be sent again: it cannot have had an
    /// effect, and the cause may pass.
    pub fn can_retry(&self) -> bool {
        matches!(self.kind, Kind::Unreachable | Kind::Unavailable | Kind::Busy | Kind::RemoteBusy)
    }

    /// The same error with a semicolon and `after` behind its text.
    pub fn and(mut self, after: &str) -> Error {
        self.text = format!("{}; {after}", self.text);
        self
    }

    /// The same error with another text.
    pub fn reworded(mut self, change: impl FnOnce(&str) -> String) -> Error {
        self.text = change(&self.text);
        self
    }

    /// The same error with `before` and a colon in front of its text.
    pub fn context(mut self, before: &str) -> Error {
        self.text = format!("{before}: {}", self.text);
        self
    }
}

/// The code of an error that happened on the primary, as a host may see it:
/// constraint errors keep their extended code so that a binding raises its
/// usual exception; codes that would end the host's own transaction become
/// plain errors.
fn remote_code(extended: i32) -> i32 {
    match code::primary(extended) {
        code::CONSTRAINT => extended,
        code::BUSY | code::LOCKED => code::BUSY,
        code::READONLY => code::READONLY,
        code::AUTH => code::AUTH,
        same @ (code::TOOBIG | code::MISMATCH | code::RANGE) => same,
        _ => code::ERROR,
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Error, Kind};

    /// Each kind once: a new one does not compile before it is added here.
    fn after(kind: Kind) -> Option<Kind> {
        Some(match kind {
            Kind::BadArgument => Kind::Misuse,
            Kind::Misuse => Kind::Auth,
            Kind::Auth => Kind::Unreachable,
            Kind::Unreachable => Kind::Unavailable,
            Kind::Unavailable => Kind::OutcomeUnknown,
            Kind::OutcomeUnknown => Kind::TransactionLost,
            Kind::TransactionLost => Kind::Busy,
            Kind::Busy => Kind::RemoteBusy,
            Kind::RemoteBusy => Kind::Protocol,
            Kind::Protocol => Kind::NotAllowed,
            Kind::NotAllowed => Kind::Local,
            Kind::Local => Kind::Interrupted,
            Kind::Interrupted => Kind::Panic,
            Kind::Panic => Kind::Remote(0),
            Kind::Remote(code) if code < 100 => Kind::Remote(code + 1),
            Kind::Remote(_) => return None,
        })
    }

    /// The table of the reference tells of each code that a host may see and of no
    /// other, by the name and the number that `code` gives it.
    #[test]
    fn the_reference_tells_of_each_code() {
        let kinds = std::iter::successors(Some(Kind::BadArgument), |kind| after(*kind));
        let seen: BTreeSet<i32> = kinds.map(|kind| Error::new(kind, "").code()).collect();
        let page = include_str!("../docs/reference.md");
        let section = page.split("## Errors").nth(1).expect("a section");
        let table = section.split("\n## ").next().expect("its text");
        let mut told = BTreeSet::new();
        for cell in table.lines().filter_map(|line| line.strip_prefix("| `")?.split(" |").next()) {
            for entry in cell.split(", `") {
                let (name, numbers) = entry.split_once("` ").expect("a name and its number");
                let number = numbers.split(',').next().expect("a number");
                let name = name.trim_start_matches("SQLITE_").trim_end_matches("_*");
                let line = format!("pub const {name}: i32 = {number};");
                assert!(include_str!("code.rs").contains(&line), "no such code: {line}");
                told.insert(number.parse().expect("a number"));
            }
        }
        assert_eq!(told, seen);
    }
}
