//! Drives the real sqlite3 shell: once with a script, or as a session that
//! stays open.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use super::{extension, memory};

/// No script and no statement of a test takes this long.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a shell that ran a script left behind.
#[derive(Debug)]
pub struct Output {
    pub stdout: String,
    pub stderr: String,
    pub code: Option<i32>,
}

/// A plain shell on `db`, to be prepared further.
pub fn command(db: &Path) -> Command {
    let mut command = Command::new("sqlite3");
    // The user's ~/.sqliterc and tokens are not part of a test.
    command.args(["-batch", "-init", "/dev/null"]).arg(db);
    command.envs(super::tokens::NONE);
    command
}

/// Runs a script in a plain shell on `db`. To load the extension, start the
/// script with `load()`.
pub fn shell(db: &Path, script: &str) -> Output {
    memory::mirror(db);
    shell_in(command(db), script)
}

/// The same, in a shell that the caller has prepared (environment, folder).
pub fn shell_in(mut command: Command, script: &str) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the sqlite3 shell starts");
    let mut stdin = child.stdin.take().expect("piped");
    let script = script.to_owned();
    // A shell that stops reading its script is no failure of the pipe.
    let writer = std::thread::spawn(move || {
        let _ = stdin.write_all(script.as_bytes());
    });
    let stdout = drain(child.stdout.take().expect("piped"));
    let stderr = drain(child.stderr.take().expect("piped"));
    let code = wait(&mut child);
    writer.join().expect("no panic");
    let text = |bytes: std::thread::JoinHandle<Vec<u8>>| {
        String::from_utf8_lossy(&bytes.join().expect("no panic")).into_owned()
    };
    Output { stdout: text(stdout), stderr: text(stderr), code }
}

fn drain(mut pipe: impl Read + Send + 'static) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).expect("a readable pipe");
        bytes
    })
}

/// The exit code; None if a signal ended it.
fn wait(child: &mut Child) -> Option<i32> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().expect("a child") {
            return status.code();
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            panic!("the sqlite3 shell did not end in {PATIENCE:?}");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// What a plain shell prints for a script that must not fail, without the
/// last line break.
pub fn sql(db: &Path, script: &str) -> String {
    let output = shell(db, script);
    assert!(output.stderr.is_empty() && output.code == Some(0), "{script:.500}\n{output:?}");
    output.stdout.trim_end().to_owned()
}

/// The error that a plain shell reports for a statement, without the shell's
/// own words around it.
pub fn sql_error(db: &Path, statement: &str) -> String {
    let output = shell(db, statement);
    error_in(&output.stderr).unwrap_or_else(|| panic!("no error: {statement:.500}\n{output:?}"))
}

/// The first line of a one-value answer: `scalar(db, "SELECT count(*) FROM t")`.
pub fn scalar(db: &Path, query: &str) -> String {
    sql(db, &format!("{query};\n"))
}

/// The line that loads the extension.
pub fn load() -> String {
    format!(".load {}\n", extension().display())
}

/// The message in an error line of the shell.
pub fn error_in(text: &str) -> Option<String> {
    error_and_code(text).map(|(message, _)| message)
}

/// Message and result code in an error line of the shell, which puts `Runtime
/// error near line 3: ` before it and ` (14)` after it, differently in each
/// version; code 1 is left out.
pub fn error_and_code(text: &str) -> Option<(String, i32)> {
    let starts = ["Error: ", "Runtime error", "Parse error", "Error near line"];
    let line = text.lines().find(|line| starts.iter().any(|start| line.starts_with(start)))?;
    let mut message = line.split_once(": ")?.1;
    message = message.strip_prefix("stepping, ").unwrap_or(message);
    if let Some((before, code)) = message.rsplit_once(" (")
        && let Some(Ok(code)) = code.strip_suffix(')').map(str::parse)
    {
        return Some((before.to_owned(), code));
    }
    Some((message.to_owned(), 1))
}

/// A shell that stays open, one statement at a time.
pub struct Shell {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    asked: u32,
    /// The database that it was opened on, with the extension.
    loaded: Option<PathBuf>,
}

impl Shell {
    /// A shell that does not know of us.
    pub fn plain(db: &Path) -> Shell {
        Shell::plain_with(db, &[])
    }

    /// The same with these variables in its environment.
    pub fn plain_with(db: &Path, environment: &[(&str, &str)]) -> Shell {
        // stderr goes where stdout goes, so that lines come in one order.
        let mut child = Command::new("sh")
            .args(["-c", "exec sqlite3 -batch -init /dev/null \"$0\" 2>&1"])
            .arg(db)
            .env_remove("REPLICA_TOKEN")
            .env_remove("TURSO_AUTH_TOKEN")
            .env("no_proxy", "*")
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the sqlite3 shell starts");
        let stdin = child.stdin.take();
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        let (send, lines) = channel();
        std::thread::spawn(move || {
            let mut line = Vec::new();
            while stdout.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
                let text = String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned();
                if send.send(text).is_err() {
                    return;
                }
                line.clear();
            }
        });
        Shell { child, stdin, lines, asked: 0, loaded: None }
    }

    /// A shell with the extension loaded, nothing attached.
    pub fn loaded(db: &Path) -> Shell {
        let mut shell =
            Shell::plain(if memory::is_asked_for() { Path::new(":memory:") } else { db });
        shell.run(load().trim_end());
        memory::remember(db, shell.stdin.as_ref().expect("an open shell"));
        shell.loaded = Some(db.to_owned());
        shell
    }

    /// A shell with the extension loaded and the replica attached.
    pub fn attached(db: &Path, url: &str) -> Shell {
        let mut shell = Shell::loaded(db);
        shell.attach(url);
        shell
    }

    pub fn attach(&mut self, url: &str) -> serde_json::Value {
        self.json(&format!("SELECT replica_attach({}, NULL)", super::quoted(url)))
    }

    /// The same for a file that may have followed another primary before.
    pub fn attach_anew(&mut self, url: &str) -> serde_json::Value {
        let options = r#"'{"new_primary": true}'"#;
        self.json(&format!("SELECT replica_attach({}, NULL, {options})", super::quoted(url)))
    }

    pub fn sync(&mut self) -> serde_json::Value {
        self.json("SELECT replica_sync()")
    }

    /// What the shell prints for a statement that must not fail.
    pub fn run(&mut self, statement: &str) -> String {
        let output = self.ask(statement);
        assert!(error_in(&output).is_none(), "{statement:.500}\n{output}");
        output
    }

    /// The error that the shell reports for a statement.
    pub fn error(&mut self, statement: &str) -> String {
        let output = self.ask(statement);
        error_in(&output).unwrap_or_else(|| panic!("no error: {statement:.500}\n{output}"))
    }

    /// The answer of a statement that returns one JSON text.
    pub fn json(&mut self, statement: &str) -> serde_json::Value {
        let text = self.run(statement);
        serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{statement:.500}\n{text}\n{error}"))
    }

    /// Sends a statement and waits for all that the shell prints for it.
    pub fn ask(&mut self, statement: &str) -> String {
        self.send(statement);
        self.answer()
    }

    /// Sends a statement and does not wait: `answer` does.
    pub fn send(&mut self, statement: &str) {
        self.asked += 1;
        // A dot command takes no semicolon.
        let end = if statement.starts_with('.') { "" } else { ";" };
        let text = format!("{statement}{end}\n.print done-{}\n", self.asked);
        let stdin = self.stdin.as_mut().expect("an open shell");
        if stdin.write_all(text.as_bytes()).and_then(|()| stdin.flush()).is_err() {
            panic!("the shell has ended: {:?}", self.child.wait());
        }
    }

    /// Waits for all that the shell prints for the statement sent last.
    pub fn answer(&mut self) -> String {
        let end = format!("done-{}", self.asked);
        let deadline = Instant::now() + PATIENCE;
        let mut output: Vec<String> = Vec::new();
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) if line == end => return output.join("\n"),
                Ok(line) => output.push(line),
                Err(RecvTimeoutError::Timeout) => panic!("no answer in {PATIENCE:?}: {output:?}"),
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("the shell has ended: {:?}: {output:?}", self.child.wait())
                }
            }
        }
    }

    /// The most memory that its process has had so far, in bytes; None where
    /// the system does not say.
    pub fn peak(&self) -> Option<usize> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        Some(line.trim().trim_end_matches(" kB").parse::<usize>().ok()? * 1024)
    }

    /// How often a text stands in the memory of its process; None where that
    /// cannot be read.
    pub fn copies_in_memory(&self, text: &str) -> Option<usize> {
        use std::os::unix::fs::FileExt as _;
        let maps = std::fs::read_to_string(format!("/proc/{}/maps", self.pid())).ok()?;
        let memory = std::fs::File::open(format!("/proc/{}/mem", self.pid())).ok()?;
        let mut copies = 0;
        for line in maps.lines().filter(|line| line.contains(" rw")) {
            let (from, to) = line.split(' ').next()?.split_once('-')?;
            let from = u64::from_str_radix(from, 16).ok()?;
            let mut bytes = vec![0; (u64::from_str_radix(to, 16).ok()? - from) as usize];
            // Some mappings of the kernel's are for nobody.
            if memory.read_exact_at(&mut bytes, from).is_ok() {
                copies += bytes.windows(text.len()).filter(|at| *at == text.as_bytes()).count();
            }
        }
        Some(copies)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends the shell as a crash does.
    pub fn kill9(mut self) {
        self.child.kill().expect("a running shell");
        self.child.wait().expect("a child");
    }

    /// Closes the shell and opens its database with another, nothing attached.
    /// What is in memory would end with it: there the replica is detached, and
    /// the shell goes on.
    pub fn reopened(mut self) -> Shell {
        if memory::is_asked_for() {
            self.run("SELECT replica_detach()");
            return self;
        }
        let db = self.loaded.clone().expect("a shell with the extension");
        self.close();
        Shell::loaded(&db)
    }

    /// Ends the shell as a user does; everything it holds is closed.
    pub fn close(mut self) {
        if let Some(db) = self.loaded.take() {
            memory::mirror(&db);
            memory::forget(&db);
        }
        drop(self.stdin.take());
        let code = wait(&mut self.child);
        let rest: Vec<String> = self.lines.iter().collect();
        assert!(code.is_some(), "the shell was ended by a signal: {rest:?}");
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
