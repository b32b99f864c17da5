//! A proxy between a replica and its primary that breaks one request at a
//! place of the test's choice. It simulates a network that fails: the servers
//! on both sides are real, and so is everything it lets through.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::net::free_address;

/// Where the connection of a request that writes is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Not at all.
    Never,
    /// Connections are accepted and closed at once, old ones with their next
    /// request, whatever it is.
    EveryConnection,
    /// The proxy takes all of the request and passes nothing on.
    RequestSwallowed,
    /// The primary gets all of it, its answer is thrown away.
    AfterRequest,
    /// So many bytes of the answer pass.
    MidResponse(usize),
    /// The whole answer passes, then the connection ends.
    AfterResponse,
    /// The request is kept, and the connection ends; `release` sends it on.
    Kept,
    /// The primary gets all of it, its answer is thrown away, and from then on
    /// nobody listens any more, until `listen`.
    Last,
}

/// The ways in which a request or its answer is lost.
pub const LOSSES: [Cut; 6] = [
    Cut::RequestSwallowed,
    Cut::AfterRequest,
    Cut::MidResponse(1),
    Cut::MidResponse(40),
    Cut::MidResponse(1_000_000),
    Cut::Kept,
];

pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    address: SocketAddr,
    upstream: SocketAddr,
    cut: Mutex<Cut>,
    /// Requests to be cut before `cut` is over; None for all.
    left: Mutex<Option<usize>>,
    kept: Mutex<Vec<Vec<u8>>>,
    /// Requests that hold this text count as those that write.
    marker: &'static [u8],
    /// How many of them came to the proxy.
    seen: AtomicUsize,
    stopped: AtomicBool,
}

impl Proxy {
    /// Cuts only requests whose body holds `marker`.
    pub fn start(upstream: SocketAddr, marker: &'static str) -> Proxy {
        let address = free_address();
        let shared = Arc::new(Shared {
            address,
            upstream,
            cut: Mutex::new(Cut::Never),
            left: Mutex::new(None),
            kept: Mutex::default(),
            marker: marker.as_bytes(),
            seen: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
        });
        let proxy = Proxy { address, shared };
        proxy.listen();
        proxy
    }

    pub fn listen(&self) {
        let listener = TcpListener::bind(self.address).expect("a free address");
        let accepting = self.shared.clone();
        accepting.stopped.store(false, Ordering::SeqCst);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if accepting.stopped.load(Ordering::SeqCst) {
                    return;
                }
                if *accepting.cut.lock().expect("no panic") == Cut::EveryConnection {
                    continue;
                }
                let shared = accepting.clone();
                // One side going away ends both.
                std::thread::spawn(move || serve(stream, &shared));
            }
        });
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn cut(&self, cut: Cut) {
        *self.shared.left.lock().expect("no panic") = None;
        *self.shared.cut.lock().expect("no panic") = cut;
    }

    /// Cuts so many requests with the marker, and then none.
    pub fn cut_next(&self, cut: Cut, requests: usize) {
        *self.shared.left.lock().expect("no panic") = Some(requests);
        *self.shared.cut.lock().expect("no panic") = cut;
    }

    /// Sends on what was kept, and waits for the answers, which nobody gets.
    pub fn release(&self) -> usize {
        let kept = std::mem::take(&mut *self.shared.kept.lock().expect("no panic"));
        for request in &kept {
            let mut server = TcpStream::connect(self.shared.upstream).expect("the server");
            server.write_all(request).expect("it takes the request");
            read_message(&mut server).expect("it answers");
        }
        kept.len()
    }

    /// How many requests with the marker have come since the last call.
    pub fn seen(&self) -> usize {
        self.shared.seen.swap(0, Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    /// Returns when nobody listens any more.
    fn stop_listening(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        while TcpStream::connect(self.address).is_ok() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// What is done with a request that is to be cut, if it still is.
    fn counted(&self, cut: Cut) -> Cut {
        let mut left = self.left.lock().expect("no panic");
        match *left {
            _ if cut == Cut::Never => Cut::Never,
            None => cut,
            Some(0) => Cut::Never,
            Some(some) => {
                *left = Some(some - 1);
                cut
            }
        }
    }
}

/// One request after another of one connection.
fn serve(mut client: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut server = TcpStream::connect(shared.upstream)?;
    loop {
        let Some(request) = read_message(&mut client)? else { return Ok(()) };
        let marked = request.windows(shared.marker.len()).any(|bytes| bytes == shared.marker);
        let cut = *shared.cut.lock().expect("no panic");
        if cut == Cut::EveryConnection {
            return client.shutdown(Shutdown::Both);
        }
        if !marked {
            server.write_all(&request)?;
            if is_stream(&request) {
                std::io::copy(&mut server, &mut client)?;
                return Ok(());
            }
            let Some(answer) = read_message(&mut server)? else { return Ok(()) };
            client.write_all(&answer)?;
            continue;
        }
        shared.seen.fetch_add(1, Ordering::SeqCst);
        let cut = shared.counted(cut);
        if cut == Cut::Kept {
            shared.kept.lock().expect("no panic").push(request);
            return client.shutdown(Shutdown::Both);
        }
        if cut == Cut::RequestSwallowed {
            return client.shutdown(Shutdown::Both);
        }
        server.write_all(&request)?;
        let Some(answer) = read_message(&mut server)? else { return Ok(()) };
        if cut == Cut::Last {
            shared.stop_listening();
        }
        let pass = match cut {
            Cut::AfterRequest | Cut::Last => 0,
            Cut::MidResponse(bytes) => bytes.min(answer.len() - 1),
            _ => answer.len(),
        };
        client.write_all(&answer[..pass])?;
        if cut != Cut::Never {
            return client.shutdown(Shutdown::Both);
        }
    }
}

/// A stream of the log has no end of its own.
fn is_stream(request: &[u8]) -> bool {
    request.starts_with(b"POST /wal_log.ReplicationLog/LogEntries")
}

/// A whole HTTP message with a length or in chunks; None at the end.
fn read_message(from: &mut TcpStream) -> std::io::Result<Option<Vec<u8>>> {
    let mut message = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        if is_whole(&message) {
            return Ok(Some(message));
        }
        match from.read(&mut buffer)? {
            0 => return Ok(None),
            read => message.extend_from_slice(&buffer[..read]),
        }
    }
}

fn is_whole(message: &[u8]) -> bool {
    let Some(head) = message.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
        return false;
    };
    let text = String::from_utf8_lossy(&message[..head]).to_ascii_lowercase();
    let header = |name: &str| text.lines().find_map(|line| line.strip_prefix(name).map(str::trim));
    match header("content-length:").and_then(|length| length.parse::<usize>().ok()) {
        Some(length) => message.len() >= head + 4 + length,
        None if header("transfer-encoding:").is_some() => message.ends_with(b"0\r\n\r\n"),
        None => true,
    }
}
