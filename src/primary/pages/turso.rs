//! Pages by Turso's sync protocol, `/pull-updates`: of Turso Cloud's newer
//! platform, and of Turso's own server.
//!
//! States of the database have names (revisions) and no numbers. The stamp of
//! a file holds a hash of its revision, the notes beside it the last few
//! names; a position whose name is lost is no position, and everything is
//! pulled again.
//!
//! Turso's own server takes one connection at a time and closes each after its
//! answer, so nothing here may keep one open and wait for another.

mod poll;
mod pull;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use self::pull::Opened;
use crate::error::{Error, Kind, Result};
use crate::patience::Patience;
use crate::position::{Fingerprint, Position};
use crate::primary::Notebook;
use crate::primary::link::Link;
use crate::primary::link::http::{Answer, Post};
use crate::primary::pages::{Begin, Pages, Until};
use crate::primary::sql::Sql;
use crate::proto::turso::{self, CONTENT_TYPE, PULL_PATH, Part, Reader};

/// As many names of states are remembered: that of the file, that of the next
/// commit, and those that other processes are at.
const MAX_REVISIONS: usize = 8;

/// Size of the pieces in which an answer is read.
const CHUNK: usize = 128 * 1024;

/// The pages of a Turso server. Opens no connection before the first request.
pub struct Turso(Arc<Server>);

struct Server {
    link: Arc<Link>,
    /// Where a server that sends nothing is asked whether it has nothing.
    sql: Arc<Sql>,
    /// Stands for the primary's address: revisions of two servers may have
    /// the same names.
    log: Fingerprint,
    notebook: Arc<dyn Notebook>,
    /// The last states that this process has seen, the newest last.
    revisions: Mutex<Vec<String>>,
    /// The server answers at once where it was asked to wait for a change.
    never_waits: AtomicBool,
    has_answered: AtomicBool,
}

impl Turso {
    pub(in crate::primary) fn new(
        link: Arc<Link>,
        notebook: Arc<dyn Notebook>,
        sql: Arc<Sql>,
    ) -> Turso {
        let name = format!("turso {} {}", link.base(), link.namespace().unwrap_or(""));
        Turso(Arc::new(Server {
            link,
            sql,
            log: Fingerprint::of(&name),
            notebook,
            revisions: Mutex::default(),
            never_waits: AtomicBool::new(false),
            has_answered: AtomicBool::new(false),
        }))
    }
}

impl Server {
    fn greet(&self, patience: &Patience) -> Result<()> {
        let asked = self.ask_for_pages(&turso::probe_request(), false, patience)?;
        let Some(mut answer) = asked else { return Err(self.cut_off()) };
        let (mut reader, mut buffer) = (Reader::default(), vec![0; CHUNK]);
        loop {
            let read = answer.read(&mut buffer)?;
            if read == 0 {
                return Err(self.cut_off());
            }
            if let Some(Part::Header(_)) = reader.advance(&mut &buffer[..read])? {
                return Ok(());
            }
        }
    }

    /// Sends a request for pages; the answer is known to hold some. `names`: the
    /// request names a revision; None if that is what is refused.
    fn ask_for_pages(
        &self,
        body: &[u8],
        names: bool,
        patience: &Patience,
    ) -> Result<Option<Answer>> {
        let headers = self.link.headers(CONTENT_TYPE)?;
        let post = Post { path: PULL_PATH, headers: &headers, body, repeatable: true };
        let mut answer = self.link.post(&post, patience)?;
        if answer.status() != 200 {
            let (status, kind) = (answer.status(), answer.content_type().to_owned());
            let said = self.link.reason(&mut answer);
            let refusal = self.link.refusal_because(&answer, &said, false, turso::SERVER);
            let of_revision = match status {
                400 | 409 | 410 | 412 | 422 => true,
                // A server that knows the route says so in JSON of a state, and
                // one that does not know it of the route.
                404 => kind == "application/json" && !said.contains("route"),
                _ => false,
            };
            if said.contains("mvcc_logical_log") {
                return Err(turso::mvcc());
            }
            return if names && of_revision { Ok(None) } else { Err(refusal) };
        }
        if answer.content_type() != CONTENT_TYPE {
            return Err(self.link.not_a_primary(&answer, turso::SERVER));
        }
        self.has_answered.store(true, Ordering::Relaxed);
        Ok(Some(answer))
    }

    fn cut_off(&self) -> Error {
        let peer = self.link.peer();
        Error::new(Kind::Unavailable, format!("the answer of the primary at {peer} has no end"))
    }

    fn position(&self, revision: &str) -> Position {
        Position::of_revision(self.log, revision)
    }

    /// The name of the state at `position`, if it is remembered.
    fn revision_at(&self, position: Position) -> Option<String> {
        let find = |revisions: &[String]| {
            revisions.iter().rev().find(|revision| self.position(revision) == position).cloned()
        };
        let here = find(&self.revisions.lock());
        here.or_else(|| find(&self.notebook.read().revisions))
    }

    /// Remembers the name of a state before a file is put into it: whenever
    /// this process ends, the name of the file's state is among the notes.
    fn remember(&self, revision: &str) {
        let append = |revisions: &mut Vec<String>| {
            revisions.retain(|present| present != revision);
            revisions.push(revision.to_owned());
            let surplus = revisions.len().saturating_sub(MAX_REVISIONS);
            revisions.drain(..surplus);
        };
        append(&mut self.revisions.lock());
        self.notebook.update(&mut |notes| {
            notes.protocol = Some("turso".to_owned());
            append(&mut notes.revisions);
        });
    }
}

impl Pages for Turso {
    fn greet(&self, patience: &Patience) -> Result<()> {
        self.0.greet(patience)
    }

    fn has_answered(&self) -> bool {
        self.0.has_answered.load(Ordering::Relaxed)
    }

    /// Its histories have no names.
    fn history(&self) -> Option<String> {
        None
    }

    fn open(
        self: Arc<Self>,
        from: Option<Position>,
        until: Until,
        patience: &Patience,
    ) -> Result<Begin> {
        match until {
            Until::Head => pull::open(&self.0, from, Duration::ZERO, patience).map(Opened::begin),
            Until::Forever => Ok(poll::open(&self.0, from)),
        }
    }
}
