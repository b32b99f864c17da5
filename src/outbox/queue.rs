//! In at one end, out at the other.

use super::entry::{Columns, Counts, Done, Entry, Last, State, argument, integer, optional, text};
use super::file::Outbox;
use super::lease::Lease;
use crate::error::Result;
use crate::fault;
use crate::host::random_name;
use crate::host::value::Argument;
use crate::sqltext::statement::Statement;
use crate::write_id::WriteId;

/// So many entries that have ended are remembered.
const REMEMBERED: i64 = 1000;

/// What is to be delivered next.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    Nothing,
    /// Marked as sent already: from here on a copy of it may be under way.
    Entry(Box<Entry>),
    /// One that was set aside stands before it.
    Stopped {
        number: i64,
        error: String,
    },
    /// Somebody else delivers now.
    LeaseLost,
}

impl Outbox {
    /// Queues a write. `sent`: its id and its digest, where it has some
    /// already, under which it may have reached the primary.
    pub fn push(
        &self,
        statements: &[Statement],
        sent: Option<(&WriteId, &str)>,
        position: Option<&str>,
        now_unix_ms: i64,
    ) -> Result<(i64, WriteId)> {
        self.write(|| {
            let (id, digest, state) = match sent {
                Some((id, digest)) => (id.clone(), digest.to_owned(), State::Sent),
                // It need not tell what is written: no other entry has it.
                None => (self.next_id()?, random_name(), State::Pending),
            };
            self.connection.change(
                "INSERT INTO entry(client, sequence, digest, state, attempts, position, \
                 enqueued_unix_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                &[
                    text(&id.client),
                    integer(id.sequence),
                    text(&digest),
                    text(state.name()),
                    integer(i64::from(sent.is_some())),
                    optional(position),
                    integer(now_unix_ms),
                ],
            )?;
            let number = self.connection.last_insert_rowid();
            fault::point("outbox entry written");
            for (position, statement) in (1_i64..).zip(statements) {
                self.push_statement(number, position, statement)?;
            }
            Ok((number, id))
        })
    }

    fn push_statement(&self, number: i64, position: i64, statement: &Statement) -> Result<()> {
        self.connection.change(
            "INSERT INTO statement(entry, position, sql) VALUES (?1, ?2, ?3)",
            &[integer(number), integer(position), text(&statement.sql)],
        )?;
        for (place, value) in (1_i64..).zip(&statement.args) {
            self.connection.change(
                "INSERT INTO argument(entry, position, place, value) VALUES (?1, ?2, ?3, ?4)",
                &[integer(number), integer(position), integer(place), argument(value)],
            )?;
        }
        Ok(())
    }

    /// The next id of this outbox. Inside a transaction.
    fn next_id(&self) -> Result<WriteId> {
        self.connection.change("UPDATE outbox SET last_sequence = last_sequence + 1", &[])?;
        let rows = self.connection.rows("SELECT client, last_sequence FROM outbox", &[])?;
        let id = rows.into_iter().next().and_then(|row| Columns::of(row).id());
        id.ok_or_else(super::settle::damaged)
    }

    /// Notes what the entry before it came to, and takes the next one, in one
    /// transaction. `stop`: none that stands behind one that was set aside.
    pub fn advance(
        &self,
        lease: &Lease,
        delivered: Option<(&Entry, Done, Option<&str>)>,
        stop: bool,
        now_unix_ms: i64,
    ) -> Result<Next> {
        self.write(|| {
            if let Some((entry, done, position)) = delivered {
                self.note_delivered(entry.number, &entry.id, done, position, now_unix_ms)?;
            }
            if !self.renew(lease, now_unix_ms)? {
                return Ok(Next::LeaseLost);
            }
            let Some(entry) = self.first_waiting()? else { return Ok(Next::Nothing) };
            if let (true, Some((number, error))) = (stop, self.set_aside_before(entry.number)?) {
                return Ok(Next::Stopped { number, error });
            }
            self.connection.change(
                "UPDATE entry SET state = 'sent', attempts = attempts + 1, tried_unix_ms = ?2 \
                 WHERE number = ?1",
                &[integer(entry.number), integer(now_unix_ms)],
            )?;
            fault::point("outbox entry taken");
            Ok(Next::Entry(Box::new(entry)))
        })
    }

    fn first_waiting(&self) -> Result<Option<Entry>> {
        let rows = self.connection.rows(
            "SELECT number, entry.client, sequence, digest, state, position, \
             entry.client = outbox.client, delivered_client, delivered_sequence, \
             delivered_position, delivered_unix_ms FROM entry, outbox WHERE number = (SELECT \
             min(first) FROM (SELECT min(number) AS first FROM entry WHERE state = 'pending' \
             UNION ALL SELECT min(number) FROM entry WHERE state = 'sent'))",
            &[],
        )?;
        let Some(row) = rows.into_iter().next() else { return Ok(None) };
        let mut row = Columns::of(row);
        let number = row.integer().unwrap_or(0);
        let id = row.id().ok_or_else(super::settle::damaged)?;
        let digest = row.text().unwrap_or_default();
        let sent_before = row.text().as_deref() == Some(State::Sent.name());
        let position = row.text();
        // Of its own client all that came before has ended; of another one,
        // whose write this was, others may be open.
        let settled = if row.integer() == Some(1) { id.sequence } else { 0 };
        let after = row.id().map(|id| Last {
            id,
            position: row.text(),
            unix_ms: row.integer().unwrap_or(0),
        });
        let statements = self.statements(number)?;
        Ok(Some(Entry { number, id, digest, settled, sent_before, position, after, statements }))
    }

    fn set_aside_before(&self, number: i64) -> Result<Option<(i64, String)>> {
        let rows = self.connection.rows(
            "SELECT number, error FROM entry WHERE state = 'set_aside' AND number < ?1 \
             ORDER BY number LIMIT 1",
            &[integer(number)],
        )?;
        Ok(rows.into_iter().next().map(|row| {
            let mut row = Columns::of(row);
            (row.integer().unwrap_or(0), row.text().unwrap_or_default())
        }))
    }

    /// Inside a transaction.
    pub(super) fn note_delivered(
        &self,
        number: i64,
        id: &WriteId,
        done: Done,
        position: Option<&str>,
        now_unix_ms: i64,
    ) -> Result<()> {
        // That it took effect is stronger than whatever was decided meanwhile.
        let changed = self.connection.change(
            "UPDATE entry SET state = 'delivered', error = NULL, ended_unix_ms = ?3, \
             rows_affected = ?4, last_insert_rowid = ?5 WHERE client = ?1 AND sequence = ?2 \
             AND state <> 'delivered'",
            &[
                text(&id.client),
                integer(id.sequence),
                integer(now_unix_ms),
                done.rows_affected.map_or(Argument::Null, integer),
                done.last_insert_rowid.map_or(Argument::Null, Argument::Integer),
            ],
        )?;
        if changed == 0 {
            return Ok(());
        }
        self.connection.change(
            "UPDATE outbox SET delivered_client = ?1, delivered_sequence = ?2, \
             delivered_position = ?3, delivered_unix_ms = ?4",
            &[text(&id.client), integer(id.sequence), optional(position), integer(now_unix_ms)],
        )?;
        self.forget_content(number)?;
        self.forget_old()
    }

    /// What an entry that has ended said is nobody's any more.
    pub(super) fn forget_content(&self, number: i64) -> Result<()> {
        for sql in
            ["DELETE FROM argument WHERE entry = ?1", "DELETE FROM statement WHERE entry = ?1"]
        {
            self.connection.change(sql, &[integer(number)])?;
        }
        Ok(())
    }

    fn forget_old(&self) -> Result<()> {
        self.connection.change(
            "DELETE FROM entry WHERE number <= (SELECT max(number) FROM entry) - ?1 \
             AND state IN ('delivered', 'discarded')",
            &[integer(REMEMBERED)],
        )?;
        Ok(())
    }

    /// Whether anything waits.
    pub fn has_waiting(&self) -> Result<bool> {
        let sql = "SELECT 1 FROM entry WHERE state IN ('pending', 'sent') LIMIT 1";
        self.read(|| Ok(!self.connection.rows(sql, &[])?.is_empty()))
    }

    pub fn counts(&self) -> Result<Counts> {
        self.read(|| self.count())
    }

    fn count(&self) -> Result<Counts> {
        let count = |state: &str| -> Result<u64> {
            let sql = format!("SELECT count(*) FROM entry WHERE state IN ({state})");
            let rows = self.connection.rows(&sql, &[])?;
            Ok(rows.into_iter().next().and_then(|row| Columns::of(row).number()).unwrap_or(0))
        };
        let (waiting, set_aside) = (count("'pending', 'sent'")?, count("'set_aside'")?);
        let sql = "SELECT error FROM entry WHERE state IN ('pending', 'sent') \
                   ORDER BY number LIMIT 1";
        let rows = self.connection.rows(sql, &[])?;
        let error = rows.into_iter().next().and_then(|row| Columns::of(row).text());
        Ok(Counts { waiting, set_aside, error })
    }
}
