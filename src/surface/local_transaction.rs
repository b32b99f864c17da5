//! Ties a transaction on the primary to one of this connection: whoever ends the
//! local one, be it a pool, ends the other.
//!
//! SQLite tells virtual tables of the end of the transaction in which they were
//! created, and of nothing else that every host leaves alone. So there is one in
//! `temp`, without rows. A commit that the primary refuses undoes the local one.

use std::rc::Rc;

use super::Connection;
use crate::error::Result;
use crate::host::value::Argument;
use crate::host::vtab::{LocalTransaction, Rows, Table};
use crate::replica::Replica;

const NAME: &str = "replica_open_transaction";

/// How the local transaction came about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tie {
    /// There is none, or it could not be tied.
    #[default]
    None,
    /// `replica_begin` opened it, and what ends the remote one ends it.
    Ours,
    /// It was open already, and its owner ends it.
    Callers,
}

/// Opens a local transaction if there is none, and takes part in it. Where that
/// cannot be, as under an authorizer that forbids it, the transaction on the
/// primary stands alone.
pub fn tie(connection: &Connection) {
    let host = connection.host;
    let ours = host.is_autocommit();
    if ours && host.run("BEGIN").is_err() {
        return;
    }
    // The one of a transaction that was committed is still there.
    let tied = host.run(&format!("DROP TABLE IF EXISTS temp.{NAME}")).is_ok()
        && host.run(&format!("CREATE VIRTUAL TABLE temp.{NAME} USING {NAME}")).is_ok();
    match (tied, ours) {
        (true, true) => connection.tie.set(Tie::Ours),
        (true, false) => connection.tie.set(Tie::Callers),
        (false, true) => drop(host.run("COMMIT")),
        (false, false) => {}
    }
}

/// Ends the local transaction, if it is ours: the remote one is over.
pub fn untie(connection: &Connection) {
    let host = connection.host;
    if connection.tie.take() == Tie::Ours && !host.is_autocommit() {
        let _ = host.run(&format!("DROP TABLE IF EXISTS temp.{NAME}"));
        let _ = host.run("COMMIT");
    }
}

pub struct OpenTransaction(pub Rc<Connection>);

impl Table for OpenTransaction {
    fn name(&self) -> &'static str {
        NAME
    }

    fn schema(&self) -> &str {
        "CREATE TABLE x(unused)"
    }

    fn visible_columns(&self) -> usize {
        1
    }

    fn rows(&self, _: &[Option<Argument>]) -> Result<Box<dyn Rows>> {
        Ok(Box::new(Vec::new().into_iter()))
    }

    fn transaction(&self) -> Option<&dyn LocalTransaction> {
        Some(self)
    }
}

impl LocalTransaction for OpenTransaction {
    fn commit(&self) -> Result<()> {
        let tied = self.0.tie.replace(Tie::None) != Tie::None;
        if !tied || !self.0.is_attached() {
            return Ok(());
        }
        self.0.with_replica(|replica| match replica.transaction_state() {
            "none" => Ok(()),
            _ => Replica::commit(replica).map(|_| ()),
        })
    }

    fn undone(&self) {
        if self.0.tie.replace(Tie::None) != Tie::None && self.0.is_attached() {
            let _ = self.0.with_replica(Replica::rollback);
        }
    }
}
