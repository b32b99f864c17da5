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

mod json;
mod protobuf;

use crate::error::{Error, Kind, Result};
use crate::proto::statement::{Statement, StatementResult, transaction_word};
use crate::proto::value::Value;

/// How a pipeline is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Protobuf,
    Json,
}

impl Encoding {
    /// Where a pipeline request goes.
    pub fn path(self) -> &'static str {
        match self {
            Encoding::Protobuf => "/v3-protobuf/pipeline",
            Encoding::Json => "/v3/pipeline",
        }
    }

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
    /// Does nothing, and tells the number of the last frame.
    Head,
    /// Ends the stream, and with it whatever transaction is open in it.
    Close,
}

/// A request as both encodings write it.
enum Wire<'a> {
    Execute(Stmt<'a>),
    Batch(Vec<(Stmt<'a>, Option<Condition>)>),
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

/// When a step of a batch is done, by the number of an earlier one.
#[derive(Clone, Copy)]
enum Condition {
    Ok(u32),
    NotOk(u32),
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
            Request::Transaction(statements) => Wire::Batch(transaction_steps(statements)?),
            Request::Head => Wire::Execute(Stmt::plain("SELECT 1")),
            Request::Close => Wire::Close,
        })
    }

    /// Steps of the batch that this request is; 0 if it is none.
    fn steps(self) -> usize {
        match self {
            Request::Transaction(statements) => statements.len() + 3,
            Request::Execute(_) | Request::Head | Request::Close => 0,
        }
    }
}

/// BEGIN, the statements, COMMIT, ROLLBACK: statement i (from 0) is step i + 1.
fn transaction_steps(statements: &[Statement]) -> Result<Vec<(Stmt<'_>, Option<Condition>)>> {
    let mut steps = vec![(Stmt::plain("BEGIN IMMEDIATE"), None)];
    let mut before = 0;
    for (index, statement) in statements.iter().enumerate() {
        refuse_transaction_words(statement, Place { index, of: statements.len() })?;
        steps.push((Stmt::of(statement), Some(Condition::Ok(before))));
        before += 1;
    }
    steps.push((Stmt::plain("COMMIT"), Some(Condition::Ok(before))));
    steps.push((Stmt::plain("ROLLBACK"), Some(Condition::NotOk(before + 1))));
    Ok(steps)
}

/// A COMMIT among the statements would end the transaction early, and the
/// statements behind it would no longer be part of anything.
fn refuse_transaction_words(statement: &Statement, place: Place) -> Result<()> {
    match transaction_word(&statement.sql) {
        None | Some("SAVEPOINT" | "RELEASE") => Ok(()),
        Some(word) => Err(place.name(Error::new(
            Kind::BadArgument,
            format!("{word} cannot stand here: the statements are one transaction already"),
        ))),
    }
}

/// Which of several statements.
#[derive(Clone, Copy)]
struct Place {
    index: usize,
    of: usize,
}

impl Place {
    fn name(self, error: Error) -> Error {
        if self.of == 1 {
            return error;
        }
        error.context(&format!("statement {} of {}", self.index + 1, self.of))
    }
}

/// The answer to a pipeline request.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Goes into the next request of an open stream; None when it is closed.
    pub baton: Option<String>,
    /// One for each request.
    pub results: Vec<Result<Response>>,
}

/// What came of one request of a pipeline.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    /// One for `Execute`, one each for `Transaction`, none for the others.
    pub results: Vec<StatementResult>,
    /// Number of the last frame on the primary, where it says; sqld does not
    /// for a `Transaction` in protobuf.
    pub frame_no: Option<u64>,
}

/// The outcome of a request as both encodings hold it.
enum Outcome {
    Failed(SqlError),
    Execute { result: StatementResult, frame_no: Option<u64> },
    Batch(Batch),
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

/// Reads the body of a 200 answer to `requests`.
pub fn answer(encoding: Encoding, body: &[u8], requests: &[Request<'_>]) -> Result<Answer> {
    let steps: Vec<usize> = requests.iter().map(|request| request.steps()).collect();
    let (baton, outcomes) = match encoding {
        Encoding::Protobuf => protobuf::decode(body, &steps)?,
        Encoding::Json => json::decode(body, &steps)?,
    };
    if outcomes.len() != requests.len() {
        return Err(protocol(format!(
            "the primary answered {} results to {} requests",
            outcomes.len(),
            requests.len()
        )));
    }
    let results = outcomes.into_iter().zip(requests);
    let results = results.map(|(outcome, request)| response(outcome?, request)).collect();
    Ok(Answer { baton, results })
}

fn response(outcome: Outcome, request: &Request<'_>) -> Result<Response> {
    match (request, outcome) {
        (_, Outcome::Failed(error)) => Err(error.into()),
        (Request::Execute(_), Outcome::Execute { result, frame_no }) => {
            Ok(Response { results: vec![result], frame_no })
        }
        (Request::Head, Outcome::Execute { frame_no, .. }) => {
            Ok(Response { results: vec![], frame_no })
        }
        (Request::Transaction(statements), Outcome::Batch(batch)) => {
            transaction_result(batch, statements.len())
        }
        (Request::Close, Outcome::Close) => Ok(Response { results: vec![], frame_no: None }),
        _ => Err(protocol("the primary's answer holds a result of the wrong kind")),
    }
}

/// Takes BEGIN, COMMIT and ROLLBACK away again, or finds what failed.
fn transaction_result(batch: Batch, statements: usize) -> Result<Response> {
    let Batch { mut results, errors, frame_no } = batch;
    if results.len() != statements + 3 || errors.len() != statements + 3 {
        return Err(protocol("the primary's answer has another number of steps than the request"));
    }
    let commit = statements + 1;
    // An error of the ROLLBACK step says only that nothing was left to undo.
    let failed = errors.into_iter().take(commit + 1).enumerate();
    let failed = failed.filter_map(|(step, error)| Some((step, Error::from(error?)))).next();
    if let Some((step, error)) = failed {
        return Err(if step == 0 {
            error.context("cannot begin a transaction on the primary")
        } else if step == commit {
            error.context("the primary did not commit")
        } else {
            Place { index: step - 1, of: statements }.name(error)
        });
    }
    if results[commit].is_none() {
        return Err(protocol("the primary neither committed nor said why"));
    }
    let results = results.drain(1..commit).collect::<Option<Vec<_>>>();
    let results = results.ok_or_else(|| protocol("the primary's answer lacks a result"))?;
    Ok(Response { results, frame_no })
}

/// Extended result codes that a server may name; sqld itself only names the
/// primary ones, and CONSTRAINT is told apart by its message below.
const CODES: [(&str, i32); 34] = [
    ("SQLITE_ERROR", 1),
    ("SQLITE_INTERNAL", 2),
    ("SQLITE_PERM", 3),
    ("SQLITE_ABORT", 4),
    ("SQLITE_LOCKED", 6),
    ("SQLITE_NOMEM", 7),
    ("SQLITE_READONLY", 8),
    ("SQLITE_INTERRUPT", 9),
    ("SQLITE_IOERR", 10),
    ("SQLITE_CORRUPT", 11),
    ("SQLITE_FULL", 13),
    ("SQLITE_CANTOPEN", 14),
    ("SQLITE_SCHEMA", 17),
    ("SQLITE_TOOBIG", 18),
    ("RESPONSE_TOO_LARGE", 18),
    ("SQLITE_CONSTRAINT", 19),
    ("SQLITE_CONSTRAINT_CHECK", 275),
    ("SQLITE_CONSTRAINT_COMMITHOOK", 531),
    ("SQLITE_CONSTRAINT_FOREIGNKEY", 787),
    ("SQLITE_CONSTRAINT_FUNCTION", 1043),
    ("SQLITE_CONSTRAINT_NOTNULL", 1299),
    ("SQLITE_CONSTRAINT_PRIMARYKEY", 1555),
    ("SQLITE_CONSTRAINT_TRIGGER", 1811),
    ("SQLITE_CONSTRAINT_UNIQUE", 2067),
    ("SQLITE_CONSTRAINT_VTAB", 2323),
    ("SQLITE_CONSTRAINT_ROWID", 2579),
    ("SQLITE_CONSTRAINT_PINNED", 2835),
    ("SQLITE_CONSTRAINT_DATATYPE", 3091),
    ("SQLITE_MISMATCH", 20),
    ("SQLITE_MISUSE", 21),
    ("SQLITE_AUTH", 23),
    ("SQLITE_RANGE", 25),
    ("SQLITE_NOTADB", 26),
    ("SQLITE_UNKNOWN", 1),
];

/// How SQLite's messages of a constraint begin (sqlite.org: build.c, insert.c,
/// fkey.c, vdbe.c). A primary key says "UNIQUE" too.
const CONSTRAINTS: [(&str, i32); 5] = [
    ("UNIQUE constraint failed", 2067),
    ("NOT NULL constraint failed", 1299),
    ("CHECK constraint failed", 275),
    ("FOREIGN KEY constraint failed", 787),
    ("cannot store ", 3091),
];

impl From<SqlError> for Error {
    fn from(SqlError { message, code }: SqlError) -> Error {
        let message = message.strip_prefix("SQLite error: ").unwrap_or(&message);
        let message = if message.is_empty() { "the primary gives no reason" } else { message };
        match code.as_str() {
            "SQLITE_BUSY" => Error::new(
                Kind::RemoteBusy,
                format!("the primary is busy with another writer: {message}"),
            ),
            "STREAM_EXPIRED" | "TRANSACTION_TIMEOUT" | "TRANSACTION_BUSY" => Error::new(
                Kind::Remote(4),
                format!(
                    "the primary ended the transaction, which was idle for too long: {message}; \
                     begin it again"
                ),
            ),
            "BLOCKED" | "SQL_BLOCKED" => {
                Error::new(Kind::Auth, format!("the primary does not allow this: {message}"))
            }
            _ => Error::new(Kind::Remote(extended_code(&code, message)), message),
        }
    }
}

fn extended_code(code: &str, message: &str) -> i32 {
    let number = CODES.iter().find(|(name, _)| *name == code).map_or(1, |(_, number)| *number);
    if number != 19 {
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
