//! What becomes of entries that were not simply delivered, and how all of them
//! are shown.

use super::entry::{Columns, Done, Entry, Row, State, integer, optional, text};
use super::file::Outbox;
use super::lease::Lease;
use crate::error::{Error, Kind, Result};
use crate::host::random_name;
use crate::host::value::{Argument, Output};
use crate::sqltext::statement::Statement;
use crate::write_id::WriteId;

const COLUMNS: &str = "number, client, sequence, state, attempts, error, enqueued_unix_ms, \
                       tried_unix_ms, ended_unix_ms, rows_affected, last_insert_rowid, digest";

impl Outbox {
    /// Notes why an entry is not delivered yet. `sent`: a copy of it may be
    /// under way. What somebody else has sent meanwhile, who took the lease, is
    /// for him to say.
    pub fn put_back(&self, lease: &Lease, entry: &Entry, sent: bool, error: &str) -> Result<()> {
        let state = if sent { State::Sent } else { State::Pending };
        self.write(|| match sent || self.holds(lease)? {
            true => self.mark(&entry.id, state, error),
            false => Ok(()),
        })
    }

    /// Sets an entry aside. No copy of it is taken by the primary any more.
    pub fn set_aside(&self, entry: &Entry, error: &str) -> Result<()> {
        self.write(|| self.mark(&entry.id, State::SetAside, error))
    }

    /// Inside a transaction.
    fn mark(&self, id: &WriteId, state: State, error: &str) -> Result<()> {
        let sql = "UPDATE entry SET state = ?3, error = ?4 WHERE client = ?1 AND sequence = ?2 \
                   AND state IN ('pending', 'sent')";
        let arguments = [text(&id.client), integer(id.sequence), text(state.name()), text(error)];
        self.connection.change(sql, &arguments).map(drop)
    }

    /// Gives an entry an id of its own, because another write took effect under
    /// this one: the file was copied, or put back from a backup. What is queued
    /// from now on is another client's, too.
    pub fn leave_id(&self, entry: &Entry) -> Result<()> {
        self.write(|| {
            self.connection.change(
                "UPDATE outbox SET client = ?2, last_sequence = 0 WHERE client = ?1",
                &[text(&entry.id.client), text(&random_name())],
            )?;
            self.give_new_id(entry.number, entry.position.as_deref())
        })
    }

    /// Inside a transaction.
    fn give_new_id(&self, number: i64, position: Option<&str>) -> Result<()> {
        self.connection.change(
            "UPDATE entry SET state = 'pending', client = ?2, sequence = 1, digest = ?3, \
             error = NULL, position = ?4 WHERE number = ?1",
            &[integer(number), text(&random_name()), text(&random_name()), optional(position)],
        )?;
        Ok(())
    }

    /// Notes that the primary may have lost what was known when these were
    /// queued: what it says of positions later proves nothing any more.
    pub fn distrust_positions(&self) -> Result<()> {
        self.write(|| {
            self.connection.change(
                "UPDATE entry SET position = 'lost' WHERE state IN ('pending', 'sent') \
                 AND position NOTNULL",
                &[],
            )?;
            self.connection.change("UPDATE outbox SET delivered_position = NULL", &[])?;
            Ok(())
        })
    }

    /// Queues an entry that was set aside once more, at its old place and with
    /// an id of its own: the old one was used.
    pub fn retry(&self, number: i64, position: Option<&str>) -> Result<WriteId> {
        self.write(|| {
            let row = self.row(number)?.ok_or_else(|| no_entry(number))?;
            if row.state != State::SetAside {
                return Err(not_possible(&row, "only what was set aside can be tried again"));
            }
            self.give_new_id(number, position)?;
            Ok(self.row(number)?.ok_or_else(damaged)?.id)
        })
    }

    /// Takes an entry out: one that was set aside, or whose id the primary
    /// will refuse (`fenced`), or that was never sent.
    pub fn discard(&self, number: i64, fenced: bool, now_unix_ms: i64) -> Result<Discarded> {
        self.write(|| {
            let row = self.row(number)?.ok_or_else(|| no_entry(number))?;
            match row.state {
                State::Sent if !fenced => return Ok(Discarded::MayHaveHappened(row)),
                State::Pending | State::Sent | State::SetAside => {}
                State::Delivered | State::Discarded => {
                    return Err(not_possible(&row, "there is nothing left to discard"));
                }
            }
            self.connection.change(
                "UPDATE entry SET state = 'discarded', ended_unix_ms = ?2 WHERE number = ?1",
                &[integer(number), integer(now_unix_ms)],
            )?;
            self.forget_content(number)?;
            Ok(Discarded::Done)
        })
    }

    /// Notes that an entry turned out to have taken effect.
    pub fn turned_out_delivered(&self, id: &WriteId, done: Done, now_unix_ms: i64) -> Result<()> {
        let Some(row) = self.by_id(id)? else { return Ok(()) };
        self.write(|| self.note_delivered(row.number, id, done, None, now_unix_ms))
    }

    /// All entries, in order.
    pub fn list(&self) -> Result<Vec<Row>> {
        self.read(|| self.select("ORDER BY number", &[]))
    }

    /// Those that wait, in order.
    pub fn waiting(&self) -> Result<Vec<Row>> {
        self.read(|| self.select("WHERE state IN ('pending', 'sent') ORDER BY number", &[]))
    }

    pub fn by_id(&self, id: &WriteId) -> Result<Option<Row>> {
        let arguments = [text(&id.client), integer(id.sequence)];
        let rows = self.select("WHERE client = ?1 AND sequence = ?2", &arguments)?;
        Ok(rows.into_iter().next())
    }

    fn row(&self, number: i64) -> Result<Option<Row>> {
        Ok(self.select("WHERE number = ?1", &[integer(number)])?.into_iter().next())
    }

    fn select(&self, condition: &str, arguments: &[Argument]) -> Result<Vec<Row>> {
        let sql = format!("SELECT {COLUMNS} FROM entry {condition}");
        let rows = self.connection.rows(&sql, arguments)?;
        rows.into_iter().map(|row| self.row_of(row)).collect()
    }

    fn row_of(&self, row: Vec<Output>) -> Result<Row> {
        let mut row = Columns::of(row);
        let number = row.integer().unwrap_or(0);
        let id = row.id().ok_or_else(damaged)?;
        let state = row.text().and_then(|name| State::named(&name)).ok_or_else(damaged)?;
        Ok(Row {
            number,
            id,
            state,
            attempts: row.number().unwrap_or(0),
            error: row.text(),
            enqueued_unix_ms: row.integer().unwrap_or(0),
            tried_unix_ms: row.integer(),
            ended_unix_ms: row.integer(),
            done: Done { rows_affected: row.number(), last_insert_rowid: row.integer() },
            digest: row.text().unwrap_or_default(),
            statements: self.statements(number)?,
        })
    }

    pub(super) fn statements(&self, number: i64) -> Result<Vec<Statement>> {
        let rows = self.connection.rows(
            "SELECT position, sql FROM statement WHERE entry = ?1 ORDER BY position",
            &[integer(number)],
        )?;
        let statement = |row| {
            let mut row = Columns::of(row);
            let position = row.integer().unwrap_or(0);
            let sql = row.text().unwrap_or_default();
            let args = self.connection.rows(
                "SELECT value FROM argument WHERE entry = ?1 AND position = ?2 ORDER BY place",
                &[integer(number), integer(position)],
            )?;
            let args = args.into_iter().map(|row| Columns::of(row).value()).collect();
            Ok(Statement { sql, args })
        };
        rows.into_iter().map(statement).collect()
    }
}

/// What came of the wish to discard an entry.
#[derive(Clone, Debug, PartialEq)]
pub enum Discarded {
    Done,
    /// A copy of it may be under way, or have arrived.
    MayHaveHappened(Row),
}

fn no_entry(number: i64) -> Error {
    let text = format!("there is no entry {number} in the outbox; SELECT * FROM replica_outbox");
    Error::new(Kind::BadArgument, text)
}

fn not_possible(row: &Row, why: &str) -> Error {
    let text = format!("entry {} is {}: {why}", row.number, row.state.name());
    Error::new(Kind::Misuse, text)
}

/// Somebody has written into it.
pub(super) fn damaged() -> Error {
    Error::new(Kind::Local, "the outbox is damaged: it holds what nobody here has written")
}
