//! Whether the primary is the one that the entries were queued for.
//!
//! A primary that no longer holds the position of a file was restored, wiped,
//! or has merely crashed: sqld begins a new log each time. The position does
//! not tell whether anything was lost. What does is a write that was known to
//! be there: if the primary still has it, it has all that came before it.

use super::Replica;
use crate::clock::now_unix_ms;
use crate::error::{Kind, Result};
use crate::options::AfterReset;
use crate::outbox::{Entry, Last};
use crate::patience::Patience;
use crate::position::{Fingerprint, Position};
use crate::primary::{Begin, Statement, Until};
use crate::sqltext::value::Value;
use crate::units::FrameNo;
use crate::write_id::WriteId;

/// The newest writes with an id that the file knows of.
const NEWEST: &str = "SELECT group_concat(client || '-' || sequence, char(31)) FROM (SELECT client, \
                      max(sequence) AS sequence FROM main._replica_writes WHERE time = (SELECT \
                      max(time) FROM main._replica_writes) GROUP BY client LIMIT 20)";

const IS_THERE: &str = "SELECT 1 FROM _replica_writes WHERE client = ? AND sequence >= ?";

/// Rows of ids that are older may have been tidied up by somebody: 7 days.
const TIDIED_UP_MS: i64 = 7 * 86_400_000;

/// What is known of the primary's history during one delivery.
pub struct History<'r> {
    replica: &'r Replica<'r>,
    rule: AfterReset,
    /// The last position that was found to be a part of it.
    holds: Option<Position>,
    /// The primary has what the file knows, although it is another history.
    is_proved: bool,
}

impl<'r> History<'r> {
    pub fn new(replica: &'r Replica<'r>, rule: AfterReset) -> History<'r> {
        History { replica, rule, holds: None, is_proved: false }
    }

    /// Where the primary stands after a write whose answer told its frame.
    pub fn position_of(&self, frame_no: Option<u64>) -> Option<String> {
        let history = Fingerprint::of(&self.replica.primary.history()?);
        Position::of_frame(history, FrameNo(frame_no?)).token()
    }

    /// What the primary must hold for this entry, said in its transaction.
    pub fn condition(&self, entry: &Entry) -> Option<WriteId> {
        let always = self.rule == AfterReset::Always;
        entry.after.as_ref().filter(|_| !always).map(|last| last.id.clone())
    }

    /// Why an entry is not to be sent; None where it is.
    pub fn refuses(&mut self, entry: &Entry, patience: &Patience) -> Result<Option<String>> {
        // Nothing was known when it was queued.
        let Some(queued_at) = entry.position.as_deref() else { return Ok(None) };
        if self.rule == AfterReset::Always {
            return Ok(None);
        }
        let queued_at = Position::from_token(queued_at);
        if let Some(position) = queued_at {
            if self.holds(position, patience)? {
                return Ok(None);
            }
        }
        if self.rule == AfterReset::Never {
            return Ok(Some(stopped("")));
        }
        // Where something was delivered before, the entry's own transaction
        // asks for it.
        if entry.after.is_some() || self.is_proved {
            return Ok(None);
        }
        self.is_proved = match queued_at {
            Some(position) => self.has_what_the_file_knows(position, patience)?,
            None => false,
        };
        Ok((!self.is_proved).then(|| stopped(UNPROVED)))
    }

    /// Whether what was delivered last is missing only because somebody has
    /// tidied up.
    pub fn was_tidied_up(&mut self, last: &Last, patience: &Patience) -> Result<bool> {
        let position = last.position.as_deref().and_then(Position::from_token);
        let Some(position) = position.filter(|_| now_unix_ms() - last.unix_ms > TIDIED_UP_MS)
        else {
            return Ok(false);
        };
        self.holds = None;
        self.holds(position, patience)
    }

    /// Whether a position is a part of the primary's history. A question costs
    /// a round trip, so it is asked for as much as possible at once.
    fn holds(&mut self, wanted: Position, patience: &Patience) -> Result<bool> {
        if self.holds.is_some_and(|position| position.covers(wanted)) {
            return Ok(true);
        }
        let of_file = self.replica.position.filter(|position| position.covers(wanted));
        let from = of_file.unwrap_or(wanted);
        // What it would bring is left to the pull.
        let begin = self.replica.primary.open(Some(from), Until::Head, patience)?;
        let holds = !matches!(begin, Begin::Diverged { .. });
        self.holds = holds.then_some(from);
        Ok(holds)
    }

    /// Whether the primary has the newest write of which the file knows.
    fn has_what_the_file_knows(&self, queued_at: Position, patience: &Patience) -> Result<bool> {
        if !self.replica.position.is_some_and(|position| position.covers(queued_at)) {
            // The file has gone over to the other history already.
            return Ok(false);
        }
        let names = (self.replica.names)(NEWEST);
        let newest: Vec<WriteId> = names.split('\u{1f}').filter_map(WriteId::parse).collect();
        if newest.is_empty() {
            return Ok(false);
        }
        let sql = self.replica.primary.sql(patience)?;
        for id in newest {
            let sequence = i64::try_from(id.sequence).unwrap_or(i64::MAX);
            let args = vec![Value::Text(id.client), Value::Integer(sequence)];
            let asked = sql.query(&Statement { sql: IS_THERE.to_owned(), args }, patience);
            match asked.map(|answer| answer.results.iter().all(|one| one.rows.is_empty())) {
                Ok(false) => {}
                Ok(true) => return Ok(false),
                // There is no such table.
                Err(error) if matches!(error.kind(), Kind::Remote(_)) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

const UNPROVED: &str = ", and nothing proves that it still has what was known here";

/// The last write that was delivered is not there.
pub const LOST: &str = ", and it no longer has the last write that was delivered from here";

/// Why everything waits.
pub fn stopped(why: &str) -> String {
    format!(
        "the primary's history is another one than when this was queued (it was restored, wiped \
         or crashed){why}: what waits may belong to data that is gone; SELECT \
         replica_deliver('{{\"after_reset\":\"always\"}}') delivers it all the same"
    )
}
