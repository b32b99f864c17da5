#!/usr/bin/env bash
# Builds the library for other platforms: cross.sh [NAME ...], all without one.
#
# The standard library is built along with it from Debian's package rust-src of
# the very version of rustc that is at work (no toolchain but the present one is
# needed), zig links. What comes out proves that the code compiles, links and,
# where tests/cross.sh can start it, works; releases come from real runners with
# their own toolchains (.github/workflows/release.yml).
set -euo pipefail
cd "$(dirname "$0")/.."
. .ci/own_apt.sh
tools=$PWD/.tools
target=${CARGO_TARGET_DIR:-$PWD/target}/cross
out=dist/cross
names="linux-arm64 linux-musl-x86_64 linux-musl-arm64 windows-x86_64 darwin-arm64 darwin-x86_64"

say() { echo "cross: $*" >&2; }
skip() { say "skipped: $*"; exit 0; }

# What rustc calls a platform, and the name of the library that it makes.
triple() {
    case $1 in
        linux-arm64) echo aarch64-unknown-linux-gnu ;;
        linux-musl-x86_64) echo x86_64-unknown-linux-musl ;;
        linux-musl-arm64) echo aarch64-unknown-linux-musl ;;
        windows-x86_64) echo x86_64-pc-windows-gnu ;;
        darwin-arm64) echo aarch64-apple-darwin ;;
        darwin-x86_64) echo x86_64-apple-darwin ;;
        *) say "there is no platform $1; there are $names"; exit 1 ;;
    esac
}
library() {
    case $1 in
        windows-*) echo replica.dll ;;
        darwin-*) echo libreplica.dylib ;;
        *) echo libreplica.so ;;
    esac
}

# Debian's rust-src of this rustc's version.
rust_src() {
    local version=$1 deb
    [ -e "$tools/rust-src/$version" ] && return
    rm -rf "$tools/rust-src"
    say "fetching Debian's rust-src $version into .tools/rust-src"
    own_apt "$tools/rust-src/apt" amd64 "deb trixie-backports" "deb trixie" || skip "no source of the standard library"
    deb=$(apt-cache madison rust-src | awk '{print $3}' | grep -m1 "^$version+") || skip "Debian has no rust-src $version"
    unpack_package "rust-src=$deb" "$tools/rust-src/unpacked" || skip "rust-src $deb cannot be downloaded"
    mv "$tools/rust-src/unpacked/usr/src/rustc-$version" "$tools/rust-src/$version"
    rm -rf "$tools/rust-src/unpacked" "$tools/rust-src/apt"
}

# The present toolchain with the source where cargo looks for it: links, 0 MB.
toolchain() {
    local version=$1 sysroot
    sysroot=$(rustc --print sysroot)
    rm -rf "$tools/cross-toolchain"
    cp -al "$sysroot/." "$tools/cross-toolchain" 2>/dev/null || cp -a "$sysroot/." "$tools/cross-toolchain"
    mkdir -p "$tools/cross-toolchain/lib/rustlib/src"
    ln -sfn "$tools/rust-src/$version" "$tools/cross-toolchain/lib/rustlib/src/rust"
}

build() {
    local name=$1 triple suffix="" flags=""
    triple=$(triple "$name")
    case $name in
        linux-arm64) suffix=.2.17 ;;                              # glibc of 2012
        linux-musl-*) flags="-C target-feature=-crt-static" ;;    # else no cdylib
        windows-*) flags="-C link-arg=$PWD/.ci/replica.def" ;;    # else 4000 exports
    esac
    say "building $name ($triple$suffix)"
    RUSTFLAGS="$flags" MACOSX_DEPLOYMENT_TARGET=11.0 RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR=$target \
        cargo-zigbuild zigbuild --locked --profile dist --lib -Zbuild-std=std,panic_unwind \
        --target "$triple$suffix" 2>"$target/$name.log" || { tail -n 30 "$target/$name.log" >&2; exit 1; }
    mkdir -p "$out/$name"
    local file
    file=$(library "$name")
    cp "$target/$triple/dist/$file" "$out/$name/replica.${file##*.}"
}

version=$(rustc --version | awk '{print $2}')
rust_src "$version"
[ -e "$tools/rust-src/$version" ] || exit 0
toolchain "$version"
export PATH="$tools/cross-toolchain/bin:$tools/zig/bin:$PATH"
mkdir -p "$target"
for name in ${*:-$names}; do build "$name"; done
ls -l "$out"/*/
