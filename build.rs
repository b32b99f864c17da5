//! Tells `replica_debug()` which commit was built and when, and names the
//! exported symbols to the linker.
//!
//! It compiles nothing and needs neither git nor the network.

#[path = "src/calendar.rs"]
mod calendar;

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=src/calendar.rs");
    println!("cargo:rerun-if-env-changed=SOURCE_DATE_EPOCH");
    // A new commit rebuilds what is shipped; while developing, a commit that
    // is one behind is better than a rebuild after each `git commit`.
    let is_release = std::env::var("PROFILE").as_deref() == Ok("release");
    let log = git(&["rev-parse", "--git-path", "logs/HEAD"])
        .filter(|log| is_release && std::path::Path::new(log).exists());
    if let Some(log) = log {
        println!("cargo:rerun-if-changed={log}");
    }
    let commit = git(&["rev-parse", "--short=12", "HEAD"]).unwrap_or_else(|| "unknown".to_owned());
    println!("cargo:rustc-env=REPLICA_COMMIT={commit}");
    println!("cargo:rustc-env=REPLICA_BUILD_DATE={}", iso_date(build_time()));
}

/// One line of what git says, or None where there is no git or no repository.
fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

/// Seconds since 1970, or what reproducible builds put in its place
/// (reproducible-builds.org/docs/source-date-epoch).
fn build_time() -> u64 {
    match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) => text.parse().expect("SOURCE_DATE_EPOCH is a number of seconds"),
        Err(_) => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
    }
}

/// `2026-01-31` of a time in seconds since 1970.
fn iso_date(seconds: u64) -> String {
    let (year, month, day) = calendar::date((seconds / 86_400) as i64);
    format!("{year:04}-{month:02}-{day:02}")
}
