//! Pages of a sqld: its replication log as gRPC-web.
//!
//! [`pull`] holds the order of a pull to the head, [`follow`] the stream that
//! never ends; this file what they share: the session, one call of the log,
//! and what a refusal means. Nothing is locked while a request is under way.

mod cursor;
mod follow;
mod frames;
mod limits;
mod namespace;
mod pull;
mod segments;
mod snapshot;
mod source;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use self::namespace::Host;
use crate::error::{Error, Kind, Result};
use crate::patience::Patience;
use crate::position::{Fingerprint, Position};
use crate::primary::link::http::{Answer, Post};
use crate::primary::link::{Backoff, Link, MAX_REFUSAL, RECONNECT};
use crate::primary::pages::{Begin, Pages, Until};
use crate::proto::grpc_web::{self, Event, Status};
use crate::proto::sqld_log::{self, SERVER};
use crate::units::FrameNo;

/// The log of a sqld. Opens no connection before the first request.
pub struct Sqld {
    link: Arc<Link>,
    session: Mutex<Option<Session>>,
    /// The server has databases and wants to be told which one.
    wants_namespace: AtomicBool,
}

/// What `Hello` told; valid until the server says NO_HELLO.
#[derive(Clone, Debug)]
struct Session {
    token: String,
    log_id: String,
    log: Fingerprint,
    /// The last frame when it said hello, or of a later pull.
    head: Option<u64>,
}

impl Session {
    /// Whether its log is the one of `position`, and reached it when it was
    /// last seen.
    fn holds(&self, position: Position) -> bool {
        self.head.is_some_and(|head| Position::of_frame(self.log, FrameNo(head)).covers(position))
    }
}

/// Number of the first frame that a file at `from` lacks.
fn first_missing(from: Option<Position>) -> u64 {
    from.and_then(Position::frame_no).map_or(0, |last| last.next().0)
}

/// Why a call of the replication log came to nothing.
enum Refusal {
    NoHello,
    NeedSnapshot,
    NoSnapshot,
    NoNamespace,
    /// The server has several databases and none was named.
    WantsNamespace,
    Error(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        Refusal::Error(error)
    }
}

impl Sqld {
    pub(in crate::primary) fn new(link: Arc<Link>) -> Sqld {
        Sqld { link, session: Mutex::new(None), wants_namespace: AtomicBool::new(false) }
    }

    /// One call of the replication log; the answer is known to be gRPC-web and
    /// has not been refused in its head. A server that is just starting may not
    /// know its own default database for a moment.
    fn call(
        &self,
        method: &str,
        message: &[u8],
        session: Option<&Session>,
        patience: &Patience,
    ) -> std::result::Result<Answer, Refusal> {
        let mut retry = Backoff::new(patience, RECONNECT);
        loop {
            match self.call_once(method, message, session, patience) {
                Err(Refusal::NoNamespace) if self.link.has_default_database() && retry.wait() => {}
                Err(Refusal::WantsNamespace)
                    if !self.wants_namespace.swap(true, Ordering::Relaxed) => {}
                other => return other,
            }
        }
    }

    fn call_once(
        &self,
        method: &str,
        message: &[u8],
        session: Option<&Session>,
        patience: &Patience,
    ) -> std::result::Result<Answer, Refusal> {
        let mut headers = self.link.headers(grpc_web::CONTENT_TYPE)?;
        if let Some(session) = session {
            headers.push(("x-session-token", session.token.as_str().into()));
        }
        if self.link.has_default_database() {
            let asked = self.wants_namespace.load(Ordering::Relaxed);
            let namespace = Host::of(self.link.peer()).header(asked);
            headers.extend(namespace.map(|namespace| (namespace::HEADER, namespace.into())));
        }
        let path = format!("{}{method}", sqld_log::SERVICE);
        let body = grpc_web::request(message);
        let post = Post { path: &path, headers: &headers, body: &body, repeatable: true };
        let mut answer = self.link.post(&post, patience).map_err(Error::from)?;
        // An error before the first message stands in the head of the answer;
        // a server that has no such service says so in another dialect, too.
        let dialect = answer.content_type().starts_with("application/grpc");
        if let Some(code) = answer.header("grpc-status").filter(|_| dialect) {
            let status = Status::parse(code, answer.header("grpc-message").unwrap_or(""))?;
            if status.code != 0 {
                // The connection is used again only after the end of the body.
                answer.read_to_end(MAX_REFUSAL)?;
                return Err(self.refusal(&status));
            }
        }
        if answer.status() != 200 {
            return Err(self.link.http_refusal(&mut answer, false, SERVER).into());
        }
        if answer.content_type() != grpc_web::CONTENT_TYPE {
            return Err(self.link.not_a_primary(&answer, SERVER).into());
        }
        Ok(answer)
    }

    /// Asks who the primary is, and remembers it.
    fn hello(&self, patience: &Patience, bytes: &mut u64) -> Result<Session> {
        let answer = self.call("Hello", &sqld_log::hello_request(), None, patience);
        let mut answer = answer.map_err(|refusal| self.unexpected(refusal))?;
        let body = answer.read_to_end(MAX_REFUSAL)?;
        *bytes += answer.bytes();
        let body =
            body.ok_or_else(|| Error::new(Kind::Protocol, "the primary's hello is too long"))?;
        let (mut decoder, mut input, mut message) =
            (grpc_web::Decoder::default(), body.as_slice(), Vec::new());
        while let Some(event) = decoder.next(&mut input)? {
            match event {
                Event::Data(data) => message.extend_from_slice(data),
                Event::Trailer(status) if status.code != 0 => {
                    return Err(self.unexpected(self.refusal(&status)));
                }
                Event::Message(_) | Event::MessageEnd | Event::Trailer(_) => {}
            }
        }
        if !decoder.is_done() {
            return Err(self.cut_off());
        }
        let hello = sqld_log::hello(&message)?;
        let session = Session {
            token: hello.session_token,
            log: Fingerprint::of(&hello.log_id),
            log_id: hello.log_id,
            head: hello.head.map(|head| head.0),
        };
        *self.session.lock() = Some(session.clone());
        Ok(session)
    }

    /// What a gRPC status other than 0 means.
    fn refusal(&self, status: &Status) -> Refusal {
        let peer = self.link.peer();
        let said = self.link.redact(&status.message);
        let because = if said.is_empty() { String::new() } else { format!(": {said}") };
        let error = match (status.code, status.message.as_str()) {
            (9, "NO_HELLO") => return Refusal::NoHello,
            (9, "NEED_SNAPSHOT") => return Refusal::NeedSnapshot,
            (14, "snapshot not found") => return Refusal::NoSnapshot,
            (9, "NAMESPACE_DOESNT_EXIST") => return Refusal::NoNamespace,
            (3, namespace::MISSING) => return Refusal::WantsNamespace,
            // A snapshot that sqld merged into another one while reading it.
            (13, message) if message.contains("No such file or directory") => {
                return Refusal::NoSnapshot;
            }
            (7 | 16, _) => self.link.token_refused(&said),
            (13, message) if message.to_ascii_lowercase().contains("auth") => {
                self.link.token_refused(&said)
            }
            (12, _) => Error::new(
                Kind::Protocol,
                format!("the server at {peer} does not offer sqld's replication log{because}"),
            ),
            (8 | 14, _) => {
                Error::new(Kind::Unavailable, format!("the primary at {peer} is not ready: {said}"))
            }
            (code, _) => Error::new(
                Kind::Unavailable,
                format!("the primary at {peer} failed (gRPC status {code}): {said}"),
            ),
        };
        Refusal::Error(error)
    }

    /// A refusal where only plain errors make sense.
    fn unexpected(&self, refusal: Refusal) -> Error {
        let what = match refusal {
            Refusal::Error(error) => return error,
            Refusal::NoHello => "NO_HELLO",
            Refusal::NeedSnapshot => "NEED_SNAPSHOT",
            Refusal::NoSnapshot => "snapshot not found",
            Refusal::WantsNamespace => {
                let peer = self.link.peer();
                return Error::new(
                    Kind::Protocol,
                    format!(
                        "the primary at {peer} has several databases; name one with the option \
                         namespace, or as the first part of the host's name"
                    ),
                );
            }
            Refusal::NoNamespace => {
                let peer = self.link.peer();
                return Error::new(
                    Kind::Protocol,
                    format!("the primary at {peer} has no such database; check the namespace"),
                );
            }
        };
        let peer = self.link.peer();
        Error::new(Kind::Unavailable, format!("the primary at {peer} keeps answering {what}"))
    }

    fn cut_off(&self) -> Error {
        let peer = self.link.peer();
        Error::new(Kind::Unavailable, format!("the answer of the primary at {peer} has no end"))
    }
}

impl Pages for Sqld {
    fn greet(&self, patience: &Patience) -> Result<()> {
        self.hello(patience, &mut 0).map(drop)
    }

    /// What a sqld refuses, another server refuses in the same words.
    fn has_answered(&self) -> bool {
        false
    }

    /// The id of its log.
    fn history(&self) -> Option<String> {
        self.session.lock().as_ref().map(|session| self.link.redact(&session.log_id))
    }

    fn open(
        self: Arc<Self>,
        from: Option<Position>,
        until: Until,
        patience: &Patience,
    ) -> Result<Begin> {
        match until {
            Until::Head => pull::open(self, from, patience),
            Until::Forever => follow::open(self, from, patience),
        }
    }
}
