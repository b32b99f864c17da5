//! The SQL names: what a user calls. Thin: reads arguments, calls `replica/`,
//! makes JSON.

mod arguments;
mod batch;
mod columns;
mod functions;
mod health_table;
mod help;
mod json;
mod local_transaction;
mod once;
pub mod options;
mod outbox;
mod permit;
mod progress_table;
mod query_table;
mod schema_table;
mod status_table;
mod values;
mod writes;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;

use parking_lot::Mutex;

use self::local_transaction::Tie;
use self::permit::Lock;
use crate::error::{Error, Kind, Result};
use crate::host::{HostDb, aggregate, function, vtab};
use crate::replica::Replica;

/// What belongs to one connection. It is dropped with the last function of the
/// connection, that is when the connection is closed.
pub struct Connection {
    host: HostDb,
    replica: RefCell<Option<Replica>>,
    lock: Cell<Lock>,
    /// The local transaction that goes with the one on the primary.
    tie: Cell<Tie>,
    /// The last error in parts, as JSON.
    error: RefCell<Option<String>>,
    /// Of the schema that SQLite was last made to see.
    schema_cookie: Cell<Option<u32>>,
}

impl Connection {
    fn is_attached(&self) -> bool {
        self.replica.borrow().is_some()
    }

    /// How results are written in JSON.
    fn style(&self) -> json::Style {
        let attached = self.replica.borrow();
        let integers_as_text = attached.as_ref().is_some_and(Replica::integers_as_text);
        json::Style { integers_as_text }
    }

    /// Lets SQLite see the schema that the file has now, whoever brought it.
    fn see_schema(&self) {
        let cookie = self.with_replica(Replica::schema_cookie).ok();
        let known = cookie.is_some() && self.schema_cookie.get() == cookie;
        if !known && self.host.is_autocommit() {
            self.host.refresh_schema();
            self.schema_cookie.set(cookie);
        }
    }

    /// Remembers an error for `replica_error()`.
    fn noted<T>(&self, function: &str, outcome: Result<T>) -> Result<T> {
        outcome.inspect_err(|error| {
            let attached = self.replica.try_borrow();
            let state =
                attached.ok().and_then(|attached| Some(attached.as_ref()?.transaction_state()));
            self.error.replace(Some(json::error(function, error, state)));
        })
    }

    fn last_error(&self) -> Option<String> {
        self.error.borrow().clone()
    }

    /// Runs `body` with the attached replica.
    fn with_replica<T>(&self, body: impl FnOnce(&Replica) -> Result<T>) -> Result<T> {
        match &*self.replica.borrow() {
            Some(replica) if replica.is_forked() => Err(Error::new(
                Kind::Misuse,
                "this process inherited the connection by a fork; open the database and attach only \
                 after the fork (gunicorn post_fork, puma on_worker_boot)",
            )),
            Some(replica) if !replica.is_main_of(self.host) => Err(Error::new(
                Kind::Misuse,
                "another database was loaded in the place of the replica; attach again",
            )),
            Some(replica) => body(replica),
            None => Err(Error::new(
                Kind::Misuse,
                "no replica is attached to this connection; call replica_attach(sync_url, token) first",
            )),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        LOADED.lock().remove(&self.host.identity());
        let_go(self.replica.get_mut().take());
    }
}

/// Ends a replica; whether there was one. In a forked child there is no thread
/// to join and no lock to give back: what belongs to the parent is left alone.
fn let_go(replica: Option<Replica>) -> bool {
    let attached = replica.is_some();
    if let Some(forked) = replica.filter(Replica::is_forked) {
        std::mem::forget(forked);
    }
    attached
}

/// The connections that have our functions. A second load on one of them must
/// not replace the functions: that would end its replica.
static LOADED: Mutex<BTreeSet<usize>> = Mutex::new(BTreeSet::new());

/// Adds all functions and tables to a connection, once.
pub fn register(host: HostDb) -> Result<()> {
    if !LOADED.lock().insert(host.identity()) {
        return Ok(());
    }
    let connection = Rc::new(Connection {
        host,
        replica: RefCell::default(),
        lock: Cell::default(),
        tie: Cell::default(),
        error: RefCell::default(),
        schema_cookie: Cell::default(),
    });
    for function in functions::ALL {
        for arity in function.arities {
            let (connection, body) = (connection.clone(), function.body);
            let (name, effect, acts) = (function.name, function.effect, function.once);
            let body: function::Body = Box::new(move |call, args| {
                connection.permit(effect)?;
                let run = || body(&connection, args);
                connection.noted(name, if acts { once::once(call, name, args, run) } else { run() })
            });
            function::create(host, function.name, *arity, body)?;
        }
    }
    vtab::create(host, Box::new(progress_table::ProgressTable(connection.clone())))?;
    for (name, as_json) in [("replica_batch", false), ("replica_batch_args", true)] {
        let of_batch = connection.clone();
        let start: aggregate::Start =
            Box::new(move || Box::new(batch::BatchOfRows::new(of_batch.clone(), as_json)));
        aggregate::create(host, name, start)?;
    }
    vtab::create(host, Box::new(outbox::OutboxTable(connection.clone())))?;
    vtab::create(host, Box::new(outbox::PendingTable(connection.clone())))?;
    vtab::create(host, Box::new(query_table::QueryTable::new(connection.clone())))?;
    vtab::create(host, Box::new(query_table::WriteTable::new(connection.clone())))?;
    vtab::create(host, Box::new(local_transaction::OpenTransaction(connection.clone())))?;
    vtab::create(host, Box::new(schema_table::SchemaTable(connection.clone())))?;
    vtab::create(host, Box::new(help::HelpTable::new()))?;
    vtab::create(host, Box::new(health_table::HealthTable::new(connection.clone())))?;
    vtab::create(host, Box::new(status_table::StatusTable(connection)))
}
