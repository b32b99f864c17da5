//! Delivery: what waits in the outbox goes to the primary, in order, each entry
//! as one atomic write under its own id.
//!
//! The id is what makes it happen once: an entry whose answer was lost is sent
//! again under the same id until the primary says what became of it. What is
//! asked of the primary is in `send`, whether it is the one that the entries
//! are meant for in `history`.

mod history;
mod send;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use self::history::History;
use self::send::{Sent, send};

pub use self::send::{done, fence};
use crate::clock::now_unix_ms;
use crate::error::{Error, Kind, Result};
use crate::fault;
use crate::host::Beside;
use crate::options::{AfterReset, OnConflict};
use crate::outbox::{Done, Entry, Lease, Next, Outbox};
use crate::patience::Patience;
use crate::position::Position;
use crate::primary::Primary;

/// The outbox of a replica, and how it is emptied.
#[derive(Clone)]
pub struct Delivery {
    pub place: Beside,
    /// For each wait on the file, and for another one who delivers.
    pub busy_timeout: Duration,
    pub on_conflict: OnConflict,
    pub after_reset: AfterReset,
    /// Whether this connection may write; shared with its worker.
    pub allowed: Arc<AtomicBool>,
    /// Whether another one who delivers is waited for.
    pub waits: bool,
}

/// The replica as it is before what is delivered comes down.
pub struct Replica<'a> {
    pub primary: &'a Primary,
    pub position: Option<Position>,
    /// What a query says that asks for names; nothing where it fails.
    pub names: &'a dyn Fn(&str) -> String,
    /// Is told, entry by entry, that a delivery goes on.
    pub at_work: &'a dyn Fn(),
}

/// What a delivery came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Delivered {
    pub delivered: u64,
    pub set_aside: u64,
    /// What waits still.
    pub waiting: u64,
    /// Why it waits, where somebody has to decide.
    pub stopped: Option<String>,
    /// Why it waits, where the next attempt may do.
    pub error: Option<Error>,
    /// Another connection is delivering.
    pub elsewhere: bool,
}

/// How an attempt to deliver everything has ended, if that is not the end.
enum Ending {
    Empty,
    Elsewhere,
    Stopped(String),
    Failed(Error),
}

impl Delivery {
    /// Forbids it from now on.
    pub fn forbid(&self) {
        self.allowed.store(false, Ordering::Relaxed);
    }

    /// Delivers what waits; None where nothing does, or where this connection
    /// may not. An error is one of the outbox, or an interrupt: whatever keeps
    /// the primary from taking an entry stands in the report.
    pub fn deliver(&self, replica: &Replica, patience: &Patience) -> Result<Option<Delivered>> {
        if !self.allowed.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let Some(outbox) = Outbox::find(&self.place, self.busy_timeout)? else { return Ok(None) };
        if !outbox.has_waiting()? {
            return Ok(None);
        }
        let mut report = Delivered::default();
        match self.take_lease(&outbox, patience)? {
            Some(lease) => {
                let ending = self.run(&outbox, &lease, replica, patience, &mut report);
                outbox.end_lease(&lease);
                match ending? {
                    Ending::Empty => {}
                    Ending::Elsewhere => report.elsewhere = true,
                    Ending::Stopped(why) => report.stopped = Some(why),
                    Ending::Failed(error) if error.kind() == Kind::Interrupted => {
                        return Err(error);
                    }
                    Ending::Failed(error) => report.error = Some(error),
                }
            }
            None => report.elsewhere = true,
        }
        report.waiting = outbox.counts()?.waiting;
        Ok(Some(report))
    }

    /// None while another one delivers.
    fn take_lease(&self, outbox: &Outbox, patience: &Patience) -> Result<Option<Lease>> {
        let patience = Patience { timeout: self.busy_timeout, ..patience.clone() };
        let mut deadline = patience.deadline();
        loop {
            let lease = outbox.take_lease(now_unix_ms())?;
            let goes_on = lease.is_none() && self.waits && outbox.has_waiting()?;
            if !goes_on || !deadline.pause()? {
                return Ok(lease);
            }
        }
    }

    fn run(
        &self,
        outbox: &Outbox,
        lease: &Lease,
        replica: &Replica,
        patience: &Patience,
        report: &mut Delivered,
    ) -> Result<Ending> {
        let mut history = History::new(replica, self.after_reset);
        let stop = self.on_conflict == OnConflict::Stop;
        let mut last: Option<(Box<Entry>, Done, Option<String>)> = None;
        loop {
            let done = last.as_ref().map(|(entry, done, at)| (&**entry, *done, at.as_deref()));
            let entry = match outbox.advance(lease, done, stop, now_unix_ms())? {
                Next::Entry(entry) => entry,
                Next::Nothing => return Ok(Ending::Empty),
                Next::LeaseLost => return Ok(Ending::Elsewhere),
                Next::Stopped { number, error } => {
                    return Ok(Ending::Stopped(aside(number, &error)));
                }
            };
            last = None;
            (replica.at_work)();
            // Whoever interrupts wants it to be as it was.
            if let Err(interrupted) = patience.check() {
                outbox.put_back(lease, &entry, entry.sent_before, "interrupted")?;
                return Err(interrupted);
            }
            match send(&entry, replica.primary, &mut history, patience) {
                Sent::Done { done, frame_no } => {
                    fault::point("outbox entry delivered");
                    report.delivered += 1;
                    last = Some((entry, done, history.position_of(frame_no)));
                }
                Sent::Refused(error) => {
                    fault::point("outbox entry refused");
                    outbox.set_aside(&entry, &error)?;
                    report.set_aside += 1;
                }
                Sent::IdIsAnothers => outbox.leave_id(&entry)?,
                Sent::Kept { error, under_way } => {
                    let sent = under_way || entry.sent_before;
                    outbox.put_back(lease, &entry, sent, &error.to_string())?;
                    return Ok(Ending::Failed(error));
                }
                Sent::Stopped { why, under_way } => {
                    outbox.put_back(lease, &entry, under_way || entry.sent_before, &why)?;
                    outbox.distrust_positions()?;
                    return Ok(Ending::Stopped(why));
                }
            }
        }
    }
}

fn aside(number: i64, error: &str) -> String {
    format!(
        "entry {number} was refused and those behind it wait (on_conflict is stop): {error}; call \
         replica_retry({number}) or replica_discard({number})"
    )
}
