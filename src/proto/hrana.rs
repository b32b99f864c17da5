//! Hrana 3 over HTTP: SQL to a primary, as one JSON pipeline request.
//!
//! One statement travels as `execute`, several as one `batch` that is a
//! transaction by itself: BEGIN IMMEDIATE, each statement on condition that
//! the one before succeeded, COMMIT, and ROLLBACK unless that succeeded; so
//! they all happen or none, in one round trip. Splitting SQL text into
//! statements is the caller's; so is everything about HTTP.

use serde_json::{Value as Json, json};

use crate::error::{Error, Kind, Result};
use crate::proto::statement::{Statement, StatementResult, transaction_word};
use crate::proto::value::{Value, integer};

/// Where a pipeline request goes.
pub const PIPELINE_PATH: &str = "/v3/pipeline";

/// One request of a pipeline.
#[derive(Clone, Copy, Debug)]
pub enum Request<'a> {
    Execute(&'a Statement),
    /// All or nothing.
    Transaction(&'a [Statement]),
    /// Ends the stream, and with it whatever transaction is open in it.
    Close,
}

/// The body of a pipeline request. `baton` continues an open stream; None
/// opens one, which ends with `Close`.
///
/// Errors of kind BadArgument: an argument that JSON cannot carry, or a
/// statement inside a transaction that would end it.
pub fn pipeline(baton: Option<&str>, requests: &[Request<'_>]) -> Result<String> {
    let requests = requests.iter().map(|request| request.to_json()).collect::<Result<Vec<_>>>()?;
    Ok(json!({"baton": baton, "requests": requests}).to_string())
}

impl Request<'_> {
    fn to_json(self) -> Result<Json> {
        Ok(match self {
            Request::Execute(statement) => {
                json!({"type": "execute", "stmt": statement_json(statement)?})
            }
            Request::Transaction(statements) => {
                json!({"type": "batch", "batch": {"steps": transaction_steps(statements)?}})
            }
            Request::Close => json!({"type": "close"}),
        })
    }
}

fn statement_json(statement: &Statement) -> Result<Json> {
    let args = statement.args.iter().map(Value::to_hrana).collect::<Result<Vec<_>>>()?;
    Ok(json!({"sql": statement.sql, "args": args, "want_rows": true}))
}

/// BEGIN, the statements, COMMIT, ROLLBACK: statement i (from 0) is step i + 1.
fn transaction_steps(statements: &[Statement]) -> Result<Vec<Json>> {
    let plain = |sql: &str| json!({"sql": sql, "want_rows": false});
    let after = |step: usize| json!({"type": "ok", "step": step});
    let mut steps = vec![json!({"stmt": plain("BEGIN IMMEDIATE")})];
    for (index, statement) in statements.iter().enumerate() {
        let place = Place { index, of: statements.len() };
        refuse_transaction_words(statement, place)?;
        let stmt = statement_json(statement).map_err(|error| place.name(error))?;
        steps.push(json!({"stmt": stmt, "condition": after(index)}));
    }
    let commit = steps.len();
    steps.push(json!({"stmt": plain("COMMIT"), "condition": after(commit - 1)}));
    steps.push(json!({
        "stmt": plain("ROLLBACK"),
        "condition": {"type": "not", "cond": after(commit)},
    }));
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
    /// One for each request. An error leaves the later requests undone.
    pub results: Vec<Result<Response>>,
}

/// What came of one request of a pipeline.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    /// One for `Execute`, one each for `Transaction`, none for `Close`.
    pub results: Vec<StatementResult>,
    /// Number of the last frame on the primary, where it says.
    pub frame_no: Option<u64>,
}

/// Reads the body of a 200 answer to `requests`.
pub fn answer(body: &[u8], requests: &[Request<'_>]) -> Result<Answer> {
    let json: Json = serde_json::from_slice(body)
        .map_err(|error| protocol(format!("the primary's answer is not JSON: {error}")))?;
    let results = json
        .get("results")
        .and_then(Json::as_array)
        .ok_or_else(|| protocol("the primary's answer holds no results"))?;
    if results.len() != requests.len() {
        return Err(protocol(format!(
            "the primary answered {} results to {} requests",
            results.len(),
            requests.len()
        )));
    }
    let baton = json.get("baton").and_then(Json::as_str).map(str::to_owned);
    let results = results.iter().zip(requests).map(|(json, request)| response(json, request));
    Ok(Answer { baton, results: results.collect() })
}

fn response(json: &Json, request: &Request<'_>) -> Result<Response> {
    if let Some(error) = json.get("error") {
        return Err(sql_error(error));
    }
    let response = json.get("response");
    let kind = response.and_then(|response| response.get("type")).and_then(Json::as_str);
    let result = response.and_then(|response| response.get("result"));
    match (request, kind, result) {
        (Request::Execute(_), Some("execute"), Some(result)) => {
            Ok(Response { results: vec![statement_result(result)?], frame_no: frame_no(result)? })
        }
        (Request::Transaction(statements), Some("batch"), Some(result)) => {
            transaction_result(result, statements.len())
        }
        (Request::Close, Some("close"), _) => Ok(Response { results: vec![], frame_no: None }),
        _ => Err(protocol("the primary's answer holds a result of the wrong kind")),
    }
}

/// Number of the last frame, a text or a number, absent or null where unknown.
fn frame_no(result: &Json) -> Result<Option<u64>> {
    let number = match result.get("replication_index") {
        None | Some(Json::Null) => return Ok(None),
        Some(Json::String(text)) => text.parse().ok(),
        Some(number) => number.as_u64(),
    };
    number.map(Some).ok_or_else(|| protocol("the primary's replication_index is no number"))
}

fn statement_result(json: &Json) -> Result<StatementResult> {
    let list = |name: &str| {
        json.get(name)
            .and_then(Json::as_array)
            .ok_or_else(|| protocol(format!("the primary's result has no {name}")))
    };
    let columns = list("cols")?
        .iter()
        .map(|column| column.get("name").and_then(Json::as_str).unwrap_or("").to_owned())
        .collect::<Vec<_>>();
    let mut rows = Vec::new();
    for row in list("rows")? {
        let row = row.as_array().ok_or_else(|| protocol("the primary's row is no list"))?;
        if row.len() != columns.len() {
            return Err(protocol("the primary's row has another number of values than columns"));
        }
        rows.push(row.iter().map(Value::from_hrana).collect::<Result<Vec<_>>>()?);
    }
    Ok(StatementResult {
        columns,
        rows,
        rows_affected: json.get("affected_row_count").and_then(Json::as_u64),
        last_insert_rowid: json.get("last_insert_rowid").and_then(integer),
    })
}

/// Takes BEGIN, COMMIT and ROLLBACK away again, or finds what failed.
fn transaction_result(json: &Json, statements: usize) -> Result<Response> {
    let list = |name: &str| {
        json.get(name)
            .and_then(Json::as_array)
            .filter(|list| list.len() == statements + 3)
            .ok_or_else(|| protocol(format!("the primary's result has no complete {name}")))
    };
    let (results, errors) = (list("step_results")?, list("step_errors")?);
    let commit = statements + 1;
    // An error of the ROLLBACK step says only that nothing was left to undo.
    let failed = errors[..=commit].iter().position(|error| !error.is_null());
    if let Some(step) = failed {
        let error = sql_error(&errors[step]);
        return Err(if step == 0 {
            error.context("cannot begin a transaction on the primary")
        } else if step == commit {
            error.context("the primary did not commit")
        } else {
            Place { index: step - 1, of: statements }.name(error)
        });
    }
    if results[commit].is_null() {
        return Err(protocol("the primary neither committed nor said why"));
    }
    Ok(Response {
        results: results[1..commit].iter().map(statement_result).collect::<Result<_>>()?,
        frame_no: frame_no(json)?,
    })
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

/// `{"message":..., "code":...}`: what SQLite on the primary, or the server
/// itself, says against a statement.
fn sql_error(json: &Json) -> Error {
    let text = |name: &str| json.get(name).and_then(Json::as_str).unwrap_or("");
    let (message, code) = (text("message"), text("code"));
    let message = message.strip_prefix("SQLite error: ").unwrap_or(message);
    let message = if message.is_empty() { "the primary gives no reason" } else { message };
    match code {
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
        _ => Error::new(Kind::Remote(extended_code(code, message)), message),
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
