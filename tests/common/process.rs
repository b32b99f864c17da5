//! A server of SQL that is a process of its own: started, and read behind its
//! back.

use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::sql;

/// Starts it, and waits until it can be reached. What it says is added to the
/// file `log`.
pub fn start(command: &mut Command, log: &Path, address: SocketAddr, patience: Duration) -> Child {
    let said = || std::fs::read_to_string(log).unwrap_or_default();
    let file = File::options().create(true).append(true).open(log).expect("a log file");
    let mut child = command
        .stdin(Stdio::null())
        .stdout(file.try_clone().expect("a file handle"))
        .stderr(file)
        .spawn()
        .expect("the server starts");
    let deadline = Instant::now() + patience;
    while TcpStream::connect(address).is_err() {
        let ended = child.try_wait().expect("a child");
        assert!(ended.is_none(), "it ended at once ({ended:?}):\n{}", said());
        assert!(Instant::now() < deadline, "it does not answer:\n{}", said());
        std::thread::sleep(Duration::from_millis(10));
    }
    child
}

/// The first column of a query, read by SQLite from a copy of a server's files.
pub fn column(database: &Path, query: &str) -> Vec<String> {
    let (_folder, copy) = super::empty_place();
    for end in ["", "-wal"] {
        let name = |path: &Path| PathBuf::from(format!("{}{end}", path.display()));
        std::fs::copy(name(database), name(&copy)).expect("a copy");
    }
    sql(&copy, &format!("{query};\n")).lines().map(str::to_owned).collect()
}
