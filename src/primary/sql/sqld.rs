//! SQL to sqld: one Hrana pipeline per call, and what it means when no answer
//! comes.

use std::sync::atomic::Ordering;

use super::effect::IfUnanswered;
use super::exchange::{Came, Pipeline};
use crate::error::{Error, Kind, Result};
use crate::patience::Patience;
use crate::primary::Executed;
use crate::primary::pages::sqld::Sqld;
use crate::proto::hrana::{self, Encoding, Request, Response};
use crate::sqltext::statement::{Description, Rows, Statement, transaction_word};

/// What speaks it, in error texts.
pub(in crate::primary) const SERVER: &str = "sqld";

/// Where in a stream a request stands.
#[derive(Clone, Copy)]
pub(in crate::primary) struct Line<'a> {
    pub baton: Option<&'a str>,
    /// The URL that the stream is bound to, if it is not the primary's own.
    pub base_url: Option<&'a str>,
    pub if_unanswered: IfUnanswered,
}

impl Line<'_> {
    /// A request that is a stream of its own.
    pub fn alone(if_unanswered: IfUnanswered) -> Line<'static> {
        Line { baton: None, base_url: None, if_unanswered }
    }
}

impl Sqld {
    pub(in crate::primary) fn execute(
        &self,
        statements: &[Statement],
        patience: &Patience,
    ) -> Result<Executed> {
        match statements {
            [] => Ok(Executed::default()),
            [one] => {
                if let Some(word @ ("BEGIN" | "SAVEPOINT")) = transaction_word(&one.sql) {
                    let text = format!(
                        "{word} alone has no effect: each call is a transaction of its own; \
                         call replica_begin()"
                    );
                    return Err(Error::new(Kind::BadArgument, text));
                }
                self.once(IfUnanswered::Unknown, Request::Execute(one), false, patience)
            }
            // In protobuf sqld does not say where a batch has left the log.
            several => {
                self.once(IfUnanswered::Unknown, Request::Transaction(several), true, patience)
            }
        }
    }

    pub(in crate::primary) fn execute_rows(
        &self,
        rows: Rows<'_>,
        patience: &Patience,
    ) -> Result<Executed> {
        self.once(IfUnanswered::Unknown, Request::Rows(rows), true, patience)
    }

    pub(in crate::primary) fn query(
        &self,
        statement: &Statement,
        patience: &Patience,
    ) -> Result<Executed> {
        let request = Request::Query { statement, alone: true };
        self.once(IfUnanswered::Harmless, request, true, patience)
    }

    pub(in crate::primary) fn sequence(
        &self,
        statements: &[Statement],
        patience: &Patience,
    ) -> Result<Executed> {
        let answer_of = Request::Sequence(statements);
        let requests = [answer_of, Request::Head, Request::Close];
        let answer = self.pipeline(Line::alone(IfUnanswered::Unknown), &requests, patience)?;
        if answer.in_transaction == Some(true) && matches!(answer.results.first(), Some(Ok(_))) {
            let text = "the script leaves a transaction open, which was undone: nothing since its \
                        BEGIN took effect; end it with COMMIT";
            return Err(Error::new(Kind::BadArgument, text));
        }
        Sqld::first(answer, IfUnanswered::Unknown)
    }

    pub(in crate::primary) fn describe(
        &self,
        sql: &str,
        patience: &Patience,
    ) -> Result<Description> {
        let requests = [Request::Describe(sql), Request::Close];
        let answer = self.pipeline(Line::alone(IfUnanswered::Harmless), &requests, patience)?;
        let first = answer.results.into_iter().next().transpose()?;
        let empty = || Error::new(Kind::Protocol, "the primary's answer is empty");
        first.and_then(|response| response.description).ok_or_else(empty)
    }

    /// One request in a stream of its own.
    fn once(
        &self,
        if_unanswered: IfUnanswered,
        work: Request<'_>,
        ask_head: bool,
        patience: &Patience,
    ) -> Result<Executed> {
        let head = ask_head.then_some(Request::Head);
        let requests: Vec<_> =
            [Some(work), head, Some(Request::Close)].into_iter().flatten().collect();
        let answer = self.pipeline(Line::alone(if_unanswered), &requests, patience)?;
        Sqld::first(answer, if_unanswered)
    }

    /// The answer to the first request, and the number that a later one tells.
    fn first(answer: hrana::Answer, if_unanswered: IfUnanswered) -> Result<Executed> {
        let mut results = answer.results.into_iter();
        let empty = || Error::new(Kind::Protocol, "the primary's answer is empty");
        let first = results.next().ok_or_else(empty)?;
        let Response { results: statements, frame_no, .. } =
            first.map_err(|error| if_unanswered.undecodable(error))?;
        let head = results.next().and_then(Result::ok).and_then(|head| head.frame_no);
        Ok(Executed { results: statements, frame_no: frame_no.or(head) })
    }

    /// One pipeline request. A server that has no protobuf has not done
    /// anything when it says so, and is asked in JSON from then on.
    pub(in crate::primary) fn pipeline(
        &self,
        line: Line<'_>,
        requests: &[Request<'_>],
        patience: &Patience,
    ) -> Result<hrana::Answer> {
        let send = |encoding: Encoding| {
            let path = format!("{}{}", line.base_url.unwrap_or(""), encoding.path());
            let Line { baton, if_unanswered, .. } = line;
            let path = path.as_str();
            let server = SERVER;
            Pipeline { encoding, path, baton, requests, if_unanswered, server }
                .send(&self.link, patience)
        };
        if !self.json_only.load(Ordering::Relaxed) {
            match send(Encoding::Protobuf)? {
                Came::Answer(answer) => return Ok(answer),
                Came::Unheard(_) => {}
            }
        }
        match send(Encoding::Json)? {
            Came::Answer(answer) => {
                self.json_only.store(true, Ordering::Relaxed);
                Ok(answer)
            }
            Came::Unheard(refusal) => Err(refusal),
        }
    }
}
