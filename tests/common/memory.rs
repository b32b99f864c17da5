//! Runs a suite on replicas in memory: `REPLICA_TEST_IN_MEMORY=1`.
//!
//! A shell that a test loads the extension into is then on `:memory:`. What the
//! test reads of the database by another shell, that shell reads from a backup
//! which the first one writes under the database's name when it is wanted.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::ChildStdin;
use std::time::{Duration, Instant};

thread_local! {
    /// How to speak to the shell that has the replica of this name.
    static SHELLS: RefCell<BTreeMap<PathBuf, File>> = const { RefCell::new(BTreeMap::new()) };
}

pub fn is_asked_for() -> bool {
    std::env::var_os("REPLICA_TEST_IN_MEMORY").is_some()
}

/// Whether a test cannot be had in memory, and says why.
pub fn cannot_do(why: &str) -> bool {
    if is_asked_for() {
        println!("skipped in memory: {why}");
    }
    is_asked_for()
}

/// From here on `db` is what the shell has in memory.
pub fn remember(db: &Path, stdin: &ChildStdin) {
    if is_asked_for() {
        let stdin = stdin.as_fd().try_clone_to_owned().expect("a descriptor");
        SHELLS.with_borrow_mut(|shells| shells.insert(db.to_owned(), File::from(stdin)));
    }
}

/// Its shell is about to end: the file stays as it is then.
pub fn forget(db: &Path) {
    SHELLS.with_borrow_mut(|shells| shells.remove(db));
}

/// Brings the file `db` to what is in memory, if somebody has it there.
pub fn mirror(db: &Path) {
    let (backup, place) = (db.with_extension("backup"), db.display());
    let asked = SHELLS.with_borrow_mut(|shells| {
        let Some(stdin) = shells.get_mut(db) else { return false };
        let script = format!(
            ".backup main '{}'\n.shell mv '{}' '{place}'\n",
            backup.display(),
            backup.display()
        );
        let _ = std::fs::remove_file(db);
        // A shell that has ended left nothing that could be read.
        stdin.write_all(script.as_bytes()).is_ok()
    });
    let deadline = Instant::now() + Duration::from_secs(20);
    while asked && !db.exists() {
        assert!(Instant::now() < deadline, "{place}: the shell with the replica makes no backup");
        std::thread::sleep(Duration::from_millis(2));
    }
}
