//! What the end-to-end tests share: a real sqld, the real sqlite3 shell, and
//! the comparison of a replica with its primary.
//!
//! Nothing here links the library under test: it is loaded by the hosts.

#![allow(dead_code, unused_imports, reason = "every test binary uses a part of this")]
#![allow(
    clippy::disallowed_methods,
    reason = "what .clippy.toml forbids it forbids to a library inside a host"
)]

pub mod aws;
pub mod compare;
pub mod front;
pub mod made_up;
pub mod masking;
pub mod memory;
pub mod net;
pub mod process;
pub mod proxy;
pub mod pull_updates;
pub mod random;
pub mod server;
pub mod shell;
pub mod sqld;
pub mod tokens;
pub mod turso;

use std::path::{Path, PathBuf};

pub use aws::Aws;
pub use compare::{assert_replica_equals_file, assert_replica_equals_primary, dump_file};
pub use net::FakeServer;
pub use server::Server;
pub use shell::{Output, Shell, scalar, shell, sql, sql_error};
pub use sqld::Sqld;
pub use tempfile::TempDir;
pub use turso::Turso;

/// The built extension. `REPLICA_EXTENSION` names another one; otherwise it is
/// the library that cargo built for this very test, beside the test's binary.
pub fn extension() -> PathBuf {
    if let Some(path) = std::env::var_os("REPLICA_EXTENSION") {
        return std::path::absolute(path).expect("REPLICA_EXTENSION is a path");
    }
    let binary = std::env::current_exe().expect("the test knows its own path");
    let name = format!("{}replica{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let library = binary.parent().expect("a folder").join(name);
    assert!(library.exists(), "{} is missing: run the tests with `make test`", library.display());
    library
}

/// A tool that `make test` installs and names in the environment, or the
/// place in `.tools/` where an earlier `make` has put it.
pub fn tool(variable: &str, installed: &str) -> PathBuf {
    let path = std::env::var_os(variable)
        .map(PathBuf::from)
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools").join(installed));
    assert!(path.exists(), "{} is missing: run the tests with `make test`", path.display());
    path
}

/// An empty folder that vanishes at the end of the test, and the path of a
/// database in it that does not exist yet.
pub fn empty_place() -> (TempDir, PathBuf) {
    let folder = tempfile::Builder::new().prefix("replica-test-").tempdir().expect("a temp folder");
    let db = folder.path().join("app.db");
    (folder, db)
}

/// `text` as an SQL literal.
pub fn quoted(text: impl std::fmt::Display) -> String {
    format!("'{}'", text.to_string().replace('\'', "''"))
}

/// The names of all files in a folder, sorted.
pub fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .expect("a readable folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
