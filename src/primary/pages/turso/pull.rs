//! One pull by `/pull-updates`: the pages that changed since a revision, each
//! once, as they arrive, and one commit at the end.

use std::time::Duration;

use super::{CHUNK, Server};
use crate::change::{Commit, Sink};
use crate::error::{Error, Kind, Result};
use crate::patience::Patience;
use crate::position::Position;
use crate::primary::sql::turso as sql;
use crate::primary::{PullEnd, Pulled};
use crate::proto::turso::{self, Header, Part, Reader};
use crate::units::PageNo;

/// The sink is told of progress each time this many pages have come.
const PROGRESS: u64 = 256;

/// Pulls what came after `from`; a server that knows how waits up to `wait`
/// for it. Yields the position that the sink was brought to, if it moved.
pub(in crate::primary) fn pull(
    server: &Server,
    from: Option<Position>,
    wait: Duration,
    sink: &mut dyn Sink,
    patience: &Patience,
) -> Result<(Pulled, Option<Position>)> {
    let mut pulled =
        Pulled { end: PullEnd::UpToDate, head: None, frames: 0, bytes: 0, snapshot: false };
    let known = match from {
        None => None,
        // Whether it is empty shows when everything is pulled.
        Some(from) if from.history != server.log => {
            pulled.end = PullEnd::Diverged { empty: false };
            return Ok((pulled, None));
        }
        Some(from) => match server.revision_at(from) {
            Some(revision) => Some(revision),
            None => {
                pulled.end = PullEnd::Unknown;
                return Ok((pulled, None));
            }
        },
    };
    let header = receive(server, known.as_deref(), wait, sink, patience, &mut pulled)?;
    let Some(header) = header else { return Ok((pulled, None)) };
    if pulled.end != PullEnd::UpToDate || header.size == 0 {
        return Ok((pulled, None));
    }
    if known.is_none() {
        check_complete(&header, pulled.frames)?;
    }
    if pulled.frames == 0 && known.as_deref() == Some(&header.revision) {
        return Ok((pulled, None));
    }
    server.remember(&header.revision);
    let position = server.position(&header.revision);
    sink.commit(Commit { position, size: header.size }, false)?;
    Ok((pulled, Some(position)))
}

/// Asks for pages and gives them to the sink, unless the header says that they
/// are of no use to it: then the end is noted and nothing is read any more.
fn receive(
    server: &Server,
    known: Option<&str>,
    wait: Duration,
    sink: &mut dyn Sink,
    patience: &Patience,
    pulled: &mut Pulled,
) -> Result<Option<Header>> {
    let wait = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX);
    let request = turso::pull_request(known, wait);
    let mut answer = server.ask_for_pages(&request, patience)?;
    let (mut reader, mut buffer) = (Reader::default(), vec![0; CHUNK]);
    let (mut header, mut end) = (None::<Header>, PullEnd::UpToDate);
    let mut frames = 0;
    loop {
        let read = answer.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        pulled.bytes += read as u64;
        reader.feed(&buffer[..read], &mut |part| {
            match part {
                Part::Header(new) => {
                    end = verdict(known, &new);
                    header = Some(new);
                }
                Part::Page(page, image) if end == PullEnd::UpToDate => {
                    frames += 1;
                    sink.page(page, image)?;
                    if frames % PROGRESS == 0 {
                        let total = header.as_ref().map(|header| u64::from(header.size));
                        sink.progress(frames, total.filter(|_| known.is_none()));
                    }
                }
                Part::Page(..) => {}
            }
            Ok(())
        })?;
        if end != PullEnd::UpToDate {
            break;
        }
    }
    if end == PullEnd::UpToDate && !reader.is_complete() {
        return Err(server.cut_off());
    }
    if header.as_ref().is_some_and(|header| header.size == 0) {
        sql::check_empty(server, patience)?;
    }
    pulled.frames = frames;
    pulled.end = end;
    Ok(header)
}

/// What the header says of the pages behind it, to a file at `known`.
fn verdict(known: Option<&str>, header: &Header) -> PullEnd {
    let Some(known) = known else { return PullEnd::UpToDate };
    let number = |revision: &str| revision.parse::<u64>().ok();
    // Turso's own server names its states by the frames of its log, and
    // answers a revision that it has not reached with nothing.
    let went_back = match (number(known), number(&header.revision)) {
        (Some(known), Some(now)) => now < known,
        _ => false,
    };
    if went_back || header.size == 0 {
        return PullEnd::Diverged { empty: header.size == 0 };
    }
    if header.whole { PullEnd::Unknown } else { PullEnd::UpToDate }
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

/// The server does not give all of its database away.
pub(in crate::primary) fn incomplete(cause: &str) -> Error {
    Error::new(
        Kind::Protocol,
        format!(
            "the primary does not serve its whole database: {cause}; Turso's sync server 0.6 \
             serves only what is in its write-ahead log: load the data by way of the server"
        ),
    )
}
