//! What every protocol needs of the way to a primary: credentials in headers,
//! a patient POST, and what it means when a server refuses.
//!
//! Knows HTTP statuses and nothing of what is in a body beyond the reason for
//! a refusal.

pub mod http;
pub mod url;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use parking_lot::Mutex;

use self::http::{Answer, Http, Lost, Post};
use self::url::Endpoint;
use crate::error::{Error, Kind, Result};
use crate::patience::Patience;
use crate::units::MB;

/// Longest part of a refusal that is read.
pub(in crate::primary) const MAX_REFUSAL: usize = 16 * 1024;

/// A primary that refuses connections is tried again for this long (less, if
/// the patience is shorter): a restart takes sqld about a second. Longer would
/// only keep a user waiting who is offline.
pub(in crate::primary) const RECONNECT: Duration = Duration::from_secs(2);

/// What else a connection may need to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectOptions {
    /// For a server with several databases behind one address.
    pub namespace: Option<String>,
    /// PEM file of the only certificate authorities to trust.
    pub ca_file: Option<PathBuf>,
    /// Bytes that an answer to SQL may take.
    pub max_answer: usize,
}

impl Default for ConnectOptions {
    fn default() -> ConnectOptions {
        ConnectOptions { namespace: None, ca_file: None, max_answer: 32 * MB }
    }
}

/// The way to one server: its connections, and the only copy of the token. All
/// protocols that are spoken with the server share it.
pub(in crate::primary) struct Link {
    http: Http,
    /// As it was asked for.
    namespace: Option<String>,
    max_answer: usize,
    token: Mutex<Option<String>>,
}

impl Link {
    /// `token` goes before the one in the URL. Errors of kind BadArgument:
    /// a `ca_file` that cannot be used.
    pub fn new(
        mut endpoint: Endpoint,
        token: Option<String>,
        options: &ConnectOptions,
    ) -> Result<Arc<Link>> {
        let in_url = endpoint.take_token();
        Ok(Arc::new(Link {
            http: Http::new(&endpoint, options.ca_file.as_deref())?,
            namespace: options.namespace.clone(),
            max_answer: options.max_answer,
            token: Mutex::new(token.or(in_url)),
        }))
    }

    /// The URL that all paths are added to.
    pub fn base(&self) -> &str {
        self.http.base()
    }

    pub fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    pub fn set_token(&self, token: Option<String>) {
        *self.token.lock() = token;
    }

    /// Host and port as in error texts.
    pub fn peer(&self) -> &str {
        self.http.peer()
    }

    /// Whether no namespace was asked for: then there must be a database.
    pub fn has_default_database(&self) -> bool {
        self.namespace.is_none()
    }

    /// Bytes that an answer to SQL may take.
    pub fn max_answer(&self) -> usize {
        self.max_answer
    }

    pub fn is_https(&self) -> bool {
        self.http.is_https()
    }

    /// The headers of a request with a body of this type.
    pub fn headers(&self, content_type: &str) -> Result<Vec<(&'static str, String)>> {
        let mut headers = vec![("content-type", content_type.to_owned())];
        if let Some(token) = self.token.lock().as_deref() {
            if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
                let text = "the token cannot be used: it has a blank or another odd character";
                return Err(Error::new(Kind::Auth, text));
            }
            let bearer = format!("Bearer {token}");
            headers.push(("x-authorization", bearer.clone()));
            headers.push(("authorization", bearer));
        }
        if let Some(namespace) = &self.namespace {
            // sqld refuses padding.
            headers.push(("x-namespace-bin", BASE64.encode(namespace)));
        }
        Ok(headers)
    }

    /// Sends a request, again and again for a while if the server seems to be
    /// starting: not reachable, or (if it may happen twice) answering 502, 503
    /// or 504, as what stands before it does.
    pub fn post(&self, post: &Post<'_>, patience: &Patience) -> std::result::Result<Answer, Lost> {
        let mut retry = Backoff::new(patience, RECONNECT);
        loop {
            match self.http.post(post, patience) {
                Ok(answer)
                    if post.repeatable && matches!(answer.status(), 502..=504) && retry.wait() => {}
                Err(lost) if lost.passing && retry.wait() => {}
                other => return other,
            }
        }
    }

    pub fn token_refused(&self, said: &str) -> Error {
        let peer = self.peer();
        Error::new(
            Kind::Auth,
            if self.token.lock().is_none() {
                format!("the primary at {peer} wants a token: {said}; give it one")
            } else {
                format!("the primary at {peer} refused the token: {said}; give it a new one")
            },
        )
    }

    /// What an HTTP status other than 200 means. `server`: what was expected
    /// there, for the text.
    pub fn http_refusal(&self, answer: &mut Answer, write: bool, server: &str) -> Error {
        let (peer, status) = (self.peer().to_owned(), answer.status());
        let said = self.reason(answer);
        let because = if said.is_empty() { String::new() } else { format!(": {said}") };
        match status {
            401 => self.token_refused(if said.is_empty() { "status 401" } else { &said }),
            403 if write => Error::new(
                Kind::Auth,
                format!("the primary at {peer} does not let this token write{because}"),
            ),
            403 => self.token_refused(if said.is_empty() { "status 403" } else { &said }),
            // sqld says so of a namespace, and only sqld says it in JSON.
            404 if answer.content_type() == "application/json" && !said.is_empty() => Error::new(
                Kind::Protocol,
                format!("the primary at {peer} has no such database: {said}"),
            ),
            408 | 429 | 500..=599 => Error::new(
                Kind::Unavailable,
                format!("the primary at {peer} answered {status}{because}"),
            ),
            400 | 413 | 422 if !said.is_empty() => Error::new(
                Kind::Protocol,
                format!("the primary at {peer} does not accept the request: {said}"),
            ),
            _ => self.not_a_primary(answer, server),
        }
    }

    /// The reason in the body of a refusal, if it holds one for people.
    pub fn reason(&self, answer: &mut Answer) -> String {
        let kind = answer.content_type().to_owned();
        let Ok(Some(body)) = answer.read_to_end(MAX_REFUSAL) else { return String::new() };
        let text = match kind.as_str() {
            "application/json" => serde_json::from_slice::<serde_json::Value>(&body)
                .ok()
                .and_then(|json| Some(json.get("error")?.as_str()?.to_owned()))
                .unwrap_or_default(),
            "text/plain" => String::from_utf8_lossy(&body).into_owned(),
            _ => String::new(),
        };
        self.redact(&text)
    }

    /// One short line, in which nothing of the token is left.
    pub fn redact(&self, text: &str) -> String {
        let line = text.trim().lines().next().unwrap_or("");
        let line: String = line.chars().filter(|c| !c.is_control()).collect();
        // Before it is cut: half a token would not be found.
        let line = match self.token.lock().as_deref() {
            Some(token) if !token.is_empty() => line.replace(token, "..."),
            _ => line,
        };
        line.chars().take(300).collect()
    }

    /// The answer is none that `server` gives.
    pub fn not_a_primary(&self, answer: &Answer, server: &str) -> Error {
        let (peer, status) = (self.peer(), answer.status());
        let what = match answer.content_type() {
            "" => "without a content type".to_owned(),
            kind => format!("with {}", kind.chars().take(60).collect::<String>()),
        };
        let text = if (300..400).contains(&status) {
            format!("the server at {peer} redirects elsewhere ({status}); use the final URL")
        } else {
            format!(
                "the server at {peer} answered {status} {what}; \
                 this does not look like {server}: check the URL"
            )
        };
        Error::new(Kind::Protocol, text)
    }
}

/// Growing waits between attempts, up to a point in time.
pub(in crate::primary) struct Backoff<'a> {
    patience: &'a Patience,
    deadline: Instant,
    next: Duration,
}

impl<'a> Backoff<'a> {
    pub fn new(patience: &'a Patience, longest: Duration) -> Backoff<'a> {
        Backoff {
            patience,
            deadline: Instant::now() + longest.min(patience.timeout),
            next: Duration::from_millis(20),
        }
    }

    /// Waits before the next attempt; false if there is to be none, because
    /// the time is over or the caller no longer wants it.
    pub fn wait(&mut self) -> bool {
        let until = Instant::now() + self.next;
        self.next = (self.next * 2).min(Duration::from_millis(500));
        while Instant::now() < until {
            if (self.patience.cancelled)() || Instant::now() >= self.deadline {
                return false;
            }
            let left = until.min(self.deadline).saturating_duration_since(Instant::now());
            std::thread::sleep(left.min(Duration::from_millis(50)));
        }
        true
    }
}
