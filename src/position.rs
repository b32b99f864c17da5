//! Where a database stands in a primary's history.
//!
//! The ground on which store and primary agree; knows neither. How a position
//! is written into page 1 is decided here too, so that nobody else has to know
//! how frame numbers and revisions are told apart.

use crate::units::FrameNo;

/// 48-bit fingerprint of a text: of the name of a primary's history (sqld: its
/// log id), or of one of its states. Two texts with one fingerprint are taken
/// for the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint(u64);

impl Fingerprint {
    /// FNV-1a, folded to the 48 bits that page 1 has room for; never 0, which
    /// means "no history" there.
    pub fn of(text: &str) -> Fingerprint {
        let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Fingerprint(((hash >> 48) ^ (hash & MASK)).max(1))
    }
}

const MASK: u64 = (1 << 48) - 1;

/// Set in the second number of an encoded position where it is no number of a
/// frame.
const REVISION: u64 = 1 << 47;

/// Which state of a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// The one after this frame: the primary counts them.
    Frame(FrameNo),
    /// The one whose name has this fingerprint: names have no order.
    Revision(Fingerprint),
}

/// Where a database stands in a primary's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    pub history: Fingerprint,
    pub place: Place,
}

impl Position {
    /// Bytes of an encoded position.
    pub const SIZE: usize = 12;

    /// Largest frame number that can be encoded. No log gets that far.
    pub const MAX_FRAME: FrameNo = FrameNo(REVISION - 1);

    /// The state after `frame`.
    pub fn of_frame(history: Fingerprint, frame: FrameNo) -> Position {
        Position { history, place: Place::Frame(frame) }
    }

    /// The state that the primary calls `revision`.
    pub fn of_revision(history: Fingerprint, revision: &str) -> Position {
        let Fingerprint(hash) = Fingerprint::of(revision);
        Position { history, place: Place::Revision(Fingerprint(hash & !REVISION)) }
    }

    /// Number of the last frame, where the protocol has such numbers.
    pub fn frame_no(self) -> Option<FrameNo> {
        match self.place {
            Place::Frame(frame) => Some(frame),
            Place::Revision(_) => None,
        }
    }

    /// Whether it is known to hold all that `other` holds.
    pub fn covers(self, other: Position) -> bool {
        match (self.place, other.place) {
            (Place::Frame(here), Place::Frame(there)) => {
                self.history == other.history && here >= there
            }
            _ => self == other,
        }
    }

    /// As a user passes it on: the history's fingerprint in 12 hex digits and
    /// the frame's number. None where the primary does not number what it
    /// commits: such states have no order, so nobody can wait for one.
    pub fn token(self) -> Option<String> {
        let Fingerprint(history) = self.history;
        self.frame_no().map(|FrameNo(frame)| format!("{history:012x}:{frame}"))
    }

    /// Reads what [`Position::token`] made; None for anything else.
    pub fn from_token(token: &str) -> Option<Position> {
        let (history, frame) = token.split_once(':')?;
        let only = |text: &str, radix| !text.is_empty() && text.chars().all(|c| c.is_digit(radix));
        if history.len() != 12 || !only(history, 16) || !only(frame, 10) {
            return None;
        }
        let history = u64::from_str_radix(history, 16).ok().filter(|history| *history != 0)?;
        let frame = frame.parse().ok().map(FrameNo)?;
        (frame <= Position::MAX_FRAME).then(|| Position::of_frame(Fingerprint(history), frame))
    }

    /// As page 1 carries it: two numbers of 48 bits, big-endian. None where
    /// the frame's number is too large.
    pub fn encode(self) -> Option<[u8; Position::SIZE]> {
        let at = match self.place {
            Place::Frame(frame) if frame > Position::MAX_FRAME => return None,
            Place::Frame(FrameNo(frame)) => frame,
            Place::Revision(Fingerprint(hash)) => hash | REVISION,
        };
        let mut bytes = [0; Position::SIZE];
        bytes[..6].copy_from_slice(&self.history.0.to_be_bytes()[2..]);
        bytes[6..].copy_from_slice(&at.to_be_bytes()[2..]);
        Some(bytes)
    }

    /// Reads what [`Position::encode`] made; None where there is no history.
    pub fn decode(bytes: &[u8; Position::SIZE]) -> Option<Position> {
        let number = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        let (history, at) = (number(&bytes[..6]), number(&bytes[6..]));
        let place = match at & REVISION {
            0 => Place::Frame(FrameNo(at)),
            _ => Place::Revision(Fingerprint(at & !REVISION)),
        };
        (history != 0).then_some(Position { history: Fingerprint(history), place })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_covers_those_that_are_known_to_be_before_it() {
        let (history, other) = (Fingerprint::of("a"), Fingerprint::of("b"));
        let frame = |number| Position::of_frame(history, FrameNo(number));
        assert!(frame(5).covers(frame(5)) && frame(5).covers(frame(4)));
        assert!(!frame(5).covers(frame(6)));
        assert!(!frame(5).covers(Position::of_frame(other, FrameNo(4))));
        assert_eq!(frame(5).frame_no(), Some(FrameNo(5)));

        let (one, two) = (Position::of_revision(history, "1"), Position::of_revision(history, "2"));
        assert!(one.covers(one) && !one.covers(two) && !two.covers(one));
        assert!(!one.covers(frame(5)) && !frame(5).covers(one));
        assert_eq!(one.frame_no(), None);
    }

    #[test]
    fn a_position_comes_back_from_its_token_and_nothing_else_does() {
        let history = Fingerprint::of("a");
        for frame in [FrameNo(0), FrameNo(7), Position::MAX_FRAME] {
            let position = Position::of_frame(history, frame);
            let token = position.token().unwrap();
            assert_eq!(token.split_once(':').unwrap().0.len(), 12, "{token}");
            assert_eq!(Position::from_token(&token), Some(position), "{token}");
        }
        let small = Position::of_frame(Fingerprint(10), FrameNo(3));
        assert_eq!(small.token().as_deref(), Some("00000000000a:3"));
        assert_eq!(Position::of_revision(history, "1").token(), None);
        let bad = [
            "",
            ":",
            "3",
            "00000000000a",
            "00000000000a:",
            ":3",
            "a:3",
            "00000000000g:3",
            "00000000000a:-3",
            "00000000000a:+3",
            "00000000000a:3:4",
            "00000000000a: 3",
            "+0000000000a:3",
            "000000000000:3",
            "00000000000a:140737488355328",
            "00000000000a:99999999999999999999",
            "00000000000a:3x",
            "0000000000\u{e9}:3",
        ];
        for token in bad {
            assert_eq!(Position::from_token(token), None, "{token}");
        }
    }

    #[test]
    fn a_position_comes_back_from_its_bytes_and_a_frame_is_no_revision() {
        let history = Fingerprint::of("a");
        let last = Position::of_frame(history, Position::MAX_FRAME);
        let mut all = vec![Position::of_frame(history, FrameNo(0)), last];
        all.extend(["", "1", "2", "main:7"].map(|name| Position::of_revision(history, name)));
        for position in all {
            assert_eq!(Position::decode(&position.encode().unwrap()), Some(position));
        }
        let too_far = Position::of_frame(history, Position::MAX_FRAME.next());
        assert_eq!(too_far.encode(), None);
        assert_eq!(Position::decode(&[0; Position::SIZE]), None);
    }
}
