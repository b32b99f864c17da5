//! What stands in front of a primary out there: a real nginx, HAProxy or
//! Apache; and what stands behind a replica: a real tinyproxy that opens ways
//! out. For one test, started on a free address, killed when dropped.
//!
//! They are Debian's packages. Where one is missing, the tests that want it
//! say so.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::TempDir;
use super::net::free_address;

/// How long starting may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Front {
    child: Child,
    address: SocketAddr,
    folder: TempDir,
}

impl Front {
    /// nginx as it comes, with `extra` beside `proxy_pass`.
    pub fn nginx(upstream: SocketAddr, extra: &str) -> Option<Front> {
        let program = program("nginx")?;
        Some(Front::start(|folder, address| {
            let config = format!(
                "daemon off; master_process off; error_log {folder}/log; pid {folder}/pid;
                events {{}}
                http {{
                    access_log off;
                    client_body_temp_path {folder}/body;
                    proxy_temp_path {folder}/proxy;
                    fastcgi_temp_path {folder}/fastcgi;
                    uwsgi_temp_path {folder}/uwsgi;
                    scgi_temp_path {folder}/scgi;
                    server {{
                        listen {address};
                        location / {{ proxy_pass http://{upstream}; {extra} }}
                    }}
                }}"
            );
            let file = write(folder, &config);
            let mut command = Command::new(&program);
            command.args(["-p", folder, "-e", &format!("{folder}/log"), "-c", &file]);
            command
        }))
    }

    /// HAProxy with what its documentation begins with.
    pub fn haproxy(upstream: SocketAddr) -> Option<Front> {
        let program = program("haproxy")?;
        Some(Front::start(|folder, address| {
            let config = format!(
                "defaults\n  mode http\n  timeout connect 5s\n  timeout client 50s\n  \
                 timeout server 50s\nfrontend front\n  bind {address}\n  default_backend back\n\
                 backend back\n  server primary {upstream}\n"
            );
            let mut command = Command::new(&program);
            command.args(["-db", "-q", "-f", &write(folder, &config)]);
            command
        }))
    }

    /// Apache with mod_proxy as it comes.
    pub fn apache(upstream: SocketAddr) -> Option<Front> {
        let program = program("apache2")?;
        Some(Front::start(|folder, address| {
            let modules = "/usr/lib/apache2/modules";
            let config = format!(
                "ServerName localhost\nServerRoot {folder}\nPidFile {folder}/pid\n\
                 ErrorLog {folder}/log\nListen {address}\n\
                 LoadModule mpm_event_module {modules}/mod_mpm_event.so\n\
                 LoadModule authz_core_module {modules}/mod_authz_core.so\n\
                 LoadModule proxy_module {modules}/mod_proxy.so\n\
                 LoadModule proxy_http_module {modules}/mod_proxy_http.so\n\
                 ProxyPass / http://{upstream}/\n"
            );
            let mut command = Command::new(&program);
            command.args(["-X", "-f", &write(folder, &config)]);
            command
        }))
    }

    /// A proxy for clients, which opens a way to anywhere (CONNECT); `extra` in
    /// its settings.
    pub fn tinyproxy(extra: &str) -> Option<Front> {
        let program = program("tinyproxy")?;
        Some(Front::start(|folder, address| {
            let (host, port) = (address.ip(), address.port());
            let config = format!(
                "Port {port}\nListen {host}\nTimeout 600\nMaxClients 100\n\
                 LogFile \"{folder}/log\"\nLogLevel Connect\n{extra}\n"
            );
            let mut command = Command::new(&program);
            command.args(["-d", "-c", &write(folder, &config)]);
            command
        }))
    }

    fn start(command: impl FnOnce(&str, SocketAddr) -> Command) -> Front {
        let folder = tempfile::Builder::new().prefix("replica-front-").tempdir().expect("a folder");
        let address = free_address();
        let path = folder.path().to_str().expect("a plain path").to_owned();
        let child = command(&path, address)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the front server starts");
        let mut front = Front { child, address, folder };
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(address).is_err() {
            let ended = front.child.try_wait().expect("a child");
            assert!(ended.is_none(), "the front server ended at once: {}", front.log());
            assert!(Instant::now() < deadline, "no answer: {}", front.log());
            std::thread::sleep(Duration::from_millis(10));
        }
        front
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn write(folder: &str, config: &str) -> String {
    let file = format!("{folder}/config");
    std::fs::write(&file, config).expect("a file in a folder of ours");
    file
}

/// The program, if it is installed; otherwise a word about it.
fn program(name: &str) -> Option<String> {
    let found = ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"]
        .iter()
        .map(|folder| format!("{folder}/{name}"))
        .find(|path| std::path::Path::new(path).exists());
    if found.is_none() {
        // Past the capture of the test's own output.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: {name} is missing; `make test` installs it where apt may"
        );
    }
    found
}
