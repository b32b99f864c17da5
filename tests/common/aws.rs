//! The simulated cloud for one test: `tests/cloud/aws.py`, started on a free
//! address, killed when dropped.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::time::Duration;

use serde_json::{Value, json};

use super::net::free_address;
use super::{Server, TempDir, process};

/// How long starting may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(180);

pub struct Aws {
    child: Option<Child>,
    address: SocketAddr,
    folder: TempDir,
}

/// A request that the cloud got.
#[derive(Debug)]
pub struct Asked {
    pub path: String,
    pub status: u64,
    /// Port at the other end of its connection.
    pub connection: u64,
}

impl Aws {
    /// With an empty database.
    pub fn start() -> Aws {
        let folder = tempfile::Builder::new().prefix("replica-aws-").tempdir().expect("a folder");
        let mut aws = Aws { child: None, address: free_address(), folder };
        aws.resume();
        aws
    }

    /// One that behaves differently: see `SWITCHES` in `tests/cloud/aws.py`.
    pub fn with(switches: Value) -> Aws {
        let aws = Aws::start();
        aws.switch(switches);
        aws
    }

    pub fn switch(&self, switches: Value) {
        self.control("switches", &switches.to_string());
    }

    /// Ends a generation of its log.
    pub fn next_generation(&self) {
        self.control("generation", "");
    }

    /// Loses all streams of SQL.
    pub fn lose_streams(&self) {
        self.control("streams", "");
    }

    /// What was asked since the last call.
    pub fn requests(&self) -> Vec<Asked> {
        let answer: Value = serde_json::from_str(&self.control("requests", "")).expect("JSON");
        let asked = |asked: &Value| Asked {
            path: asked[0].as_str().expect("a path").to_owned(),
            status: asked[1].as_u64().expect("a status"),
            connection: asked[2].as_u64().expect("a port"),
        };
        answer.as_array().expect("a list").iter().map(asked).collect()
    }

    fn control(&self, name: &str, body: &str) -> String {
        ureq::post(format!("{}/_/{name}", self.url()))
            .send(body)
            .unwrap_or_else(|error| panic!("{name}: {error}\n{}", self.log()))
            .into_body()
            .read_to_string()
            .expect("an answer")
    }

    fn database(&self) -> PathBuf {
        self.folder.path().join("primary.db")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

/// The Python that `make test` installs.
fn python() -> PathBuf {
    super::tool("PYTHON", "venv/bin/python")
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cloud").join(name)
}

/// Turso's own client for Python against a server; None, and a word about it,
/// where it is not installed.
pub fn python_oracle(url: &str, folder: &Path) -> Option<Output> {
    let has = Command::new(python()).args(["-c", "import turso.sync"]).output();
    if !has.expect("Python starts").status.success() {
        return skipped(
            "pyturso is missing; `make test` installs it where PyPI has it for this machine",
        );
    }
    let mut command = Command::new(python());
    command.arg(script("oracle.py")).arg(url).arg(folder);
    Some(command.output().expect("Python starts"))
}

/// The same for JavaScript.
pub fn javascript_oracle(url: &str, folder: &Path) -> Option<Output> {
    let installed = std::env::var_os("ORACLES").map(PathBuf::from);
    let installed =
        installed.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/oracles"));
    if !installed.join("node_modules/@tursodatabase/sync").exists() {
        return skipped("@tursodatabase/sync is missing; `make test` installs it where npm is");
    }
    let mut command = Command::new("node");
    command.arg(script("oracle.mjs")).arg(url).arg(folder).arg(&installed);
    Some(command.output().expect("node starts"))
}

fn skipped<T>(why: &str) -> Option<T> {
    use std::io::Write as _;
    // Past the capture of the test's own output.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
    None
}

impl Server for Aws {
    fn protocol(&self) -> &'static str {
        "turso"
    }

    fn state_when_live(&self) -> &'static str {
        "live"
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// No `;` may stand inside a statement.
    fn execute(&self, sql: &str) {
        let statements = sql.split(';').filter(|statement| !statement.trim().is_empty());
        let requests: Vec<Value> = statements
            .map(|statement| json!({ "type": "execute", "stmt": { "sql": statement } }))
            .chain([json!({ "type": "close" })])
            .collect();
        let text = ureq::post(format!("{}/v3/pipeline", self.url()))
            .send(json!({ "requests": requests }).to_string())
            .unwrap_or_else(|error| panic!("{error}\n{}", self.log()))
            .into_body()
            .read_to_string()
            .expect("an answer");
        let answer: Value = serde_json::from_str(&text).expect("JSON");
        for result in answer["results"].as_array().expect("results") {
            assert_eq!(result["type"], "ok", "{sql:.200}: {result}");
        }
    }

    /// Read by SQLite from a copy of the server's files.
    fn column(&self, query: &str) -> Vec<String> {
        process::column(&self.database(), query)
    }

    fn stop(&mut self) {
        let mut child = self.child.take().expect("the server is running");
        child.kill().expect("a running child");
        child.wait().expect("a child");
    }

    fn resume(&mut self) {
        assert!(self.child.is_none(), "the server is running");
        let mut command = Command::new(python());
        command.arg(script("aws.py")).arg(self.folder.path()).arg(self.address.to_string());
        let log = self.folder.path().join("log");
        self.child = Some(process::start(&mut command, &log, self.address, PATIENCE));
    }

    fn wipe(&mut self) {
        assert!(self.child.is_none(), "the server is running");
        for name in ["primary.db", "primary.db-wal", "primary.db-shm", "generation"] {
            let _ = std::fs::remove_file(self.folder.path().join(name));
        }
    }
}

impl Drop for Aws {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
