//! Addresses for the servers that tests start, and a small HTTP server that
//! answers what a test wants: proxies and damaged messages, which a real sqld
//! cannot be asked for.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use socket2::{Domain, Socket, Type};

/// An address on this machine that nobody listens at.
///
/// Linux routes all of 127.0.0.0/8 to the machine itself, so each test process
/// has a host address of its own, made of its process id. Nobody can take a
/// port between our look at it and sqld's: neither another test process nor an
/// outgoing connection, whose source is 127.0.0.1.
pub fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(20_000);
    let host = if cfg!(target_os = "linux") {
        let [_, high, mid, low] = std::process::id().to_be_bytes();
        Ipv4Addr::new(127, 64 | (high & 63), mid, low.max(1))
    } else {
        Ipv4Addr::LOCALHOST
    };
    loop {
        let port = NEXT.fetch_add(1, Ordering::Relaxed);
        let address = SocketAddr::V4(SocketAddrV4::new(host, port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// One request that a `FakeServer` got.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }
}

/// What the server at `upstream` answers to the request, to the last byte.
pub fn forward(request: &Request, upstream: SocketAddr) -> Vec<u8> {
    let mut stream = TcpStream::connect(upstream).expect("the server behind the fake one");
    let mut head = format!("{} {} HTTP/1.1\r\n", request.method, request.path);
    for (name, value) in request.headers.iter().filter(|(name, _)| name != "connection") {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("connection: close\r\n\r\n");
    let mut answer = Vec::new();
    stream.write_all(head.as_bytes()).expect("a request is taken");
    stream.write_all(&request.body).expect("a request is taken");
    stream.read_to_end(&mut answer).expect("an answer");
    // The fake server closes, and says so before.
    let line = answer.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    answer.splice(line..line, *b"connection: close\r\n");
    answer
}

type Talk = dyn Fn(&Request, &mut TcpStream) -> std::io::Result<()> + Send + Sync;

/// An HTTP server that answers each request with the bytes of a closure
/// (status line, headers and body) and closes the connection.
pub struct FakeServer {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    stopped: Arc<AtomicBool>,
}

impl FakeServer {
    pub fn start(answer: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static) -> FakeServer {
        FakeServer::talking(move |request, stream| stream.write_all(&answer(request)))
    }

    /// One that says what it wants, as slowly and as long as it wants: until it
    /// returns, or fails because the client is gone.
    pub fn talking(
        talk: impl Fn(&Request, &mut TcpStream) -> std::io::Result<()> + Send + Sync + 'static,
    ) -> FakeServer {
        // Another thread's server may have taken it since.
        let (address, listener) = std::iter::repeat_with(free_address)
            .find_map(|address| Some((address, TcpListener::bind(address).ok()?)))
            .expect("an endless iterator");
        let requests = Arc::new(Mutex::new(Vec::new()));
        let stopped = Arc::new(AtomicBool::new(false));
        let talk: Arc<Talk> = Arc::new(talk);
        let server = FakeServer { address, requests: requests.clone(), stopped: stopped.clone() };
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let (talk, requests) = (talk.clone(), requests.clone());
                // A client that goes away in the middle is its own affair.
                std::thread::spawn(move || stream.and_then(|s| serve(s, &*talk, &requests)));
            }
        });
        server
    }

    /// A server whose every answer is `status` with this body.
    pub fn always(status: &str, headers: &str, body: impl Into<Vec<u8>>) -> FakeServer {
        let answer = http_answer(status, headers, &body.into());
        FakeServer::start(move |_| answer.clone())
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What has been asked so far.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("no panic in the server").clone()
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // Wakes the accepting thread.
        let _ = TcpStream::connect(self.address);
    }
}

/// A proxy that opens ways and keeps what goes out through them.
pub fn open_proxy() -> (FakeServer, Arc<Mutex<Vec<u8>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let keep = seen.clone();
    let server = FakeServer::talking(move |request, stream| tunnel(&request.path, stream, &keep));
    (server, seen)
}

/// A proxy all of whose ways lead to one place, whatever it is called.
pub fn open_proxy_to(place: String) -> FakeServer {
    FakeServer::talking(move |_, stream| tunnel(&place, stream, &Mutex::default()))
}

fn tunnel(place: &str, client: &mut TcpStream, seen: &Mutex<Vec<u8>>) -> std::io::Result<()> {
    let server = TcpStream::connect(place)?;
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    tunnel_on(server, client, seen)
}

fn tunnel_on(
    mut server: TcpStream,
    client: &mut TcpStream,
    seen: &Mutex<Vec<u8>>,
) -> std::io::Result<()> {
    let (mut back, mut to_client) = (server.try_clone()?, client.try_clone()?);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut back, &mut to_client);
        let _ = to_client.shutdown(Shutdown::Both);
    });
    let mut buffer = [0; 16 * 1024];
    loop {
        let read = client.read(&mut buffer)?;
        if read == 0 {
            return server.shutdown(Shutdown::Both);
        }
        seen.lock().expect("no panic").extend_from_slice(&buffer[..read]);
        server.write_all(&buffer[..read])?;
    }
}

/// Passes on what comes to `address`; None, and a word about it, where there is
/// no such address on this machine.
pub fn relay(address: &str, upstream: SocketAddr) -> Option<()> {
    let Ok(listener) = TcpListener::bind(address) else {
        // Past the capture of the test's own output.
        let _ = writeln!(std::io::stderr(), "SKIPPED: {address} cannot be listened at");
        return None;
    };
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                tunnel_on(TcpStream::connect(upstream)?, &mut stream, &Mutex::default())
            });
        }
    });
    Some(())
}

/// An address of 127.0.0.1 that answers no attempt to connect, as long as what
/// comes with it is held. None, and a word about it, where that cannot be made.
pub fn silent_address() -> Option<(SocketAddr, Vec<TcpStream>)> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("a free port");
    socket.listen(0).expect("it listens");
    let address = socket.local_addr().ok()?.as_socket()?;
    // It lives as long as the test does: nobody accepts, and the queue is full.
    std::mem::forget(socket);
    let mut full = Vec::new();
    let soon = std::time::Duration::from_millis(300);
    for _ in 0..8 {
        match TcpStream::connect_timeout(&address, soon) {
            Ok(stream) => full.push(stream),
            Err(_) => return Some((address, full)),
        }
    }
    let _ =
        writeln!(std::io::stderr(), "SKIPPED: this system accepts for a listener that does not");
    None
}

/// An HTTP/1.1 answer with a `content-length`.
pub fn http_answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut answer = format!(
        "HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    )
    .into_bytes();
    answer.extend_from_slice(body);
    answer
}

fn serve(
    mut stream: TcpStream,
    talk: &Talk,
    requests: &Mutex<Vec<Request>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = Vec::new();
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut request = Request { method, path, headers, body: Vec::new() };
    request.body = match request.header("content-length").map(str::parse) {
        Some(Ok(length)) => {
            let mut body = vec![0; length];
            reader.read_exact(&mut body)?;
            body
        }
        _ if request.header("transfer-encoding").is_some() => read_chunks(&mut reader)?,
        _ => Vec::new(),
    };
    requests.lock().expect("no panic in the server").push(request.clone());
    talk(&request, &mut stream)?;
    stream.shutdown(std::net::Shutdown::Write)?;
    // Waits for the client to close, or the kernel may cut what it has not read.
    std::io::copy(&mut reader, &mut std::io::sink())?;
    Ok(())
}

fn read_chunks(reader: &mut impl BufRead) -> std::io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let length = usize::from_str_radix(line.trim(), 16).unwrap_or(0);
        let mut chunk = vec![0; length + 2];
        reader.read_exact(&mut chunk)?;
        if length == 0 {
            return Ok(body);
        }
        body.extend_from_slice(&chunk[..length]);
    }
}
