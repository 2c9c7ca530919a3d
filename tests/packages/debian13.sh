#!/bin/bash
# Builds with gcc and clang and runs the unit tests on Debian 13, in a container.
# POSTERN_CACHE=DIR: keep what a next run can use (built dependencies, ccache) in DIR.
set -euo pipefail
cd "$(dirname "$0")/../.."
deploy/base-image.sh trixie
work=$(mktemp -d)
container=
trap '[ -z "$container" ] || docker rm -f "$container" >/dev/null; rm -rf "$work"' EXIT
mkdir -p "$work/postern/build/deps"
git ls-files -z --cached --others --exclude-standard | tar --null --ignore-failed-read -T - -cf - | tar -xf - -C "$work/postern"
cp build/deps/*.tar.?z "$work/postern/build/deps/" 2>/dev/null || true
cache=()
if [ -n "${POSTERN_CACHE:-}" ]; then
    mkdir -p "$POSTERN_CACHE/trixie/deps" "$POSTERN_CACHE/trixie/ccache"
    cp -n "$work"/postern/build/deps/* "$POSTERN_CACHE/trixie/deps/"
    cache=(-v "$POSTERN_CACHE/trixie/deps:/postern/build/deps" -v "$POSTERN_CACHE/trixie/ccache:/ccache"
        -e CCACHE_DIR=/ccache -e CMAKE_C_COMPILER_LAUNCHER=ccache)
fi
# Some tests listen on ::1, which engines take away.
container=$(docker create --init -w /postern --sysctl net.ipv6.conf.all.disable_ipv6=0 "${cache[@]}" debian:trixie-slim sh -ec '
    deploy/packages.sh build demo fuzz
    [ -z "${CCACHE_DIR:-}" ] || apt-get install -y -qq --no-install-recommends ccache >/dev/null
    mkdir -p /run/sshd
    # A pipe would hide the status of a build.
    build() { cmake --preset "$1" >log 2>&1 && cmake --build --preset "$1" >>log 2>&1 || { tail -n 60 log; exit 1; }; }
    gcc --version | head -n 1
    build dev
    echo "built, without a warning"
    ctest --preset dev -j "$(nproc)" --no-tests=error
    clang --version | head -n 1
    build fuzz
    echo "built, without a warning"
    ctest --test-dir build/fuzz --output-on-failure -j "$(nproc)" --no-tests=error')
docker cp -q "$work/postern" "$container:/"
docker start -a "$container"
