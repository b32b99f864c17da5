//! Following the primary's stream: of the worker that keeps a file fresh, and
//! of a connection that wants to see what it wrote.

use super::drain::{Drained, drain};
use super::syncer::Syncer;
use crate::error::Result;
use crate::patience::Patience;
use crate::position::Position;
use crate::primary::{Begin, Feed, Primary, Tally, Until};
use crate::store::assembly::{Assembly, Base};

/// A stream, and how far it has brought the file.
pub struct Followed {
    feed: Box<dyn Feed>,
    at: Option<Position>,
    counted: Tally,
}

/// How a stream begins, or what there is instead.
pub enum Opened {
    Followed(Followed),
    /// A pull tells how to go on.
    PullFirst,
    /// There is no stream, now or at all.
    NoStream,
    /// Something in between holds it back.
    HeldBack,
}

impl Syncer {
    /// Opens a stream of what is committed after `from`.
    pub fn follow(&self, from: Option<Position>, patience: &Patience) -> Result<Opened> {
        open(&self.primary, from, patience)
    }
}

/// The same without a file, so on any thread.
pub fn open(primary: &Primary, from: Option<Position>, patience: &Patience) -> Result<Opened> {
    Ok(match primary.open(from, Until::Forever, patience)? {
        Begin::Feed(feed) => {
            Opened::Followed(Followed { feed, at: from, counted: Tally::default() })
        }
        Begin::NoStream => Opened::NoStream,
        Begin::HeldBack => Opened::HeldBack,
        Begin::Diverged { .. } | Begin::CannotTell => Opened::PullFirst,
    })
}

impl Followed {
    /// Where the file was brought to.
    pub fn at(&self) -> Option<Position> {
        self.at
    }

    /// Whether anything has come by it.
    pub fn has_brought(&self) -> bool {
        self.counted.frames > 0
    }

    /// Brings what comes into the file, up to a commit that is `enough`.
    pub fn bring(
        &mut self,
        syncer: &Syncer,
        patience: &Patience,
        enough: impl Fn(Position) -> bool,
    ) -> Result<Drained> {
        let base = self.at.map_or(Base::Everything { replaces: None }, Base::Since);
        let mut assembly = Assembly::new(&syncer.file, base);
        let outcome = drain(&mut *self.feed, &mut assembly, patience, None, enough);
        self.at = assembly.reached().or(self.at);
        let tally = self.feed.tally();
        let came = Tally {
            frames: tally.frames - self.counted.frames,
            bytes: tally.bytes - self.counted.bytes,
            ..tally
        };
        self.counted = tally;
        if came.frames > 0 {
            syncer.counters.lock().streamed(&came, &assembly);
            drop(assembly);
            syncer.note();
        }
        outcome
    }
}
