# Sourced: an apt of this project's own, which reads other suites and processors
# than the machine's through the mirror that the machine uses anyway. Nothing of
# the machine's own apt is changed.
#
#   own_apt FOLDER PROCESSOR "TYPE SUITE" ...    sets APT_CONFIG for later calls

own_apt() {
    local apt=$1 processor=$2 mirror
    shift 2
    command -v apt-get >/dev/null || { echo "no apt-get here" >&2; return 1; }
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 2>/dev/null | grep -m1 '/debian/\?$') \
        || { echo "apt knows no mirror of Debian" >&2; return 1; }
    mkdir -p "$apt"/{state/lists/partial,cache/archives/partial,etc}
    touch "$apt/status"
    for line in "$@"; do
        echo "${line% *} [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror ${line##* } main"
    done >"$apt/etc/sources.list"
    cat >"$apt/etc/apt.conf" <<CONF
Dir "$apt";
Dir::State "$apt/state";
Dir::State::status "$apt/status";
Dir::Cache "$apt/cache";
Dir::Etc "$apt/etc";
Dir::Etc::sourcelist "$apt/etc/sources.list";
Dir::Etc::sourceparts "-";
APT::Sandbox::User "root";
APT::Architecture "$processor";
APT::Architectures { "$processor"; };
CONF
    export APT_CONFIG=$apt/etc/apt.conf
    apt-get update -qq >"$apt/log" 2>&1 || { tail -n 1 "$apt/log" >&2; return 1; }
}

# Downloads a package and unpacks it into a folder, without installing anything.
unpack_package() {
    local package=$1 root=$2 folder
    folder=$(mktemp -d)
    (cd "$folder" && apt-get download -qq "$package" >/dev/null 2>&1) || return 1
    dpkg-deb -x "$folder"/*.deb "$root"
    rm -rf "$folder"
}
