//! A real Turso sync server for one test: the npm package `turso`, started on
//! a free address, killed when dropped.
//!
//! It is not there without node: then the tests that want it say so.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::net::free_address;
use super::{Server, TempDir, process};

/// How long starting may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Turso {
    program: PathBuf,
    child: Option<Child>,
    address: SocketAddr,
    folder: TempDir,
}

impl Turso {
    /// A server with an empty database. None, and a word about it, where it is
    /// not installed.
    pub fn start() -> Option<Turso> {
        let mut turso = Turso::stopped()?;
        turso.resume();
        Some(turso)
    }

    /// A server that is not running yet.
    pub fn stopped() -> Option<Turso> {
        let program = std::env::var_os("TURSODB")
            .map(PathBuf::from)
            .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/tursodb"));
        if !program.exists() {
            // Past the capture of the test's own output.
            let _ = writeln!(
                std::io::stderr(),
                "SKIPPED: {} is missing; `make test` installs it where npm is",
                program.display()
            );
            return None;
        }
        let folder = tempfile::Builder::new().prefix("replica-turso-").tempdir().expect("a folder");
        Some(Turso { program, child: None, address: free_address(), folder })
    }

    /// Another address: that of a server which was there before.
    pub fn at(mut self, address: SocketAddr) -> Turso {
        self.address = address;
        self
    }

    /// The server's database; its log is beside it.
    pub fn database(&self) -> PathBuf {
        self.folder.path().join("primary.db")
    }

    /// Runs SQL in Turso's own shell, without the server.
    pub fn shell(&self, sql: &str) {
        assert!(self.child.is_none(), "the server is running");
        let output = Command::new(&self.program)
            .args(["-q", "-m", "list"])
            .arg(self.database())
            .arg(sql)
            .stdin(Stdio::null())
            .output()
            .expect("the Turso shell starts");
        assert!(output.status.success(), "{output:?}");
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Ends the server as a crash does (SIGKILL).
    pub fn kill9(&mut self) {
        let mut child = self.child.take().expect("the server is running");
        child.kill().expect("a running child");
        child.wait().expect("a child");
    }

    /// The answer to one statement.
    fn request(&self, sql: &str) -> Value {
        let statement = json!({ "sql": sql, "want_rows": true });
        let body = json!({ "requests": [{ "type": "execute", "stmt": statement }] });
        let text = ureq::post(format!("{}/v2/pipeline", self.url()))
            .send(body.to_string())
            .unwrap_or_else(|error| panic!("turso: {error}\n{}", self.log()))
            .into_body()
            .read_to_string()
            .expect("an answer");
        let answer: Value = serde_json::from_str(&text).expect("JSON");
        answer["results"][0].clone()
    }
}

impl Server for Turso {
    fn protocol(&self) -> &'static str {
        "turso"
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// No `;` may stand inside a statement.
    fn execute(&self, sql: &str) {
        for statement in sql.split(';').filter(|statement| !statement.trim().is_empty()) {
            let answer = self.request(statement);
            assert_eq!(answer["type"], "ok", "{statement:.200}: {answer}");
        }
    }

    /// Read by SQLite from a copy of the server's files.
    fn column(&self, query: &str) -> Vec<String> {
        process::column(&self.database(), query)
    }

    fn stop(&mut self) {
        // It has no other end: SIGTERM is not handled.
        self.kill9();
    }

    fn resume(&mut self) {
        assert!(self.child.is_none(), "the server is running");
        let mut command = Command::new(&self.program);
        command.arg(self.database()).arg("--sync-server").arg(self.address.to_string());
        let log = self.folder.path().join("log");
        self.child = Some(process::start(&mut command, &log, self.address, PATIENCE));
    }

    fn wipe(&mut self) {
        assert!(self.child.is_none(), "the server is running");
        for end in ["", "-wal"] {
            let path = format!("{}{end}", self.database().display());
            std::fs::remove_file(path).expect("the server's files");
        }
    }
}

impl Drop for Turso {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
