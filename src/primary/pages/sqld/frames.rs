//! The frames of one answer of sqld's log, one after the other as they arrive.

use std::result::Result as StdResult;

use super::{Refusal, Session, Sqld};
use crate::error::Result;
use crate::patience::Patience;
use crate::primary::link::http::Answer;
use crate::proto::sqld_log::{self, Frame, FrameReader, Shape, Whole};
use crate::units::FrameNo;

/// sqld answers a batch with this many frames, or up to the end of the
/// transaction that they end in; with fewer only at the head of its log.
pub(super) const BATCH: u64 = 1024;

/// Size of the pieces in which an answer is read.
const CHUNK: usize = 128 * 1024;

/// The calls that yield frames.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Batch,
    Snapshot,
    Stream,
}

impl Method {
    fn name(self) -> &'static str {
        match self {
            Method::Batch => "BatchLogEntries",
            Method::Snapshot => "Snapshot",
            Method::Stream => "LogEntries",
        }
    }

    fn shape(self) -> Shape {
        match self {
            Method::Batch => Shape::Batch,
            Method::Snapshot | Method::Stream => Shape::Stream,
        }
    }
}

/// How a step through the frames ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Frame,
    /// Nothing came in time; the answer goes on.
    Idle,
    End,
}

pub(super) struct Frames {
    method: Method,
    answer: Answer,
    reader: FrameReader,
    buffer: Vec<u8>,
    /// What of the buffer was taken, and what holds bytes of the answer.
    taken: usize,
    filled: usize,
    current: Option<Whole>,
}

impl Frames {
    /// Calls for the frames from `next` on. They are known to come.
    pub fn ask(
        sqld: &Sqld,
        method: Method,
        next: u64,
        session: &Session,
        patience: &Patience,
    ) -> StdResult<Frames, Refusal> {
        let message = sqld_log::log_offset(FrameNo(next));
        let answer = sqld.call(method.name(), &message, Some(session), patience)?;
        Ok(Frames {
            method,
            answer,
            reader: FrameReader::new(method.shape()),
            buffer: vec![0; CHUNK],
            taken: 0,
            filled: 0,
            current: None,
        })
    }

    /// Bytes of the answer so far.
    pub fn bytes(&self) -> u64 {
        self.answer.bytes()
    }

    /// Moves to the next frame. Where a silence is no error, the step is Idle.
    pub fn advance(
        &mut self,
        sqld: &Sqld,
        patience: &Patience,
        may_idle: bool,
    ) -> StdResult<Step, Refusal> {
        while !self.advance_here()? {
            // The trailer says that nothing more comes. A stream is not waited
            // for: its connection is not used again.
            if self.method == Method::Stream && self.reader.status().is_some() {
                return self.end(sqld);
            }
            self.answer.set_patience(patience);
            let read = if may_idle {
                match self.answer.read_or_idle(&mut self.buffer)? {
                    Some(read) => read,
                    None => return Ok(Step::Idle),
                }
            } else {
                self.answer.read(&mut self.buffer)?
            };
            if read == 0 {
                return self.end(sqld);
            }
            (self.taken, self.filled) = (0, read);
        }
        Ok(Step::Frame)
    }

    /// Moves to the next frame, if it has come already.
    pub fn advance_here(&mut self) -> Result<bool> {
        let mut input = &self.buffer[self.taken..self.filled];
        self.current = self.reader.advance(&mut input)?;
        self.taken = self.filled - input.len();
        Ok(self.current.is_some())
    }

    fn end(&self, sqld: &Sqld) -> StdResult<Step, Refusal> {
        match self.reader.status() {
            Some(status) if status.code == 0 => Ok(Step::End),
            Some(status) => Err(sqld.refusal(status)),
            None => Err(sqld.cut_off().into()),
        }
    }

    /// The frame that the last step moved to.
    pub fn frame(&self) -> Result<Frame<'_>> {
        let whole = self.current.unwrap_or(Whole::Held);
        self.reader.frame(whole, &self.buffer[..self.taken])
    }
}
