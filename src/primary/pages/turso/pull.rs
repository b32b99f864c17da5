//! One pull by `/pull-updates`: the pages that changed since a revision, each
//! once, as they arrive, and one commit at the end.

use std::sync::Arc;
use std::time::Duration;

use super::{CHUNK, Server};
use crate::change::Change;
use crate::error::{Error, Kind, Result};
use crate::patience::Patience;
use crate::position::Position;
use crate::primary::link::http::Answer;
use crate::primary::pages::{Begin, Feed, Next, Tally};
use crate::proto::turso::{self, Header, Part, Reader};
use crate::sqltext::value::Value;
use crate::units::PageNo;

/// An answer on its way.
pub(super) struct Pull {
    server: Arc<Server>,
    /// The revision that the file has.
    known: Option<String>,
    header: Header,
    /// None once the last page has come.
    body: Option<Body>,
    pages: u64,
    bytes: u64,
    /// What the last step moved to.
    current: Current,
}

struct Body {
    answer: Answer,
    reader: Reader,
    buffer: Vec<u8>,
    taken: usize,
    filled: usize,
}

#[derive(Clone, Copy)]
enum Current {
    Page(PageNo),
    Commit(Position),
    End,
}

/// What asking came to.
pub(super) enum Opened {
    Pull(Box<Pull>),
    Diverged { empty: bool },
    CannotTell,
}

/// Asks for what came after `from`; a server that knows how waits up to `wait`
/// for it. Everything in front of the pages is read.
pub(super) fn open(
    server: &Arc<Server>,
    from: Option<Position>,
    wait: Duration,
    patience: &Patience,
) -> Result<Opened> {
    let known = match from {
        None => None,
        // Whether it is empty shows when everything is pulled.
        Some(from) if from.history != server.log => return Ok(Opened::Diverged { empty: false }),
        Some(from) => match server.revision_at(from) {
            Some(revision) => Some(revision),
            None => return Ok(Opened::CannotTell),
        },
    };
    let wait = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX);
    let request = turso::pull_request(known.as_deref(), wait);
    // A generation that was collected, a database that was made anew: whether
    // the server is well shows when everything is pulled.
    let asked = server.ask_for_pages(&request, known.is_some(), patience)?;
    let Some(answer) = asked else { return Ok(Opened::CannotTell) };
    let mut body =
        Body { answer, reader: Reader::default(), buffer: vec![0; CHUNK], taken: 0, filled: 0 };
    let header = match body.advance(patience)? {
        Some(Part::Header(header)) => header,
        _ => return Err(server.cut_off()),
    };
    let mut body = Some(body);
    if header.size == 0 {
        // Turso's own server takes one connection at a time.
        body = None;
    }
    if header.size == 0 && turso::is_of_own_server(&header.revision) {
        match check_empty(server, patience) {
            // One that does not say is taken at its word.
            Err(error) if matches!(error.kind(), Kind::Remote(_)) => {}
            checked => checked?,
        }
    }
    match verdict(known.as_deref(), &header) {
        Verdict::Fits => {}
        // A page alone has no room for a table.
        Verdict::Diverged => return Ok(Opened::Diverged { empty: header.size <= 1 }),
        Verdict::Whole => return Ok(Opened::CannotTell),
    }
    let bytes = body.as_ref().map_or(0, |body| body.answer.bytes());
    let (server, current) = (server.clone(), Current::End);
    let pages = 0;
    Ok(Opened::Pull(Box::new(Pull { server, known, header, body, pages, bytes, current })))
}

impl Opened {
    pub fn begin(self) -> Begin {
        match self {
            Opened::Pull(pull) => Begin::Feed(pull),
            Opened::Diverged { empty } => Begin::Diverged { empty },
            Opened::CannotTell => Begin::CannotTell,
        }
    }
}

impl Body {
    /// The next part; None at the end.
    fn advance(&mut self, patience: &Patience) -> Result<Option<Part>> {
        loop {
            let mut input = &self.buffer[self.taken..self.filled];
            let part = self.reader.advance(&mut input)?;
            self.taken = self.filled - input.len();
            if part.is_some() {
                return Ok(part);
            }
            self.answer.set_patience(patience);
            let read = self.answer.read(&mut self.buffer)?;
            if read == 0 {
                return Ok(None);
            }
            (self.taken, self.filled) = (0, read);
        }
    }
}

impl Pull {
    /// Moves to the next change; whether there is one.
    pub fn advance(&mut self, patience: &Patience) -> Result<bool> {
        self.current = self.step(patience)?;
        Ok(!matches!(self.current, Current::End))
    }

    fn step(&mut self, patience: &Patience) -> Result<Current> {
        let Some(body) = &mut self.body else { return Ok(Current::End) };
        let part = body.advance(patience)?;
        self.bytes = body.answer.bytes();
        match part {
            Some(Part::Page(page)) => {
                self.pages += 1;
                return Ok(Current::Page(page));
            }
            Some(Part::Header(_)) => return Err(self.server.cut_off()),
            None if !body.reader.is_complete() => return Err(self.server.cut_off()),
            None => self.body = None,
        }
        let Header { revision, .. } = &self.header;
        match &self.known {
            None => check_complete(&self.header, self.pages)?,
            Some(known) if self.pages == 0 && known == revision => return Ok(Current::End),
            Some(_) => {}
        }
        self.server.remember(revision);
        Ok(Current::Commit(self.server.position(revision)))
    }

    /// What the last step moved to, if it was a step at all.
    pub fn change(&self) -> Result<Option<Change<'_>>> {
        Ok(match (self.current, &self.body) {
            (Current::Page(page), Some(body)) => Some(Change::Page(page, body.reader.image()?)),
            (Current::Commit(position), _) => {
                Some(Change::Commit { position, size: self.header.size, more: false })
            }
            (Current::Page(_) | Current::End, _) => None,
        })
    }

    /// The state that the pages led to, once it was brought.
    pub fn reached(&self) -> Option<Position> {
        match self.current {
            Current::Commit(position) => Some(position),
            Current::Page(_) | Current::End => None,
        }
    }
}

impl Feed for Pull {
    fn next(&mut self, patience: &Patience) -> Result<Next<'_>> {
        self.advance(patience)?;
        Ok(self.change()?.map_or(Next::End, Next::Change))
    }

    fn tally(&self) -> Tally {
        // How many pages have changed is nowhere said.
        let total = Some(u64::from(self.header.size)).filter(|_| self.known.is_none());
        Tally { frames: self.pages, total, bytes: self.bytes, head: None, snapshot: false }
    }
}

/// What the pages are to the file.
enum Verdict {
    Fits,
    Diverged,
    /// All there are, and not what changed.
    Whole,
}

/// What the header says of the pages behind it, to a file at `known`.
fn verdict(known: Option<&str>, header: &Header) -> Verdict {
    let Some(known) = known else { return Verdict::Fits };
    // Turso's own server answers a revision that it has not reached with
    // nothing.
    if turso::went_back(known, &header.revision) || header.size == 0 {
        return Verdict::Diverged;
    }
    if header.whole { Verdict::Whole } else { Verdict::Fits }
}

/// Turso's own server 0.6 sends what is in its log, and a part of a database
/// is no database.
fn check_complete(header: &Header, pages: u64) -> Result<()> {
    // Nobody keeps the page of the lock bytes.
    let unused = u64::from(header.size >= PageNo::LOCK.0);
    if pages + unused >= u64::from(header.size) {
        return Ok(());
    }
    Err(incomplete(&format!("it sent {pages} of {} pages", header.size)))
}

/// Turso's own server 0.6 says "nothing" of a database that is not in its log:
/// one in MVCC mode, or one that was copied there. It must not be taken for an
/// empty one.
fn check_empty(server: &Server, patience: &Patience) -> Result<()> {
    match server.sql.ask("PRAGMA journal_mode", patience)? {
        Some(Value::Text(mode)) if mode.eq_ignore_ascii_case("mvcc") => return Err(turso::mvcc()),
        _ => {}
    }
    // A page alone has no room for a table. (A query would do, if that server
    // did not fail to read a file of no length.)
    match server.sql.ask("PRAGMA page_count", patience)? {
        Some(Value::Integer(2..)) => Err(incomplete("it has tables and sends no pages")),
        _ => Ok(()),
    }
}

/// The server does not give all of its database away.
fn incomplete(cause: &str) -> Error {
    Error::new(
        Kind::Protocol,
        format!(
            "the primary does not serve its whole database: {cause}; Turso's sync server 0.6 \
             serves only what is in its write-ahead log: load the data by way of the server"
        ),
    )
}
