//! SQL to sqld: one Hrana pipeline per call, and what it means when no answer
//! comes.

use std::sync::atomic::Ordering;

use super::effect::Effect;
use crate::error::{Error, Kind, Result};
use crate::patience::Patience;
use crate::primary::Executed;
use crate::primary::link::MAX_REFUSAL;
use crate::primary::link::http::{Answer, Post};
use crate::primary::pages::sqld::Sqld;
use crate::proto::hrana::{self, Encoding, Request, Response};
use crate::sqltext::statement::{Description, Rows, Statement, transaction_word};

/// Where in a stream a request stands.
#[derive(Clone, Copy)]
pub(in crate::primary) struct Line<'a> {
    pub baton: Option<&'a str>,
    /// The URL that the stream is bound to, if it is not the primary's own.
    pub base_url: Option<&'a str>,
    pub effect: Effect,
}

impl Line<'_> {
    /// A request that is a stream of its own.
    pub fn alone(effect: Effect) -> Line<'static> {
        Line { baton: None, base_url: None, effect }
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
                self.once(Effect::Lasting, Request::Execute(one), false, patience)
            }
            // In protobuf sqld does not say where a batch has left the log.
            several => self.once(Effect::Lasting, Request::Transaction(several), true, patience),
        }
    }

    pub(in crate::primary) fn execute_rows(
        &self,
        rows: Rows<'_>,
        patience: &Patience,
    ) -> Result<Executed> {
        self.once(Effect::Lasting, Request::Rows(rows), true, patience)
    }

    pub(in crate::primary) fn query(
        &self,
        statement: &Statement,
        patience: &Patience,
    ) -> Result<Executed> {
        let request = Request::Query { statement, alone: true };
        self.once(Effect::None, request, true, patience)
    }

    pub(in crate::primary) fn sequence(
        &self,
        statements: &[Statement],
        patience: &Patience,
    ) -> Result<Executed> {
        let answer_of = Request::Sequence(statements);
        let requests = [answer_of, Request::Head, Request::Close];
        let answer = self.pipeline(Line::alone(Effect::Lasting), &requests, patience)?;
        if answer.in_transaction == Some(true) && matches!(answer.results.first(), Some(Ok(_))) {
            let text = "the script leaves a transaction open, which was undone: nothing since its \
                        BEGIN took effect; end it with COMMIT";
            return Err(Error::new(Kind::BadArgument, text));
        }
        Sqld::first(answer)
    }

    pub(in crate::primary) fn describe(
        &self,
        sql: &str,
        patience: &Patience,
    ) -> Result<Description> {
        let requests = [Request::Describe(sql), Request::Close];
        let answer = self.pipeline(Line::alone(Effect::None), &requests, patience)?;
        let first = answer.results.into_iter().next().transpose()?;
        let empty = || Error::new(Kind::Protocol, "the primary's answer is empty");
        first.and_then(|response| response.description).ok_or_else(empty)
    }

    /// One request in a stream of its own.
    fn once(
        &self,
        effect: Effect,
        work: Request<'_>,
        ask_head: bool,
        patience: &Patience,
    ) -> Result<Executed> {
        let head = ask_head.then_some(Request::Head);
        let requests: Vec<_> =
            [Some(work), head, Some(Request::Close)].into_iter().flatten().collect();
        Sqld::first(self.pipeline(Line::alone(effect), &requests, patience)?)
    }

    /// The answer to the first request, and the number that a later one tells.
    fn first(answer: hrana::Answer) -> Result<Executed> {
        let mut results = answer.results.into_iter();
        let empty = || Error::new(Kind::Protocol, "the primary's answer is empty");
        let Response { results: statements, frame_no, .. } = results.next().ok_or_else(empty)??;
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
        if !self.json_only.load(Ordering::Relaxed) {
            let answer = self.pipeline_in(Encoding::Protobuf, line, requests, patience)?;
            if let Some(answer) = answer {
                return Ok(answer);
            }
        }
        let answer = self.pipeline_in(Encoding::Json, line, requests, patience)?;
        self.json_only.store(true, Ordering::Relaxed);
        answer.ok_or_else(|| Error::new(Kind::Protocol, "the primary's answer is empty"))
    }

    /// None if the server does not know protobuf.
    fn pipeline_in(
        &self,
        encoding: Encoding,
        line: Line<'_>,
        requests: &[Request<'_>],
        patience: &Patience,
    ) -> Result<Option<hrana::Answer>> {
        let body = hrana::pipeline(encoding, line.baton, requests)?;
        let headers = self.link.headers(encoding.content_type())?;
        let path = format!("{}{}", line.base_url.unwrap_or(""), encoding.path());
        let repeatable = line.effect == Effect::None;
        let post = Post { path: &path, headers: &headers, body: &body, repeatable };
        let mut answer = self.link.post(&post, patience).map_err(|lost| {
            // What does not speak HTTP is no primary, and did nothing.
            let happened = lost.sent && lost.error.kind() != Kind::Protocol;
            if happened { line.effect.unanswered(lost.error) } else { lost.error }
        })?;
        // sqld itself answers 404 to a wrong namespace, and in JSON.
        let strange = answer.content_type() != "application/json" && line.baton.is_none();
        if encoding == Encoding::Protobuf
            && strange
            && matches!(answer.status(), 404 | 405 | 406 | 415)
        {
            answer.read_to_end(MAX_REFUSAL)?;
            return Ok(None);
        }
        if answer.status() != 200 {
            return Err(self.pipeline_refusal(&mut answer, line));
        }
        if answer.content_type() != encoding.content_type() {
            return Err(self.link.not_a_primary(&answer, "sqld"));
        }
        let most = self.link.max_answer();
        let body = answer.read_to_end(most).map_err(|error| line.effect.unanswered(error))?;
        let body = body.ok_or_else(|| line.effect.too_long(most))?;
        let answer = hrana::answer(encoding, &body, requests, most)
            .map_err(|error| line.effect.undecodable(error))?;
        answer.map(Some).ok_or_else(|| line.effect.too_long(most))
    }

    fn pipeline_refusal(&self, answer: &mut Answer, line: Line<'_>) -> Error {
        // A baton that the server no longer knows: text/plain from a server
        // that was restarted, JSON with a code where the stream has expired.
        if line.baton.is_some() && matches!(answer.status(), 400 | 404) {
            let said = self.link.reason(answer);
            let why = if said.is_empty() { "it no longer knows it" } else { &said };
            return hrana::transaction_lost(why);
        }
        let refusal = self.link.http_refusal(answer, true, "sqld");
        // What stands before a primary answers so too, after passing the
        // request on; 503 is the one that says it was not taken.
        let passed_on = matches!(answer.status(), 500..=599) && answer.status() != 503;
        if passed_on { line.effect.unanswered(refusal) } else { refusal }
    }
}
