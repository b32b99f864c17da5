//! A transaction on the primary that lasts over several calls: begin, what
//! happens in it, commit and rollback.
//!
//! A transaction that was lost is remembered until the caller ends it, or the
//! rest of its statements would each take effect alone.

use super::Landed;
use super::query::is_read;
use crate::error::{Error, Kind, Result};
use crate::patience::Patience;
use crate::primary::{Mode, RemoteTransaction, Statement, StatementResult};
use crate::replica::Replica;

/// The transaction of a connection.
#[derive(Default)]
pub enum Interactive {
    #[default]
    None,
    Open(Open),
    /// It is gone, and the caller has not said that it knows.
    Lost,
}

pub struct Open {
    mode: Mode,
    remote: Box<dyn RemoteTransaction>,
}

impl Replica {
    pub fn begin(&self, mode: Mode) -> Result<()> {
        self.check_no_batch()?;
        if matches!(&*self.interactive.borrow(), Interactive::Open(_)) {
            let text = "a transaction is open already; end it with replica_commit() or \
                        replica_rollback()";
            return Err(Error::new(Kind::Misuse, text));
        }
        self.interactive.take();
        let remote = self.syncer.primary.clone().begin(mode, &self.patience());
        let remote = self.noted(remote)?;
        self.interactive.replace(Interactive::Open(Open { mode, remote }));
        Ok(())
    }

    /// Makes the open transaction last, then pulls up to it.
    pub fn commit(&self) -> Result<Landed> {
        let mut open = match self.interactive.take() {
            Interactive::Open(open) => open,
            Interactive::Lost => {
                let text = "the transaction was lost before, and nothing of it took effect; \
                            begin it again";
                return Err(Error::new(Kind::TransactionLost, text));
            }
            Interactive::None => return Err(nothing_open()),
        };
        let before = self.syncer.file.position();
        let committed = open.remote.commit(&self.patience());
        if open.remote.is_open() {
            self.interactive.replace(Interactive::Open(open));
        }
        let frame_no = self.noted(committed)?;
        Ok(self.land(before.ok().flatten(), frame_no, true))
    }

    pub fn rollback(&self) -> Result<()> {
        match self.interactive.take() {
            Interactive::Open(mut open) => {
                open.remote.rollback();
                Ok(())
            }
            Interactive::Lost => Ok(()),
            Interactive::None => Err(nothing_open()),
        }
    }

    /// None if no transaction is open.
    pub(in crate::replica) fn write_in_transaction(
        &self,
        statements: &[Statement],
    ) -> Result<Option<Vec<StatementResult>>> {
        self.in_transaction(|open, patience| match open.mode {
            Mode::Immediate => open.remote.execute(statements, patience),
            Mode::Deferred => open.remote.execute(statements, patience).map_err(|error| {
                // What it has read is no longer the newest, so that waiting
                // cannot help.
                match error.kind() {
                    Kind::RemoteBusy => error.and("roll back, and begin with 'immediate'"),
                    _ => error,
                }
            }),
            Mode::Read => {
                let read = |statement| {
                    // A read never waits for a lock; this was the attempt to write
                    // after somebody else did.
                    let busy = |error: Error| match error.kind() {
                        Kind::RemoteBusy => only_reads(),
                        _ => error,
                    };
                    let result = open.remote.query(statement, patience).map_err(busy)?;
                    if is_read(&result) { Ok(result) } else { Err(only_reads()) }
                };
                statements.iter().map(read).collect()
            }
        })
    }

    /// None if no transaction is open.
    pub(in crate::replica) fn query_in_transaction(
        &self,
        statement: &Statement,
    ) -> Result<Option<StatementResult>> {
        self.in_transaction(|open, patience| open.remote.query(statement, patience))
    }

    /// Runs `work` in the open transaction for writes, if there is one.
    pub(in crate::replica) fn in_write_transaction<T>(
        &self,
        work: impl FnOnce(&mut dyn RemoteTransaction, &Patience) -> Result<T>,
    ) -> Result<Option<T>> {
        self.in_transaction(|open, patience| match open.mode {
            Mode::Deferred | Mode::Immediate => work(&mut *open.remote, patience),
            Mode::Read => Err(only_reads()),
        })
    }

    pub(in crate::replica) fn has_open_transaction(&self) -> bool {
        !matches!(&*self.interactive.borrow(), Interactive::None)
    }

    /// The transaction is taken out while `work` waits for the network, so
    /// that nothing is borrowed meanwhile.
    fn in_transaction<T>(
        &self,
        work: impl FnOnce(&mut Open, &Patience) -> Result<T>,
    ) -> Result<Option<T>> {
        let mut open = match self.interactive.take() {
            Interactive::Open(open) => open,
            Interactive::None => return Ok(None),
            Interactive::Lost => {
                self.interactive.replace(Interactive::Lost);
                let text = "the transaction was lost before, so that this was not sent; call \
                            replica_rollback() and begin it again";
                return Err(Error::new(Kind::TransactionLost, text));
            }
        };
        let outcome = work(&mut open, &self.patience());
        if open.remote.is_open() {
            self.interactive.replace(Interactive::Open(open));
            return self.noted(outcome).map(Some);
        }
        self.interactive.replace(Interactive::Lost);
        let outcome = outcome.map_err(|error| match error.kind() {
            Kind::TransactionLost => error,
            _ => error.and("this has ended the transaction, and nothing of it took effect"),
        });
        self.noted(outcome).map(Some)
    }
}

fn only_reads() -> Error {
    let text = "the transaction was begun to read, so that nothing was written; end it, and begin \
                one without 'read'";
    Error::new(Kind::NotAllowed, text)
}

fn nothing_open() -> Error {
    Error::new(Kind::Misuse, "no transaction is open; call replica_begin() first")
}
