//! How long a caller waits, and whether it still wants the result.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::{Error, Kind, Result};

/// Asks whether the caller no longer wants the result.
pub type Cancelled = Arc<dyn Fn() -> bool + Send + Sync>;

/// First and longest pause between two looks at what is waited for.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// How long to wait, and whether to go on.
#[derive(Clone)]
pub struct Patience {
    /// Longest single wait: for a local lock, for a connection, for the next
    /// bytes of an answer.
    pub timeout: Duration,
    /// Polled at least every 100 ms while waiting.
    pub cancelled: Cancelled,
}

impl Patience {
    /// A wait that begins now.
    pub fn deadline(&self) -> Deadline<'_> {
        Deadline {
            patience: self,
            // A timeout beyond what the clock can name never ends.
            end: Instant::now().checked_add(self.timeout),
            pause: FIRST_PAUSE,
        }
    }

    /// An error once the caller no longer wants the result.
    pub fn check(&self) -> Result<()> {
        match (self.cancelled)() {
            true => Err(Error::new(Kind::Interrupted, "interrupted")),
            false => Ok(()),
        }
    }
}

/// A wait that has begun, for something that has to be looked at again and
/// again.
pub struct Deadline<'p> {
    patience: &'p Patience,
    end: Option<Instant>,
    pause: Duration,
}

impl Deadline<'_> {
    /// What is left of the time.
    pub fn left(&self) -> Duration {
        let end = self.end.map(|end| end.saturating_duration_since(Instant::now()));
        end.unwrap_or(Duration::MAX)
    }

    /// Waits a little before the next look; false where the time is over. An
    /// error if the caller no longer wants the result.
    pub fn pause(&mut self) -> Result<bool> {
        self.patience.check()?;
        let left = self.left();
        if left.is_zero() {
            return Ok(false);
        }
        std::thread::sleep(self.pause.min(left));
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patience(timeout: Duration, cancelled: bool) -> Patience {
        Patience { timeout, cancelled: Arc::new(move || cancelled) }
    }

    #[test]
    fn a_wait_ends_with_its_time() {
        let patience = patience(Duration::from_millis(30), false);
        let (started, mut deadline) = (Instant::now(), patience.deadline());
        while deadline.pause().unwrap() {}
        assert!(started.elapsed() >= Duration::from_millis(30));
        assert!(deadline.left().is_zero());
    }

    #[test]
    fn a_wait_ends_when_nobody_wants_the_result() {
        let patience = patience(Duration::MAX, true);
        assert_eq!(patience.deadline().pause().unwrap_err().kind(), Kind::Interrupted);
    }
}
