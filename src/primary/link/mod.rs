//! What every protocol needs of the way to a primary: credentials in headers,
//! a patient POST, and what it means when a server refuses.
//!
//! Knows HTTP statuses and nothing of what is in a body beyond the reason for
//! a refusal.

pub mod http;
pub mod proxy;
mod refusal;
mod scrub;
pub mod url;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use parking_lot::Mutex;

use self::http::{Answer, Http, Lost, Post};
use self::proxy::Proxy;
pub(in crate::primary) use self::refusal::MAX_REFUSAL;
use self::url::{BASIC, Endpoint};
use crate::error::{Error, Kind, Result};
use crate::patience::Patience;
use crate::secret::Secret;
use crate::units::MB;

/// A primary that refuses connections is tried again for this long (less, if
/// the patience is shorter): a restart takes sqld about a second. Longer would
/// only keep a user waiting who is offline.
pub(in crate::primary) const RECONNECT: Duration = Duration::from_secs(2);

/// Turso's servers know a new database by its name a second or two after it was
/// created.
const APPEARS: Duration = Duration::from_secs(4);

/// Nobody is asked again sooner who has refused.
const SHORTEST_RETRY: Duration = Duration::from_millis(250);

/// What else a connection may need to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectOptions {
    /// For a server with several databases behind one address.
    pub namespace: Option<String>,
    /// PEM file of the only certificate authorities to trust.
    pub ca_file: Option<PathBuf>,
    /// Bytes that an answer to SQL may take.
    pub max_answer: usize,
    /// Of a database that the primary keeps encrypted: a secret, like the token.
    pub encryption_key: Option<Secret>,
    /// By way of which the primary is reached.
    pub proxy: Option<Proxy>,
}

impl Default for ConnectOptions {
    fn default() -> ConnectOptions {
        ConnectOptions {
            namespace: None,
            ca_file: None,
            max_answer: 32 * MB,
            encryption_key: None,
            proxy: None,
        }
    }
}

/// The way to one server: its connections, and the only copy of the token. All
/// protocols that are spoken with the server share it.
pub(in crate::primary) struct Link {
    http: Http,
    /// As it was asked for.
    namespace: Option<String>,
    max_answer: usize,
    encryption_key: Option<Secret>,
    /// Of the proxy's password.
    proxy_secrets: Vec<Secret>,
    token: Mutex<Option<Secret>>,
}

impl Link {
    /// `token` goes before the one in the URL. Errors of kind BadArgument:
    /// a `ca_file` or a proxy that cannot be used.
    pub fn new(
        mut endpoint: Endpoint,
        token: Option<Secret>,
        options: &ConnectOptions,
    ) -> Result<Arc<Link>> {
        let in_url = endpoint.take_token();
        Ok(Arc::new(Link {
            http: Http::new(&endpoint, options.ca_file.as_deref(), options.proxy.as_ref())?,
            namespace: options.namespace.clone(),
            max_answer: options.max_answer,
            encryption_key: options.encryption_key.clone(),
            proxy_secrets: options.proxy.as_ref().map(Proxy::secrets).unwrap_or_default(),
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

    pub fn set_token(&self, token: Option<Secret>) {
        *self.token.lock() = token;
    }

    /// Host and port as in error texts.
    pub fn peer(&self) -> &str {
        self.http.peer()
    }

    /// Whether it leads to Turso, which bills what a server prepares, read or
    /// not.
    pub fn is_at_turso(&self) -> bool {
        self.peer().split(':').next().is_some_and(|host| host.ends_with(".turso.io"))
    }

    /// Whether no namespace was asked for: then there must be a database.
    pub fn has_default_database(&self) -> bool {
        self.namespace.is_none()
    }

    /// The URL that a stream of SQL is bound to from now on, if the primary may
    /// say so: it is no reason to send the token to anybody else.
    pub fn bound_to(&self, base_url: &str) -> Result<String> {
        match Endpoint::parse(base_url) {
            Ok(bound) if !bound.has_token() && self.http.may_send_to(&bound) => Ok(bound.base()),
            _ => {
                let text = "the primary binds the transaction to a server that the token does \
                            not go to";
                Err(Error::new(Kind::Protocol, text))
            }
        }
    }

    /// Bytes that an answer to SQL may take.
    pub fn max_answer(&self) -> usize {
        self.max_answer
    }

    /// The headers of a request with a body of this type.
    pub fn headers(&self, content_type: &str) -> Result<Vec<(&'static str, Secret)>> {
        let mut headers = vec![("content-type", content_type.into())];
        if let Some(token) = self.token.lock().as_deref() {
            let bare = token.strip_prefix(BASIC).unwrap_or(token);
            if !bare.bytes().all(|byte| byte.is_ascii_graphic()) {
                let text = "the token cannot be used: it has a blank or another odd character";
                return Err(Error::new(Kind::Auth, text));
            }
            let shown = match token.starts_with(BASIC) {
                true => token.into(),
                false => Secret::after("Bearer ", token),
            };
            // Where a browser's gateway takes the other one for itself, as in
            // front of gRPC.
            if content_type.starts_with("application/grpc") {
                headers.push(("x-authorization", shown.clone()));
            }
            headers.push(("authorization", shown));
        }
        if let Some(namespace) = &self.namespace {
            // sqld refuses padding.
            headers.push(("x-namespace-bin", BASE64.encode(namespace).into()));
        }
        if let Some(key) = &self.encryption_key {
            if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
                let text = "the encryption_key cannot be used: it has a blank or another odd \
                            character";
                return Err(Error::new(Kind::BadArgument, text));
            }
            headers.push(("x-turso-encryption-key", key.clone()));
        }
        Ok(headers)
    }

    /// Sends a request, again and again for a while if the server seems to be
    /// starting: not reachable, or (if it may happen twice) answering 502, 503
    /// or 504, as what stands before it does. One that says when to come again,
    /// having done nothing, is asked again then.
    pub fn post(&self, post: &Post<'_>, patience: &Patience) -> std::result::Result<Answer, Lost> {
        let mut retry = Backoff::new(patience, RECONNECT);
        let started = Instant::now();
        loop {
            let mut answer = match self.http.post(post, patience) {
                Ok(answer) => readable(answer, self.peer())?,
                Err(lost) if lost.passing && retry.wait() => continue,
                Err(lost) => return Err(lost),
            };
            if post.repeatable && matches!(answer.status(), 502..=504) && retry.wait() {
                continue;
            }
            let pause = self.asks_to_wait(&mut answer, post.repeatable, started.elapsed());
            let in_time = |pause: &Duration| started.elapsed() + *pause < patience.timeout;
            match pause.filter(in_time) {
                Some(pause) if Backoff::pause(patience, pause) => {}
                _ => return Ok(answer),
            }
        }
    }

    /// How long a server that has done nothing wants to be left alone, if it is
    /// to be asked again.
    fn asks_to_wait(
        &self,
        answer: &mut Answer,
        repeatable: bool,
        waited: Duration,
    ) -> Option<Duration> {
        match answer.status() {
            429 | 503 if answer.status() == 429 || repeatable => {
                let seconds = answer.header("retry-after")?.parse().ok()?;
                Some(Duration::from_secs(seconds).max(SHORTEST_RETRY))
            }
            // A database that was created a moment ago.
            404 if waited < APPEARS => {
                let body = answer.look_ahead(MAX_REFUSAL).ok()?;
                let unknown = b"Host not found";
                let is_new = body.windows(unknown.len()).any(|bytes| bytes == unknown);
                is_new.then_some(SHORTEST_RETRY)
            }
            _ => None,
        }
    }

    pub fn has_token(&self) -> bool {
        self.token.lock().is_some()
    }

    /// One short line, in which nothing of the token is left.
    pub fn redact(&self, text: &str) -> String {
        self.scrub(text, scrub::SHORT)
    }

    /// An error that holds a text of the primary's, as it may be shown.
    pub fn shown(&self, error: Error) -> Error {
        error.reworded(|text| self.scrub(text, scrub::LONG))
    }

    fn scrub(&self, text: &str, longest: usize) -> String {
        let token = self.token.lock().clone();
        let bare = token.as_deref().map(|token| token.strip_prefix(BASIC).unwrap_or(token));
        let of_proxy = self.proxy_secrets.iter().map(|secret| &**secret);
        let secrets = bare.into_iter().chain(self.encryption_key.as_deref()).chain(of_proxy);
        scrub::scrub(text, longest, secrets)
    }
}

/// Nobody asked for a compressed answer, and nobody here can read one; only the
/// status of a refusal says enough.
fn readable(answer: Answer, peer: &str) -> std::result::Result<Answer, Lost> {
    match answer.encoding() {
        Some(encoding) if answer.status() == 200 => {
            let encoding: String =
                encoding.chars().filter(char::is_ascii_graphic).take(20).collect();
            let text = format!(
                "something in front of the primary at {peer} compresses its answers ({encoding}); \
                 switch that off for it"
            );
            Err(Lost { error: Error::new(Kind::Protocol, text), sent: true, passing: false })
        }
        _ => Ok(answer),
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
        let next = self.next;
        self.next = (self.next * 2).min(Duration::from_millis(500));
        let left = self.deadline.saturating_duration_since(Instant::now());
        Backoff::pause(self.patience, next.min(left)) && next < left
    }

    /// Waits that long; false as soon as the caller no longer wants it.
    fn pause(patience: &Patience, duration: Duration) -> bool {
        let until = Instant::now() + duration;
        loop {
            if (patience.cancelled)() {
                return false;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            std::thread::sleep(left.min(Duration::from_millis(50)));
        }
    }
}
