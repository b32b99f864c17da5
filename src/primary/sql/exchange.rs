//! One pipeline of SQL over HTTP, and what it means when the answer is none: the
//! same for every protocol that carries SQL so.
//!
//! A write counts as not done only where the answer is one that nobody gives
//! after doing something. All else is unknown: whatever stands between may have
//! lost the answer, or given up waiting for it.

use super::effect::IfUnanswered;
use crate::error::{Error, Result};
use crate::patience::Patience;
use crate::primary::link::http::{Answer, Post};
use crate::primary::link::{Link, MAX_REFUSAL};
use crate::proto::hrana::{self, Encoding, Request};

/// What is sent.
pub(super) struct Pipeline<'a> {
    pub encoding: Encoding,
    /// Below the primary's URL, or a whole URL where the primary said so.
    pub path: &'a str,
    pub baton: Option<&'a str>,
    pub requests: &'a [Request<'a>],
    pub if_unanswered: IfUnanswered,
    /// What is expected there, for error texts.
    pub server: &'a str,
}

/// What came back.
pub(super) enum Came {
    Answer(hrana::Answer),
    /// The server does not know the encoding or the path, and did nothing.
    Unheard(Error),
}

impl Pipeline<'_> {
    pub fn send(&self, link: &Link, patience: &Patience) -> Result<Came> {
        let body = hrana::pipeline(self.encoding, self.baton, self.requests)?;
        let headers = link.headers(self.encoding.content_type())?;
        let repeatable = self.if_unanswered == IfUnanswered::Harmless;
        let post = Post { path: self.path, headers: &headers, body: &body, repeatable };
        let mut answer = link.post(&post, patience).map_err(|lost| {
            if lost.sent { self.if_unanswered.unanswered(lost.error) } else { lost.error }
        })?;
        if answer.status() != 200 {
            return self.refused(link, &mut answer);
        }
        if answer.content_type() != self.encoding.content_type() {
            let strange = link.not_a_primary(&answer, self.server);
            return Err(self.if_unanswered.unanswered(strange));
        }
        let most = link.max_answer();
        let body = answer.read_to_end(most).map_err(|lost| self.if_unanswered.unanswered(lost))?;
        let body = body.ok_or_else(|| self.if_unanswered.too_long(most))?;
        let read = hrana::answer(self.encoding, &body, self.requests, most)
            .map_err(|error| self.if_unanswered.undecodable(link.shown(error)))?;
        let mut answer = read.ok_or_else(|| self.if_unanswered.too_long(most))?;
        for result in &mut answer.results {
            if let Err(error) = result {
                *error = link.shown(error.clone());
            }
        }
        Ok(Came::Answer(answer))
    }

    fn refused(&self, link: &Link, answer: &mut Answer) -> Result<Came> {
        // A baton that the server no longer knows: text/plain from a server
        // that was restarted, JSON with a code where the stream has expired.
        if self.baton.is_some() && matches!(answer.status(), 400 | 404 | 410) {
            let said = link.reason(answer);
            let why = if said.is_empty() { "it no longer knows it" } else { &said };
            return Err(hrana::transaction_lost(why));
        }
        let unheard = self.baton.is_none() && matches!(answer.status(), 404..=406 | 415 | 501);
        let done_nothing = did_nothing(answer);
        let refusal = link.http_refusal(answer, true, self.server);
        match () {
            () if unheard => {
                // The connection is used again only after the end of the body.
                let _ = answer.read_to_end(MAX_REFUSAL);
                Ok(Came::Unheard(refusal))
            }
            () if done_nothing => Err(refusal),
            () => Err(self.if_unanswered.unanswered(refusal)),
        }
    }
}

/// Whether the answer is one of those that stand for a request that was not
/// begun: about who asks, what is asked for, or how much of it.
///
/// Not among them: 400 and 408, which Turso's specification allows after a
/// commit; 499 and all of 5xx, which a gateway gives when it loses patience. 503
/// comes from a gateway that has nobody to ask, unless it is in the primary's
/// own words.
fn did_nothing(answer: &Answer) -> bool {
    match answer.status() {
        300..=399 | 401 | 403..=406 | 411 | 413..=415 | 421 | 426 | 429 | 431 | 501 | 505 => true,
        503 => answer.content_type() != "application/json",
        _ => false,
    }
}
