//! What to say of a request that got no answer: where on the way it went wrong,
//! and what to do about it.

use std::io;

use super::fault::Fault;
use super::transport::Trace;
use super::{Http, Lost, interrupted};
use crate::error::{Error, Kind};
use crate::patience::Patience;
use crate::primary::link::proxy::Proxy;

impl Http {
    pub(super) fn lost(&self, error: ureq::Error, mut trace: Trace, patience: &Patience) -> Lost {
        if let Some(proxy) = self.proxy.as_ref().filter(|_| trace.fresh && !trace.tunnelled) {
            return self.lost_at_proxy(proxy, &error, trace, patience);
        }
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

    /// The proxy did not open the way; the primary has seen nothing.
    fn lost_at_proxy(
        &self,
        proxy: &Proxy,
        error: &ureq::Error,
        trace: Trace,
        patience: &Patience,
    ) -> Lost {
        let Trace { fault, proxy_ready, .. } = trace;
        if let Some(Fault::Cancelled) = fault {
            return Lost { error: interrupted(), sent: false, passing: false };
        }
        let (cause, passing) = match (fault, error) {
            (Some(Fault::LookUp(cause)), _) => (
                format!("its name cannot be looked up ({cause}); check the URL of the proxy"),
                false,
            ),
            (Some(Fault::Connect(cause)), _) => {
                (format!("{}; check that it runs, and its URL", cause_of(&cause)), true)
            }
            (Some(_), _) => {
                let seconds = patience.timeout.as_secs_f64();
                (format!("it opened no way within {seconds} s; check its URL"), false)
            }
            (None, ureq::Error::ConnectProxyFailed(said)) => refused_by_proxy(proxy, said),
            (None, error) if proxy.is_https() && !proxy_ready => {
                (format!("TLS cannot be set up with it: {}", tls_cause(error)), false)
            }
            (None, ureq::Error::Io(error)) => {
                (format!("{}; check its URL", cause_of(error)), false)
            }
            (None, error) => {
                (format!("it does not answer with HTTP ({error}); check its URL"), false)
            }
        };
        let peer = &self.peer;
        let text = format!("cannot reach the primary at {peer} through the proxy {proxy}: {cause}");
        Lost { error: Error::new(Kind::Unreachable, text), sent: false, passing }
    }

    fn tls_error(&self, error: &ureq::Error) -> Error {
        let cause = tls_cause(error);
        let remedy = match cause.contains("InvalidContentType") || cause.contains("closed") {
            true => "; a server without TLS needs http:// or ?tls=0 in the URL",
            false => "",
        };
        let text = format!("cannot set up TLS with the primary at {}: {cause}{remedy}", self.peer);
        Error::new(Kind::Unreachable, text)
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

/// Why TLS was not set up, and what to do about it.
fn tls_cause(error: &ureq::Error) -> String {
    let cause = match error {
        ureq::Error::Io(error) => cause_of(error),
        other => other.to_string(),
    };
    let remedy = if cause.contains("UnknownIssuer") {
        "; for a private certificate authority give its PEM file as the option ca_file"
    } else {
        ""
    };
    format!("{cause}{remedy}")
}

/// What the status means that a proxy answers instead of opening a way, and
/// whether it may answer otherwise soon.
fn refused_by_proxy(proxy: &Proxy, said: &str) -> (String, bool) {
    let Some(status) = status_in(said) else {
        return ("it closed the connection without an answer; check its URL".to_owned(), false);
    };
    let meaning = match status {
        401 | 407 if proxy.has_user() => "it does not accept the user name and the password",
        401 | 407 => "it wants a user name and a password; put them before the host of its URL",
        403 | 405 | 451 => {
            "it opens no way there; allow CONNECT to this host and port in it, or name the host \
             in NO_PROXY"
        }
        502..=504 | 500 => "it cannot reach the primary; check that it runs, and the URL",
        _ => "this does not look like a proxy: check its URL",
    };
    (format!("{meaning} ({status})"), (500..=504).contains(&status) && status != 501)
}

/// The HTTP client has the status in a text only.
fn status_in(said: &str) -> Option<u16> {
    let from = said.find(|letter: char| letter.is_ascii_digit())?;
    said.get(from..from + 3)?.parse().ok()
}

/// The cause in lower case and without the number of the operating system.
pub(super) fn cause_of(error: &io::Error) -> String {
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
