//! The transport that ureq speaks HTTP over: a TCP connection whose waits are
//! cut into slices, so that a caller can give up at any time, and a wrapper
//! (outside of TLS) that remembers how far a request got.
//!
//! ureq pools connections, and its own timeouts are fixed per call; what
//! differs from call to call is the caller's patience. It reaches the pooled
//! connection through a thread-local slot, set by [`during`] around each call
//! into ureq: ureq is blocking, so that everything it does for a call, it does
//! on the thread of that call. ureq's own timeouts stay unset.

use std::cell::RefCell;
use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport,
};

use super::connect::connect;
use crate::patience::Patience;

/// Longest wait in which nobody asks whether the caller still wants the result.
pub(super) const SLICE: Duration = Duration::from_millis(100);

/// Why the transport gave up, more exactly than an `io::Error` can say.
#[derive(Debug)]
pub(super) enum Fault {
    Cancelled,
    /// The name of the host leads to no address.
    LookUp(String),
    Connect(io::Error),
    ConnectTimeout,
    /// Nothing could be read or written for as long as the patience lasts.
    Idle,
}

/// How far a call into ureq got.
#[derive(Debug, Default)]
pub(super) struct Trace {
    /// A new connection was made, rather than one taken from the pool.
    pub fresh: bool,
    /// The new connection is ready for requests: TLS is set up, too.
    pub ready: bool,
    /// The whole request was handed to the operating system.
    pub sent: bool,
    /// At least a byte of the answer came.
    pub answered: bool,
    pub fault: Option<Fault>,
}

struct Slot {
    patience: Patience,
    trace: Trace,
}

thread_local! {
    static SLOT: RefCell<Option<Slot>> = const { RefCell::new(None) };
}

/// Runs `work`, which calls into ureq, with this patience.
pub(super) fn during<T>(patience: &Patience, work: impl FnOnce() -> T) -> (T, Trace) {
    /// Empties the slot also when `work` panics.
    struct Reset;
    impl Drop for Reset {
        fn drop(&mut self) {
            SLOT.with(|slot| slot.borrow_mut().take());
        }
    }
    let slot = Slot { patience: patience.clone(), trace: Trace::default() };
    SLOT.with(|cell| *cell.borrow_mut() = Some(slot));
    let reset = Reset;
    let result = work();
    let trace = SLOT.with(|slot| slot.borrow_mut().take()).map(|slot| slot.trace);
    drop(reset);
    (result, trace.unwrap_or_default())
}

/// The patience of the call under way. Outside of one (which does not happen)
/// nothing is waited for.
fn patience() -> Patience {
    let current = SLOT.with(|slot| slot.borrow().as_ref().map(|slot| slot.patience.clone()));
    current.unwrap_or_else(|| Patience { timeout: Duration::ZERO, cancelled: Arc::new(|| true) })
}

fn note(change: impl FnOnce(&mut Trace)) {
    SLOT.with(|slot| {
        if let Some(slot) = slot.borrow_mut().as_mut() {
            change(&mut slot.trace);
        }
    });
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

/// Makes TCP connections.
#[derive(Debug)]
pub(super) struct TcpConnector;

impl Connector for TcpConnector {
    type Out = Tcp;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        _: Option<()>,
    ) -> Result<Option<Tcp>, ureq::Error> {
        note(|trace| trace.fresh = true);
        let host = details.uri.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let default = if details.needs_tls() { 443 } else { 80 };
        let port = details.uri.port_u16().unwrap_or(default);
        let stream = connect(host, port, &patience()).map_err(give_up)?;
        stream.set_read_timeout(Some(SLICE))?;
        stream.set_write_timeout(Some(SLICE))?;
        let config = details.config;
        let buffers = LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size());
        Ok(Some(Tcp { stream, buffers, slice: SLICE }))
    }
}

pub(super) struct Tcp {
    stream: TcpStream,
    buffers: LazyBuffers,
    /// The timeout that the socket is set to.
    slice: Duration,
}

impl Tcp {
    /// A timeout below the usual slice needs a shorter one.
    fn set_slice(&mut self, timeout: Duration) -> io::Result<()> {
        let slice = timeout.clamp(Duration::from_millis(1), SLICE);
        if slice != self.slice {
            self.stream.set_read_timeout(Some(slice))?;
            self.stream.set_write_timeout(Some(slice))?;
            self.slice = slice;
        }
        Ok(())
    }
}

/// Repeats `step` until it moves bytes, fails, or patience ends.
fn wait(patience: &Patience, mut step: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    let started = Instant::now();
    loop {
        match step() {
            Err(error) if is_a_slice(error.kind()) => {}
            other => return other,
        }
        if (patience.cancelled)() {
            return Err(give_up(Fault::Cancelled));
        }
        if started.elapsed() >= patience.timeout {
            return Err(give_up(Fault::Idle));
        }
    }
}

fn is_a_slice(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(kind, WouldBlock | TimedOut | Interrupted)
}

impl Transport for Tcp {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), ureq::Error> {
        let patience = patience();
        self.set_slice(patience.timeout)?;
        let Tcp { stream, buffers, .. } = self;
        let mut output = &buffers.output()[..amount];
        while !output.is_empty() {
            let written = wait(&patience, || stream.write(output))?;
            if written == 0 {
                return Err(io::Error::from(io::ErrorKind::WriteZero).into());
            }
            output = &output[written..];
        }
        Ok(())
    }

    fn await_input(&mut self, _: NextTimeout) -> Result<bool, ureq::Error> {
        let patience = patience();
        self.set_slice(patience.timeout)?;
        let Tcp { stream, buffers, .. } = self;
        let input = buffers.input_append_buf();
        let read = wait(&patience, || stream.read(input))?;
        buffers.input_appended(read);
        Ok(read > 0)
    }

    /// A pooled connection is open when there is nothing to read from it: no
    /// end, no error, and no bytes that nobody asked for.
    fn is_open(&mut self) -> bool {
        if self.stream.set_nonblocking(true).is_err() {
            return false;
        }
        let silent = match self.stream.peek(&mut [0]) {
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
            Ok(_) => false,
        };
        silent && self.stream.set_nonblocking(false).is_ok()
    }
}

impl fmt::Debug for Tcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tcp").field("peer", &self.stream.peer_addr().ok()).finish()
    }
}

/// Puts [`Tracked`] around whatever the connectors before it made.
#[derive(Debug)]
pub(super) struct Tracking;

impl<In: Transport> Connector<In> for Tracking {
    type Out = Tracked<In>;

    fn connect(
        &self,
        _: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Tracked<In>>, ureq::Error> {
        note(|trace| trace.ready = true);
        Ok(chained.map(Tracked))
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

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.0.transmit_output(amount, timeout)
    }

    /// ureq asks for input only after the last byte of the request was taken.
    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        note(|trace| trace.sent = true);
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
