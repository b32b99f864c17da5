#!/usr/bin/env bash
# Runs the libraries that `make cross` built: cross.sh [arm64] [musl], both without one.
#
# The end-to-end suites are native programs that drive a foreign sqlite3 shell,
# which loads the foreign library, against the native sqld. qemu-user runs on
# this processor, so what only ARM's weaker memory order would show is not seen
# here. Says what it skips where something is missing.
set -euo pipefail
cd "$(dirname "$0")/.."
. .ci/own_apt.sh
tools=$PWD/.tools
roots=$tools/cross-roots
target=${CARGO_TARGET_DIR:-$PWD/target}
suites=${SUITES:-"shell writes transactions wal live tls file_life"}
# Tests that load the library into a native program as well as into the shell.
native="interrupts_forks a_full_disk"
failed=0

say() { echo "test-cross: $*"; }

debian_suite() { . /etc/os-release && echo "$VERSION_CODENAME"; }

# A command of this machine's, installed where we may.
need() {
    command -v "$1" >/dev/null && return
    [ "$(id -u)" = 0 ] && apt-get install -qq -y "$2" >/dev/null 2>&1 || { say "$2 is missing"; return 1; }
}

# An sqlite3 that is a link of this name to WRAPPER, first in PATH.
wrap() {
    mkdir -p "$roots/$1"
    printf '#!/bin/sh\nexec %s "$@"\n' "$2" >"$roots/$1/sqlite3"
    chmod +x "$roots/$1/sqlite3"
}

arm64_shell() {
    need qemu-aarch64-static qemu-user-static || return 1
    if [ ! -e "$roots/arm64/root/usr/bin/sqlite3" ]; then
        say "unpacking Debian's arm64 sqlite3 into .tools/cross-roots/arm64"
        rm -rf "$roots/arm64"
        own_apt "$roots/arm64/apt" arm64 "deb $(debian_suite)" || return 1
        for package in libc6 libgcc-s1 libtinfo6 libreadline8 zlib1g libsqlite3-0 sqlite3; do
            unpack_package "$package" "$roots/arm64/root" || return 1
        done
        unset APT_CONFIG
    fi
    wrap arm64 "qemu-aarch64-static -L $roots/arm64/root $roots/arm64/root/usr/bin/sqlite3"
}

# Debian has no sqlite3 for musl: its source, built by zig with what Debian's has.
musl_shell() {
    need tclsh tcl || return 1
    if [ ! -e "$roots/musl/sqlite3-full.musl" ]; then
        say "building sqlite3 for musl into .tools/cross-roots/musl"
        rm -rf "$roots/musl"
        own_apt "$roots/musl/apt" amd64 "deb $(debian_suite)" "deb-src $(debian_suite)" || return 1
        unpack_package musl "$roots/musl/root" || return 1
        (
            cd "$roots/musl"
            apt-get source -qq --download-only sqlite3 >/dev/null 2>&1
            mkdir source && tar xf sqlite3_*.orig.tar.* -C source --strip-components=1
            unset APT_CONFIG
            cd source
            { ./configure --disable-tcl && make sqlite3.c shell.c; } >log 2>&1
            "$tools/zig/bin/python" -m ziglang cc -target x86_64-linux-musl -dynamic -O1 -DHAVE_READLINE=0 \
                -DSQLITE_ENABLE_FTS5 -DSQLITE_ENABLE_RTREE -DSQLITE_ENABLE_COLUMN_METADATA -DSQLITE_ENABLE_DBSTAT_VTAB \
                shell.c sqlite3.c -o ../sqlite3-full.musl -ldl -lpthread -lm
        ) || return 1
        unset APT_CONFIG
    fi
    wrap musl "$roots/musl/root/lib/ld-musl-x86_64.so.1 $roots/musl/sqlite3-full.musl"
}

# The suites against the library in dist/cross/FOLDER and the shell in roots/SHELL.
run_suites() {
    local library=$PWD/dist/cross/$1/replica.so shell=$2 skips=()
    [ -e "$library" ] || { say "$1: skipped: $library is not there; run make cross"; return; }
    for test in $native; do skips+=(--skip "$test"); done
    for suite in $suites; do
        say "$1: $suite"
        PATH="$roots/$shell:$PATH" REPLICA_EXTENSION=$library \
            cargo test --locked --features fault-points --test "$suite" -- --test-threads=2 "${skips[@]}" || failed=1
    done
}

for name in ${*:-arm64 musl}; do
    case $name in
        arm64) if arm64_shell; then run_suites linux-arm64 arm64; else say "arm64: skipped"; fi ;;
        musl) if musl_shell; then run_suites linux-musl-x86_64 musl; else say "musl: skipped"; fi ;;
        *) say "there is no $name; there are arm64 and musl"; exit 1 ;;
    esac
done
exit $failed
