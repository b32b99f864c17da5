//! The transport that ureq speaks HTTP over: a TCP connection that never
//! blocks, whose waits are cut into slices, so that a caller can give up at any
//! time, and a wrapper (outside of TLS) that remembers how far a request got.
//!
//! ureq pools connections, and its own timeouts are fixed per call; what
//! differs from call to call is the caller's patience. It reaches the pooled
//! connection through a thread-local slot, set by [`during`] around each call
//! into ureq: ureq is blocking, so everything it does for a call, it does on
//! the thread of that call. ureq's own timeouts stay unset.
//!
//! ureq reads on by itself where a peer sends what is no part of a body: a
//! head without an end, trailers without an end. So the caller's wish, the time
//! and the bytes are looked at before each read, also where no read ever waits.

use std::cell::RefCell;
use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport,
};
use zeroize::Zeroize as _;

use super::connect::{Connected, connect};
use super::fault::{Fault, Limits, next_slice};

/// As many bytes may come in one call: ureq holds at most 64 KiB of a head, and
/// reads at most 128 KiB of a body at a time. The rest is for TLS.
const MAX_INPUT: usize = 1024 * 1024;

/// Some systems count in milliseconds, and would not wait at all.
const SHORTEST_SLICE: Duration = Duration::from_millis(1);

/// An address that takes longer than this to set up TLS is left for another one.
const TLS_HEAD_START: Duration = Duration::from_secs(3);

/// How far a call into ureq got.
#[derive(Debug, Default)]
pub(super) struct Trace {
    /// A new connection was made, rather than one taken from the pool.
    pub fresh: bool,
    /// A proxy has opened the way to the primary.
    pub tunnelled: bool,
    /// Where TLS is being set up, if it may be better elsewhere.
    pub way: Option<SocketAddr>,
    /// The connection to a proxy is ready for its request: TLS is set up, too.
    pub proxy_ready: bool,
    /// The new connection is ready for requests: TLS is set up, too.
    pub ready: bool,
    /// The whole request was handed to the operating system.
    pub sent: bool,
    /// At least a byte of the answer came.
    pub answered: bool,
    pub fault: Option<Fault>,
}

struct Slot {
    limits: Limits,
    /// When what is under way has to be done.
    deadline: Option<Instant>,
    input_left: usize,
    trace: Trace,
}

impl Slot {
    fn new(limits: Limits) -> Slot {
        let deadline = limits.deadline();
        Slot { limits, deadline, input_left: MAX_INPUT, trace: Trace::default() }
    }
}

thread_local! {
    static SLOT: RefCell<Option<Slot>> = const { RefCell::new(None) };
}

/// Runs `work`, which calls into ureq, within these limits.
pub(super) fn during<T>(limits: Limits, work: impl FnOnce() -> T) -> (T, Trace) {
    /// Empties the slot also when `work` panics.
    struct Reset;
    impl Drop for Reset {
        fn drop(&mut self) {
            SLOT.with(|slot| slot.borrow_mut().take());
        }
    }
    SLOT.with(|cell| *cell.borrow_mut() = Some(Slot::new(limits)));
    let reset = Reset;
    let result = work();
    let trace = SLOT.with(|slot| slot.borrow_mut().take()).map(|slot| slot.trace);
    drop(reset);
    (result, trace.unwrap_or_default())
}

/// What the call under way says; None outside of one, which does not happen.
fn with_slot<T>(look: impl FnOnce(&mut Slot) -> T) -> Option<T> {
    SLOT.with(|slot| slot.borrow_mut().as_mut().map(look))
}

fn note(change: impl FnOnce(&mut Trace)) {
    with_slot(|slot| change(&mut slot.trace));
}

/// The next thing begins, and has the whole time.
fn begin() {
    with_slot(|slot| slot.deadline = slot.limits.deadline());
}

/// Leaves the fault in the trace; the error that is returned only has to make
/// ureq, and rustls in between, stop.
fn give_up(fault: Fault) -> io::Error {
    note(|trace| trace.fault = Some(fault));
    io::Error::from(io::ErrorKind::TimedOut)
}

/// Leaves names alone: ureq resolves before each request, pooled or not. The
/// connector looks up the name when there is a connection to make.
#[derive(Debug)]
pub(super) struct NoResolver;

impl Resolver for NoResolver {
    fn resolve(
        &self,
        _: &Uri,
        _: &Config,
        _: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        Ok(self.empty())
    }
}

/// Makes TCP connections where no proxy has made one.
#[derive(Debug)]
pub(super) struct TcpConnector;

impl<In: Transport> Connector<In> for TcpConnector {
    type Out = Either<In, Tcp>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Either<In, Tcp>>, ureq::Error> {
        if let Some(tunnel) = chained {
            note(|trace| trace.tunnelled = true);
            return Ok(Some(Either::A(tunnel)));
        }
        note(|trace| trace.fresh = true);
        begin();
        let host = details.uri.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let default = if details.needs_tls() { 443 } else { 80 };
        let port = details.uri.port_u16().unwrap_or(default);
        let limits = with_slot(|slot| slot.limits.clone());
        let limits = limits.ok_or_else(|| give_up(Fault::Cancelled))?;
        let Connected { stream, address, has_others } =
            connect(host, port, &limits).map_err(give_up)?;
        if details.needs_tls() && has_others && limits.leaves_addresses {
            with_slot(|slot| {
                slot.trace.way = Some(address);
                let soon = Instant::now() + TLS_HEAD_START;
                slot.deadline = Some(slot.deadline.map_or(soon, |deadline| deadline.min(soon)));
            });
        }
        let config = details.config;
        let buffers = LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size());
        Ok(Some(Either::B(Tcp { stream, buffers })))
    }
}

/// A connection whose socket never blocks.
pub(super) struct Tcp {
    stream: TcpStream,
    buffers: LazyBuffers,
}

/// Repeats `step` until it moves bytes or fails, or a limit of the call is
/// reached; waits in between until the socket is ready.
fn wait(
    stream: &TcpStream,
    ready: PollFlags,
    mut step: impl FnMut() -> io::Result<usize>,
) -> io::Result<usize> {
    loop {
        let now = with_slot(|slot| ((slot.limits.cancelled)(), slot.deadline));
        let (cancelled, deadline) = now.unwrap_or((true, None));
        if cancelled {
            return Err(give_up(Fault::Cancelled));
        }
        let slice = next_slice(deadline);
        if slice.is_zero() {
            return Err(give_up(Fault::Late));
        }
        match step() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => return other,
        }
        let mut sockets = [PollFd::new(stream, ready)];
        // A slice is a time that every system can count.
        let slice = Timespec::try_from(slice.max(SHORTEST_SLICE)).unwrap_or_default();
        match poll(&mut sockets, Some(&slice)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

impl Transport for Tcp {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), ureq::Error> {
        let Tcp { stream, buffers } = self;
        let mut output = &buffers.output()[..amount];
        while !output.is_empty() {
            let mut socket = &*stream;
            let written = wait(stream, PollFlags::OUT, || socket.write(output))?;
            if written == 0 {
                return Err(io::Error::from(io::ErrorKind::WriteZero).into());
            }
            output = &output[written..];
        }
        Ok(())
    }

    fn await_input(&mut self, _: NextTimeout) -> Result<bool, ureq::Error> {
        let Tcp { stream, buffers } = self;
        let input = buffers.input_append_buf();
        let mut socket = &*stream;
        let read = wait(stream, PollFlags::IN, || socket.read(input))?;
        buffers.input_appended(read);
        let left = with_slot(|slot| {
            slot.input_left = slot.input_left.saturating_sub(read);
            slot.input_left
        });
        if left == Some(0) {
            return Err(give_up(Fault::Endless).into());
        }
        Ok(read > 0)
    }

    /// A pooled connection is open when there is nothing to read from it: no
    /// end, no error, and no bytes that nobody asked for.
    fn is_open(&mut self) -> bool {
        matches!(self.stream.peek(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}

impl fmt::Debug for Tcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tcp").field("peer", &self.stream.peer_addr().ok()).finish()
    }
}

/// Puts [`Tracked`] around whatever the connectors before it made, but not
/// around the connection to a proxy, over which no request goes: a call with a
/// proxy makes that one in a call of its own, which has none.
#[derive(Debug)]
pub(super) struct Tracking {
    pub by_proxy: bool,
}

impl<In: Transport> Connector<In> for Tracking {
    type Out = Either<In, Tracked<In>>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Either<In, Tracked<In>>>, ureq::Error> {
        if self.by_proxy && details.config.proxy().is_none() {
            // Whatever the proxy does now has the whole time.
            begin();
            note(|trace| (trace.way, trace.proxy_ready) = (None, true));
            return Ok(chained.map(Either::A));
        }
        note(|trace| trace.ready = true);
        Ok(chained.map(|made| Either::B(Tracked(made))))
    }
}

/// Notes how far a request got. Outside of TLS, because inside of it reading
/// and writing take turns for reasons of their own.
#[derive(Debug)]
pub(super) struct Tracked<T>(T);

impl<T: Transport> Transport for Tracked<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.0.buffers()
    }

    /// Each piece of a long request has the whole time.
    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        begin();
        let sent = self.0.transmit_output(amount, timeout);
        // The head of a request has the token in it, and the buffer stays with
        // the connection.
        self.0.buffers().output()[..amount].zeroize();
        sent
    }

    /// ureq asks for input only after the last byte of the request was taken.
    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        with_slot(|slot| {
            if !std::mem::replace(&mut slot.trace.sent, true) {
                slot.deadline = slot.limits.deadline();
            }
        });
        let came = self.0.await_input(timeout)?;
        if came {
            note(|trace| trace.answered = true);
        }
        Ok(came)
    }

    fn is_open(&mut self) -> bool {
        self.0.is_open()
    }

    fn is_tls(&self) -> bool {
        self.0.is_tls()
    }
}
