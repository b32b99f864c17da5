//! Opening a TCP connection: bounded in time, and given up when the caller no
//! longer wants it.
//!
//! The system's calls for a name lookup and for connecting cannot be stopped
//! half way, so they run on short-lived threads of their own, which are left
//! behind when nobody waits for them any more: they hold nothing but their own
//! socket, and end with the system's own timeouts.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use socket2::{SockRef, TcpKeepalive};

use super::fault::{Fault, Limits, SLICE};
use super::stalled;

/// How long an address may stay silent before the next one is tried beside it
/// (RFC 8305 calls it the connection attempt delay).
const HEAD_START: Duration = Duration::from_millis(250);

/// No more addresses than this are tried.
const MAX_ADDRESSES: usize = 8;

/// A connection, and whether there is another address that may be better.
pub(super) struct Connected {
    pub stream: TcpStream,
    pub address: SocketAddr,
    pub has_others: bool,
}

/// A connection to `host`, a name or an IP address, without TLS.
pub(super) fn connect(host: &str, port: u16, limits: &Limits) -> Result<Connected, Fault> {
    let deadline = Instant::now() + limits.timeout;
    let mut addresses = match host.parse::<IpAddr>() {
        Ok(ip) => vec![SocketAddr::new(ip, port)],
        // RFC 6761: such a name is this machine, whatever a resolver says, and
        // most of them say nothing.
        Err(_) if host == "localhost" || host.ends_with(".localhost") => {
            let loopback: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
            loopback.map(|ip| SocketAddr::new(ip, port)).to_vec()
        }
        Err(_) => look_up(host, port, deadline, limits)?,
    };
    addresses.truncate(MAX_ADDRESSES);
    addresses.sort_by_key(stalled::is_noted);
    let (sender, receiver) = mpsc::channel();
    let mut waiting = addresses.iter().copied().peekable();
    let (mut under_way, mut last) = (0usize, None);
    loop {
        if let Some(address) = waiting.next() {
            attempt(address, deadline, sender.clone())?;
            under_way += 1;
        }
        let until = match waiting.peek() {
            Some(_) => deadline.min(Instant::now() + HEAD_START),
            None => deadline,
        };
        match receive(&receiver, until, limits)? {
            Some(Ok((stream, address))) => {
                let is_better = |other: &SocketAddr| *other != address && !stalled::is_noted(other);
                // One that was left before and is here again has no better one.
                let has_others = !stalled::is_noted(&address) && addresses.iter().any(is_better);
                let stream = prepare(stream).map_err(Fault::Connect)?;
                return Ok(Connected { stream, address, has_others });
            }
            Some(Err(error)) => {
                under_way -= 1;
                last = Some(error);
            }
            None if Instant::now() >= deadline => return Err(Fault::ConnectTimeout),
            None => {}
        }
        if under_way == 0 && waiting.peek().is_none() {
            let none = || io::Error::from(io::ErrorKind::AddrNotAvailable);
            return Err(Fault::Connect(last.unwrap_or_else(none)));
        }
    }
}

fn look_up(
    host: &str,
    port: u16,
    deadline: Instant,
    limits: &Limits,
) -> Result<Vec<SocketAddr>, Fault> {
    let (sender, receiver) = mpsc::channel();
    let name = host.to_owned();
    on_a_thread(move || {
        let found = (name.as_str(), port).to_socket_addrs();
        // Nobody waits any more: fine.
        let _ = sender.send(found.map(Iterator::collect::<Vec<_>>));
    })?;
    match receive(&receiver, deadline, limits)? {
        Some(Ok(addresses)) => Ok(addresses),
        Some(Err(error)) => Err(Fault::LookUp(error.to_string())),
        None => Err(Fault::LookUp("no answer in time".to_owned())),
    }
}

fn attempt(
    address: SocketAddr,
    deadline: Instant,
    sender: Sender<io::Result<(TcpStream, SocketAddr)>>,
) -> Result<(), Fault> {
    on_a_thread(move || {
        let left = deadline.saturating_duration_since(Instant::now());
        let result = TcpStream::connect_timeout(&address, left.max(Duration::from_millis(1)));
        // Nobody waits any more: the connection is closed by being dropped.
        let _ = sender.send(result.map(|stream| (stream, address)));
    })
}

fn on_a_thread(work: impl FnOnce() + Send + 'static) -> Result<(), Fault> {
    std::thread::Builder::new()
        .name("replica-connect".to_owned())
        .stack_size(256 * 1024)
        .spawn(work)
        .map(drop)
        .map_err(Fault::Connect)
}

/// What arrives before `until`, if anything.
fn receive<T>(receiver: &Receiver<T>, until: Instant, limits: &Limits) -> Result<Option<T>, Fault> {
    loop {
        if (limits.cancelled)() {
            return Err(Fault::Cancelled);
        }
        let left = until.saturating_duration_since(Instant::now());
        match receiver.recv_timeout(left.min(SLICE)) {
            Ok(value) => return Ok(Some(value)),
            Err(RecvTimeoutError::Timeout) if left > SLICE => {}
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return Ok(None),
        }
    }
}

/// Nothing on it blocks. No delay for small requests; keepalive so that a
/// connection that waits for long notices when the other side is gone without a
/// word. A system that does not have these two is used without.
fn prepare(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_nonblocking(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(20))
        .with_interval(Duration::from_secs(5));
    #[cfg(not(any(target_os = "openbsd", target_os = "redox", target_os = "solaris")))]
    let keepalive = keepalive.with_retries(3);
    let _ = stream.set_nodelay(true);
    let _ = SockRef::from(&stream).set_tcp_keepalive(&keepalive);
    Ok(stream)
}
