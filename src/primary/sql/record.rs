//! The table on the primary in which a write leaves its id: in the transaction
//! of the write itself, so that either both are there or none.
//!
//! The numbers of one client only grow. One that is not above the highest of
//! its client is refused, whoever brings it: the copy of a request that was
//! kept somewhere on the way, or the second process that delivers the same.
//! So the highest row alone keeps all that came before it from happening again,
//! and the others can go.

use crate::proto::hrana::Record;
use crate::sqltext::statement::{Head, Statement};
use crate::sqltext::value::Value;
use crate::write_id::WriteId;

const TABLE: &str = "_replica_writes";

/// Without rowids, where the server can do that: `last_insert_rowid()` in a
/// statement of the caller's stays what it was.
const COLUMNS: &str = "(client TEXT NOT NULL, sequence INTEGER NOT NULL, outcome TEXT NOT NULL, \
                       settled INTEGER NOT NULL, digest TEXT, rows_affected INTEGER, \
                       last_insert_rowid INTEGER, time INTEGER NOT NULL, \
                       PRIMARY KEY(client, sequence))";

const COMMITTED: &str = "committed";
const REFUSED: &str = "refused";

/// Refuses an id by a NULL where none may be: it is not above the highest of
/// its client, or the write that must come before it is not there.
const WRITE_DOWN: &str = "INSERT INTO _replica_writes(client, sequence, outcome, settled, digest, \
                          time) SELECT ?1, CASE WHEN coalesce((SELECT max(sequence) FROM \
                          _replica_writes WHERE client = ?1), 0) < ?2 AND (?6 IS NULL OR EXISTS \
                          (SELECT 1 FROM _replica_writes WHERE client = ?6 AND sequence >= ?7)) \
                          THEN ?2 END, ?5, ?3, ?4, CAST(strftime('%s', 'now') AS INTEGER)";

const NOTE_RESULT: &str = "UPDATE _replica_writes SET rows_affected = changes(), \
                           last_insert_rowid = CASE WHEN ?3 THEN last_insert_rowid() END \
                           WHERE client = ?1 AND sequence = ?2";

const PRUNE: &str = "DELETE FROM _replica_writes WHERE client = ?1 AND sequence < ?2";

const ASK: &str = "SELECT sequence, outcome, settled, digest, rows_affected, last_insert_rowid \
                   FROM _replica_writes WHERE client = ?1 AND sequence >= ?2 ORDER BY sequence";

/// A write that is to happen once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Once {
    pub id: WriteId,
    /// Tells it from another write that was given the same id.
    pub digest: String,
    /// Everything of this client below it is settled: nobody will ask.
    pub settled: u64,
    /// A write that the primary must hold, or this one is not for it.
    pub after: Option<WriteId>,
}

/// What a write did, as far as the primary has noted it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Noted {
    /// Of its last statement.
    pub rows_affected: Option<u64>,
    pub last_insert_rowid: Option<i64>,
}

/// What is known of an id that the primary did not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The write took effect before.
    Committed(Noted),
    /// It did not and never will.
    Refused,
    /// Another write took effect under this id.
    Another,
    /// What it came to is no longer recorded.
    Forgotten,
    /// It did not: the primary lacks the write that must come before it.
    NotAfter,
}

impl Once {
    /// What is recorded around the statements of which the last one is given.
    pub(super) fn record(&self, last: Option<&str>, rowids: bool) -> Record {
        Record {
            before: vec![create(rowids), self.write_down(COMMITTED)],
            after: last
                .map(|last| self.note_result(last))
                .into_iter()
                .chain([self.prune()])
                .collect(),
            ask: self.ask(),
        }
    }

    /// Takes the id, so that no copy of the write can take it any more.
    pub(super) fn fence(&self, rowids: bool) -> Record {
        Record {
            before: vec![create(rowids), self.write_down(REFUSED)],
            after: Vec::new(),
            ask: self.ask(),
        }
    }

    fn write_down(&self, outcome: &str) -> Statement {
        let mut args = self.key(self.id.sequence);
        args.extend([number(self.settled), text(&self.digest), text(outcome)]);
        args.extend(match &self.after {
            Some(after) => [text(&after.client), number(after.sequence)],
            None => [Value::Null, Value::Null],
        });
        Statement { sql: WRITE_DOWN.to_owned(), args }
    }

    /// A statement that inserts nothing leaves an older rowid behind.
    fn note_result(&self, last: &str) -> Statement {
        let inserts = Head::of(last).inserts();
        let mut args = self.key(self.id.sequence);
        args.push(Value::Integer(i64::from(inserts)));
        Statement { sql: NOTE_RESULT.to_owned(), args }
    }

    fn prune(&self) -> Statement {
        let below = self.settled.min(self.id.sequence);
        Statement { sql: PRUNE.to_owned(), args: self.key(below) }
    }

    fn ask(&self) -> Statement {
        Statement { sql: ASK.to_owned(), args: self.key(self.id.sequence) }
    }

    fn key(&self, sequence: u64) -> Vec<Value> {
        vec![text(&self.id.client), number(sequence)]
    }

    /// What the rows say that `ask` returned.
    pub(super) fn fate(&self, rows: &[Vec<Value>]) -> Fate {
        let whole = |value: Option<&Value>| match value {
            Some(Value::Integer(whole)) => u64::try_from(*whole).ok(),
            _ => None,
        };
        let is = |value: Option<&Value>, wanted: &str| matches!(value, Some(Value::Text(text)) if text == wanted);
        let Some(first) = rows.first() else {
            // Nothing stands in the way of the id itself.
            return if self.after.is_some() { Fate::NotAfter } else { Fate::Forgotten };
        };
        if whole(first.first()) == Some(self.id.sequence) {
            return match () {
                () if is(first.get(1), REFUSED) => Fate::Refused,
                () if !self.digest.is_empty() && !is(first.get(3), &self.digest) => Fate::Another,
                () => Fate::Committed(Noted {
                    rows_affected: whole(first.get(4)),
                    last_insert_rowid: match first.get(5) {
                        Some(Value::Integer(rowid)) => Some(*rowid),
                        _ => None,
                    },
                }),
            };
        }
        // A higher one was taken, so that this one can be taken no more; and
        // it never was, unless its row has gone.
        let settled = rows.iter().filter_map(|row| whole(row.get(2))).max().unwrap_or(0);
        if settled > self.id.sequence { Fate::Forgotten } else { Fate::Refused }
    }
}

fn create(rowids: bool) -> Statement {
    let end = if rowids { "" } else { " WITHOUT ROWID" };
    let sql = format!("CREATE TABLE IF NOT EXISTS {TABLE}{COLUMNS}{end}");
    Statement { sql, args: Vec::new() }
}

/// Whether an error is about the table, as where somebody else has one of this
/// name.
pub(super) fn is_about_the_table(message: &str) -> bool {
    message.contains(TABLE)
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn number(number: u64) -> Value {
    Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn once(sequence: u64) -> Once {
        let id = WriteId { client: "0".repeat(32), sequence };
        Once { id, digest: "d".to_owned(), settled: sequence, after: None }
    }

    fn row(sequence: i64, outcome: &str, settled: i64, digest: &str) -> Vec<Value> {
        vec![
            Value::Integer(sequence),
            text(outcome),
            Value::Integer(settled),
            text(digest),
            Value::Integer(2),
            Value::Null,
        ]
    }

    #[test]
    fn the_rows_of_a_client_tell_the_fate_of_each_of_its_numbers() {
        let committed = Fate::Committed(Noted { rows_affected: Some(2), last_insert_rowid: None });
        for (rows, fate) in [
            (vec![], Fate::Forgotten),
            (vec![row(5, COMMITTED, 5, "d")], committed),
            (vec![row(5, COMMITTED, 5, "e")], Fate::Another),
            (vec![row(5, REFUSED, 0, "")], Fate::Refused),
            (vec![row(5, COMMITTED, 5, "d"), row(7, COMMITTED, 7, "x")], committed),
            // Number 5 was left open by the one that wrote 7.
            (vec![row(7, COMMITTED, 5, "x")], Fate::Refused),
            (vec![row(7, COMMITTED, 7, "x")], Fate::Forgotten),
            (vec![row(7, COMMITTED, 5, "x"), row(8, COMMITTED, 8, "x")], Fate::Forgotten),
        ] {
            assert_eq!(once(5).fate(&rows), fate, "{rows:?}");
        }
        let after = WriteId { client: "1".repeat(32), sequence: 3 };
        let behind = Once { after: Some(after), ..once(5) };
        assert_eq!(behind.fate(&[]), Fate::NotAfter);
        assert_eq!(behind.fate(&[row(5, COMMITTED, 5, "d")]), committed);
    }

    #[test]
    fn a_rowid_is_noted_of_what_inserts_only() {
        for (sql, inserts) in [
            ("INSERT INTO t VALUES (1)", 1),
            ("replace into t values (1)", 1),
            ("UPDATE t SET a = 1", 0),
            ("DELETE FROM t", 0),
            ("CREATE TABLE t(a)", 0),
        ] {
            let record = once(1).record(Some(sql), false);
            assert_eq!(record.after[0].args[2], Value::Integer(inserts), "{sql}");
        }
    }
}
