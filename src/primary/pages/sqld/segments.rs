//! A long stretch of the log, read by several requests at once.
//!
//! sqld serves one request at about the speed of one core, frame after frame.
//! So the stretch is cut into segments, each a stream of its own from its first
//! frame on. What they bring is handed on as it comes, in any order: of several
//! images of a page, the one from the latest segment counts. Only all of them
//! together are a state of the primary.
//!
//! A stream is read up to its segment's end and dropped: nothing is prepared
//! for nobody, and sqld holds no more than its socket does. (A batch would be
//! extended to the end of its transaction, into the next segment.) Where
//! streams are refused, break off or are held back by what stands in between,
//! batches bring the rest.

use std::collections::HashMap;
use std::result::Result as StdResult;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use super::frames::{BATCH, Frames, Method, Step};
use super::{Refusal, Session, Sqld};
use crate::error::{Error, Kind, Result};
use crate::patience::Patience;
use crate::proto::sqld_log::Frame;
use crate::thread::Thread;
use crate::units::{FrameNo, PageImage, PageNo};

/// Requests under way at once. More do not help a server with few cores.
const LANES: u64 = 4;

/// A stretch of fewer frames than this is not worth the threads.
pub(super) const WORTH_FRAMES: u64 = 1280;

/// Frames that are handed over together.
const PARCEL_FRAMES: usize = 64;

/// Parcels that wait for being taken, of all lanes.
const PARCELS: usize = 16;

/// A stream that is silent for this long is done without.
const STALL: Duration = Duration::from_secs(1);

/// What is to be read: frames from `first` to `last`, and on to the end of the
/// transaction that `last` belongs to.
#[derive(Clone, Copy)]
pub(super) struct Stretch {
    pub first: u64,
    pub last: u64,
}

/// Frames that a lane hands over, with copies of their pages.
#[derive(Default)]
struct Parcel {
    /// Which segment they are of.
    segment: u8,
    frames: Vec<(FrameNo, PageNo, u32)>,
    images: Vec<PageImage>,
}

/// What comes out of the lanes; of each lane, the last one is its end.
enum Delivery {
    Frames(Parcel),
    End { outcome: StdResult<(), Refusal>, bytes: u64 },
}

/// How many more answers may be shorter than a batch is, in all lanes of a pull:
/// a log that comes by a frame an answer would take as many requests.
pub(super) struct Rounds(AtomicU32);

impl Rounds {
    pub fn new(most: u32) -> Rounds {
        Rounds(AtomicU32::new(most))
    }

    fn count(&self) -> Result<()> {
        let less = |left: u32| left.checked_sub(1);
        let counted = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        counted.map(|_| ()).map_err(|_| too_many_pieces())
    }
}

pub(super) fn too_many_pieces() -> Error {
    let text = "the primary's log comes in too many pieces to be read in one pull";
    Error::new(Kind::Protocol, text)
}

/// A stretch under way. Dropped, it ends its threads and waits for them.
pub(super) struct Segments {
    deliveries: Option<Receiver<Delivery>>,
    lanes: Vec<Thread<()>>,
    over: Arc<AtomicBool>,
    running: usize,
    parcel: Parcel,
    /// Where in the parcel the next frame stands.
    next: usize,
    newest: Newest,
    /// Bytes that lanes have received, of those that have ended.
    pub bytes: u64,
    /// Frames whose page a later segment has brought already.
    pub skipped: u64,
    /// The last frame of the stretch, once it has come, and the size that it
    /// commits.
    pub end: Option<(u64, u32)>,
}

impl Segments {
    /// Starts to read. A refusal of the first segment is one of the stretch.
    pub fn open(
        sqld: &Arc<Sqld>,
        session: &Session,
        stretch: Stretch,
        short: &Arc<Rounds>,
        patience: &Patience,
    ) -> StdResult<Segments, Refusal> {
        let over = Arc::new(AtomicBool::new(false));
        let (deliver, deliveries) = sync_channel(PARCELS);
        let mut segments = Segments {
            deliveries: Some(deliveries),
            lanes: Vec::new(),
            over: over.clone(),
            running: 0,
            parcel: Parcel::default(),
            next: 0,
            newest: Newest::default(),
            bytes: 0,
            skipped: 0,
            end: None,
        };
        let lane = |number: u64| {
            let length = (stretch.last + 1 - stretch.first) / LANES;
            let first = stretch.first + number * length;
            let end = if number + 1 == LANES { None } else { Some(first + length) };
            Lane {
                sqld: sqld.clone(),
                session: session.clone(),
                patience: until_over(patience, &over),
                deliver: deliver.clone(),
                next: first,
                end,
                last: stretch.last,
                short: short.clone(),
                parcel: Parcel { segment: number as u8, ..Parcel::default() },
                bytes: 0,
            }
        };
        for number in 1..LANES {
            segments.start(lane(number), None)?;
        }
        // Here, so that nothing has been handed on where a snapshot has to come
        // first. Streams that are refused for other reasons are done without.
        let first = lane(0);
        match first.stream() {
            Ok(stream) => segments.start(first, Some(stream))?,
            Err(Refusal::Error(error)) if error.kind() != Kind::Interrupted => {
                segments.start(first, None)?;
            }
            Err(refusal) => return Err(refusal),
        }
        Ok(segments)
    }

    fn start(&mut self, lane: Lane, stream: Option<Frames>) -> Result<()> {
        self.lanes.push(Thread::start(move || lane.run(stream))?);
        self.running += 1;
        Ok(())
    }

    /// Moves to the next frame, or to the end.
    pub fn advance(&mut self) -> StdResult<Step, Refusal> {
        loop {
            while let Some((frame, page, size)) = self.parcel.frames.get(self.next).copied() {
                self.next += 1;
                if size != 0 && self.end.is_none_or(|(last, _)| frame.0 > last) {
                    self.end = Some((frame.0, size));
                }
                if self.newest.admits(page, self.parcel.segment) {
                    return Ok(Step::Frame);
                }
                self.skipped += 1;
            }
            if self.running == 0 {
                return Ok(Step::End);
            }
            let delivery = self.deliveries.as_ref().and_then(|queue| queue.recv().ok());
            match delivery {
                Some(Delivery::Frames(parcel)) => (self.parcel, self.next) = (parcel, 0),
                Some(Delivery::End { outcome, bytes }) => {
                    self.running -= 1;
                    self.bytes += bytes;
                    outcome?;
                }
                None => {
                    let text = "internal error: a thread that reads the log ended too soon";
                    return Err(Error::new(Kind::Panic, text).into());
                }
            }
        }
    }

    /// The frame that the last step moved to.
    pub fn frame(&self) -> Frame<'_> {
        let (frame_no, page, size_after) = self.parcel.frames[self.next - 1];
        Frame { frame_no, page, size_after, image: &self.parcel.images[self.next - 1] }
    }
}

impl Drop for Segments {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // A lane that waits for room in the queue is freed by its end.
        self.deliveries = None;
        for lane in self.lanes.drain(..) {
            let _ = lane.join();
        }
    }
}

/// From which segment the image of each page is, a byte a page.
#[derive(Default)]
struct Newest(HashMap<u32, Box<[u8; 1024]>>);

impl Newest {
    /// Whether an image from this segment is newer than what was handed on.
    fn admits(&mut self, page: PageNo, segment: u8) -> bool {
        let block = self.0.entry(page.0 / 1024).or_insert_with(|| Box::new([0; 1024]));
        let newest = &mut block[page.0 as usize % 1024];
        let admits = segment >= *newest;
        *newest = segment.max(*newest);
        admits
    }
}

/// The same patience, which also ends when the reading is over.
fn until_over(patience: &Patience, over: &Arc<AtomicBool>) -> Patience {
    let (over, cancelled) = (over.clone(), patience.cancelled.clone());
    Patience {
        timeout: patience.timeout,
        cancelled: Arc::new(move || over.load(Ordering::Relaxed) || cancelled()),
    }
}

/// Reads one segment.
struct Lane {
    sqld: Arc<Sqld>,
    session: Session,
    patience: Patience,
    deliver: SyncSender<Delivery>,
    /// The frame that comes next.
    next: u64,
    /// The frame behind the segment. None for the last one, which ends with
    /// the transaction of frame `last`.
    end: Option<u64>,
    last: u64,
    short: Arc<Rounds>,
    parcel: Parcel,
    bytes: u64,
}

impl Lane {
    fn run(mut self, stream: Option<Frames>) {
        let mut outcome = self.read(stream);
        if outcome.is_ok() {
            outcome = self.hand_over().map_err(Refusal::from);
        }
        // Nobody listens where the reading is over.
        let _ = self.deliver.send(Delivery::End { outcome, bytes: self.bytes });
    }

    fn stalling(&self) -> Patience {
        Patience { timeout: STALL.min(self.patience.timeout), ..self.patience.clone() }
    }

    fn stream(&self) -> StdResult<Frames, Refusal> {
        Frames::ask(&self.sqld, Method::Stream, self.next, &self.session, &self.stalling())
    }

    fn read(&mut self, stream: Option<Frames>) -> StdResult<(), Refusal> {
        let streamed = match stream {
            Some(stream) => self.take(stream, Method::Stream),
            None => match self.stream() {
                Ok(stream) => self.take(stream, Method::Stream),
                Err(refusal) => Err(refusal),
            },
        };
        match streamed {
            Ok(true) => return Ok(()),
            Err(Refusal::Error(error)) if error.kind() != Kind::Interrupted => {}
            Ok(false) => {}
            Err(refusal) => return Err(refusal),
        }
        loop {
            let before = self.next;
            let (method, next) = (Method::Batch, self.next);
            let taken = Frames::ask(&self.sqld, method, next, &self.session, &self.patience)
                .and_then(|batch| self.take(batch, method));
            match taken {
                Ok(true) => return Ok(()),
                _ if (self.patience.cancelled)() => return Err(nobody_listens().into()),
                // Where an answer broke off, the next one can go on.
                Err(Refusal::Error(error))
                    if error.kind() == Kind::Unavailable && self.next > before =>
                {
                    self.short.count()?;
                }
                Err(refusal) => return Err(refusal),
                Ok(false) if self.next > before => {
                    if self.next - before < BATCH {
                        self.short.count()?;
                    }
                }
                Ok(false) => {
                    let (last, next) = (self.last, self.next);
                    let text = format!("the primary has frame {last} but sends none from {next}");
                    return Err(Error::new(Kind::Protocol, text).into());
                }
            }
        }
    }

    /// Takes frames to the segment's end; whether that was reached.
    fn take(&mut self, mut frames: Frames, method: Method) -> StdResult<bool, Refusal> {
        let stream = method == Method::Stream;
        let patience = if stream { self.stalling() } else { self.patience.clone() };
        let outcome = loop {
            match frames.advance(&self.sqld, &patience, stream) {
                Ok(Step::Frame) => {}
                Ok(Step::Idle | Step::End) => break Ok(false),
                Err(refusal) => break Err(refusal),
            }
            match self.take_frame(&frames.frame()?) {
                Ok(true) => break Ok(true),
                Ok(false) => {}
                Err(error) => break Err(error.into()),
            }
        };
        self.bytes += frames.bytes();
        outcome
    }

    fn take_frame(&mut self, frame: &Frame<'_>) -> Result<bool> {
        let FrameNo(number) = frame.frame_no;
        if number < self.next {
            return Ok(false);
        }
        if number > self.next {
            let text = format!("the primary sent frame {number} where {} comes next", self.next);
            return Err(Error::new(Kind::Protocol, text));
        }
        self.parcel.frames.push((frame.frame_no, frame.page, frame.size_after));
        self.parcel.images.push(*frame.image);
        self.next = number + 1;
        if self.parcel.images.len() == PARCEL_FRAMES {
            self.hand_over()?;
        }
        Ok(match self.end {
            Some(end) => self.next >= end,
            None => number >= self.last && frame.size_after != 0,
        })
    }

    fn hand_over(&mut self) -> Result<()> {
        let segment = self.parcel.segment;
        let full = std::mem::replace(
            &mut self.parcel,
            Parcel {
                segment,
                frames: Vec::with_capacity(PARCEL_FRAMES),
                images: Vec::with_capacity(PARCEL_FRAMES),
            },
        );
        self.deliver.send(Delivery::Frames(full)).map_err(|_| nobody_listens())
    }
}

/// Heard only where the reading ends because its user wants it.
fn nobody_listens() -> Error {
    Error::new(Kind::Interrupted, "interrupted while the primary's log was being read")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_images_of_a_page_the_latest_segment_has_the_last_word() {
        let mut newest = Newest::default();
        let page = PageNo(1025);
        assert!(newest.admits(page, 1));
        assert!(!newest.admits(page, 0), "older");
        assert!(newest.admits(page, 1), "later in the same segment");
        assert!(newest.admits(page, 3));
        assert!(!newest.admits(page, 2));
        assert!(newest.admits(PageNo(1), 0) && newest.admits(PageNo(u32::MAX), 0));
    }
}
