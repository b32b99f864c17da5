//! SQL to a Turso server: Hrana's pipeline in JSON, one request a call.
//!
//! Turso's own server knows only `execute` and `batch`, runs everything on one
//! connection that all its clients share, and neither counts rows nor tells
//! the last rowid. So nothing here opens a transaction that would outlive its
//! request, and what the server does not say is left unsaid.

use std::sync::atomic::Ordering;

use super::effect::IfUnanswered;
use super::exchange::{Came, Pipeline};
use crate::error::{Error, Kind, Result};
use crate::patience::Patience;
use crate::primary::Executed;
use crate::primary::pages::turso::{Server, pull};
use crate::proto::hrana::{self, Encoding, Request, Response};
use crate::proto::turso;
use crate::sqltext::statement::{Rows, Statement, StatementResult, transaction_word};
use crate::sqltext::value::Value;

/// The only pipeline that Turso's own server has.
const PATH: &str = "/v2/pipeline";

pub(in crate::primary) fn execute(
    server: &Server,
    statements: &[Statement],
    patience: &Patience,
) -> Result<Executed> {
    let request = match statements {
        [] => return Ok(Executed::default()),
        [one] => {
            if let Some(word @ ("BEGIN" | "SAVEPOINT")) = transaction_word(&one.sql) {
                let text = format!(
                    "{word} alone has no effect: each call is a transaction of its own, and \
                     Turso's protocol has no longer ones; write the statements as one script"
                );
                return Err(Error::new(Kind::BadArgument, text));
            }
            Request::Execute(one)
        }
        several => Request::Transaction(several),
    };
    run(server, request, IfUnanswered::Unknown, patience)
}

pub(in crate::primary) fn execute_rows(
    server: &Server,
    rows: Rows<'_>,
    patience: &Patience,
) -> Result<Executed> {
    run(server, Request::Rows(rows), IfUnanswered::Unknown, patience)
}

pub(in crate::primary) fn sequence(
    server: &Server,
    statements: &[Statement],
    patience: &Patience,
) -> Result<Executed> {
    run(server, Request::Sequence(statements), IfUnanswered::Unknown, patience)
}

pub(in crate::primary) fn query(
    server: &Server,
    statement: &Statement,
    patience: &Patience,
) -> Result<Executed> {
    let request = Request::Query { statement, alone: true };
    run(server, request, IfUnanswered::Harmless, patience)
}

/// One request in a stream of its own.
fn run(
    server: &Server,
    request: Request<'_>,
    if_unanswered: IfUnanswered,
    patience: &Patience,
) -> Result<Executed> {
    let mut requests = vec![request];
    // Turso's own server refuses a request that closes, and needs none; one
    // that has given a baton once keeps streams open until they are closed.
    if server.keeps_streams.load(Ordering::Relaxed) {
        requests.push(Request::Close);
    }
    let answer = pipeline(server, None, &requests, if_unanswered, patience)?;
    if let (Some(baton), 1) = (answer.baton, requests.len()) {
        server.keeps_streams.store(true, Ordering::Relaxed);
        // It would end by itself, later.
        let _ = pipeline(server, Some(&baton), &[Request::Close], IfUnanswered::Harmless, patience);
    }
    let empty = || Error::new(Kind::Protocol, "the primary's answer is empty");
    let first = answer.results.into_iter().next().ok_or_else(empty)?;
    let Response { results, .. } = first.map_err(|error| if_unanswered.undecodable(error))?;
    Ok(Executed { results: results.into_iter().map(as_counted).collect(), frame_no: None })
}

/// A server that counts rows tells the last rowid too; the others say 0.
fn as_counted(result: StatementResult) -> StatementResult {
    let rows_affected = result.rows_affected.filter(|_| result.last_insert_rowid.is_some());
    StatementResult { rows_affected, ..result }
}

fn pipeline(
    server: &Server,
    baton: Option<&str>,
    requests: &[Request<'_>],
    if_unanswered: IfUnanswered,
    patience: &Patience,
) -> Result<hrana::Answer> {
    let (encoding, path) = (Encoding::Json, PATH);
    let pipeline =
        Pipeline { encoding, path, baton, requests, if_unanswered, server: turso::SERVER };
    match pipeline.send(&server.link, patience)? {
        Came::Answer(answer) => Ok(answer),
        Came::Unheard(refusal) => Err(refusal),
    }
}

/// Turso's own server 0.6 says "nothing" of a database that is not in its log:
/// one in MVCC mode, or one that was copied there. It must not be taken for an
/// empty one.
pub(in crate::primary) fn check_empty(server: &Server, patience: &Patience) -> Result<()> {
    let ask = |sql: &str| -> Result<Option<Value>> {
        let statement = Statement { sql: sql.to_owned(), args: vec![] };
        let executed = run(server, Request::Execute(&statement), IfUnanswered::Harmless, patience)?;
        let row =
            executed.results.into_iter().next().and_then(|result| result.rows.into_iter().next());
        Ok(row.and_then(|row| row.into_iter().next()))
    };
    match ask("PRAGMA journal_mode")? {
        Some(Value::Text(mode)) if mode.eq_ignore_ascii_case("mvcc") => return Err(turso::mvcc()),
        _ => {}
    }
    // A page alone has no room for a table. (A query would do, if that server
    // did not fail to read a file of no length.)
    match ask("PRAGMA page_count")? {
        Some(Value::Integer(2..)) => Err(pull::incomplete("it has tables and sends no pages")),
        _ => Ok(()),
    }
}
