#!/usr/bin/env bash
# Runs tests with the sqlite3 shell under a tool that watches memory or threads:
# sanitize.sh valgrind|address|thread [cargo test arguments ...]
#
# The tests find another `sqlite3` first in PATH, which starts the real one
# under the tool; what the tool says goes to a file for each process, and
# anything said is a failure. With `address` and `thread` the library is built
# with that sanitizer; the shell is the stock one, whose calls of the C library
# are seen. `thread` builds the standard library too, for which it needs the
# source of it (`rustup component add rust-src`, or `make cross` once).
set -euo pipefail
cd "$(dirname "$0")/.."
tool=${1:-valgrind}
shift || true
out=${CARGO_TARGET_DIR:-$PWD/target}/sanitize/$tool
shell=$(command -v sqlite3)
rm -rf "$out/bin" "$out/said"
mkdir -p "$out/bin" "$out/said"

build() {
    local flags=$1
    shift
    RUSTC_BOOTSTRAP=1 RUSTFLAGS="$flags" CARGO_TARGET_DIR=$out/build \
        cargo build --locked --features fault-points --lib --target "$(rustc -vV | sed -n 's/^host: //p')" "$@"
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
    thread)
        build "-Zsanitizer=thread" -Zbuild-std
        run="env LD_PRELOAD=$(runtime libtsan.so) TSAN_OPTIONS=log_path=$out/said/tsan:report_signal_unsafe=0"
        ;;
    *) echo "sanitize: there is no tool $tool: valgrind, address or thread"; exit 1 ;;
esac
printf '#!/bin/sh\nexec %s %s "$@"\n' "$run" "$shell" >"$out/bin/sqlite3"
chmod +x "$out/bin/sqlite3"
[ $# -gt 0 ] || set -- --test writes --test transactions --test batch --test live --test outcome
failed=0
PATH="$out/bin:$PATH" cargo test --locked --features fault-points "$@" -- --test-threads=2 || failed=1
said=$(find "$out/said" -type f -size +0 | wc -l)
echo "sanitize: $tool: $(find "$out/said" -type f | wc -l) processes left a report, $said of them with something in it"
if [ "$said" != 0 ]; then
    find "$out/said" -type f -size +0 -exec head -40 {} + | head -200
    failed=1
fi
exit $failed
