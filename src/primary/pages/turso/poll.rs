//! Following by long polls: a pull that the server answers when something
//! changes. One that answers at once, as Turso's own server 0.6 does, is found
//! out by the first of them and not followed any more.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::{Server, pull};
use crate::change::Sink;
use crate::error::Result;
use crate::patience::Patience;
use crate::position::Position;
use crate::primary::{PullEnd, Stream, Streamed};

struct LongPoll {
    server: Arc<Server>,
    position: Position,
}

/// Asks nobody yet. None where there is nothing to wait with.
pub(super) fn open(server: &Arc<Server>, from: Option<Position>) -> Option<Box<dyn Stream>> {
    let position = from.filter(|_| !server.never_waits.load(Ordering::Relaxed))?;
    Some(Box::new(LongPoll { server: server.clone(), position }))
}

impl Stream for LongPoll {
    fn next(&mut self, sink: &mut dyn Sink, patience: &Patience) -> Result<Streamed> {
        // The answer has to come before patience ends.
        let wait = patience.timeout.mul_f64(0.75);
        let asked = Instant::now();
        let (pulled, reached) =
            pull::pull(&self.server, Some(self.position), wait, sink, patience)?;
        let streamed =
            Streamed { frames: pulled.frames, bytes: pulled.bytes, ..Streamed::default() };
        if pulled.end != PullEnd::UpToDate {
            return Ok(Streamed { ended: true, ..streamed });
        }
        if let Some(reached) = reached {
            self.position = reached;
            return Ok(streamed);
        }
        if asked.elapsed() < wait / 2 {
            self.server.never_waits.store(true, Ordering::Relaxed);
            return Ok(Streamed { ended: true, ..streamed });
        }
        Ok(Streamed { idle: true, ..streamed })
    }

    fn position(&self) -> Option<Position> {
        Some(self.position)
    }
}
