//! Replicas in memory: what only they can do wrong, and the main story.
//!
//! `python/memory.py` holds the cases. Each runs with the newest SQLite (apsw)
//! and with the one of the system's Python, which checks less by itself.

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Output as Ended};

use common::*;

/// The Pythons to run it with: apsw's, and one whose own sqlite3 loads
/// extensions.
fn pythons() -> Vec<PathBuf> {
    let mut pythons = vec![tool("PYTHON", "venv/bin/python")];
    let probe = "import sqlite3; sqlite3.Connection.enable_load_extension";
    let candidates = ["/usr/bin/python3", "python3"].map(PathBuf::from);
    let system = candidates.into_iter().find(|python| {
        let tried = Command::new(python).args(["-c", probe]).output();
        tried.is_ok_and(|tried| tried.status.success())
    });
    match system {
        Some(python) => pythons.push(python),
        None => println!("skipped: no Python here whose sqlite3 loads extensions"),
    }
    pythons
}

/// `python memory.py LIBRARY URL case`, to be run in an empty folder.
fn case_command(python: &Path, library: &Path, case: &str, sqld: &Sqld) -> Vec<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/memory.py");
    let url = PathBuf::from(sqld.url());
    let words = [python, Path::new("-B"), &script, library, &url];
    words.iter().map(|word| word.display().to_string()).chain([case.to_owned()]).collect()
}

fn run(words: &[String], folder: &Path) -> Ended {
    Command::new(&words[0])
        .args(&words[1..])
        .current_dir(folder)
        // Else each thread reserves 64 MB, which a limit on addresses counts.
        .env("MALLOC_ARENA_MAX", "1")
        .env_remove("REPLICA_TOKEN")
        .env_remove("TURSO_AUTH_TOKEN")
        .output()
        .expect("it starts")
}

#[track_caller]
fn assert_success(case: &str, ended: &Ended) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&ended.stdout), text(&ended.stderr));
    println!("{stdout}");
    assert!(ended.status.success(), "{case}: {}\n{stdout}\n{stderr}", ended.status);
}

/// Runs a case with each Python; nothing may be left in the folder.
fn holds(case: &str) {
    holds_with(&extension(), case);
}

fn holds_with(library: &Path, case: &str) {
    let sqld = Sqld::start();
    for python in pythons() {
        let (folder, _) = empty_place();
        let ended = run(&case_command(&python, library, case, &sqld), folder.path());
        assert_success(&format!("{case} with {}", python.display()), &ended);
        assert_eq!(files(folder.path()), [""; 0], "{case}");
    }
}

#[test]
fn a_replica_in_memory_does_what_one_in_a_file_does() {
    holds("story");
}

#[test]
fn a_promoted_one_is_written_by_its_only_connection() {
    holds("promote");
}

#[test]
fn what_cannot_be_attached_in_memory_is_refused_with_code_and_reason() {
    holds("refusals");
}

#[test]
fn an_attach_disturbs_nothing_that_the_connection_is_at() {
    holds("attach_within");
    holds("attach_beside_a_backup");
    holds("shared_cache");
}

#[test]
fn a_backup_of_one_is_a_replica_in_a_file() {
    holds("backups");
}

#[test]
fn statements_of_the_database_before_never_answer_from_the_replica() {
    holds("old_statements");
}

#[test]
fn a_name_is_one_replica_for_the_process_while_somebody_has_it() {
    holds("sharing");
}

#[test]
fn a_database_that_was_loaded_over_the_replica_is_noticed() {
    holds("replaced");
}

#[test]
fn other_files_of_the_connection_are_on_the_disk() {
    holds("disk");
}

#[test]
fn sqlites_own_databases_in_memory_are_not_disturbed() {
    holds("beside_memdb");
}

#[test]
fn readers_without_a_gap_see_whole_states_and_never_wait() {
    holds("readers");
}

#[test]
fn a_forked_child_reads_its_copy() {
    holds("fork");
}

#[test]
fn many_lives_and_rewrites_leave_no_memory_behind() {
    holds("lives");
    holds("rewrites");
}

#[test]
#[ignore = "make soak runs it"]
fn a_thousand_lives_leave_no_memory_behind() {
    holds("many_lives");
}

/// The library for tests reads no log that long.
#[test]
#[ignore = "make soak runs it: two to five gigabytes of memory"]
fn more_than_two_gigabytes_are_a_replica_too() {
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("dist/replica.so");
    if !library.exists() {
        println!("skipped: no {}; make builds it", library.display());
        return;
    }
    holds_with(&library, "large");
}

#[test]
fn without_memory_a_sync_fails_and_readers_keep_their_state() {
    holds("without_memory");
}

/// Looks at every call that could make a file.
#[test]
fn no_file_is_made_or_opened_for_writing() {
    if Command::new("strace").arg("-V").output().is_err() {
        println!("skipped: strace is not installed");
        return;
    }
    let sqld = Sqld::start();
    for python in pythons() {
        let (folder, _) = empty_place();
        let trace = tempfile::NamedTempFile::new().expect("a file");
        let calls = "trace=open,openat,creat,mkdir,mkdirat,rename,renameat,renameat2,link,symlink";
        let path = trace.path().display().to_string();
        let mut words: Vec<String> =
            ["strace", "-f", "-e", calls, "-o", &path].map(String::from).into();
        words.extend(case_command(&python, &extension(), "no_file", &sqld));
        let ended = run(&words, folder.path());
        let traced = std::fs::read_to_string(trace.path()).expect("a trace");
        if traced.is_empty() {
            println!("skipped: strace may not trace here: {ended:?}");
            return;
        }
        assert_success("no_file", &ended);
        let writes = |call: &str| {
            let opens = call.contains("open(") || call.contains("openat(");
            let to_write = ["O_CREAT", "O_WRONLY", "O_RDWR"].iter().any(|flag| call.contains(flag));
            call.contains('(') && (!opens || to_write) && !call.contains("\"/dev/")
        };
        let made: Vec<&str> = traced.lines().filter(|call| writes(call)).collect();
        assert!(made.is_empty(), "{made:#?}");
    }
}

/// The whole file system is read-only, as in `docker run --read-only`.
#[test]
fn it_works_where_nothing_can_be_written() {
    let make_read_only = "for place in $(awk '{print $5}' /proc/self/mountinfo | sort -r); do \
         mount -o remount,bind,ro \"$place\" 2>/dev/null; done; \
         for place in / /tmp /var/tmp /dev/shm \"$PWD\"; do \
         if touch \"$place/replica-probe\" 2>/dev/null; then rm -f \"$place/replica-probe\"; exit 77; fi; \
         done; exec \"$@\"";
    let sqld = Sqld::start();
    for python in pythons() {
        let (folder, _) = empty_place();
        let unshare =
            ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", make_read_only, "sh"];
        let mut words: Vec<String> = unshare.map(String::from).into();
        words.extend(case_command(&python, &extension(), "nothing_writable", &sqld));
        let ended = run(&words, folder.path());
        let refused = String::from_utf8_lossy(&ended.stderr).contains("unshare");
        if ended.status.code() == Some(77) || refused {
            println!("skipped: no read-only namespace may be made here: {ended:?}");
            return;
        }
        assert_success("nothing_writable", &ended);
    }
}
