//! Many processes at once on one replica, with kills: `tests/soak/soak.py` says
//! what they do and what counts as a failure. `make test` runs it for some
//! seconds, `make soak MINUTES=10` for as long as it is told.

mod common;

use std::process::Command;

use common::*;

fn soak(seconds: f64, seed: Option<String>) {
    let status = Command::new(tool("PYTHON", "venv/bin/python"))
        .arg("tests/soak/soak.py")
        .arg(extension())
        .arg(tool("SQLD", "sqld"))
        .arg(seconds.to_string())
        .args(seed)
        .envs(tokens::NONE)
        .status()
        .expect("python starts");
    assert!(status.success(), "see the failures above");
}

#[test]
fn readers_syncers_checkpoints_copies_and_kills_for_some_seconds() {
    soak(15.0, None);
}

#[test]
#[ignore = "make soak MINUTES=n runs it"]
fn readers_syncers_checkpoints_copies_and_kills_for_minutes() {
    let minutes = std::env::var("MINUTES").ok().and_then(|minutes| minutes.parse().ok());
    soak(minutes.unwrap_or(10.0) * 60.0, std::env::var("SEED").ok());
}
