//! Writes that happen once: an id goes with each, and after a lost answer the
//! primary is asked by it.
//!
//! A write that is a request of its own is simply sent again under its id: the
//! primary runs it, or says what came of it before. A commit cannot be sent
//! again; it is asked for, in a way that keeps a late copy from arriving.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::Duration;

use super::Work;
use crate::error::{Error, Kind, Result};
use crate::host::random_name;
use crate::patience::{Deadline, Patience};
use crate::primary::{Attempt, Executed, Fate, Noted, Once, OnceWork, StatementResult};
use crate::replica::Replica;
use crate::sqltext::digest::digest;
use crate::write_id::WriteId;

/// Pauses between attempts: doubled from the first to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LAST_PAUSE: Duration = Duration::from_secs(1);

/// The ids that this connection gives.
#[derive(Default)]
pub struct Ids(RefCell<Given>);

#[derive(Default)]
struct Given {
    /// None before the first write.
    client: Option<String>,
    last: u64,
    /// Those whose outcome is not known.
    open: BTreeSet<u64>,
}

impl Ids {
    fn next(&self) -> Once {
        let mut given = self.0.borrow_mut();
        given.last += 1;
        let sequence = given.last;
        let settled = given.open.first().copied().unwrap_or(sequence);
        let client = given.client.get_or_insert_with(random_name).clone();
        let id = WriteId { client, sequence };
        Once { id, digest: String::new(), settled, after: None }
    }

    /// Gives names from now on that have nothing to do with the earlier ones.
    pub fn begin_anew(&self) {
        *self.0.borrow_mut() = Given::default();
    }

    /// Nobody knows what became of it: its row must stay on the primary.
    fn leave_open(&self, id: &WriteId) {
        self.0.borrow_mut().open.insert(id.sequence);
    }

    /// Its outcome has been told.
    pub fn settle(&self, id: &WriteId) {
        let mut given = self.0.borrow_mut();
        if given.client.as_deref() == Some(&id.client) {
            given.open.remove(&id.sequence);
        }
    }
}

/// What a write came to whose primary stays away.
pub struct LeftOpen {
    pub id: WriteId,
    pub digest: String,
    pub cause: Error,
}

/// How a write that is to happen once has ended.
pub enum Ended {
    Known(Result<Executed>),
    Open(LeftOpen),
}

impl Replica {
    /// Whether writes happen once without being asked for it.
    pub(in crate::replica) fn writes_once(&self) -> bool {
        self.options.exactly_once || self.options.offline_writes
    }

    /// Sends it until its outcome is known or the patience is over.
    pub(super) fn send_once(&self, work: Work<'_>, patience: &Patience) -> Ended {
        let Some(once_work) = work.once() else {
            return Ended::Known(work.alone(&self.syncer.primary, patience));
        };
        let mut once = self.ids.next();
        once.digest = digest_of(once_work);
        let mut attempts = Attempts::new(patience);
        loop {
            let sql = self.syncer.primary.sql(patience);
            let outcome = sql.and_then(|sql| sql.execute_once(once_work, &once, patience));
            let error = match outcome {
                Ok(Attempt::Executed(executed)) => return Ended::Known(Ok(executed)),
                Ok(Attempt::NotTaken { fate, frame_no }) => {
                    let told = told(fate, frame_no, once_work.len());
                    return Ended::Known(told.unwrap_or_else(|| Err(contradiction())));
                }
                Err(error) => error,
            };
            match (attempts.lost.is_some(), error.kind()) {
                (_, Kind::OutcomeUnknown) => {}
                // Nothing is under way.
                (false, _) => return Ended::Known(Err(error)),
                (true, kind) if may_pass(kind) => {}
                (true, kind) if is_refusal(kind) => {
                    // The copy that was lost may still arrive, and be taken.
                    match self.fate_of(&once.id, &once.digest, patience) {
                        Ok(fate) => {
                            let told = told(fate, None, once_work.len());
                            return Ended::Known(told.unwrap_or(Err(error)));
                        }
                        Err(_) => attempts.note(&error),
                    }
                }
                (true, _) => return self.leave_open(once, error),
            }
            if let Err(cause) = attempts.again(error) {
                return self.leave_open(once, cause);
            }
        }
    }

    fn leave_open(&self, once: Once, cause: Error) -> Ended {
        let Once { id, digest, .. } = once;
        self.ids.leave_open(&id);
        Ended::Open(LeftOpen { id, digest, cause })
    }

    /// Commits with an id, and asks for it where the answer is lost.
    pub(super) fn commit_once(
        &self,
        remote: &mut crate::primary::Transaction,
        patience: &Patience,
    ) -> Result<Option<u64>> {
        let once = self.ids.next();
        let committed = remote.commit_once(&once, patience);
        let lost = match committed {
            Err(error) if error.kind() == Kind::OutcomeUnknown => error,
            known => return known,
        };
        let mut attempts = Attempts::new(patience);
        let mut cause = lost;
        loop {
            if let Err(cause) = attempts.again(cause) {
                self.ids.leave_open(&once.id);
                return Err(open_error(&LeftOpen { id: once.id, digest: once.digest, cause }));
            }
            cause = match self.fate_of(&once.id, "", patience) {
                Ok(Fate::Committed(_)) => return Ok(None),
                Ok(_) => return Err(was_not_committed()),
                Err(error) if may_pass(error.kind()) => error,
                Err(error) => {
                    self.ids.leave_open(&once.id);
                    let open = LeftOpen { id: once.id, digest: once.digest, cause: error };
                    return Err(open_error(&open));
                }
            };
        }
    }

    pub(in crate::replica) fn fate_of(
        &self,
        id: &WriteId,
        digest: &str,
        patience: &Patience,
    ) -> Result<Fate> {
        self.syncer.primary.sql(patience)?.fate(id, digest, patience)
    }
}

/// The error of a write that was left open.
pub fn open_error(open: &LeftOpen) -> Error {
    let LeftOpen { id, cause, .. } = open;
    Error::new(
        Kind::OutcomeUnknown,
        format!(
            "the outcome of this write is unknown: {cause}; SELECT replica_outcome('{id}') tells it \
             when the primary is back, and write it again only if that says so"
        ),
    )
}

fn was_not_committed() -> Error {
    let text = "the primary has not committed, and will not: the request was lost on the way; \
                nothing of the transaction took effect, begin it again";
    Error::new(Kind::TransactionLost, text)
}

/// Ids are random, and nobody else asks for one that is being sent.
fn contradiction() -> Error {
    let text = "the primary does not take the id of this write, and nothing took effect; another \
                connection has asked for its outcome, or _replica_writes was changed by hand";
    Error::new(Kind::TransactionLost, text)
}

/// What a fate means for who sent the write; None where it has not happened.
fn told(fate: Fate, frame_no: Option<u64>, count: usize) -> Option<Result<Executed>> {
    match fate {
        Fate::Committed(noted) => {
            let results = results(noted, count);
            Some(Ok(Executed { results, frame_no, recovered: true }))
        }
        Fate::Refused | Fate::Another | Fate::Forgotten | Fate::NotAfter => None,
    }
}

/// What is noted is of the last statement.
fn results(noted: Noted, count: usize) -> Vec<StatementResult> {
    let mut results = vec![StatementResult::default(); count];
    if let Some(last) = results.last_mut() {
        last.rows_affected = noted.rows_affected;
        last.last_insert_rowid = noted.last_insert_rowid;
    }
    results
}

/// Whether an error says nothing about the write, and may be over in a moment.
fn may_pass(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::OutcomeUnknown
            | Kind::Unreachable
            | Kind::Unavailable
            | Kind::RemoteBusy
            | Kind::Busy
    )
}

/// Whether the primary has run the write and says no.
fn is_refusal(kind: Kind) -> bool {
    matches!(kind, Kind::Remote(_) | Kind::BadArgument | Kind::NotAllowed | Kind::TransactionLost)
}

fn digest_of(work: OnceWork<'_>) -> String {
    match work {
        OnceWork::Statements(statements) => {
            digest(statements.iter().map(|one| (one.sql.as_str(), one.args.as_slice())))
        }
        OnceWork::Rows(rows) => {
            digest(rows.rows.iter().map(|row| (&*row.sql, row.args.as_slice())))
        }
    }
}

/// Attempts that began with one whose answer was lost, for as long as the
/// patience lasts from then on.
struct Attempts<'p> {
    patience: &'p Patience,
    deadline: Option<Deadline<'p>>,
    /// What was said of the first one.
    lost: Option<Error>,
    pause: Duration,
}

impl<'p> Attempts<'p> {
    fn new(patience: &'p Patience) -> Attempts<'p> {
        Attempts { patience, deadline: None, lost: None, pause: FIRST_PAUSE }
    }

    fn note(&mut self, error: &Error) {
        self.lost.get_or_insert_with(|| error.clone());
    }

    /// Waits a little after `error`; the cause that remains where there is no
    /// time left.
    fn again(&mut self, error: Error) -> std::result::Result<(), Error> {
        self.note(&error);
        let patience = self.patience;
        let deadline = self.deadline.get_or_insert_with(|| patience.deadline());
        let pause = Patience { timeout: self.pause.min(deadline.left()), ..patience.clone() };
        self.pause = (self.pause * 2).min(LAST_PAUSE);
        let mut nap = pause.deadline();
        loop {
            match nap.pause() {
                Ok(true) => {}
                Ok(false) => break,
                Err(interrupted) => return Err(interrupted),
            }
        }
        if deadline.left().is_zero() { Err(error) } else { Ok(()) }
    }
}
