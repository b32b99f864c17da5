//! What is in an outbox.

use crate::host::value::{Argument, Output};
use crate::sqltext::statement::Statement;
use crate::sqltext::value::Value;
use crate::write_id::WriteId;

/// How far an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It waits, and no copy of it is under way.
    Pending,
    /// It waits for an answer, or for the next attempt after one was lost.
    Sent,
    /// The primary has refused it; it stays until somebody decides.
    SetAside,
    /// It took effect.
    Delivered,
    /// It did not, and never will.
    Discarded,
}

const NAMES: [(State, &str); 5] = [
    (State::Pending, "pending"),
    (State::Sent, "sent"),
    (State::SetAside, "set_aside"),
    (State::Delivered, "delivered"),
    (State::Discarded, "discarded"),
];

impl State {
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(state, _)| *state == self).map_or("", |(_, name)| name)
    }

    pub(super) fn named(name: &str) -> Option<State> {
        NAMES.iter().find(|(_, known)| *known == name).map(|(state, _)| *state)
    }
}

/// An entry as it is delivered.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub number: i64,
    pub id: WriteId,
    /// Tells it from another write that was given the same id.
    pub digest: String,
    /// Everything of its client below it is settled: nobody will ask.
    pub settled: u64,
    /// A copy of it may be under way, or have arrived.
    pub sent_before: bool,
    /// Where the replica stood when it was queued, as a text of the caller's.
    pub position: Option<String>,
    /// What this outbox has delivered before it.
    pub after: Option<Last>,
    pub statements: Vec<Statement>,
}

/// The last write that an outbox has delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Last {
    pub id: WriteId,
    /// Where the primary stood after it, where it tells.
    pub position: Option<String>,
    pub unix_ms: i64,
}

/// What an entry did, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    pub rows_affected: Option<u64>,
    pub last_insert_rowid: Option<i64>,
}

/// An entry as it is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub number: i64,
    pub id: WriteId,
    pub state: State,
    pub attempts: u64,
    pub error: Option<String>,
    pub enqueued_unix_ms: i64,
    pub tried_unix_ms: Option<i64>,
    pub ended_unix_ms: Option<i64>,
    pub done: Done,
    pub digest: String,
    /// Empty once it has ended.
    pub statements: Vec<Statement>,
}

/// How many there are, and what keeps the first of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub waiting: u64,
    pub set_aside: u64,
    pub error: Option<String>,
}

/// As SQLite binds it.
pub(super) fn argument(value: &Value) -> Argument<'_> {
    match value {
        Value::Null => Argument::Null,
        Value::Integer(integer) => Argument::Integer(*integer),
        Value::Real(real) => Argument::Real(*real),
        Value::Text(text) => Argument::Text(text.as_bytes()),
        Value::Blob(bytes) => Argument::Blob(bytes),
    }
}

fn value(output: Output) -> Value {
    match output {
        Output::Null => Value::Null,
        Output::Integer(integer) => Value::Integer(integer),
        Output::Real(real) => Value::Real(real),
        Output::Text(text) | Output::Json(text) => Value::Text(text),
        Output::Blob(bytes) => Value::Blob(bytes),
    }
}

pub(super) fn text(text: &str) -> Argument<'_> {
    Argument::Text(text.as_bytes())
}

pub(super) fn optional(value: Option<&str>) -> Argument<'_> {
    value.map_or(Argument::Null, text)
}

pub(super) fn integer(number: impl TryInto<i64>) -> Argument<'static> {
    number.try_into().map_or(Argument::Null, Argument::Integer)
}

/// Reads the columns of a row from the left.
pub(super) struct Columns(std::vec::IntoIter<Output>);

impl Columns {
    pub fn of(row: Vec<Output>) -> Columns {
        Columns(row.into_iter())
    }

    pub fn integer(&mut self) -> Option<i64> {
        match self.0.next() {
            Some(Output::Integer(integer)) => Some(integer),
            _ => None,
        }
    }

    pub fn number(&mut self) -> Option<u64> {
        self.integer().and_then(|integer| u64::try_from(integer).ok())
    }

    pub fn text(&mut self) -> Option<String> {
        match self.0.next() {
            Some(Output::Text(text)) => Some(text),
            _ => None,
        }
    }

    pub fn value(&mut self) -> Value {
        self.0.next().map_or(Value::Null, value)
    }

    pub fn id(&mut self) -> Option<WriteId> {
        let client = self.text();
        let sequence = self.number();
        Some(WriteId { client: client?, sequence: sequence? })
    }
}
