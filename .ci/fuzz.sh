#!/usr/bin/env bash
# Runs the targets of tests/fuzz by libFuzzer: fuzz.sh MINUTES [TARGET ...], all
# without one, each for so many minutes of one core.
#
# Nightly is not needed: RUSTC_BOOTSTRAP lets the present rustc take the flags
# that cargo-fuzz passes. What libFuzzer finds beyond the corpus of the
# repository stays in target/fuzz; a crash is left there too, and its path
# printed.
set -euo pipefail
cd "$(dirname "$0")/.."
minutes=$1
shift
targets=${*:-$(sed -n 's/^name = "\([a-z0-9_]*\)"$/\1/p' tests/fuzz/Cargo.toml)}
found=${CARGO_TARGET_DIR:-$PWD/target}/fuzz
export RUSTC_BOOTSTRAP=1

if ! cargo fuzz --version >/dev/null 2>&1; then
    echo "fuzz: skipped: cargo-fuzz is not installed (cargo install cargo-fuzz)"
    exit 0
fi
cargo fuzz build --fuzz-dir tests/fuzz --target-dir "$found/build"
failed=0
for target in $targets; do
    mkdir -p "$found/corpus/$target" "$found/crashes/$target"
    log=$found/$target.log
    TIMEFORMAT=%U
    if seconds=$( { time cargo fuzz run --fuzz-dir tests/fuzz --target-dir "$found/build" "$target" \
        "$found/corpus/$target" "tests/fuzz/corpus/$target" -- \
        "-max_total_time=$((minutes * 60))" "-artifact_prefix=$found/crashes/$target/" \
        -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 >"$log" 2>&1; } 2>&1); then
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
        covered=$(grep -o 'cov: [0-9]*' "$log" | tail -1)
        echo "fuzz: $target: $runs inputs, $covered, $seconds s of CPU: nothing found"
    else
        failed=1
        echo "fuzz: $target FAILED: see $log"
        tail -30 "$log"
    fi
done
exit $failed
