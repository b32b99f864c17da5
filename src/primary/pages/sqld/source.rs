//! Where the frames of a pull come from at the moment.

use super::frames::Frames;
use super::segments::Segments;
use super::snapshot::Snapshot;
use crate::error::{Error, Kind, Result};
use crate::proto::sqld_log::Frame;

pub enum Source {
    None,
    Batch { frames: Frames, first: u64, count: u64 },
    Segments(Segments),
    Snapshot(Snapshot),
}

impl Source {
    /// The frame that it stands at.
    pub fn frame(&self) -> Result<Frame<'_>> {
        match self {
            Source::Batch { frames, .. } => frames.frame(),
            Source::Segments(segments) => Ok(segments.frame()),
            Source::Snapshot(snapshot) => snapshot.frame(),
            Source::None => Err(Error::new(Kind::Panic, "internal error: no frame to hand on")),
        }
    }

    /// Bytes that it has received.
    pub fn bytes(&self) -> u64 {
        match self {
            Source::Batch { frames, .. } => frames.bytes(),
            Source::Segments(segments) => segments.bytes,
            Source::Snapshot(snapshot) => snapshot.bytes(),
            Source::None => 0,
        }
    }

    /// Frames that came and are not handed on: a later one of their page was.
    pub fn skipped(&self) -> u64 {
        match self {
            Source::Segments(segments) => segments.skipped,
            _ => 0,
        }
    }
}
