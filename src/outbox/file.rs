//! The file: found, made, recognised.
//!
//! It is ours by its `application_id`, which is read from its bytes before
//! anything else is done with it: another file of that name is neither locked
//! nor changed. A commit has reached the disk when it returns, the end of its
//! journal included (`synchronous=EXTRA`).

use std::ffi::CStr;
use std::path::Path;
use std::time::Duration;

use super::entry::text;
use crate::error::{Error, Kind, Result};
use crate::fault;
use crate::host::value::Output;
use crate::host::{Beside, Connection, random_name};

/// What stands behind the name of the database.
pub const ENDING: &CStr = c"-outbox";

/// "RPLO", at offset 68 of the file (fileformat2 1.3).
const APPLICATION_ID: u32 = 0x5250_4c4f;
const APPLICATION_ID_AT: usize = 68;

/// The layout below, at offset 60 (`user_version`).
const VERSION: u32 = 1;
const VERSION_AT: usize = 60;

const HEADER: usize = 100;

/// A value has the type that it was given: its column has none.
const SCHEMA: &[&str] = &[
    "CREATE TABLE entry(number INTEGER PRIMARY KEY AUTOINCREMENT, client TEXT NOT NULL, \
     sequence INTEGER NOT NULL, digest TEXT NOT NULL, state TEXT NOT NULL, \
     attempts INTEGER NOT NULL DEFAULT 0, error TEXT, position TEXT, \
     enqueued_unix_ms INTEGER NOT NULL, tried_unix_ms INTEGER, ended_unix_ms INTEGER, \
     rows_affected INTEGER, last_insert_rowid INTEGER, UNIQUE(client, sequence))",
    "CREATE INDEX by_state ON entry(state)",
    "CREATE TABLE statement(entry INTEGER, position INTEGER, sql TEXT NOT NULL, \
     PRIMARY KEY(entry, position)) WITHOUT ROWID",
    "CREATE TABLE argument(entry INTEGER, position INTEGER, place INTEGER, value, \
     PRIMARY KEY(entry, position, place)) WITHOUT ROWID",
    "CREATE TABLE outbox(client TEXT NOT NULL, last_sequence INTEGER NOT NULL, \
     delivered_client TEXT, delivered_sequence INTEGER, delivered_position TEXT, \
     delivered_unix_ms INTEGER, \
     lease_owner TEXT, lease_process INTEGER, lease_until_unix_ms INTEGER)",
];

/// An open outbox. Used by one thread at a time.
pub struct Outbox {
    pub(super) connection: Connection,
}

impl Outbox {
    /// The outbox at this place; None where there is none.
    pub fn find(place: &Beside, busy_timeout: Duration) -> Result<Option<Outbox>> {
        if !place.is_there() {
            return Ok(None);
        }
        let found = place.open().and_then(|connection| {
            let connection = recognised(connection, place, busy_timeout)?;
            Ok(has_tables(&connection)?.then_some(Outbox { connection }))
        });
        match found {
            // It was taken away in the meantime.
            Err(_) if !place.is_there() => Ok(None),
            found => found.map_err(|error| about(error, place.path())),
        }
    }

    /// The same, made if there is none. A file without a byte is taken for the
    /// beginning of one: whoever was to make it has come no further.
    pub fn find_or_make(place: &Beside, busy_timeout: Duration) -> Result<Outbox> {
        let make = || {
            let connection = recognised(place.open_or_make()?, place, busy_timeout)?;
            let outbox = Outbox { connection };
            if !has_tables(&outbox.connection)? {
                outbox.write(|| fill(&outbox.connection))?;
                fault::point("outbox made");
            }
            Ok(outbox)
        };
        make().map_err(|error| about(error, place.path()))
    }

    /// Runs `body` as one transaction, with the write lock from its start.
    pub(super) fn write<T>(&self, body: impl FnOnce() -> Result<T>) -> Result<T> {
        self.connection.change("BEGIN IMMEDIATE", &[])?;
        let done = body().and_then(|done| {
            fault::point("outbox commit");
            self.connection.change("COMMIT", &[])?;
            Ok(done)
        });
        match &done {
            Ok(_) => fault::point("outbox committed"),
            // Where there is nothing left to undo, this fails.
            Err(_) => drop(self.connection.change("ROLLBACK", &[])),
        }
        done
    }

    /// Runs `body`, which reads, on one state of the file.
    pub(super) fn read<T>(&self, body: impl FnOnce() -> Result<T>) -> Result<T> {
        self.connection.change("BEGIN", &[])?;
        let done = body();
        self.connection.change("ROLLBACK", &[])?;
        done
    }
}

/// Refuses a file that is not ours, before anything is done with it.
fn recognised(
    connection: Connection,
    place: &Beside,
    busy_timeout: Duration,
) -> Result<Connection> {
    let path = place.path();
    // What is in it is sent with this connection's token.
    if place.is_a_strangers() {
        return Err(Error::new(
            Kind::NotAllowed,
            format!(
                "{} belongs to a user who may not write the database, and was left alone; take it \
                 away, or let that user write the database",
                path.display()
            ),
        ));
    }
    let file = connection.database_file()?;
    if file.size()? > 0 {
        let mut header = [0; HEADER];
        file.read(&mut header, 0)?;
        let number = |at: usize| {
            u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
        };
        if number(APPLICATION_ID_AT) != APPLICATION_ID || !header.starts_with(b"SQLite format 3\0")
        {
            return Err(Error::new(
                Kind::NotAllowed,
                format!(
                    "{} is not a replica's outbox and was left alone; rename it, because writes \
                     are queued under this name",
                    path.display()
                ),
            ));
        }
        if number(VERSION_AT) != VERSION {
            return Err(Error::new(
                Kind::NotAllowed,
                format!(
                    "{} was made by another version of this extension; use that one to deliver \
                     what is in it",
                    path.display()
                ),
            ));
        }
    }
    connection.set_busy_timeout(busy_timeout);
    prepare(&connection)?;
    Ok(connection)
}

/// What has to be said to each connection. A program may have an opinion of
/// its own for all of them (`sqlite3_auto_extension`).
fn prepare(connection: &Connection) -> Result<()> {
    for pragma in [
        "PRAGMA main.locking_mode=NORMAL",
        "PRAGMA main.synchronous=EXTRA",
        "PRAGMA fullfsync=ON",
        "PRAGMA query_only=OFF",
    ] {
        connection.rows(pragma, &[])?;
    }
    let mode = connection.rows("PRAGMA main.journal_mode=DELETE", &[])?;
    match mode.first().and_then(|row| row.first()) {
        Some(Output::Text(mode)) if mode == "delete" => Ok(()),
        _ => Err(Error::new(
            Kind::Busy,
            "somebody has switched it to another journal mode and has it open; close it there",
        )),
    }
}

fn has_tables(connection: &Connection) -> Result<bool> {
    let sql = "SELECT 1 FROM main.sqlite_master WHERE name = 'outbox'";
    Ok(!connection.rows(sql, &[])?.is_empty())
}

/// Inside a transaction, for which somebody else may have made one meanwhile.
fn fill(connection: &Connection) -> Result<()> {
    if has_tables(connection)? {
        return Ok(());
    }
    connection.rows(&format!("PRAGMA application_id={APPLICATION_ID}"), &[])?;
    connection.rows(&format!("PRAGMA user_version={VERSION}"), &[])?;
    for statement in SCHEMA {
        connection.change(statement, &[])?;
    }
    let client = random_name();
    connection
        .change("INSERT INTO outbox(client, last_sequence) VALUES (?1, 0)", &[text(&client)])?;
    Ok(())
}

/// Says which file an error is about.
fn about(error: Error, path: &Path) -> Error {
    match error.kind() {
        Kind::NotAllowed => error,
        _ => error.context(&format!("the outbox {}", path.display())),
    }
}
