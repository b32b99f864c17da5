//! What a request with SQL can do, and so what it means when no answer comes.

use crate::error::{Error, Kind};
use crate::proto::hrana;

/// Longest answer to SQL that is held in memory. sqld's own limit is 10 MB
/// unless it is told otherwise.
pub(in crate::primary) const MAX_SQL_ANSWER: usize = 256 * 1024 * 1024;

/// What a request can do, which decides what it means if no answer comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::primary) enum Effect {
    /// Nothing that lasts, and it may be sent twice.
    None,
    /// It may have happened.
    Lasting,
    /// Nothing that lasts: it belongs to a transaction, which is lost with the
    /// answer.
    InTransaction,
}

impl Effect {
    /// The answer is longer than anybody should hold in memory.
    pub fn too_long(self) -> Error {
        let text = "the primary's answer is longer than 256 MiB; ask for less at a time";
        match self {
            Effect::None => Error::new(Kind::Remote(18), text),
            Effect::InTransaction => hrana::transaction_lost(text),
            Effect::Lasting => {
                let text = "the primary's answer is longer than 256 MiB, and the statement \
                            took effect; ask for less at a time";
                Error::new(Kind::Remote(18), text)
            }
        }
    }

    /// Something came back, but it does not say what happened.
    pub fn undecodable(self, error: Error) -> Error {
        match error.kind() {
            Kind::Protocol => self.unanswered(error),
            _ => error,
        }
    }

    /// The request was sent, and nothing came back.
    pub fn unanswered(self, cause: Error) -> Error {
        match self {
            Effect::None => cause,
            Effect::InTransaction => hrana::transaction_lost(&cause.to_string()),
            Effect::Lasting => Error::new(
                Kind::OutcomeUnknown,
                format!(
                    "the outcome of this write is unknown: {cause}; read the data back before \
                     trying again"
                ),
            ),
        }
    }
}
