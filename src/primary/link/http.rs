//! HTTP/1.1 to a primary: the only place that uses ureq.
//!
//! Knows requests, answers, TLS, and how to say what went wrong with them;
//! knows nothing of what is in a body. The token goes to no other server: a
//! redirection is followed only to where it may go.

mod answer;
mod connect;
mod fault;
mod lost;
mod pool;
mod roots;
mod stalled;
mod transport;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ureq::http;
use ureq::http::HeaderValue;

pub(crate) use self::answer::Answer;
use self::fault::{Fault, Limits};
use self::lost::cause_of;
use self::pool::{MAX_IDLE_FOR_WRITES, Pool};
use self::transport::during;
use super::proxy::Proxy;
use super::url::Endpoint;
use crate::error::{Error, Kind, Result};
use crate::patience::Patience;
use crate::secret::Secret;

/// A request is not sent on more often.
const MAX_REDIRECTS: usize = 2;

/// As many pooled connections may turn out to be closed before a new one is
/// made for a request.
const MAX_STALE: usize = 4;

/// No more addresses than these are left for another one in one call: the next
/// one has the whole time.
const MAX_LEFT: usize = 3;

/// The connections to one primary.
pub(super) struct Http {
    pool: Arc<Pool>,
    base: String,
    /// Host and port, for error texts.
    peer: String,
    endpoint: Endpoint,
    /// By way of which it is reached.
    proxy: Option<Proxy>,
}

/// One request; always a POST.
#[derive(Clone, Copy)]
pub(crate) struct Post<'a> {
    /// Below the primary's URL, or a whole URL where the primary said so.
    pub path: &'a str,
    pub headers: &'a [(&'static str, Secret)],
    pub body: &'a [u8],
    /// Whether doing it twice is as good as once.
    pub repeatable: bool,
}

/// A request that got no answer.
#[derive(Debug)]
pub(crate) struct Lost {
    pub error: Error,
    /// The whole request left this machine, for something that speaks HTTP: the
    /// primary may have acted on it.
    pub sent: bool,
    /// The cause may pass within seconds: a server that is just starting.
    pub passing: bool,
}

impl From<Lost> for Error {
    fn from(lost: Lost) -> Error {
        lost.error
    }
}

impl Http {
    /// `ca_file`: a PEM file with the only authorities to trust, instead of
    /// the built-in ones.
    pub fn new(endpoint: &Endpoint, ca_file: Option<&Path>, proxy: Option<&Proxy>) -> Result<Http> {
        let roots = ca_file.map(roots::read).transpose()?;
        Ok(Http {
            pool: Pool::shared(endpoint, roots, proxy)?,
            base: endpoint.base(),
            peer: endpoint.authority(),
            endpoint: endpoint.clone(),
            proxy: proxy.cloned(),
        })
    }

    /// Host and port as in error texts.
    pub fn peer(&self) -> &str {
        &self.peer
    }

    pub fn base(&self) -> &str {
        &self.base
    }

    pub fn is_https(&self) -> bool {
        self.endpoint.is_https()
    }

    /// Whether the token may go there, too.
    pub fn may_send_to(&self, other: &Endpoint) -> bool {
        self.endpoint.may_send_to(other)
    }

    /// Sends a request and waits for the head of its answer, whatever its
    /// status. A server that sends it elsewhere has done nothing: it is sent
    /// there, if the token may go there.
    pub fn post(&self, post: &Post<'_>, patience: &Patience) -> std::result::Result<Answer, Lost> {
        let mut answer = self.post_to(post, patience)?;
        let mut at = self.request_url(post.path);
        for _ in 0..MAX_REDIRECTS {
            let Some(target) = redirection(&answer, &at) else { break };
            answer = self.post_to(&Post { path: &target, ..*post }, patience)?;
            at = target;
        }
        Ok(answer)
    }

    /// Sends it to one place. A pooled connection that turns out to be closed is replaced, if
    /// the request cannot have happened on it or may happen twice.
    fn post_to(&self, post: &Post<'_>, patience: &Patience) -> std::result::Result<Answer, Lost> {
        let (mut stale, mut left) = (0, 0);
        loop {
            let request = self.request(post)?;
            let limits = Limits { leaves_addresses: left < MAX_LEFT, ..Limits::of(patience) };
            let (result, trace) = during(limits, || self.pool.agent.run(request));
            let error = match result {
                Ok(response) => {
                    self.pool.note_refusal(response.status().is_client_error());
                    return Ok(Answer::new(response, post.body.len(), &self.peer, patience));
                }
                Err(error) => error,
            };
            // Nothing has left but a greeting, and there is another address.
            if let (Some(Fault::Late), Some(way), false) = (&trace.fault, trace.way, trace.ready) {
                stalled::note(way);
                left += 1;
                continue;
            }
            let closed = !trace.fresh && !trace.answered && trace.fault.is_none();
            if closed && (post.repeatable || !trace.sent) && stale < MAX_STALE {
                stale += 1;
                continue;
            }
            return Err(self.lost(error, trace, patience));
        }
    }

    fn request_url(&self, path: &str) -> String {
        let base = if path.starts_with('/') { &self.base } else { "" };
        format!("{base}{path}")
    }

    fn request<'a>(&self, post: &Post<'a>) -> std::result::Result<http::Request<&'a [u8]>, Lost> {
        let mut request = http::Request::post(self.request_url(post.path));
        for (name, value) in post.headers {
            // It shares the bytes, wherever the request is copied to.
            match HeaderValue::from_maybe_shared(Bytes::from_owner(value.clone())) {
                Ok(value) => request = request.header(*name, value),
                Err(_) => return Err(unsendable()),
            }
        }
        let request = request.body(post.body).map_err(|_| unsendable())?;
        if post.repeatable {
            return Ok(request);
        }
        // sqld closes a connection after answering 401, and says so too late.
        let idle = if self.pool.is_doubtful() { Duration::ZERO } else { MAX_IDLE_FOR_WRITES };
        Ok(self.pool.agent.configure_request(request).max_idle_age(idle).build())
    }
}

/// The whole URL that a request for `at` is to be sent to instead, if it says so
/// and may. Only where the method stays: 307 and 308.
fn redirection(answer: &Answer, at: &str) -> Option<String> {
    if !matches!(answer.status(), 307 | 308) {
        return None;
    }
    let location = answer.header("location")?;
    let from = Endpoint::parse(at).ok()?;
    if location.starts_with('/') && !location.starts_with("//") {
        let scheme = if from.is_https() { "https" } else { "http" };
        return Some(format!("{scheme}://{}{location}", from.authority()));
    }
    let to = Endpoint::parse(location).ok()?;
    (!to.has_token() && from.may_redirect_to(&to)).then(|| to.base())
}

/// The cause is left out: it may repeat a header.
fn unsendable() -> Lost {
    let error = Error::new(Kind::BadArgument, "the URL or a header of the request is not valid");
    Lost { error, sent: false, passing: false }
}

fn interrupted() -> Error {
    Error::new(Kind::Interrupted, "interrupted while waiting for the primary")
}
