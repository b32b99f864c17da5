//! One entry, and what the primary makes of it.

use super::history::{History, LOST, stopped};
use std::time::{Duration, Instant};

use crate::code;
use crate::error::{Error, Kind, Result};
use crate::fault;
use crate::outbox::{Done, Entry};
use crate::patience::Patience;
use crate::primary::{Attempt, Fate, Noted, Once, OnceWork, Primary};

/// What became of an entry that was sent.
pub enum Sent {
    Done {
        done: Done,
        /// The primary's last frame after it, where it tells.
        frame_no: Option<u64>,
    },
    /// It did not happen and never will under this id; what the primary said.
    Refused(String),
    /// Another write took effect under its id.
    IdIsAnothers,
    /// It is still to be delivered. `under_way`: it may have arrived.
    Kept { error: Error, under_way: bool },
    /// It is not to be delivered before somebody says so.
    Stopped { why: String, under_way: bool },
}

pub fn send(entry: &Entry, primary: &Primary, history: &mut History, patience: &Patience) -> Sent {
    match history.refuses(entry, patience) {
        Ok(None) => {}
        Ok(Some(why)) => return Sent::Stopped { why, under_way: false },
        Err(error) => return Sent::Kept { error, under_way: false },
    }
    let mut once = Once {
        id: entry.id.clone(),
        digest: entry.digest.clone(),
        settled: entry.settled,
        after: history.condition(entry),
    };
    let mut request = Request { entry, primary, patience, lost: false };
    let sent = request.attempt(&once);
    let (Ok(Attempt::NotTaken { fate: Fate::NotAfter, .. }), Some(last)) = (&sent, &entry.after)
    else {
        return request.meaning(sent, &once);
    };
    match history.was_tidied_up(last, patience) {
        Ok(false) => Sent::Stopped { why: stopped(LOST), under_way: request.lost },
        Ok(true) => {
            once.after = None;
            let sent = request.attempt(&once);
            request.meaning(sent, &once)
        }
        Err(error) => Sent::Kept { error, under_way: request.lost },
    }
}

/// A connection that was kept from before is often found dead, and at once: an
/// entry whose answer is lost sooner than this is sent a second time.
const AT_ONCE: Duration = Duration::from_secs(1);

/// An entry on its way to the primary.
struct Request<'a> {
    entry: &'a Entry,
    primary: &'a Primary,
    patience: &'a Patience,
    /// An answer was lost, so a copy of it may have arrived, or may arrive yet.
    lost: bool,
}

impl Request<'_> {
    fn attempt(&mut self, once: &Once) -> Result<Attempt> {
        let started = Instant::now();
        let first = self.send(once);
        let is_lost = matches!(&first, Err(error) if error.kind() == Kind::OutcomeUnknown);
        if !is_lost || started.elapsed() >= AT_ONCE {
            return first;
        }
        self.lost = true;
        self.send(once)
    }

    fn send(&self, once: &Once) -> Result<Attempt> {
        fault::point("outbox entry to be sent");
        let work = OnceWork::Statements(&self.entry.statements);
        self.primary.sql(self.patience)?.execute_once(work, once, self.patience)
    }

    fn meaning(&self, sent: Result<Attempt>, once: &Once) -> Sent {
        match sent {
            Ok(Attempt::Executed(executed)) => {
                let last = executed.results.last();
                let done = Done {
                    rows_affected: last.and_then(|last| last.rows_affected),
                    last_insert_rowid: last.and_then(|last| last.last_insert_rowid),
                };
                Sent::Done { done, frame_no: executed.frame_no }
            }
            Ok(Attempt::NotTaken { fate, frame_no }) => known(fate, frame_no, ASKED),
            // A copy of it may still arrive, and be taken then.
            Err(error) if is_about_the_entry(&error) => {
                match fence(once, self.primary, self.patience) {
                    Ok(fate) => known(fate, None, &error.to_string()),
                    Err(unfenced) => Sent::Kept { error: unfenced, under_way: true },
                }
            }
            Err(error) => Sent::Kept { under_way: self.lost || may_be_under_way(&error), error },
        }
    }
}

/// Takes the id, so that no copy of the entry can take it any more; what became
/// of it before.
pub fn fence(once: &Once, primary: &Primary, patience: &Patience) -> Result<Fate> {
    primary.sql(patience)?.fate(&once.id, &once.digest, patience)
}

const ASKED: &str = "its id was given up: replica_outcome() was asked for it elsewhere, and has \
                     answered that it is not committed";

const FORGOTTEN: &str = "what became of it is no longer recorded: another copy of this outbox has \
                         delivered what comes behind it; look whether it has happened";

fn known(fate: Fate, frame_no: Option<u64>, refused: &str) -> Sent {
    match fate {
        Fate::Committed(noted) => Sent::Done { done: done(noted), frame_no },
        Fate::Refused => Sent::Refused(refused.to_owned()),
        Fate::Another => Sent::IdIsAnothers,
        Fate::Forgotten | Fate::NotAfter => Sent::Refused(FORGOTTEN.to_owned()),
    }
}

pub fn done(noted: Noted) -> Done {
    Done { rows_affected: noted.rows_affected, last_insert_rowid: noted.last_insert_rowid }
}

/// Whether the request may arrive yet, or have arrived.
fn may_be_under_way(error: &Error) -> bool {
    let answered = matches!(error.kind(), Kind::Remote(_) | Kind::Auth | Kind::NotAllowed);
    !answered && !error.can_retry()
}

/// Whether the primary has run it and says no, and would do so again. A full
/// disk, a token without the right to write, a table of ours that is somebody
/// else's: these are not the entry's fault.
fn is_about_the_entry(error: &Error) -> bool {
    match error.kind() {
        Kind::BadArgument | Kind::TransactionLost => true,
        Kind::Remote(number) => matches!(
            code::primary(number),
            code::ERROR
                | code::CONSTRAINT
                | code::TOOBIG
                | code::MISMATCH
                | code::RANGE
                | code::AUTH
        ),
        _ => false,
    }
}
