//! How long one pull may become. An honest primary's ends before; one that sends
//! for ever is told so, and what it sent is not kept in memory.

use crate::error::{Error, Kind, Result};
use crate::position::Position;

/// A pull takes up what broke off, takes snapshots, and asks for the rest of a
/// transaction no more often than this: a log that grows by a frame for each of
/// them would never be read to its end.
pub const MAX_ROUNDS: u32 = 1000;

/// So many frames are read in one pull, and an honest primary has no more: a
/// terabyte for the whole database, and 64 GB for what a file lacks that has a
/// position; what came of those is shown, and the next pull goes on. The library
/// for tests gives up sooner.
const MOST_FRAMES: u64 = if cfg!(feature = "fault-points") { 1 << 17 } else { 1 << 28 };
const MOST_NEW_FRAMES: u64 = if cfg!(feature = "fault-points") { 1 << 17 } else { 1 << 24 };

/// How many frames are read in one pull of a file at this position.
pub fn most_frames(from: Option<Position>) -> u64 {
    if from.is_some() { MOST_NEW_FRAMES } else { MOST_FRAMES }
}

/// Ends what has no end: behind a commit that was shown, if there is one.
/// `between` says that the last that was handed on is a commit.
pub fn check_length(from: Option<Position>, received: u64, between: bool) -> Result<()> {
    let most = most_frames(from);
    match from {
        None if received >= most => {
            let text = format!("the primary's log has more than {most} frames, as none has");
            Err(Error::new(Kind::Protocol, text))
        }
        Some(_) if (between && received >= most) || received >= 2 * most => {
            let text = format!("the primary has more than {most} new frames; sync again to go on");
            Err(Error::new(Kind::Unavailable, text))
        }
        _ => Ok(()),
    }
}
