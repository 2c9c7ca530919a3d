#!/bin/sh
# Makes sure that debian:SUITE-slim is there: pulls it, or where no registry answers, builds one
# from the mirrors that this host's own apt uses (mmdebstrap, about 20 s).
#
#   deploy/base-image.sh [SUITE]...        without a name: trixie
#
# Packages are checked against the keys of debian-archive-keyring. Needs root (or sudo) for the
# second way.
set -eu

say() { echo "base-image: $*"; }
as_root=
[ "$(id -u)" = 0 ] || as_root=sudo

# sources SUITE: lines for its sources.list, with the mirrors of this host's own suite.
sources() {
    own=$(. /etc/os-release && echo "${VERSION_CODENAME:?}")
    apt-get indextargets --format '$(REPO_URI)|$(RELEASE)|$(COMPONENT)' 'Created-By: Packages' |
        sort -u | while IFS='|' read -r uri release component; do
        case $release in
        "$own" | "$own-updates" | "$own-security")
            echo "deb [signed-by=$keyring] $uri $1${release#"$own"} $component"
            ;;
        esac
    done
}

build() {
    suite=$1 tag=$2
    command -v mmdebstrap >/dev/null && [ -f "$keyring" ] || {
        say "installing mmdebstrap and debian-archive-keyring"
        $as_root apt-get update -qq
        $as_root apt-get install -y -qq --no-install-recommends mmdebstrap debian-archive-keyring >/dev/null
    }
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    sources "$suite" >"$work/sources.list"
    [ -s "$work/sources.list" ] || { say "this host's apt has no Debian source" >&2; exit 1; }
    # What the official image has too: without these, packages behave differently.
    printf '#!/bin/sh\nexit 101\n' >"$work/policy-rc.d"
    chmod 755 "$work/policy-rc.d"
    echo force-unsafe-io >"$work/docker-apt-speedup"
    for dir in doc/* man/* info/* locale/*; do echo "path-exclude /usr/share/$dir"; done >"$work/docker"
    echo 'path-include /usr/share/doc/*/copyright' >>"$work/docker"
    cat >"$work/docker-clean" <<CONF
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/archives/partial/*.deb /var/cache/apt/*.bin || true"; };
APT::Update::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/archives/partial/*.deb /var/cache/apt/*.bin || true"; };
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
CONF
    cat >"$work/docker-slim" <<CONF
Acquire::Languages "none";
Acquire::GzipIndexes "true";
APT::AutoRemove::SuggestsImportant "false";
CONF
    # A host that needs a proxy, or whose mirror is a snapshot, says so in its own settings.
    apt-config dump --format '%F "%v";%n' Acquire::http::Proxy Acquire::https::Proxy \
        Acquire::Check-Valid-Until Acquire::Check-Date >"$work/apt.conf" 2>/dev/null || :
    $as_root mmdebstrap --quiet --variant=minbase --mode=root --include=ca-certificates \
        --aptopt="$work/apt.conf" --dpkgopt="$work/docker" \
        --customize-hook="copy-in $work/policy-rc.d /usr/sbin" \
        --customize-hook="copy-in $work/docker $work/docker-apt-speedup /etc/dpkg/dpkg.cfg.d" \
        --customize-hook="copy-in $work/docker-slim $work/docker-clean /etc/apt/apt.conf.d" \
        --customize-hook='cd "$1" && rm -rf etc/resolv.conf etc/hostname var/log/*.log var/log/apt/* etc/apt/apt.conf.d/99mmdebstrap etc/dpkg/dpkg.cfg.d/99mmdebstrap var/cache/debconf/*-old usr/share/locale/* usr/share/man/* var/lib/apt/lists/* var/cache/apt/*.bin var/cache/apt/archives/*.deb' \
        "$suite" "$work/root.tar" "$work/sources.list"
    $as_root chmod 644 "$work/root.tar"
    docker import -c 'CMD ["bash"]' \
        -c 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
        "$work/root.tar" "$tag" >/dev/null
    rm -rf "$work"
    trap - EXIT
}

keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ $# -gt 0 ] || set -- trixie
for suite; do
    case $suite in
    *[!a-z]*) echo "usage: deploy/base-image.sh [SUITE]..." >&2; exit 2 ;;
    esac
    tag=debian:$suite-slim
    if docker image inspect "$tag" >/dev/null 2>&1; then
        say "$tag is there"
    elif timeout 60 docker pull --quiet "$tag" >/dev/null 2>&1; then
        say "$tag pulled"
    else
        say "$tag cannot be pulled: making it from this host's apt mirrors"
        build "$suite" "$tag"
        say "$tag made ($(docker image inspect -f '{{.Size}}' "$tag" | awk '{printf "%.0f MB", $1 / 1e6}'))"
    fi
done
