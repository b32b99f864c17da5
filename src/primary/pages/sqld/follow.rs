//! sqld's `LogEntries`: one request whose answer never ends, a frame for each
//! page that the primary commits, milliseconds after it did.

use super::cursor::Progress;
use super::{CHUNK, Method, Refusal, Session, Sqld, first_missing};
use crate::change::Sink;
use crate::error::Result;
use crate::patience::Patience;
use crate::position::Position;
use crate::primary::link::http::Answer;
use crate::primary::{Stream, Streamed};
use crate::proto::sqld_log::{self, FrameReader};

struct LogStream {
    answer: Answer,
    reader: FrameReader,
    session: Session,
    at: Progress,
    /// The last commit that was given to a sink.
    position: Option<Position>,
    buffer: Vec<u8>,
}

/// Opens the stream from the frame after `from` on. None if the primary's log
/// is not the one of `from`, or no longer holds that frame.
pub(super) fn open(
    sqld: &Sqld,
    from: Option<Position>,
    patience: &Patience,
) -> Result<Option<Box<dyn Stream>>> {
    let known = sqld.session.lock().clone();
    let fits = |session: &Session| from.is_none_or(|from| session.holds(from));
    let mut fresh = false;
    let mut session = match known.filter(fits) {
        Some(session) => session,
        None => {
            fresh = true;
            sqld.hello(patience, &mut 0)?
        }
    };
    loop {
        if !fits(&session) {
            return Ok(None);
        }
        let next = first_missing(from);
        let message = sqld_log::log_offset(crate::units::FrameNo(next));
        let method = Method::Stream;
        let answer = match sqld.call(method.name(), &message, Some(&session), patience) {
            Ok(answer) => answer,
            Err(Refusal::NeedSnapshot | Refusal::NoSnapshot) => return Ok(None),
            // Only a session that was remembered may be out of date.
            Err(Refusal::NoHello) if !fresh => {
                fresh = true;
                session = sqld.hello(patience, &mut 0)?;
                continue;
            }
            Err(refusal) => return Err(sqld.unexpected(refusal)),
        };
        return Ok(Some(Box::new(LogStream {
            answer,
            reader: FrameReader::new(method.shape()),
            session,
            at: Progress::new(next),
            position: from,
            buffer: vec![0; CHUNK],
        })));
    }
}

impl Stream for LogStream {
    fn next(&mut self, sink: &mut dyn Sink, patience: &Patience) -> Result<Streamed> {
        let mut streamed = Streamed::default();
        let frames_before = self.at.frames;
        self.answer.set_patience(patience);
        loop {
            let read = if self.at.open {
                self.answer.read(&mut self.buffer)?
            } else {
                match self.answer.read_or_idle(&mut self.buffer)? {
                    Some(read) => read,
                    None => return Ok(Streamed { idle: true, ..streamed }),
                }
            };
            streamed.bytes += read as u64;
            let LogStream { reader, at, session, .. } = self;
            reader.feed(&self.buffer[..read], &mut |frame| at.take(frame, session, sink))?;
            streamed.frames = at.frames - frames_before;
            streamed.ended = read == 0 || reader.status().is_some();
            // In the middle of a transaction there is nothing to show: the
            // rest of it is on its way.
            let complete = if at.open { None } else { at.pending.take() };
            if let Some(commit) = complete {
                sink.commit(commit, false)?;
                self.position = Some(commit.position);
                return Ok(streamed);
            }
            if streamed.ended {
                return Ok(streamed);
            }
        }
    }

    fn position(&self) -> Option<Position> {
        self.position
    }
}
