//! Where a database stands in a primary's history.
//!
//! The ground on which store and primary agree; knows neither.

/// 48-bit fingerprint of the text that names a primary's history (sqld: its
/// log id). Two histories with one fingerprint are taken for the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LogFingerprint(pub u64);

impl LogFingerprint {
    /// FNV-1a, folded to the 48 bits that the stamp in page 1 has room for;
    /// never 0, which means "no history".
    pub fn of(log_id: &str) -> LogFingerprint {
        let hash = log_id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        LogFingerprint(((hash >> 48) ^ (hash & 0xffff_ffff_ffff)).max(1))
    }
}

/// Where a database stands in a primary's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    pub log: LogFingerprint,
    /// Number of the last frame it holds. A protocol without frame numbers
    /// puts a hash of its revision here, which is as wide as the stamp in page
    /// 1 has room for and has the highest of its 48 bits set.
    pub at: u64,
}

/// Set in `Position::at` where that is no number of a frame. No log has that
/// many frames.
const REVISION: u64 = 1 << 47;

impl Position {
    /// Where a database stands in a history whose states have names and no
    /// order that a client could know.
    pub fn of_revision(log: LogFingerprint, revision: &str) -> Position {
        Position { log, at: LogFingerprint::of(revision).0 | REVISION }
    }

    /// Number of the last frame, where the protocol has such numbers.
    pub fn frame_no(self) -> Option<u64> {
        (self.at & REVISION == 0).then_some(self.at)
    }

    /// Whether it is known to hold all that `other` holds.
    pub fn covers(self, other: Position) -> bool {
        let (here, there) = (self.frame_no(), other.frame_no());
        self == other || (self.log == other.log && there.is_some() && here >= there)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_covers_those_that_are_known_to_be_before_it() {
        let (log, other) = (LogFingerprint::of("a"), LogFingerprint::of("b"));
        let frame = |at| Position { log, at };
        assert!(frame(5).covers(frame(5)) && frame(5).covers(frame(4)));
        assert!(!frame(5).covers(frame(6)) && !frame(5).covers(Position { log: other, at: 4 }));
        assert_eq!(frame(5).frame_no(), Some(5));

        let (one, two) = (Position::of_revision(log, "1"), Position::of_revision(log, "2"));
        assert!(one.covers(one) && !one.covers(two) && !two.covers(one));
        assert!(!one.covers(frame(5)) && !frame(5).covers(one));
        assert_eq!(one.frame_no(), None);
        assert!(one.at < 1 << 48, "fits the stamp");
    }
}
