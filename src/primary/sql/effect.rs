//! What a request with SQL can do, and so what it means when no answer comes.

use crate::error::{Error, Kind};
use crate::proto::hrana;
use crate::units::MB;

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
    /// The answer takes more memory than it may: `most` bytes.
    pub fn too_long(self, most: usize) -> Error {
        let happened = if self == Effect::Lasting { ", and the statement took effect" } else { "" };
        let text = format!(
            "the primary's answer takes more than {} MB{happened}; ask for less at a time, or \
             raise the option max_answer",
            most / MB
        );
        match self {
            Effect::InTransaction => hrana::transaction_lost(&text),
            Effect::None | Effect::Lasting => Error::new(Kind::Remote(18), text),
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
