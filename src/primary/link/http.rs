//! HTTP/1.1 to a primary: the only place that uses ureq.
//!
//! Knows requests, answers, TLS, and how to say what went wrong with them;
//! knows nothing of what is in a body. The token goes to no other server: a
//! redirection is followed only to where it may go.

mod answer;
mod connect;
mod fault;
mod pool;
mod roots;
mod transport;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ureq::http;
use ureq::http::HeaderValue;

pub(crate) use self::answer::Answer;
use self::fault::{Fault, Limits};
use self::pool::Pool;
use self::transport::{Trace, during};
use super::url::Endpoint;
use crate::error::{Error, Kind, Result};
use crate::patience::Patience;
use crate::secret::Secret;

/// A request is not sent on more often.
const MAX_REDIRECTS: usize = 2;

/// As many pooled connections may turn out to be closed before a new one is
/// made for a request.
const MAX_STALE: usize = 4;

/// The connections to one primary.
pub(super) struct Http {
    pool: Arc<Pool>,
    base: String,
    /// Host and port, for error texts.
    peer: String,
    endpoint: Endpoint,
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
    pub fn new(endpoint: &Endpoint, ca_file: Option<&Path>) -> Result<Http> {
        let roots = ca_file.map(roots::read).transpose()?;
        Ok(Http {
            pool: Pool::shared(endpoint, roots),
            base: endpoint.base(),
            peer: endpoint.authority(),
            endpoint: endpoint.clone(),
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
        let mut stale = 0;
        loop {
            let request = self.request(post)?;
            let (result, trace) = during(Limits::of(patience), || self.pool.agent.run(request));
            let error = match result {
                Ok(response) => {
                    self.pool.note_refusal(response.status().is_client_error());
                    return Ok(Answer::new(response, post.body.len(), &self.peer, patience));
                }
                Err(error) => error,
            };
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
        // What cannot be repeated goes over a connection that is surely open:
        // sqld closes one after answering 401, and says so too late.
        if post.repeatable || !self.pool.is_doubtful() {
            return Ok(request);
        }
        Ok(self.pool.agent.configure_request(request).max_idle_age(Duration::ZERO).build())
    }

    fn lost(&self, error: ureq::Error, mut trace: Trace, patience: &Patience) -> Lost {
        let passing = !trace.sent
            && match &trace.fault {
                Some(Fault::Connect(_)) => true,
                Some(_) => false,
                None => !trace.fresh || trace.ready,
            };
        let fault = trace.fault.take();
        let seconds = patience.timeout.as_secs_f64();
        let peer = &self.peer;
        let unreachable = |cause: String| {
            let text = format!("cannot reach the primary at {peer}: {cause}");
            Error::new(Kind::Unreachable, text)
        };
        // Whose first line is none of HTTP is no primary, and did nothing.
        let is_stranger = error.to_string().ends_with("invalid HTTP version");
        let error = match fault {
            Some(Fault::Cancelled) => interrupted(),
            Some(Fault::LookUp(cause)) => {
                unreachable(format!("its name cannot be looked up ({cause}); check the URL"))
            }
            Some(Fault::ConnectTimeout) => {
                unreachable(format!("no connection within {seconds} s; check the URL"))
            }
            Some(Fault::Connect(cause)) => {
                unreachable(format!("{}; check that it runs, and the URL", cause_of(&cause)))
            }
            Some(Fault::Late) if trace.fresh && !trace.ready => {
                unreachable(format!("TLS was not set up within {seconds} s"))
            }
            Some(Fault::Late) if !trace.sent => {
                unreachable(format!("the request could not be sent within {seconds} s"))
            }
            Some(Fault::Late) => Error::new(
                Kind::Unavailable,
                format!("the primary at {peer} did not answer within {seconds} s"),
            ),
            Some(Fault::Endless) => Error::new(
                Kind::Unavailable,
                format!("the server at {peer} answers with a head that has no end"),
            ),
            None if trace.fresh && !trace.ready && self.is_https() => self.tls_error(&error),
            None => self.answer_error(error, &trace),
        };
        Lost { error, sent: trace.sent && !is_stranger, passing }
    }

    fn tls_error(&self, error: &ureq::Error) -> Error {
        let cause = match error {
            ureq::Error::Io(error) => cause_of(error),
            other => other.to_string(),
        };
        let remedy = if cause.contains("UnknownIssuer") {
            "; for a private certificate authority give its PEM file as the option ca_file"
        } else if cause.contains("InvalidContentType") || cause.contains("closed") {
            "; a server without TLS needs http:// or ?tls=0 in the URL"
        } else {
            ""
        };
        Error::new(
            Kind::Unreachable,
            format!("cannot set up TLS with the primary at {}: {cause}{remedy}", self.peer),
        )
    }

    fn answer_error(&self, error: ureq::Error, trace: &Trace) -> Error {
        let peer = &self.peer;
        match error {
            ureq::Error::Io(error) if trace.sent => Error::new(
                Kind::Unavailable,
                format!("the primary at {peer} broke off before its answer: {}", cause_of(&error)),
            ),
            ureq::Error::Io(error) => Error::new(
                Kind::Unreachable,
                format!("cannot send a request to the primary at {peer}: {}", cause_of(&error)),
            ),
            error => Error::new(
                Kind::Protocol,
                format!("the server at {peer} does not answer with HTTP ({error}); check the URL"),
            ),
        }
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

/// The cause in lower case and without the number of the operating system.
fn cause_of(error: &io::Error) -> String {
    use io::ErrorKind as K;
    match error.kind() {
        K::ConnectionRefused => "connection refused".to_owned(),
        K::ConnectionReset | K::ConnectionAborted | K::BrokenPipe | K::UnexpectedEof => {
            "the connection was closed".to_owned()
        }
        K::HostUnreachable => "no route to the host".to_owned(),
        K::NetworkUnreachable | K::NetworkDown => "the network is unreachable".to_owned(),
        K::AddrNotAvailable => "its name leads to no address".to_owned(),
        _ => error.to_string(),
    }
}
