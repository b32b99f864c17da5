//! What a request with SQL means when no answer says what came of it.

use crate::code;
use crate::error::{Error, Kind};
use crate::proto::hrana;
use crate::units::MB;

/// What it means if a request was sent, and nothing says what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::primary) enum IfUnanswered {
    /// Nothing that lasts, and it may be sent twice.
    Harmless,
    /// It may have happened.
    Unknown,
    /// The same, and whoever sent it can find out.
    Ask,
    /// It belongs to a transaction, which is lost with the answer.
    Lost,
}

impl IfUnanswered {
    /// The answer takes more memory than it may: `most` bytes.
    pub fn too_long(self, most: usize) -> Error {
        let happened = if matches!(self, IfUnanswered::Unknown | IfUnanswered::Ask) {
            ", and the statement took effect"
        } else {
            ""
        };
        let text = format!(
            "the primary's answer takes more than {} MB{happened}; ask for less at a time, or \
             raise the option max_answer",
            most / MB
        );
        match self {
            IfUnanswered::Lost => hrana::transaction_lost(&text),
            IfUnanswered::Harmless | IfUnanswered::Unknown | IfUnanswered::Ask => {
                Error::new(Kind::Remote(code::TOOBIG), text)
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

    /// The request was sent, and nothing came back that says what happened.
    pub fn unanswered(self, cause: Error) -> Error {
        match self {
            IfUnanswered::Harmless => cause,
            IfUnanswered::Lost => hrana::transaction_lost(&cause.to_string()),
            IfUnanswered::Ask => Error::new(Kind::OutcomeUnknown, cause.to_string()),
            IfUnanswered::Unknown => Error::new(
                Kind::OutcomeUnknown,
                format!(
                    "the outcome of this write is unknown: {cause}; read the data back before \
                     trying again"
                ),
            ),
        }
    }
}
