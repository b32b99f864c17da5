#!/usr/bin/env bash
# Runs tests with the sqlite3 shell under a tool that watches memory:
# sanitize.sh valgrind|address [cargo test arguments ...]
#
# The tests find another `sqlite3` first in PATH, which starts the real one
# under the tool (and another Python, with a sanitizer); what the tool says goes
# to a file for each process, and anything said is a failure. Tests that count
# seconds may fail for want of them. With `address` the library is built with that
# sanitizer; the shell is the stock one, whose calls of the C library are seen.
set -euo pipefail
cd "$(dirname "$0")/.."
tool=${1:-valgrind}
shift || true
out=${CARGO_TARGET_DIR:-$PWD/target}/sanitize/$tool
shell=$(command -v sqlite3)
rm -rf "$out/bin" "$out/said"
mkdir -p "$out/bin" "$out/said"

build() {
    RUSTC_BOOTSTRAP=1 RUSTFLAGS="$1" CARGO_TARGET_DIR=$out/build \
        cargo build --locked --features fault-points --lib --target "$(rustc -vV | sed -n 's/^host: //p')"
    REPLICA_EXTENSION=$(ls "$out"/build/*/debug/libreplica.so)
    export REPLICA_EXTENSION
}
runtime() { gcc -print-file-name="$1"; }

case $tool in
    valgrind)
        command -v valgrind >/dev/null || { echo "sanitize: skipped: valgrind is not installed"; exit 0; }
        run="valgrind -q --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite --log-file=$out/said/%p"
        ;;
    address)
        build "-Zsanitizer=address -Cforce-frame-pointers=yes"
        run="env LD_PRELOAD=$(runtime libasan.so) ASAN_OPTIONS=detect_leaks=0:detect_odr_violation=0:log_path=$out/said/asan"
        ;;
    *) echo "sanitize: there is no tool $tool: valgrind or address"; exit 1 ;;
esac
printf '#!/bin/sh\nexec %s %s "$@"\n' "$run" "$shell" >"$out/bin/sqlite3"
chmod +x "$out/bin/sqlite3"
if [ "$tool" != valgrind ] && [ -n "${PYTHON:-}" ]; then
    # valgrind would have much to say of Python itself.
    printf '#!/bin/sh\nexec %s %s "$@"\n' "$run" "$PYTHON" >"$out/bin/python"
    chmod +x "$out/bin/python"
    export PYTHON=$out/bin/python
fi
[ $# -gt 0 ] || set -- --test writes --test transactions --test outcome --test histories --test live
failed=0
PATH="$out/bin:$PATH" cargo test --locked --no-fail-fast --features fault-points "$@" -- --test-threads=2 || failed=1
said=$(find "$out/said" -type f -size +0 | wc -l)
echo "sanitize: $tool: $(find "$out/said" -type f | wc -l) processes left a report, $said of them with something in it"
if [ "$said" != 0 ]; then
    find "$out/said" -type f -size +0 -exec head -40 {} + | head -200
    failed=1
fi
exit $failed
