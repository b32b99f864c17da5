//! Following by long polls: a pull that the server answers when something
//! changes. One that answers at once, as Turso's own server 0.6 does, is found
//! out by the first few of them and not followed any more.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::Server;
use super::pull::{self, Opened, Pull};
use crate::error::Result;
use crate::patience::Patience;
use crate::position::Position;
use crate::primary::pages::{Begin, Feed, Next, Tally};

struct LongPoll {
    server: Arc<Server>,
    position: Position,
    /// The answer that is being read.
    pull: Option<Box<Pull>>,
    /// What those before it brought.
    before: Tally,
    /// So many answers in a row came early and brought nothing.
    early: u32,
}

/// As many early answers in a row are of a server that never waits; one may
/// be of a server with a limit of its own, or of a change that changed nothing.
const EARLY: u32 = 3;

/// Asks nobody yet: a server without a state, or one that does not wait, has
/// nothing to wait with.
pub(super) fn open(server: &Arc<Server>, from: Option<Position>) -> Begin {
    let waits = !server.never_waits.load(Ordering::Relaxed);
    match from.filter(|_| waits) {
        Some(position) => Begin::Feed(Box::new(LongPoll {
            server: server.clone(),
            position,
            pull: None,
            before: Tally::default(),
            early: 0,
        })),
        None => Begin::NoStream,
    }
}

/// How a step ended.
enum Step {
    Change,
    Idle,
    End,
}

impl LongPoll {
    fn advance(&mut self, patience: &Patience) -> Result<Step> {
        if let Some(pull) = &mut self.pull {
            if let Some(reached) = pull.reached() {
                self.position = reached;
            }
            if pull.advance(patience)? {
                return Ok(Step::Change);
            }
            self.before = self.tally();
            self.pull = None;
        }
        // The answer has to come before patience ends.
        let wait = patience.timeout.mul_f64(0.75);
        let asked = Instant::now();
        let opened = pull::open(&self.server, Some(self.position), wait, patience)?;
        let Opened::Pull(mut pull) = opened else { return Ok(Step::End) };
        let came = pull.advance(patience)?;
        self.pull = Some(pull);
        if came {
            return Ok(Step::Change);
        }
        if asked.elapsed() >= wait / 2 {
            self.early = 0;
            return Ok(Step::Idle);
        }
        self.early += 1;
        if self.early < EARLY {
            return Ok(Step::Idle);
        }
        self.server.never_waits.store(true, Ordering::Relaxed);
        Ok(Step::End)
    }
}

impl Feed for LongPoll {
    fn next(&mut self, patience: &Patience) -> Result<Next<'_>> {
        match self.advance(patience)? {
            Step::Idle => return Ok(Next::Idle),
            Step::End => return Ok(Next::End),
            Step::Change => {}
        }
        let change = match &self.pull {
            Some(pull) => pull.change()?,
            None => None,
        };
        Ok(change.map_or(Next::End, Next::Change))
    }

    fn tally(&self) -> Tally {
        let now = self.pull.as_ref().map(|pull| pull.tally()).unwrap_or_default();
        let (frames, bytes) = (self.before.frames + now.frames, self.before.bytes + now.bytes);
        Tally { frames, bytes, ..Tally::default() }
    }
}
