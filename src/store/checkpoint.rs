//! Copying the log into the database: when it is due, and when readers that are
//! in the way are worth a wait.

use std::cell::Cell;
use std::time::Duration;

use super::wal_index::WalIndex;
use crate::error::Result;
use crate::fault;
use crate::host::{Checkpoint, Connection};
use crate::patience::Patience;
use crate::wal::frame;

/// Frames in the log after which it is copied into the database: SQLite's own
/// default for its automatic checkpoint.
const CHECKPOINT_FRAMES: u32 = 1000;

/// Size of a log file that is worth cutting down once it has been copied.
const LARGE_LOG: u64 = 4 << 20;

/// Size of a log file that is worth waiting for readers, because their
/// transactions keep it from being copied: it would grow for ever.
const HUGE_LOG: u64 = 64 << 20;

/// Longest wait inside of SQLite, where nobody can end it.
pub const SLICE: Duration = Duration::from_millis(500);

/// The checkpoints of one file.
pub struct Checkpoints {
    /// Size of the log file at which readers are waited for.
    wait_at: Cell<u64>,
}

impl Default for Checkpoints {
    fn default() -> Checkpoints {
        Checkpoints { wait_at: Cell::new(HUGE_LOG) }
    }
}

impl Checkpoints {
    /// Copies the log into the database if it has grown, and cuts its file
    /// down if that is large. Readers that are in the way are left alone: the
    /// next call tries again. Only a huge log is worth a wait for them.
    pub fn run_if_due(&self, connection: &Connection, patience: &Patience) -> Result<()> {
        let index = WalIndex::new(connection.database_file()?);
        let frames = index.header()?.map_or(0, |header| header.max_frame);
        let size = connection.wal_file()?.size()?;
        // The remains of a log that readers kept from being copied for long.
        let is_hollow = size > LARGE_LOG && frame::offset(frames + 1) < size / 2;
        if frames < CHECKPOINT_FRAMES && !is_hollow {
            return Ok(());
        }
        let copied = connection.checkpoint(Checkpoint::Passive)?;
        fault::point("log copied");
        if copied && size > LARGE_LOG && cut_log(connection, patience, Duration::ZERO)? {
            self.wait_at.set(HUGE_LOG);
        } else if size > self.wait_at.get() {
            // With a reader that stays, this comes seldom: each time the log
            // has doubled.
            self.wait_at.set(size * 2);
            if cut_log(connection, patience, patience.timeout)? {
                self.wait_at.set(HUGE_LOG);
            }
        }
        Ok(())
    }
}

/// Copies all of the log and cuts its file to nothing, for which no reader may
/// be using it; whether that was so within `wait`. Meanwhile readers go on, and
/// come, but nobody syncs.
fn cut_log(connection: &Connection, patience: &Patience, wait: Duration) -> Result<bool> {
    let usual = patience.timeout.min(SLICE);
    let patience = Patience { timeout: wait, ..patience.clone() };
    let deadline = patience.deadline();
    loop {
        let left = deadline.left();
        connection.set_busy_timeout(left.min(SLICE));
        let cut = connection.checkpoint(Checkpoint::Truncate);
        connection.set_busy_timeout(usual);
        if cut? {
            fault::point("log cut");
            return Ok(true);
        }
        if left.is_zero() || patience.check().is_err() {
            return Ok(false);
        }
    }
}
