//! Hrana 3 over HTTP: SQL to a primary, as one pipeline request.
//!
//! One statement travels as `execute`, several as one `batch` that is a
//! transaction by itself: BEGIN IMMEDIATE, each statement on condition that
//! the one before succeeded, COMMIT, and ROLLBACK unless that succeeded; so
//! they all happen or none, in one round trip. Splitting SQL text into
//! statements is the caller's; so is everything about HTTP.
//!
//! There are two encodings. Protobuf carries every value exactly. JSON does
//! not: sqld 0.24 reads some REALs one unit in the last place off, and there
//! is no infinity; it is for servers that know nothing else.

mod budget;
mod json;
mod json_answer;
mod protobuf;
mod protobuf_answer;
mod recorded;
mod steps;

use self::budget::{Budget, Unread};
pub use self::recorded::{Record, Work as OnceWork};
pub use self::steps::lost as transaction_lost;
use self::steps::{Condition, Layout, Steps};
use crate::code;
use crate::error::{Error, Kind, Result};
use crate::sqltext::statement::{Description, Rows, Statement, StatementResult};
use crate::sqltext::value::Value;

/// How a pipeline is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Protobuf,
    Json,
}

impl Encoding {
    /// The content type of requests and answers.
    pub fn content_type(self) -> &'static str {
        match self {
            Encoding::Protobuf => "application/x-protobuf",
            Encoding::Json => "application/json",
        }
    }
}

/// One request of a pipeline.
#[derive(Clone, Copy, Debug)]
pub enum Request<'a> {
    Execute(&'a Statement),
    /// All or nothing.
    Transaction(&'a [Statement]),
    /// All or nothing.
    Rows(Rows<'a>),
    /// Opens a transaction in the stream: DEFERRED or IMMEDIATE.
    Begin(&'a str),
    /// The same, IMMEDIATE, with foreign keys switched off for the stream.
    BeginMigration,
    /// Inside the transaction of the stream, all or nothing. Nothing at all
    /// where the primary has ended the transaction.
    Inside(&'a [Statement]),
    /// The same, but after an error the rows before it are there.
    RowsInside(Rows<'a>),
    /// Reads, and undoes what it may have written. `alone`: in a transaction
    /// of its own rather than in that of the stream.
    Query {
        statement: &'a Statement,
        alone: bool,
    },
    /// One after another up to the first that fails; each is a transaction of
    /// its own, but for what stands between a BEGIN and a COMMIT among them.
    Sequence(&'a [Statement]),
    /// Says what a statement is, and does not run it.
    Describe(&'a str),
    /// All or nothing, and at most once: see [`Record`].
    Once {
        work: OnceWork<'a>,
        record: &'a Record,
    },
    /// Ends the transaction of the stream.
    Commit,
    /// The same, with a record of it.
    CommitOnce(&'a Record),
    /// Does nothing, and tells the number of the last frame.
    Head,
    /// Ends the stream, and with it whatever transaction is open in it.
    Close,
}

/// A request as both encodings write it.
enum Wire<'a> {
    Execute(Stmt<'a>),
    Batch(Steps<'a>),
    Describe(&'a str),
    Close,
}

#[derive(Clone, Copy)]
struct Stmt<'a> {
    sql: &'a str,
    args: &'a [Value],
    want_rows: bool,
}

impl<'a> Stmt<'a> {
    fn of(statement: &'a Statement) -> Stmt<'a> {
        Stmt { sql: &statement.sql, args: &statement.args, want_rows: true }
    }

    fn plain(sql: &'a str) -> Stmt<'a> {
        Stmt { sql, args: &[], want_rows: false }
    }
}

/// The body of a pipeline request. `baton` continues an open stream; None
/// opens one, which ends with `Close`.
///
/// Errors of kind BadArgument: an argument that the encoding cannot carry, or
/// a statement inside a transaction that would end it.
pub fn pipeline(
    encoding: Encoding,
    baton: Option<&str>,
    requests: &[Request<'_>],
) -> Result<Vec<u8>> {
    let wire = requests.iter().map(|request| request.wire()).collect::<Result<Vec<_>>>()?;
    match encoding {
        Encoding::Protobuf => Ok(protobuf::encode(baton, &wire)),
        Encoding::Json => json::encode(baton, &wire),
    }
}

impl<'a> Request<'a> {
    fn wire(self) -> Result<Wire<'a>> {
        Ok(match self {
            Request::Execute(statement) => Wire::Execute(Stmt::of(statement)),
            Request::Transaction(statements) => Wire::Batch(steps::transaction(statements)?),
            Request::Rows(rows) => Wire::Batch(steps::rows_alone(rows)?),
            Request::Begin("IMMEDIATE") => Wire::Execute(Stmt::plain("BEGIN IMMEDIATE")),
            Request::Begin(_) => Wire::Execute(Stmt::plain("BEGIN DEFERRED")),
            Request::BeginMigration => Wire::Batch(steps::begin_migration()),
            Request::Inside(statements) => Wire::Batch(steps::inside(statements)?),
            Request::RowsInside(rows) => Wire::Batch(steps::rows_inside(rows)?),
            Request::Query { statement, alone } => Wire::Batch(steps::query(statement, alone)?),
            Request::Sequence(statements) => Wire::Batch(steps::sequence(statements)),
            Request::Describe(sql) => Wire::Describe(sql),
            Request::Once { work, record } => Wire::Batch(recorded::alone(work, record)?),
            Request::Commit => Wire::Batch(steps::commit()),
            Request::CommitOnce(record) => Wire::Batch(recorded::commit(record)),
            Request::Head => Wire::Execute(Stmt::plain("SELECT 1")),
            Request::Close => Wire::Close,
        })
    }
}

/// The answer to a pipeline request.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Goes into the next request of an open stream; None when it is closed.
    pub baton: Option<String>,
    /// Where the next requests of the stream go, if not to the same place.
    pub base_url: Option<String>,
    /// Whether the stream is inside a transaction, where the requests ask.
    pub in_transaction: Option<bool>,
    /// One for each request.
    pub results: Vec<Result<Response>>,
}

/// What came of one request of a pipeline.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    /// One for each statement or row of the request.
    pub results: Vec<StatementResult>,
    /// Number of the last frame on the primary, where it says; sqld does not
    /// for a `Transaction` in protobuf.
    pub frame_no: Option<u64>,
    /// Of `Describe`.
    pub description: Option<Description>,
    /// Of a `Once` whose id was refused: what the primary knows of it.
    pub recorded: Option<Vec<Vec<Value>>>,
}

impl Response {
    fn of(results: Vec<StatementResult>, frame_no: Option<u64>) -> Response {
        Response { results, frame_no, description: None, recorded: None }
    }
}

/// The outcome of a request as both encodings hold it.
enum Outcome {
    Failed(SqlError),
    Execute { result: StatementResult, frame_no: Option<u64> },
    Batch(Batch),
    Describe(Description),
    Close,
}

/// Both lists are as long as the batch has steps.
struct Batch {
    results: Vec<Option<StatementResult>>,
    errors: Vec<Option<SqlError>>,
    frame_no: Option<u64>,
}

/// What SQLite on the primary, or the server itself, says against a statement.
struct SqlError {
    message: String,
    code: String,
}

/// An answer as both encodings hold it.
struct Decoded {
    baton: Option<String>,
    base_url: Option<String>,
    outcomes: Vec<Outcome>,
}

/// Reads the body of a 200 answer to `requests`; None if it would take more
/// memory than `most` bytes.
pub fn answer(
    encoding: Encoding,
    body: &[u8],
    requests: &[Request<'_>],
    most: usize,
) -> Result<Option<Answer>> {
    let layout = |request: &Request<'_>| match request.wire()? {
        Wire::Batch(steps) => Ok(Some(steps.layout)),
        Wire::Execute(_) | Wire::Describe(_) | Wire::Close => Ok(None),
    };
    let layouts = requests.iter().map(layout).collect::<Result<Vec<_>>>()?;
    let steps: Vec<usize> =
        layouts.iter().map(|layout| layout.map_or(0, |layout| layout.steps)).collect();
    let mut budget = Budget::new(most);
    let decoded = match encoding {
        Encoding::Protobuf => protobuf_answer::decode(body, &steps, &mut budget),
        Encoding::Json => json_answer::decode(body, &steps, &mut budget),
    };
    let Decoded { baton, base_url, outcomes } = match decoded {
        Ok(decoded) => decoded,
        Err(Unread::TooBig) => return Ok(None),
        Err(Unread::Broken(error)) => return Err(error),
    };
    if outcomes.len() != requests.len() {
        return Err(protocol(format!(
            "the primary answered {} results to {} requests",
            outcomes.len(),
            requests.len()
        )));
    }
    let mut answer = Answer { baton, base_url, in_transaction: None, results: Vec::new() };
    for ((outcome, request), layout) in outcomes.into_iter().zip(requests).zip(layouts) {
        let (result, open) = response(outcome, request, layout.as_ref());
        answer.in_transaction = open.or(answer.in_transaction);
        answer.results.push(result);
    }
    Ok(Some(answer))
}

fn response(
    outcome: Outcome,
    request: &Request<'_>,
    layout: Option<&Layout>,
) -> (Result<Response>, Option<bool>) {
    let response = match (outcome, layout) {
        (Outcome::Failed(error), _) => Err(error.into()),
        (Outcome::Batch(batch), Some(layout)) => return steps::read(batch, layout),
        (Outcome::Execute { result, frame_no }, None) => match request {
            Request::Execute(_) => Ok(Response::of(vec![result], frame_no)),
            Request::Begin(_) | Request::Head => Ok(Response::of(vec![], frame_no)),
            _ => Err(wrong_kind()),
        },
        (Outcome::Close, None) if matches!(request, Request::Close) => {
            Ok(Response::of(vec![], None))
        }
        (Outcome::Describe(description), None) => {
            Ok(Response { description: Some(description), ..Response::of(vec![], None) })
        }
        _ => Err(wrong_kind()),
    };
    (response, None)
}

fn wrong_kind() -> Error {
    protocol("the primary's answer holds a result of the wrong kind")
}

/// SQLite's own words in what sqld says of a statement that it could not
/// prepare.
fn own_words(message: &str) -> &str {
    let Some(message) = message.strip_prefix("SQL input error: ") else { return message };
    message.rsplit_once(" (at offset ").map_or(message, |(words, _)| words)
}

/// Extended result codes that a server may name; sqld itself only names the
/// primary ones, and CONSTRAINT is told apart by its message below.
const CODES: [(&str, i32); 34] = [
    ("SQLITE_ERROR", code::ERROR),
    ("SQLITE_INTERNAL", code::INTERNAL),
    ("SQLITE_PERM", code::PERM),
    ("SQLITE_ABORT", code::ABORT),
    ("SQLITE_LOCKED", code::LOCKED),
    ("SQLITE_NOMEM", code::NOMEM),
    ("SQLITE_READONLY", code::READONLY),
    ("SQLITE_INTERRUPT", code::INTERRUPT),
    ("SQLITE_IOERR", code::IOERR),
    ("SQLITE_CORRUPT", code::CORRUPT),
    ("SQLITE_FULL", code::FULL),
    ("SQLITE_CANTOPEN", code::CANTOPEN),
    ("SQLITE_SCHEMA", code::SCHEMA),
    ("SQLITE_TOOBIG", code::TOOBIG),
    ("RESPONSE_TOO_LARGE", code::TOOBIG),
    ("SQLITE_CONSTRAINT", code::CONSTRAINT),
    ("SQLITE_CONSTRAINT_CHECK", code::CONSTRAINT_CHECK),
    ("SQLITE_CONSTRAINT_COMMITHOOK", code::CONSTRAINT_COMMITHOOK),
    ("SQLITE_CONSTRAINT_FOREIGNKEY", code::CONSTRAINT_FOREIGNKEY),
    ("SQLITE_CONSTRAINT_FUNCTION", code::CONSTRAINT_FUNCTION),
    ("SQLITE_CONSTRAINT_NOTNULL", code::CONSTRAINT_NOTNULL),
    ("SQLITE_CONSTRAINT_PRIMARYKEY", code::CONSTRAINT_PRIMARYKEY),
    ("SQLITE_CONSTRAINT_TRIGGER", code::CONSTRAINT_TRIGGER),
    ("SQLITE_CONSTRAINT_UNIQUE", code::CONSTRAINT_UNIQUE),
    ("SQLITE_CONSTRAINT_VTAB", code::CONSTRAINT_VTAB),
    ("SQLITE_CONSTRAINT_ROWID", code::CONSTRAINT_ROWID),
    ("SQLITE_CONSTRAINT_PINNED", code::CONSTRAINT_PINNED),
    ("SQLITE_CONSTRAINT_DATATYPE", code::CONSTRAINT_DATATYPE),
    ("SQLITE_MISMATCH", code::MISMATCH),
    ("SQLITE_MISUSE", code::MISUSE),
    ("SQLITE_AUTH", code::AUTH),
    ("SQLITE_RANGE", code::RANGE),
    ("SQLITE_NOTADB", code::NOTADB),
    ("SQLITE_UNKNOWN", code::ERROR),
];

/// How SQLite's messages of a constraint begin (sqlite.org: build.c, insert.c,
/// fkey.c, vdbe.c). A primary key says "UNIQUE" too.
const CONSTRAINTS: [(&str, i32); 5] = [
    ("UNIQUE constraint failed", code::CONSTRAINT_UNIQUE),
    ("NOT NULL constraint failed", code::CONSTRAINT_NOTNULL),
    ("CHECK constraint failed", code::CONSTRAINT_CHECK),
    ("FOREIGN KEY constraint failed", code::CONSTRAINT_FOREIGNKEY),
    ("cannot store ", 3091),
];

/// What Turso's own server gives as a code: where it failed, not why.
const TURSO_CODES: [&str; 4] = ["PREPARE_ERROR", "BIND_ERROR", "EXECUTE_ERROR", "BATCH_STEP_ERROR"];

/// What it says, as SQLite would: without `Runtime error: ` in front and a
/// number such as ` (19)` behind.
fn plain(message: &str) -> &str {
    let message = ["Runtime error: ", "Parse error: "]
        .iter()
        .find_map(|start| message.strip_prefix(start))
        .unwrap_or(message);
    match message.strip_suffix(')').and_then(|message| message.rsplit_once(" (")) {
        Some((before, code)) if code.parse::<u16>().is_ok() => before,
        _ => message,
    }
}

impl From<SqlError> for Error {
    fn from(SqlError { message, code }: SqlError) -> Error {
        let message = message.strip_prefix("SQLite error: ").unwrap_or(&message);
        let message = if TURSO_CODES.contains(&code.as_str()) { plain(message) } else { message };
        let message = if message.is_empty() { "the primary gives no reason" } else { message };
        match code.as_str() {
            busy if busy == "SQLITE_BUSY" || is_busy_turso(busy, message) => Error::new(
                Kind::RemoteBusy,
                format!("the primary is busy with another writer: {message}"),
            ),
            // "Begin it again" alone would send people round in circles.
            "TRANSACTION_TIMEOUT" => steps::lost(&format!(
                "{message}: it was open for more than 5 s while another writer waited, so make it \
                 smaller (a batch: GROUP BY)"
            )),
            "STREAM_EXPIRED" | "TRANSACTION_BUSY" => steps::lost(message),
            "BLOCKED" | "SQL_BLOCKED" => {
                Error::new(Kind::Auth, format!("the primary does not allow this: {message}"))
            }
            // sqld takes values of at most about 5 MB, and says so of arguments.
            "ARGS_INVALID" if message.ends_with("string or blob too big") => {
                let text = "the value is too big for the primary: string or blob too big";
                Error::new(Kind::Remote(code::TOOBIG), text)
            }
            _ => Error::remote(extended_code(&code, message), message, own_words(message)),
        }
    }
}

fn is_busy_turso(code: &str, message: &str) -> bool {
    let busy = ["database is busy", "database is locked", "Database is busy"];
    TURSO_CODES.contains(&code) && busy.iter().any(|start| message.starts_with(start))
}

fn extended_code(code: &str, message: &str) -> i32 {
    let number = CODES.iter().find(|(name, _)| *name == code).map_or(1, |(_, number)| *number);
    if number != 19 && !TURSO_CODES.contains(&code) {
        return number;
    }
    let known = CONSTRAINTS.iter().find(|(start, _)| message.starts_with(start));
    known.map_or(number, |(_, number)| *number)
}

fn protocol(text: impl Into<String>) -> Error {
    Error::new(Kind::Protocol, text)
}

#[cfg(test)]
#[path = "hrana_tests.rs"]
mod tests;
