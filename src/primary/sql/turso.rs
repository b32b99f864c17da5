//! SQL to a Turso server: Hrana's pipeline in JSON, one request a call.
//!
//! Turso's own server knows only `execute` and `batch`, runs everything on one
//! connection that all its clients share, and neither counts rows nor tells
//! the last rowid. So nothing here opens a transaction that would outlive its
//! request, and what the server does not say is left unsaid.

use std::sync::atomic::Ordering;

use super::effect::Effect;
use crate::error::{Error, Kind, Result};
use crate::patience::Patience;
use crate::primary::Executed;
use crate::primary::link::http::Post;
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
    run(server, request, Effect::Lasting, patience)
}

pub(in crate::primary) fn execute_rows(
    server: &Server,
    rows: Rows<'_>,
    patience: &Patience,
) -> Result<Executed> {
    run(server, Request::Rows(rows), Effect::Lasting, patience)
}

pub(in crate::primary) fn sequence(
    server: &Server,
    statements: &[Statement],
    patience: &Patience,
) -> Result<Executed> {
    run(server, Request::Sequence(statements), Effect::Lasting, patience)
}

pub(in crate::primary) fn query(
    server: &Server,
    statement: &Statement,
    patience: &Patience,
) -> Result<Executed> {
    let request = Request::Query { statement, alone: true };
    run(server, request, Effect::None, patience)
}

/// One request in a stream of its own.
fn run(
    server: &Server,
    request: Request<'_>,
    effect: Effect,
    patience: &Patience,
) -> Result<Executed> {
    let mut requests = vec![request];
    // Turso's own server refuses a request that closes, and needs none; one
    // that has given a baton once keeps streams open until they are closed.
    if server.keeps_streams.load(Ordering::Relaxed) {
        requests.push(Request::Close);
    }
    let answer = pipeline(server, None, &requests, effect, patience)?;
    if let (Some(baton), 1) = (answer.baton, requests.len()) {
        server.keeps_streams.store(true, Ordering::Relaxed);
        // It would end by itself, later.
        let _ = pipeline(server, Some(&baton), &[Request::Close], Effect::None, patience);
    }
    let empty = || Error::new(Kind::Protocol, "the primary's answer is empty");
    let Response { results, .. } = answer.results.into_iter().next().ok_or_else(empty)??;
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
    effect: Effect,
    patience: &Patience,
) -> Result<hrana::Answer> {
    let link = &server.link;
    let encoding = Encoding::Json;
    let body = hrana::pipeline(encoding, baton, requests)?;
    let headers = link.headers(encoding.content_type())?;
    let post =
        Post { path: PATH, headers: &headers, body: &body, repeatable: effect == Effect::None };
    let mut answer = link.post(&post, patience).map_err(|lost| {
        // What does not speak HTTP is no primary, and did nothing.
        let happened = lost.sent && lost.error.kind() != Kind::Protocol;
        if happened { effect.unanswered(lost.error) } else { lost.error }
    })?;
    if answer.status() != 200 {
        let refusal = link.http_refusal(&mut answer, true, turso::SERVER);
        let passed_on = matches!(answer.status(), 500..=599) && answer.status() != 503;
        return Err(if passed_on { effect.unanswered(refusal) } else { refusal });
    }
    if answer.content_type() != encoding.content_type() {
        return Err(link.not_a_primary(&answer, turso::SERVER));
    }
    let most = link.max_answer();
    let body = answer.read_to_end(most).map_err(|error| effect.unanswered(error))?;
    let body = body.ok_or_else(|| effect.too_long(most))?;
    let answer = hrana::answer(encoding, &body, requests, most);
    answer.map_err(|error| effect.undecodable(error))?.ok_or_else(|| effect.too_long(most))
}

/// Turso's own server 0.6 says "nothing" of a database that is not in its log:
/// one in MVCC mode, or one that was copied there. It must not be taken for an
/// empty one.
pub(in crate::primary) fn check_empty(server: &Server, patience: &Patience) -> Result<()> {
    let ask = |sql: &str| -> Result<Option<Value>> {
        let statement = Statement { sql: sql.to_owned(), args: vec![] };
        let executed = run(server, Request::Execute(&statement), Effect::None, patience)?;
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
