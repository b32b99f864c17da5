//! From a feed into the file, change by change.

use crate::error::Result;
use crate::patience::Patience;
use crate::position::Position;
use crate::primary::{Feed, Next};
use crate::store::assembly::{Assembly, Taken};

/// Who watches a sync is told of it after so many changes.
const CHANGES_PER_REPORT: u32 = 256;

/// Is told how far a pull is: frames that came, and all there are to come.
pub type Watch = Box<dyn Fn(u64, Option<u64>) + Send>;

/// How the way from a feed into the file ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// The file has come to a position that is enough.
    Enough,
    /// The feed is silent.
    Idle,
    /// The feed has brought all it had.
    End,
    /// Another process put the file into another history.
    Overtaken,
}

/// Hands on each change of `feed` to the file: the one way down, of every sync,
/// every stream and every write that comes back.
pub fn drain(
    feed: &mut dyn Feed,
    into: &mut Assembly<'_>,
    patience: &Patience,
    watch: Option<&Watch>,
    enough: impl Fn(Position) -> bool,
) -> Result<Drained> {
    let mut changes = 0_u32;
    loop {
        let taken = match feed.next(patience)? {
            Next::Change(change) => into.take(change)?,
            Next::Idle => return Ok(Drained::Idle),
            Next::End => return Ok(Drained::End),
        };
        match taken {
            Taken::More => {}
            Taken::Published(position) if enough(position) => return Ok(Drained::Enough),
            Taken::Published(_) => {}
            Taken::Overtaken => return Ok(Drained::Overtaken),
        }
        changes = changes.wrapping_add(1);
        if let (Some(watch), 0) = (watch, changes % CHANGES_PER_REPORT) {
            let tally = feed.tally();
            watch(tally.frames, tally.total);
        }
    }
}
