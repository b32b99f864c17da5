//! A real sqld for one test: started on a free address with an empty database,
//! killed when dropped.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::net::free_address;
use super::{TempDir, tool};

/// How long starting and stopping may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Sqld {
    child: Option<Child>,
    address: SocketAddr,
    admin: Option<SocketAddr>,
    folder: TempDir,
    args: Vec<String>,
    /// Sent by `execute` and `query`.
    token: Option<String>,
}

impl Sqld {
    /// A server with an empty database.
    pub fn start() -> Sqld {
        Sqld::with(&[])
    }

    /// A server with more arguments, such as `--max-log-size=1`.
    pub fn with(args: &[&str]) -> Sqld {
        let mut sqld = Sqld::new(args);
        sqld.resume();
        sqld
    }

    /// A server that takes over an ordinary SQLite file. The only way to rows
    /// above 5 MB: sqld refuses to write them, and to read them.
    pub fn over(db: &Path) -> Sqld {
        let mut sqld = Sqld::new(&[]);
        let folder = sqld.database().join("dbs/default");
        std::fs::create_dir_all(&folder).expect("a writable folder");
        std::fs::copy(db, folder.join("data")).expect("a copy of the database");
        sqld.resume();
        sqld
    }

    /// A server that wants a token (`tokens.rs` has some).
    pub fn with_tokens() -> Sqld {
        Sqld::with_key(super::tokens::PUBLIC_KEY, super::tokens::READ_WRITE)
    }

    /// One that wants a token that this public key confirms, as `token`.
    pub fn with_key(public_key: &str, token: &str) -> Sqld {
        let mut sqld = Sqld::new(&[]);
        let key = sqld.folder.path().join("key");
        std::fs::write(&key, public_key).expect("a writable folder");
        sqld.args.push(format!("--auth-jwt-key-file={}", key.display()));
        sqld.token = Some(token.to_owned());
        sqld.resume();
        sqld
    }

    /// A server with `--enable-namespaces`; `create_namespace` makes them.
    pub fn with_namespaces() -> Sqld {
        let mut sqld = Sqld::new(&["--enable-namespaces"]);
        let admin = free_address();
        sqld.args.push(format!("--admin-listen-addr={admin}"));
        sqld.admin = Some(admin);
        sqld.resume();
        sqld
    }

    /// The same server at 127.0.0.1, where names that end in `.localhost` lead.
    pub fn at_localhost(mut self) -> Sqld {
        self.kill9();
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        self.address = free.local_addr().expect("its address");
        drop(free);
        self.resume();
        self
    }

    fn new(args: &[&str]) -> Sqld {
        Sqld {
            child: None,
            address: free_address(),
            admin: None,
            folder: tempfile::Builder::new().prefix("replica-sqld-").tempdir().expect("a folder"),
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            token: None,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What the server printed so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn database(&self) -> PathBuf {
        self.folder.path().join("db")
    }

    /// Starts the stopped server again: same address, same data.
    pub fn resume(&mut self) {
        assert!(self.child.is_none(), "sqld is running");
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join("log"))
            .expect("a log file");
        let start = || {
            Command::new(tool("SQLD", "sqld"))
                .arg("--db-path")
                .arg(self.database())
                .arg(format!("--http-listen-addr={}", self.address))
                .args(["--no-welcome", "--max-response-size=1GB", "--max-total-response-size=4GB"])
                // Should this process be killed, the server ends by itself.
                .args(["--idle-shutdown-timeout-s=300", "--initial-idle-shutdown-timeout-s=300"])
                .args(&self.args)
                .env_clear()
                .stdin(Stdio::null())
                .stdout(log.try_clone().expect("a file handle"))
                .stderr(log.try_clone().expect("a file handle"))
                .spawn()
                .expect("sqld starts")
        };
        let mut child = start();
        let deadline = Instant::now() + PATIENCE;
        while ureq::get(format!("{}/health", self.url())).call().is_err() {
            if let Some(ended) = child.try_wait().expect("a child") {
                // The system may take a moment to give the address back.
                let address_in_use = self.log().trim_end().ends_with("(os error 98)");
                assert!(address_in_use, "sqld ended at once ({ended:?}):\n{}", self.log());
                child = start();
            }
            if Instant::now() > deadline {
                let _ = child.kill();
                panic!("sqld does not answer:\n{}", self.log());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.child = Some(child);
    }

    /// Sends a signal: `STOP` makes it silent, `CONT` lets it go on.
    pub fn signal(&self, name: &str) {
        let pid = self.child.as_ref().expect("sqld is running").id().to_string();
        let sent = Command::new("kill").args([format!("-{name}"), pid]).status().expect("kill");
        assert!(sent.success());
    }

    /// Ends the server in an orderly way (SIGTERM).
    pub fn stop(&mut self) {
        let mut child = self.child.take().expect("sqld is running");
        let pid = child.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs");
        let deadline = Instant::now() + PATIENCE;
        while child.try_wait().expect("a child").is_none() {
            if Instant::now() > deadline {
                let _ = child.kill();
                panic!("sqld does not stop:\n{}", self.log());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends the server as a crash does (SIGKILL). When it starts again, its
    /// log has another id and begins at frame 0.
    pub fn kill9(&mut self) {
        let mut child = self.child.take().expect("sqld is running");
        child.kill().expect("a running child");
        child.wait().expect("a child");
    }

    /// `stop` and `resume`: same log, another session token.
    pub fn restart(&mut self) {
        self.stop();
        self.resume();
    }

    /// Deletes all data of the stopped server.
    pub fn wipe(&mut self) {
        assert!(self.child.is_none(), "sqld is running");
        std::fs::remove_dir_all(self.database()).expect("the server's files");
    }

    /// Copies all data of the stopped server to `to`, which must not exist.
    pub fn back_up(&self, to: &Path) {
        assert!(self.child.is_none(), "sqld is running");
        copy_folder(&self.database(), to);
    }

    /// Puts the data of the stopped server back to what `back_up` has copied.
    pub fn restore(&mut self, from: &Path) {
        self.wipe();
        copy_folder(from, &self.database());
    }

    /// Changes the configuration of a namespace, as its operator does.
    pub fn configure(&self, name: &str, config: &Value) {
        let admin = self.admin.expect("a server with namespaces");
        ureq::post(format!("http://{admin}/v1/namespaces/{name}/config"))
            .header("content-type", "application/json")
            .send(config.to_string())
            .expect("a configuration");
    }

    pub fn create_namespace(&self, name: &str) {
        let admin = self.admin.expect("a server with namespaces");
        ureq::post(format!("http://{admin}/v1/namespaces/{name}/create"))
            .header("content-type", "application/json")
            .send("{}")
            .expect("a new namespace");
    }

    /// Runs statements, separated by `;`, one transaction each.
    pub fn execute(&self, sql: &str) {
        let answer = self.request(None, json!({ "type": "sequence", "sql": sql }));
        assert_eq!(answer["type"], "ok", "{sql:.200}: {answer}");
    }

    /// Runs statements, separated by `;`, as one transaction.
    pub fn transaction(&self, sql: &str) {
        self.execute(&format!("BEGIN; {sql}; COMMIT"));
    }

    /// The rows of one statement, as Hrana values: `{"type", "value"|"base64"}`.
    pub fn query(&self, sql: &str) -> Vec<Vec<Value>> {
        self.query_in(None, sql)
    }

    /// The rows of one statement in a namespace.
    pub fn query_in(&self, namespace: Option<&str>, sql: &str) -> Vec<Vec<Value>> {
        let statement = json!({ "sql": sql, "want_rows": true });
        let answer = self.request(namespace, json!({ "type": "execute", "stmt": statement }));
        assert_eq!(answer["type"], "ok", "{sql:.200}: {answer}");
        serde_json::from_value(answer["response"]["result"]["rows"].clone()).expect("rows")
    }

    /// The only value of a query, as text.
    pub fn scalar(&self, sql: &str) -> String {
        text_of(&self.query(sql)[0][0])
    }

    /// The last frame that the primary has committed.
    pub fn frame_no(&self) -> u64 {
        let statement = json!({ "sql": "SELECT 1", "want_rows": true });
        let answer = self.request(None, json!({ "type": "execute", "stmt": statement }));
        let index = &answer["response"]["result"]["replication_index"];
        index.as_str().expect("an index").parse().expect("a number")
    }

    /// Sends one request of a Hrana pipeline and returns its result.
    fn request(&self, namespace: Option<&str>, request: Value) -> Value {
        let mut post = ureq::post(format!("{}/v3/pipeline", self.url()));
        if let Some(token) = &self.token {
            post = post.header("authorization", format!("Bearer {token}"));
        }
        if let Some(namespace) = namespace {
            use base64::Engine;
            let name = base64::engine::general_purpose::STANDARD.encode(namespace);
            post = post.header("x-namespace-bin", name);
        }
        let body = json!({ "baton": null, "requests": [request, { "type": "close" }] });
        let text = post
            .send(body.to_string())
            .unwrap_or_else(|error| panic!("sqld: {error}\n{}", self.log()))
            .into_body()
            .with_config()
            .limit(u64::MAX)
            .read_to_string()
            .expect("an answer");
        let answer: Value = serde_json::from_str(&text).expect("JSON");
        answer["results"][0].clone()
    }
}

fn copy_folder(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-r").args([from, to]).status().expect("cp runs");
    assert!(status.success());
}

/// A Hrana value as the shell's list mode would print it.
pub fn text_of(value: &Value) -> String {
    match (&value["value"], &value["base64"]) {
        (Value::String(text), _) => text.clone(),
        (Value::Null, Value::Null) => String::new(),
        (Value::Null, blob) => blob.to_string(),
        (number, _) => number.to_string(),
    }
}

impl Drop for Sqld {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
