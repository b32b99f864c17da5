//! The table `replica_schema_notes`.

use std::rc::Rc;
use std::sync::LazyLock;

use super::Connection;
use super::columns::{Column, create_table, integer, text};
use crate::error::Result;
use crate::host::value::{Argument, Output};
use crate::host::vtab::{Rows, Table};
use crate::replica::Replica;

pub const COLUMNS: &[Column] = &[
    text("name", "the table, index, view or trigger"),
    text("type", "which of these it is"),
    integer("rewritten", "1 if its text is another one here, 0 if this SQLite cannot do it"),
    text("note", "what it comes to"),
];

/// One row for each thing in the primary's schema that is said differently
/// here, or that this SQLite does not do as the primary does.
pub struct SchemaTable(pub Rc<Connection>);

impl Table for SchemaTable {
    fn name(&self) -> &'static str {
        "replica_schema_notes"
    }

    fn schema(&self) -> &str {
        static SCHEMA: LazyLock<String> = LazyLock::new(|| create_table(COLUMNS, ""));
        &SCHEMA
    }

    fn visible_columns(&self) -> usize {
        COLUMNS.len()
    }

    fn rows(&self, _: &[Option<Argument>]) -> Result<Box<dyn Rows>> {
        let notes = match self.0.is_attached() {
            true => self.0.with_replica(Replica::schema_notes)?,
            false => Vec::new(),
        };
        let rows: Vec<Vec<Output>> = notes
            .into_iter()
            .map(|note| {
                vec![
                    Output::Text(note.name),
                    Output::Text(note.kind),
                    Output::Integer(i64::from(note.rewritten)),
                    Output::Text(note.text),
                ]
            })
            .collect();
        Ok(Box::new(rows.into_iter()))
    }
}
