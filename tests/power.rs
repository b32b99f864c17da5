//! Power cuts, simulated over a record of all writes and syncs:
//! `tests/power/power.py` says what exactly is modelled.

mod common;

use std::process::Command;

use common::*;

/// `cuts` 0 is after each operation of the record.
fn cut(cuts: u32, seed: u32) {
    let (sqld, other) = (Sqld::start(), Sqld::start());
    let folder = tempfile::tempdir().expect("a folder");
    let output = Command::new(tool("PYTHON", "venv/bin/python"))
        .arg("tests/power/power.py")
        .arg(extension())
        .args([sqld.url(), other.url()])
        .arg(folder.path())
        .args([cuts.to_string(), seed.to_string()])
        .output()
        .expect("python starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    println!("{}", text(&output.stdout));
    assert!(output.status.success(), "seed {seed}: {}", text(&output.stderr));
}

#[test]
fn a_power_cut_at_any_moment_leaves_a_sound_file_that_goes_on() {
    cut(200, std::process::id());
}

#[test]
#[ignore = "make soak runs it"]
fn a_power_cut_after_each_operation_leaves_a_sound_file_that_goes_on() {
    for round in 0..5 {
        cut(0, std::process::id() + round);
    }
}
