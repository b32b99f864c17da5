#!/usr/bin/env bash
# Runs the targets of tests/fuzz by libFuzzer: fuzz.sh MINUTES [TARGET ...], all
# without one, each for so many minutes of a core's time.
#
# Nightly is not needed: RUSTC_BOOTSTRAP lets the present rustc take the flags
# that cargo-fuzz passes. What libFuzzer finds beyond the corpus of the
# repository stays in target/fuzz; a crash is left there too, and its path
# printed.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=$(($1 * 60))
shift
targets=${*:-$(sed -n '/^\[\[bin\]\]/,$ s/^name = "\([a-z0-9_]*\)"$/\1/p' tests/fuzz/Cargo.toml)}
found=${CARGO_TARGET_DIR:-$PWD/target}/fuzz
export RUSTC_BOOTSTRAP=1 TIMEFORMAT=%U

if ! cargo fuzz --version >/dev/null 2>&1; then
    echo "fuzz: skipped: cargo-fuzz is not installed (cargo install cargo-fuzz)"
    exit 0
fi
cargo fuzz build --fuzz-dir tests/fuzz --target-dir "$found/build"
binaries=$found/build/$(rustc -vV | sed -n 's/^host: //p')/release

# One stretch of a target; prints the seconds of CPU that it took.
stretch() {
    { time "$binaries/$1" "$found/corpus/$1" "tests/fuzz/corpus/$1" "-max_total_time=$2" \
        "-artifact_prefix=$found/crashes/$1/" -timeout=20 -rss_limit_mb=1024 \
        -print_final_stats=1 >"$found/$1.log" 2>&1; } 2>&1
}

failed=0
for target in $targets; do
    [ -e "$binaries/$target" ] || { echo "fuzz: there is no target $target"; failed=1; continue; }
    mkdir -p "$found/corpus/$target" "$found/crashes/$target"
    inputs=0 spent=0
    # In stretches, because other work may take the core away.
    while [ "$spent" -lt "$seconds" ]; do
        if ! took=$(stretch "$target" $((seconds - spent))); then
            failed=1
            echo "fuzz: $target FAILED after $inputs inputs: see $found/$target.log"
            tail -30 "$found/$target.log"
            continue 2
        fi
        spent=$((spent + ${took%.*} + 1))
        inputs=$((inputs + $(sed -n 's/^stat::number_of_executed_units: *//p' "$found/$target.log")))
    done
    echo "fuzz: $target: $inputs inputs in $spent s of CPU, $(grep -o 'cov: [0-9]*' "$found/$target.log" | tail -1), nothing found"
done
exit $failed
