//! A long stretch of the log, read by several requests at once.
//!
//! sqld serves one request at about the speed of one core, frame after frame.
//! Requests for neighbouring ranges run side by side; their frames are handed
//! on in order. A range is as long as a batch, so what waits for its turn fits
//! into memory, however long the log is.
//!
//! sqld extends a batch to the end of its transaction, into the next range.
//! That rest is not read: the next range brings it. But sqld has prepared it,
//! so in a transaction of many ranges each request would cost the server what
//! all of the rest costs: such a transaction is left to a single request.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;

use parking_lot::Mutex;

use super::cursor::Progress;
use super::pull::BATCH;
use super::{Method, Refusal, Session, Sqld, Wanted};
use crate::change::Sink;
use crate::error::{Error, Kind, Result};
use crate::patience::Patience;
use crate::proto::sqld_log::{Frame, FrameReader};
use crate::units::{FrameNo, PAGE_SIZE, PageImage, PageNo};

/// Requests under way at once. More do not help a server with few cores, and
/// each holds a range in memory.
const LANES: usize = 3;

/// A stretch that is shorter than this is not worth the threads.
pub(super) const WORTH: u64 = BATCH + BATCH / 4;

/// A batch of more frames than this is one of a long transaction.
pub(super) const LONG: u64 = 4 * BATCH;

/// A rest of an answer, in bytes, that costs less to read than a new
/// connection: one that is not read to its end cannot be used again.
const SHORT_REST: usize = 1 << 20;

/// Frames that are handed over together.
const PARCEL: usize = 64;

/// Parcels of one range.
const PARCELS: usize = BATCH as usize / PARCEL + 1;

/// Frames that a lane hands over, with copies of their pages.
#[derive(Default)]
struct Parcel {
    frames: Vec<(FrameNo, PageNo, u32)>,
    images: Vec<PageImage>,
}

/// What comes out of a lane for one range; the last one is its end.
enum Delivery {
    Frames(Parcel),
    End { outcome: std::result::Result<Coverage, Refusal>, bytes: u64 },
}

/// How much of its range a lane has brought.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Coverage {
    All,
    /// It lies in a long transaction.
    TooLong,
}

/// One range: frames from `start` up to, not including, `end`.
struct Range {
    start: u64,
    end: u64,
    deliver: SyncSender<Delivery>,
}

/// What is to be read.
pub(super) struct Stretch<'a> {
    pub sqld: &'a Sqld,
    pub session: &'a Session,
    /// The first frame of the whole pull, for its progress.
    pub first: u64,
    /// The last frame of the stretch.
    pub last: u64,
    pub patience: &'a Patience,
}

impl Stretch<'_> {
    /// Gives the frames from `at.next` to the last to the sink, in order; or
    /// fewer, where a long transaction begins.
    pub fn read(
        &self,
        at: &mut Progress,
        sink: &mut dyn Sink,
        bytes: &mut u64,
    ) -> std::result::Result<(), Refusal> {
        let over = Arc::new(AtomicBool::new(false));
        let patience = until_over(self.patience, &over);
        let (order, orders) = channel();
        let orders = Mutex::new(orders);
        thread::scope(|scope| {
            let lane = || run_lane(self.sqld, self.session, &patience, &orders);
            for _ in 0..LANES {
                let name = "replica-pull".to_owned();
                thread::Builder::new().name(name).spawn_scoped(scope, lane).map_err(|error| {
                    Error::new(Kind::Local, format!("cannot start a thread: {error}"))
                })?;
            }
            let outcome = self.take_in_order(at, sink, order, bytes);
            // Whatever is still being read is not wanted any more.
            over.store(true, Ordering::Relaxed);
            outcome
        })
    }

    /// Hands out ranges, and takes what they bring, the oldest first.
    fn take_in_order(
        &self,
        at: &mut Progress,
        sink: &mut dyn Sink,
        order: Sender<Range>,
        bytes: &mut u64,
    ) -> std::result::Result<(), Refusal> {
        let mut ordered = at.next;
        let mut under_way: VecDeque<(u64, Receiver<Delivery>)> = VecDeque::new();
        loop {
            while under_way.len() < LANES && ordered <= self.last {
                let (deliver, delivery) = sync_channel(PARCELS);
                let end = (ordered + BATCH).min(self.last + 1);
                // The lanes take orders for as long as this function runs.
                let _ = order.send(Range { start: ordered, end, deliver });
                under_way.push_back((end, delivery));
                ordered = end;
            }
            let Some((end, range)) = under_way.pop_front() else { return Ok(()) };
            for delivery in range {
                match delivery {
                    Delivery::Frames(parcel) => self.take(&parcel, at, sink)?,
                    Delivery::End { outcome, bytes: received } => {
                        *bytes += received;
                        if outcome? == Coverage::TooLong {
                            return Ok(());
                        }
                    }
                }
            }
            // A log that is shorter than the primary said has no end to reach.
            if at.next < end {
                let (last, next) = (self.last, at.next);
                let text = format!("the primary has frame {last} but sends none from {next}");
                return Err(Error::new(Kind::Protocol, text).into());
            }
        }
    }

    fn take(&self, parcel: &Parcel, at: &mut Progress, sink: &mut dyn Sink) -> Result<()> {
        for ((frame_no, page, size_after), image) in
            parcel.frames.iter().copied().zip(&parcel.images)
        {
            at.take(Frame { frame_no, page, size_after, image }, self.session, sink)?;
        }
        sink.progress(at.next - self.first, Some(self.last + 1 - self.first));
        Ok(())
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

fn run_lane(sqld: &Sqld, session: &Session, patience: &Patience, orders: &Mutex<Receiver<Range>>) {
    loop {
        let next = orders.lock().recv();
        let Ok(range) = next else { return };
        let mut bytes = 0;
        let outcome = read_range(sqld, session, patience, &range, &mut bytes);
        let _ = range.deliver.send(Delivery::End { outcome, bytes });
    }
}

fn read_range(
    sqld: &Sqld,
    session: &Session,
    patience: &Patience,
    range: &Range,
    bytes: &mut u64,
) -> std::result::Result<Coverage, Refusal> {
    let mut parcel = Parcel::default();
    let (past_end, too_long) = (Cell::new(false), Cell::new(false));
    let enough = |reader: &FrameReader| {
        too_long.set(reader.message_length() as u64 > LONG * PAGE_SIZE as u64);
        too_long.get() || (past_end.get() && reader.message_left() > SHORT_REST)
    };
    let (method, enough) = (Method::Batch, Some(&enough as &dyn Fn(&FrameReader) -> bool));
    let wanted = Wanted { method, next: range.start, session, patience, enough };
    let nobody = || Error::new(Kind::Interrupted, "the pull is over");
    let mut each = |frame: Frame<'_>| -> Result<()> {
        if frame.frame_no.0 >= range.end {
            past_end.set(true);
            return Ok(());
        }
        parcel.frames.push((frame.frame_no, frame.page, frame.size_after));
        parcel.images.push(*frame.image);
        if parcel.images.len() == PARCEL {
            let full = std::mem::take(&mut parcel);
            range.deliver.send(Delivery::Frames(full)).map_err(|_| nobody())?;
        }
        Ok(())
    };
    sqld.frames(&wanted, bytes, &mut each)?;
    if !parcel.frames.is_empty() {
        range.deliver.send(Delivery::Frames(parcel)).map_err(|_| nobody())?;
    }
    Ok(if too_long.get() && !past_end.get() { Coverage::TooLong } else { Coverage::All })
}
