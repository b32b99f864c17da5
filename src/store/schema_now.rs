//! The schema as readers of the file see it now, and what there is to say
//! about it.

use super::file::ReplicaFile;
use super::readable::first_unreadable;
use crate::error::Result;
use crate::schema::rewrite::{Note, notes};
use crate::schema::tree::{self, Schema};
use crate::wal::page1;

impl ReplicaFile {
    /// Looks at the schema as a connection does that trusts it, or does not.
    pub fn trust_schema(&self, trusted: bool) -> Result<()> {
        self.schema.trusted.set(trusted);
        let trust = if trusted { "ON" } else { "OFF" };
        self.connection.query(&format!("PRAGMA trusted_schema={trust}")).map(|_| ())
    }

    /// What changes with each change of the schema.
    pub fn schema_cookie(&self) -> Result<u32> {
        self.header().map(|header| page1::schema_cookie(&header))
    }

    /// None where the pages are no schema.
    fn schema_now(&self) -> Result<Option<Schema>> {
        self.look(&mut |size, read| tree::read(size, read))
    }

    /// What was rewritten in the schema, and what this SQLite does not do as
    /// the primary does.
    pub fn schema_notes(&self) -> Result<Vec<Note>> {
        let Some(schema) = self.schema_now()? else { return Ok(Vec::new()) };
        let known = |name: &str| self.schema.has_function(name);
        let mut all: Vec<Note> =
            schema.entries.iter().flat_map(|entry| notes(entry, &known)).collect();
        if let Some(found) = first_unreadable(&schema.entries, self.schema.trusted.get())? {
            let kind = schema.entries.iter().find(|entry| entry.name == found.name);
            let kind = kind.map_or_else(String::new, |entry| entry.kind.clone());
            all.push(Note { name: found.name, kind, rewritten: false, text: found.text });
        }
        Ok(all)
    }

    /// The columns of a table's primary key; none where it has none, or is not
    /// here.
    pub fn primary_key(&self, table: &str) -> Vec<String> {
        // It looks whether the schema is still the one that was read.
        if table.contains('\0') || !self.reads_schema() {
            return Vec::new();
        }
        let names = self.names(&format!(
            "SELECT group_concat(name, char(31)) FROM pragma_table_info('{}', 'main') WHERE pk > 0",
            table.replace('\'', "''")
        ));
        names.split('\u{1f}').filter(|name| !name.is_empty()).map(str::to_owned).collect()
    }

    /// Why this SQLite cannot read the file's schema, in one sentence.
    pub fn schema_trouble(&self) -> Result<Option<String>> {
        if self.reads_schema() {
            return Ok(None);
        }
        let Some(schema) = self.schema_now()? else { return Ok(None) };
        Ok(first_unreadable(&schema.entries, self.schema.trusted.get())?.map(|found| found.text))
    }
}
