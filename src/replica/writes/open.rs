//! The one owner of "is a transaction open on the primary": of the caller, from
//! begin to commit or rollback, or of a batch that is being sent.
//!
//! A transaction that was lost is remembered until the caller ends it, or the
//! rest of its statements would each take effect alone.

use super::{Arrival, Work, is_read};
use crate::error::{Error, Kind, Result};
use crate::patience::Patience;
use crate::primary::{Description, Mode, Statement, StatementResult, Transaction};
use crate::replica::Replica;

/// The transaction of this connection on the primary.
#[derive(Default)]
pub enum OpenState {
    #[default]
    None,
    /// Of `begin`.
    Caller(CallersTransaction),
    /// Of a batch whose pieces are being sent; it holds the write lock there.
    Batch(Transaction),
    /// It is gone, and the caller has not said that it knows.
    Lost,
}

pub struct CallersTransaction {
    mode: Mode,
    /// Something in it may have changed something.
    wrote: bool,
    remote: Transaction,
}

impl Replica {
    pub fn begin(&self, mode: Mode) -> Result<()> {
        match &*self.open.borrow() {
            OpenState::None | OpenState::Lost => {}
            OpenState::Batch(_) => return Err(batch_is_running()),
            OpenState::Caller(_) => {
                let text = "a transaction is open already; end it with replica_commit() or \
                            replica_rollback()";
                return Err(Error::new(Kind::Misuse, text));
            }
        }
        let remote = self.begin_remote(mode)?;
        self.open.replace(OpenState::Caller(CallersTransaction { mode, wrote: false, remote }));
        Ok(())
    }

    /// Makes the open transaction last, then pulls up to it.
    pub fn commit(&self) -> Result<Arrival> {
        let mut open = match self.open.take() {
            OpenState::Caller(open) => open,
            OpenState::Lost => {
                let text = "the transaction was lost before, and nothing of it took effect; \
                            begin it again";
                return Err(Error::new(Kind::TransactionLost, text));
            }
            OpenState::None => return Err(nothing_open()),
            batch @ OpenState::Batch(_) => {
                self.open.replace(batch);
                return Err(batch_is_running());
            }
        };
        let before = self.syncer.file.position();
        let wrote = open.wrote;
        let committed = self.commit_remote(&mut open.remote, wrote, &self.patience());
        if open.remote.is_open() {
            self.open.replace(OpenState::Caller(open));
        }
        let frame_no = self.noted(committed)?;
        Ok(self.arrive(before.ok().flatten(), frame_no, true))
    }

    pub fn rollback(&self) -> Result<()> {
        match self.open.take() {
            OpenState::Caller(mut open) => {
                open.remote.rollback();
                Ok(())
            }
            // Pools roll back to be sure.
            OpenState::Lost | OpenState::None => Ok(()),
            batch @ OpenState::Batch(_) => {
                self.open.replace(batch);
                Err(batch_is_running())
            }
        }
    }

    pub(in crate::replica) fn has_open_transaction(&self) -> bool {
        !matches!(&*self.open.borrow(), OpenState::None)
    }

    /// What there is of a transaction: `none`, `deferred`, `immediate`, `read`,
    /// or `lost` where it is gone and the caller has not ended it yet.
    pub fn transaction_state(&self) -> &'static str {
        match &*self.open.borrow() {
            OpenState::None => "none",
            OpenState::Batch(_) => "batch",
            OpenState::Lost => "lost",
            OpenState::Caller(open) => match open.mode {
                Mode::Deferred => "deferred",
                Mode::Immediate | Mode::Migration => "immediate",
                Mode::Read => "read",
            },
        }
    }

    /// Runs it in the caller's transaction; None if there is none.
    ///
    /// The transaction is taken out while the network is waited for, so that
    /// nothing is borrowed meanwhile.
    pub(super) fn run_inside(&self, work: Work<'_>) -> Result<Option<Vec<StatementResult>>> {
        let mut open = match self.open.take() {
            OpenState::Caller(open) => open,
            OpenState::None => return Ok(None),
            OpenState::Lost => {
                self.open.replace(OpenState::Lost);
                let text = "the transaction was lost before, so that this was not sent; call \
                            replica_rollback() and begin it again";
                return Err(Error::new(Kind::TransactionLost, text));
            }
            batch @ OpenState::Batch(_) => {
                self.open.replace(batch);
                // What only reads is a request of its own beside it.
                return if matches!(work, Work::Query(_)) {
                    Ok(None)
                } else {
                    Err(batch_is_running())
                };
            }
        };
        let outcome = open.run(work, &self.patience());
        if open.remote.is_open() {
            self.open.replace(OpenState::Caller(open));
            return self.noted(outcome).map(Some);
        }
        self.open.replace(OpenState::Lost);
        let outcome = outcome.map_err(|error| match error.kind() {
            Kind::TransactionLost => error,
            _ => error.and("this has ended the transaction, and nothing of it took effect"),
        });
        self.noted(outcome).map(Some)
    }

    /// Describes a statement in the caller's transaction; None if there is none.
    pub(super) fn describe_inside(&self, sql: &str) -> Result<Option<Description>> {
        let mut open = match self.open.take() {
            OpenState::Caller(open) => open,
            other => {
                self.open.replace(other);
                return Ok(None);
            }
        };
        let described = open.remote.describe(sql, &self.patience());
        let still_open = open.remote.is_open();
        self.open.replace(if still_open { OpenState::Caller(open) } else { OpenState::Lost });
        self.noted(described).map(Some)
    }

    /// Opens the transaction of a batch.
    pub(super) fn begin_batch(&self) -> Result<()> {
        if matches!(&*self.open.borrow(), OpenState::Batch(_)) {
            return Err(batch_is_running());
        }
        let remote = self.begin_remote(Mode::Immediate)?;
        self.open.replace(OpenState::Batch(remote));
        Ok(())
    }

    /// Runs it in the transaction of the batch.
    pub(super) fn run_in_batch(&self, work: Work<'_>) -> Result<Vec<StatementResult>> {
        let mut remote = self.take_batch()?;
        let results = work.inside(&mut remote, &self.patience());
        self.open.replace(OpenState::Batch(remote));
        self.noted(results)
    }

    /// Makes the batch last; the primary's last frame after it.
    pub(super) fn commit_batch(&self) -> Result<Option<u64>> {
        let mut remote = self.take_batch()?;
        let committed = self.commit_remote(&mut remote, true, &self.patience());
        self.noted(committed)
    }

    /// Commits; once, where writes are to happen once and there is one.
    pub(super) fn commit_remote(
        &self,
        remote: &mut Transaction,
        wrote: bool,
        patience: &Patience,
    ) -> Result<Option<u64>> {
        match wrote && self.writes_once() {
            true => self.commit_once(remote, patience),
            false => remote.commit(patience),
        }
    }

    /// Undoes the batch.
    pub(super) fn rollback_batch(&self) {
        if let Ok(mut remote) = self.take_batch() {
            remote.rollback();
        }
    }

    fn take_batch(&self) -> Result<Transaction> {
        match self.open.take() {
            OpenState::Batch(remote) => Ok(remote),
            other => {
                self.open.replace(other);
                Err(Error::new(Kind::TransactionLost, "the transaction of the batch is gone"))
            }
        }
    }

    pub(super) fn begin_remote(&self, mode: Mode) -> Result<Transaction> {
        let patience = self.patience();
        let sql = self.syncer.primary.sql(&patience);
        let remote = sql.and_then(|sql| sql.begin(mode, &patience));
        self.noted(remote)
    }
}

impl CallersTransaction {
    fn run(&mut self, work: Work<'_>, patience: &Patience) -> Result<Vec<StatementResult>> {
        let results = self.run_in_mode(work, patience);
        let reads = |results: &Vec<StatementResult>| results.iter().all(is_read);
        // A failed statement may have been one of several.
        self.wrote |= !matches!(work, Work::Query(_)) && !results.as_ref().is_ok_and(reads);
        results
    }

    fn run_in_mode(&mut self, work: Work<'_>, patience: &Patience) -> Result<Vec<StatementResult>> {
        match (self.mode, work) {
            (Mode::Read, Work::Script(statements)) => {
                statements.iter().map(|statement| self.read(statement, patience)).collect()
            }
            (Mode::Read, Work::Rows(_)) => Err(only_reads()),
            (Mode::Deferred, Work::Script(_)) => {
                work.inside(&mut self.remote, patience).map_err(|error| match error.kind() {
                    // What it has read is no longer the newest, so that waiting
                    // cannot help.
                    Kind::RemoteBusy => error.and("roll back, and begin with 'immediate'"),
                    _ => error,
                })
            }
            _ => work.inside(&mut self.remote, patience),
        }
    }

    fn read(&mut self, statement: &Statement, patience: &Patience) -> Result<StatementResult> {
        // A read never waits for a lock; this was the attempt to write after
        // somebody else did.
        let busy = |error: Error| match error.kind() {
            Kind::RemoteBusy => only_reads(),
            _ => error,
        };
        let result = self.remote.query(statement, patience).map_err(busy)?;
        if is_read(&result) { Ok(result) } else { Err(only_reads()) }
    }
}

fn batch_is_running() -> Error {
    let text = "a replica_batch() of the running statement is being sent; write before or after it";
    Error::new(Kind::Misuse, text)
}

fn only_reads() -> Error {
    let text = "the transaction was begun to read, so that nothing was written; end it, and begin \
                one without 'read'";
    Error::new(Kind::NotAllowed, text)
}

fn nothing_open() -> Error {
    Error::new(Kind::Misuse, "no transaction is open; call replica_begin() first")
}
