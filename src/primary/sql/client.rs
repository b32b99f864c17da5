//! SQL to a primary, in its dialect: one Hrana pipeline per call, and what it
//! means when no answer comes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::dialect::{Dialect, Route};
use super::effect::IfUnanswered;
use super::exchange::{Came, Pipeline};
use crate::error::{Error, Kind, Result};
use crate::patience::Patience;
use crate::primary::link::Link;
use crate::proto::hrana::{self, Request, Response};
use crate::sqltext::statement::{Description, Rows, Statement, StatementResult, transaction_word};
use crate::sqltext::value::Value;

/// What the primary says of one request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Executed {
    pub results: Vec<StatementResult>,
    /// Position of the primary after it, where it tells.
    pub frame_no: Option<u64>,
    /// It took effect earlier: the answer was lost, and what is known of the
    /// results is what the primary has noted of the last one.
    pub recovered: bool,
}

/// The way up to a primary, for any number of threads at once.
pub struct Sql {
    pub(super) link: Arc<Link>,
    pub(super) dialect: &'static Dialect,
    /// Which of the dialect's routes the server has not turned away.
    route: AtomicUsize,
}

/// The stream that a request belongs to.
#[derive(Clone, Copy, Default)]
pub(super) struct Stream<'a> {
    /// None for a stream that begins with the request.
    pub baton: Option<&'a str>,
    /// The URL that the stream is bound to, if it is not the primary's own.
    pub base_url: Option<&'a str>,
}

impl Sql {
    pub(in crate::primary) fn new(link: Arc<Link>, dialect: &'static Dialect) -> Sql {
        Sql { link, dialect, route: AtomicUsize::new(0) }
    }

    /// Runs the statements; several run as one atomic transaction, and an
    /// error means that none took effect (or says that this is unknown).
    pub fn execute(&self, statements: &[Statement], patience: &Patience) -> Result<Executed> {
        let (request, ask_head) = match statements {
            [] => return Ok(Executed::default()),
            [one] => {
                self.check_alone(one)?;
                (Request::Execute(one), false)
            }
            // In protobuf sqld does not say where a batch has left the log.
            several => (Request::Transaction(several), true),
        };
        self.once(request, ask_head, IfUnanswered::Unknown, patience)
    }

    /// Runs the rows of a batch as one atomic transaction. What a statement
    /// returns is left out; the results say how many rows it changed.
    pub fn execute_rows(&self, rows: Rows<'_>, patience: &Patience) -> Result<Executed> {
        self.once(Request::Rows(rows), true, IfUnanswered::Unknown, patience)
    }

    /// Runs a statement that only reads; should it write, that is undone.
    pub fn query(&self, statement: &Statement, patience: &Patience) -> Result<Executed> {
        let request = Request::Query { statement, alone: true };
        self.once(request, true, IfUnanswered::Harmless, patience)
    }

    /// Runs the statements one after another, up to the first that fails; what
    /// was done before it stays.
    pub fn sequence(&self, statements: &[Statement], patience: &Patience) -> Result<Executed> {
        let unknown = IfUnanswered::Unknown;
        let answer = self.alone(Request::Sequence(statements), true, unknown, patience)?;
        let stays_open = self.route().is_complete && answer.in_transaction == Some(true);
        if stays_open && matches!(answer.results.first(), Some(Ok(_))) {
            let text = "the script leaves a transaction open, which was undone: nothing since its \
                        BEGIN took effect; end it with COMMIT";
            return Err(Error::new(Kind::BadArgument, text));
        }
        self.executed(answer, unknown)
    }

    /// Says what a statement is, without running it.
    pub fn describe(&self, sql: &str, patience: &Patience) -> Result<Description> {
        let answer = self.alone(Request::Describe(sql), false, IfUnanswered::Harmless, patience)?;
        first(answer)?.description.ok_or_else(is_empty)
    }

    /// The first value that a statement returns which changes nothing: nobody
    /// undoes it.
    pub(in crate::primary) fn ask(&self, sql: &str, patience: &Patience) -> Result<Option<Value>> {
        let statement = Statement { sql: sql.to_owned(), args: vec![] };
        let request = Request::Execute(&statement);
        let executed = self.once(request, false, IfUnanswered::Harmless, patience)?;
        let row = executed.results.into_iter().next().and_then(|all| all.rows.into_iter().next());
        Ok(row.and_then(|row| row.into_iter().next()))
    }

    /// A request is a transaction of its own, so that one which only begins
    /// another does nothing.
    fn check_alone(&self, statement: &Statement) -> Result<()> {
        let Some(word @ ("BEGIN" | "SAVEPOINT")) = transaction_word(&statement.sql) else {
            return Ok(());
        };
        let remedy = match self.route().is_complete {
            true => "; call replica_begin()".to_owned(),
            false => format!(
                ", and {} has no longer ones; write the statements as one script",
                self.dialect.protocol
            ),
        };
        let text =
            format!("{word} alone has no effect: each call is a transaction of its own{remedy}");
        Err(Error::new(Kind::BadArgument, text))
    }

    /// One request in a stream of its own; `ask_head`: its answer does not
    /// number the last frame.
    fn once(
        &self,
        work: Request<'_>,
        ask_head: bool,
        if_unanswered: IfUnanswered,
        patience: &Patience,
    ) -> Result<Executed> {
        let answer = self.alone(work, ask_head, if_unanswered, patience)?;
        self.executed(answer, if_unanswered)
    }

    pub(super) fn alone(
        &self,
        work: Request<'_>,
        ask_head: bool,
        if_unanswered: IfUnanswered,
        patience: &Patience,
    ) -> Result<hrana::Answer> {
        let head = (ask_head && self.dialect.numbers_frames).then_some(Request::Head);
        let requests: Vec<_> =
            [Some(work), head, Some(Request::Close)].into_iter().flatten().collect();
        self.pipeline(Stream::default(), &requests, if_unanswered, patience)
    }

    fn executed(&self, answer: hrana::Answer, if_unanswered: IfUnanswered) -> Result<Executed> {
        let Response { results, frame_no, .. } =
            first(answer).map_err(|error| if_unanswered.undecodable(error))?;
        let frame_no = frame_no.filter(|_| self.dialect.numbers_frames);
        Ok(Executed { results: self.counted(results), frame_no, recovered: false })
    }

    pub(super) fn counted(&self, results: Vec<StatementResult>) -> Vec<StatementResult> {
        match self.route().is_complete {
            true => results,
            false => results.into_iter().map(as_counted).collect(),
        }
    }

    /// The first route that the server has not turned away.
    fn route(&self) -> &'static Route {
        &self.dialect.routes[self.route.load(Ordering::Relaxed)]
    }

    /// One pipeline request, by the first route that the server knows.
    pub(super) fn pipeline(
        &self,
        stream: Stream<'_>,
        requests: &[Request<'_>],
        if_unanswered: IfUnanswered,
        patience: &Patience,
    ) -> Result<hrana::Answer> {
        let Dialect { server, routes, .. } = *self.dialect;
        let mut at = self.route.load(Ordering::Relaxed);
        loop {
            let Route { encoding, path, is_complete } = routes[at];
            let requests = match is_complete {
                true => requests,
                false => self.without_streams(requests)?,
            };
            let path = format!("{}{path}", stream.base_url.unwrap_or(""));
            let (path, baton) = (path.as_str(), stream.baton);
            let pipeline = Pipeline { encoding, path, baton, requests, if_unanswered, server };
            match pipeline.send(&self.link, patience)? {
                Came::Answer(answer) => {
                    self.route.fetch_max(at, Ordering::Relaxed);
                    return Ok(answer);
                }
                Came::Unheard(_) if at + 1 < routes.len() => at += 1,
                Came::Unheard(refusal) => return Err(refusal),
            }
        }
    }

    /// The requests as a server without streams takes them, which refuses the
    /// end of one, too.
    fn without_streams<'a, 'r>(&self, requests: &'r [Request<'a>]) -> Result<&'r [Request<'a>]> {
        let protocol = self.dialect.protocol;
        let is_of_streams =
            |request: &Request<'_>| matches!(request, Request::Begin(_) | Request::BeginMigration);
        if requests.iter().any(is_of_streams) {
            let text = format!(
                "the primary speaks a form of {protocol} that has no transactions over several \
                 calls; write the statements as one script or use replica_batch"
            );
            return Err(Error::new(Kind::BadArgument, text));
        }
        if requests.iter().any(|request| matches!(request, Request::Describe(_))) {
            let text = format!(
                "the primary speaks a form of {protocol} that does not describe statements"
            );
            return Err(Error::new(Kind::Misuse, text));
        }
        Ok(match requests {
            [before @ .., Request::Close] => before,
            all => all,
        })
    }
}

/// The answer to the first request, with the number that a later one tells.
pub(super) fn first(answer: hrana::Answer) -> Result<Response> {
    let mut results = answer.results.into_iter();
    let mut response = results.next().ok_or_else(is_empty)??;
    let head = results.next().and_then(Result::ok).and_then(|head| head.frame_no);
    response.frame_no = response.frame_no.or(head);
    Ok(response)
}

/// A server that counts rows tells the last rowid too; the others say 0.
fn as_counted(result: StatementResult) -> StatementResult {
    let rows_affected = result.rows_affected.filter(|_| result.last_insert_rowid.is_some());
    StatementResult { rows_affected, ..result }
}

pub(super) fn is_empty() -> Error {
    Error::new(Kind::Protocol, "the primary's answer is empty")
}
