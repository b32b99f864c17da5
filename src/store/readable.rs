//! Whether this SQLite can read a schema, asked before anybody sees it: the
//! rows are given to an empty database in memory, which then reads them as the
//! real file's would be read.

use std::collections::BTreeSet;

use crate::error::Result;
use crate::host::{Connection, libversion};
use crate::schema::tree::Entry;

/// An object that this SQLite cannot read, and with it the whole schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    pub name: String,
    /// In one sentence.
    pub text: String,
    /// A connection that trusts the schema would read it.
    pub wants_trust: bool,
}

/// A name that no primary's object has.
const FILLER: &str = "replica_filler_of_pages";

/// Small pages: one is needed for each object.
const PAGE: usize = 512;

/// The first object that cannot be read on a connection that trusts the schema
/// or does not. None also where this SQLite does not let itself be asked, as
/// one in defensive mode.
pub fn first_unreadable(entries: &[Entry], trusted: bool) -> Result<Option<Unreadable>> {
    if let Some(entry) = entries.iter().find(|entry| has_nul(entry)) {
        return Ok(Some(unreadable(&entry.name, "there is a NUL character in its text")));
    }
    let memory = Connection::open_in_memory()?;
    let trust = if trusted { "ON" } else { "OFF" };
    memory.query(&format!("PRAGMA trusted_schema={trust}"))?;
    if fill(&memory, entries).is_err() {
        return Ok(None);
    }
    let Err(error) = memory.query("SELECT count(*) FROM sqlite_master") else { return Ok(None) };
    let error = error.to_string();
    let Some((_, found)) = error.split_once("database schema (") else {
        return Ok(None);
    };
    // A name may have brackets of its own.
    let named = found.split_once(") - ").or_else(|| Some((found.strip_suffix(')')?, "")));
    let (name, why) = named.unwrap_or((found, ""));
    Ok(Some(unreadable(name, why)))
}

fn has_nul(entry: &Entry) -> bool {
    let texts = [Some(&entry.name), Some(&entry.table), entry.sql.as_ref()];
    texts.into_iter().flatten().any(|text| text.contains('\0'))
}

fn unreadable(name: &str, why: &str) -> Unreadable {
    let why = if why.is_empty() { "it does not say why" } else { why };
    let text =
        format!("the schema of {name} cannot be read by this SQLite {}: {why}", libversion());
    // Old SQLites, 3.40.1 among them, take even their own JSON functions for
    // unsafe.
    Unreadable { name: name.to_owned(), text, wants_trust: why.starts_with("unsafe use of ") }
}

/// Each table and index gets a page of its own: SQLite looks at the numbers of
/// roots, not at what is there.
fn fill(memory: &Connection, entries: &[Entry]) -> Result<()> {
    memory.query(&format!("PRAGMA page_size={PAGE}"))?;
    memory.query(&format!("CREATE TABLE {FILLER}(x)"))?;
    memory
        .query(&format!("INSERT INTO {FILLER} VALUES(zeroblob({}))", PAGE * (entries.len() + 8)))?;
    memory.query("PRAGMA writable_schema=ON")?;
    memory.query("DELETE FROM sqlite_master")?;
    let row = |(at, entry): (usize, &Entry)| {
        let root = if entry.root == 0 { 0 } else { at + 3 };
        let sql = entry.sql.as_deref().map_or("NULL".to_owned(), quoted);
        let [kind, name, table] = [&entry.kind, &entry.name, &entry.table].map(|text| quoted(text));
        format!("({kind},{name},{table},{root},{sql})")
    };
    let rows: Vec<String> = entries.iter().enumerate().map(row).collect();
    if !rows.is_empty() {
        memory.query(&format!("INSERT INTO sqlite_master VALUES {}", rows.join(",")))?;
    }
    memory.query("PRAGMA writable_schema=RESET")?;
    Ok(())
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The functions of this SQLite, in lower case; empty where it does not list
/// them.
pub fn functions() -> BTreeSet<String> {
    let ask = || -> Result<Option<String>> {
        let memory = Connection::open_in_memory()?;
        memory.query("SELECT group_concat(DISTINCT lower(name)) FROM pragma_function_list")
    };
    let names = ask().ok().flatten().unwrap_or_default();
    names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}
