//! What there is, in words: the one source of the table `replica_help`, of
//! `SELECT replica_help()`, and of the tables of functions, columns and options
//! in the documentation, which a test compares with it.

use super::columns::{Column, create_table, text};
use super::options;
use crate::error::Result;
use crate::host::value::{Argument, Output};
use crate::host::vtab::{Rows, Table};

/// A function or a table.
struct Name {
    kind: &'static str,
    /// How it is written.
    shape: &'static str,
    help: &'static str,
}

const fn function(shape: &'static str, help: &'static str) -> Name {
    Name { kind: "function", shape, help }
}

const fn aggregate(shape: &'static str, help: &'static str) -> Name {
    Name { kind: "aggregate", shape, help }
}

const fn table(shape: &'static str, help: &'static str) -> Name {
    Name { kind: "table", shape, help }
}

/// As docs/reference.md shows them: Markdown.
const NAMES: &[Name] = &[
    function(
        "replica_attach([sync_url [, token [, options]]])",
        "the status row as JSON. An empty or new file gets its first sync; an existing replica \
         needs no network",
    ),
    function(
        "replica_sync([options])",
        "pulls what changed: `{\"frame_no\",\"position\",\"frames_synced\",\"pages_written\",\
         \"bytes_received\",\"snapshot\",\"reset\",\"duration_ms\"}`",
    ),
    function(
        "replica_write(sql [, arg ...])",
        "runs on the primary, and is readable here when it returns: `{\"rows_affected\",\
         \"last_insert_rowid\",\"columns\",\"rows\",\"frame_no\",\"position\",\"synced\"}`; several \
         statements are one transaction: `{\"results\":[...],\"frame_no\",\"position\",\"synced\"}`",
    ),
    function(
        "replica_write_args(sql, args)",
        "the same with all arguments in one JSON array, or by name (`:a`, `@a`, `$a`) in a JSON \
         object",
    ),
    table(
        "FROM replica_write(sql [, args])",
        "the same as a table: a row for each row that came back (one where none came), with the \
         values and their types as `c0` to `c127`",
    ),
    aggregate(
        "replica_batch(sql, arg ...)",
        "one statement for each row of the query, all in one transaction: `SELECT \
         replica_batch('INSERT INTO t VALUES (?,?)', a, b) FROM staging`",
    ),
    aggregate(
        "replica_batch_args(sql, args)",
        "the same with the arguments of each row in one JSON text",
    ),
    function(
        "replica_write_many(list)",
        "statements with arguments of their own, all or nothing, a result for each: a JSON list of \
         texts, `[text, args]` or `{\"sql\", \"args\"}`, or `{\"statements\": list, \"exactly_once\": \
         true}`",
    ),
    function(
        "replica_script(text)",
        "statement by statement, each lasting at once, up to the first that fails; may hold \
         `BEGIN` and `COMMIT`, as dumps do",
    ),
    function(
        "replica_migrate(text)",
        "a migration: all or nothing, with foreign keys off, and undone where rows would point \
         into nothing at its end",
    ),
    function(
        "replica_outcome(id)",
        "what became of a write with [`exactly_once`](offline.md#a-lost-answer) whose primary \
         stayed away: `committed`, `not committed` (then it never will be), `unknown` where that is \
         no longer recorded, or `queued`",
    ),
    function(
        "replica_enqueue(sql [, arg ...])",
        "[queues](offline.md#without-a-network) a write without a network: `{\"number\",\"id\"}`",
    ),
    function(
        "replica_deliver([options])",
        "delivers the queue, in order, each entry once, as `replica_sync` and the workers do before \
         they pull: `{\"delivered\",\"set_aside\",\"waiting\"}`, and `stopped` where somebody has to \
         decide",
    ),
    function(
        "replica_retry(number)",
        "queues an entry once more that the primary has refused: `{\"number\",\"id\"}`",
    ),
    function(
        "replica_discard(number)",
        "takes an entry out of the queue: `discarded`, or `delivered` where it had happened already",
    ),
    table(
        "FROM replica_outbox",
        "every entry of the queue: what it is, how far, and what was said of it",
    ),
    table("FROM replica_pending", "each statement that waits in the queue"),
    function(
        "replica_describe(sql)",
        "JSON: what a statement is, without running it (`readonly`, `explain`, `parameters`, \
         `columns` with types)",
    ),
    function("replica_split(text)", "JSON: the statements of a text"),
    function(
        "replica_error()",
        "the last error of this connection in parts (`message` in SQLite's words, extended \
         `code`, `statement`, `transaction`)",
    ),
    function(
        "replica_transaction()",
        "what is open on the primary: `none`, `deferred`, `immediate`, `read`, or `lost` until it \
         is ended",
    ),
    function(
        "replica_begin([mode])",
        "opens an interactive transaction on the primary: `'deferred'`, `'immediate'`, `'read'`, \
         or `'migration'` (immediate, with foreign keys off until it ends); writes and queries go \
         into it while it is open",
    ),
    function("replica_commit()", "commits it; the result is readable here when it returns"),
    function("replica_rollback()", "undoes it; nothing happens where none is open"),
    table(
        "FROM replica_query(sql [, args])",
        "runs on the primary, one `row` (JSON array) each, its values with their types as `c0` to \
         `c127`: `SELECT c0 FROM replica_query('SELECT ...')`",
    ),
    function(
        "replica_wait(position [, timeout_s])",
        "waits until this file holds at least that frame of that history, whoever brings it; \
         returns the frame it is at. `position` is the text that stands beside `frame_no` in a \
         result (NULL where the history is not known, as for a write that was not brought back, \
         and where the primary has no frame numbers). A bare `frame_no` is taken too, and means \
         whatever history the file is on",
    ),
    table(
        "FROM replica_sync_progress",
        "reading it syncs, and a row comes while it goes on; the last row has phase `done`",
    ),
    table(
        "FROM replica_status",
        "a row for the attached replica: [its columns](#columns-of-replica_status)",
    ),
    function("replica_status()", "the same as JSON; needs no schema that SQLite can read"),
    table(
        "FROM replica_health([path [, max_age_s]])",
        "how the replica of a file fares, without attach and network: fresh, since when, by whom, \
         what is wrong ([its columns](#columns-of-replica_health))",
    ),
    function("replica_health([path [, max_age_s]])", "the same as JSON"),
    table(
        "FROM replica_schema_notes",
        "what of the primary's schema is said differently here, or cannot be done by this SQLite",
    ),
    function("replica_set_token(token)", "replaces the token (they expire); NULL takes it away"),
    function(
        "replica_detach()",
        "stops the worker and lets go of the file; 1 if a replica was attached, else 0. The file \
         remains a replica",
    ),
    function(
        "replica_lock([what])",
        "for hosts that run SQL of others: from here on until the connection is closed, \
         `replica_attach`, `replica_detach`, `replica_set_token`, `replica_promote`, `replica_repair`, \
         `on_reset` and `after_reset` are refused; with `'writes'` everything that writes as well",
    ),
    function("replica_promote()", "makes the file an ordinary, writable database"),
    function(
        "replica_repair(path)",
        "from a connection to something else: empties a replica whose first page keeps SQLite from \
         every statement, so that it can be attached again; see \
         [troubleshooting](troubleshooting.md#unsupported-file-format)",
    ),
    table("FROM replica_help", "this list: every function, table, column and option with one line"),
    function("replica_help()", "the functions and tables of it as one text"),
    function("replica_version()", "`v0.2.0`"),
    function("replica_debug()", "version, commit, build date, SQLite, TLS"),
];

type Columns = fn() -> Vec<&'static Column>;

/// The tables whose columns are told.
const TABLES: &[(&str, Columns)] = &[
    ("replica_status", super::status_table::columns),
    ("replica_health", super::health_table::columns),
    ("replica_write", || super::query_table::WRITE.iter().collect()),
    ("replica_query", || super::query_table::QUERY.iter().collect()),
    ("replica_outbox", || super::outbox::ENTRIES.iter().collect()),
    ("replica_pending", || super::outbox::PENDING.iter().collect()),
    ("replica_sync_progress", || super::progress_table::COLUMNS.iter().collect()),
    ("replica_schema_notes", || super::schema_table::COLUMNS.iter().collect()),
    ("replica_help", || COLUMNS.iter().collect()),
];

const COLUMNS: &[Column] = &[
    text("kind", "`function`, `aggregate`, `table`, `column`, `option`"),
    text("name", "what it is called; a column and an option with that to which it belongs"),
    text("shape", "how it is written; the type of a column; the default of an option"),
    text("text", "what it is"),
];

impl Name {
    /// `replica_write` of `FROM replica_write(sql [, args])`.
    fn name(&self) -> &'static str {
        let bare = self.shape.trim_start_matches("FROM ");
        bare.split('(').next().unwrap_or(bare)
    }
}

/// As it stands in a terminal: no Markdown.
fn plain(markdown: &str) -> String {
    let mut plain = String::new();
    let mut rest = markdown;
    while let Some((before, after)) = rest.split_once('[') {
        let link =
            after.split_once("](").and_then(|(label, to)| Some((label, to.split_once(')')?.1)));
        // A bracket of SQL's notation is none of a link.
        let Some((label, behind)) = link.filter(|(label, _)| !label.contains(']')) else {
            plain += before;
            plain.push('[');
            rest = after;
            continue;
        };
        plain += before;
        plain += label;
        rest = behind;
    }
    (plain + rest).replace('`', "")
}

fn rows() -> Vec<Vec<Output>> {
    let row = |kind: &str, name: String, shape: &str, help: &str| {
        [kind, &name, &plain(shape), &plain(help)].map(|cell| Output::Text(cell.to_owned())).into()
    };
    let names =
        NAMES.iter().map(|name| row(name.kind, name.name().to_owned(), name.shape, name.help));
    let columns = TABLES.iter().flat_map(|(table, columns)| {
        columns().into_iter().map(move |column| {
            row("column", format!("{table}.{}", column.name), column.kind, column.help)
        })
    });
    let option = |of: &str, name: &str| format!("{of} {name}");
    let attach = options::ATTACH.iter().map(|known| {
        row("option", option("replica_attach", known.name), known.default, known.help)
    });
    let sync = options::SYNC
        .iter()
        .map(|known| row("option", option("replica_sync", known.name), known.default, known.help));
    let deliver = options::DELIVER.iter().map(|known| {
        row("option", option("replica_deliver", known.name), known.default, known.help)
    });
    names.chain(columns).chain(attach).chain(sync).chain(deliver).collect()
}

/// `SELECT replica_help()`: a line for each function and table.
pub fn as_text() -> String {
    let mut lines: Vec<String> =
        NAMES.iter().map(|name| format!("{}\n    {}", name.shape, plain(name.help))).collect();
    lines.push(
        "Columns and options as well: SELECT kind, name, shape, text FROM replica_help".to_owned(),
    );
    lines.join("\n")
}

/// All of it, a row each.
pub struct HelpTable {
    schema: String,
}

impl HelpTable {
    pub fn new() -> HelpTable {
        HelpTable { schema: create_table(COLUMNS, "") }
    }
}

impl Table for HelpTable {
    fn name(&self) -> &'static str {
        "replica_help"
    }

    fn schema(&self) -> &str {
        &self.schema
    }

    fn visible_columns(&self) -> usize {
        COLUMNS.len()
    }

    fn rows(&self, _: &[Option<Argument>]) -> Result<Box<dyn Rows>> {
        Ok(Box::new(rows().into_iter()))
    }
}

#[cfg(test)]
#[path = "help_tests.rs"]
mod tests;
