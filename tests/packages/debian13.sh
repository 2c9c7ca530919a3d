#!/bin/bash
# Builds with gcc and clang and runs the unit tests on Debian 13, in a container.
set -euo pipefail
cd "$(dirname "$0")/../.."
deploy/base-image.sh trixie
work=$(mktemp -d)
container=
trap '[ -z "$container" ] || docker rm -f "$container" >/dev/null; rm -rf "$work"' EXIT
mkdir -p "$work/postern/build/deps"
git ls-files -z --cached --others --exclude-standard | tar --null --ignore-failed-read -T - -cf - | tar -xf - -C "$work/postern"
cp build/deps/*.tar.?z "$work/postern/build/deps/" 2>/dev/null || true
container=$(docker create --init -w /postern debian:trixie-slim sh -ec '
    deploy/packages.sh build demo fuzz
    mkdir -p /run/sshd
    gcc --version | head -n 1
    cmake --preset dev >/dev/null && cmake --build --preset dev | tail -n 1
    ctest --preset dev -j "$(nproc)" --no-tests=error
    clang --version | head -n 1
    cmake --preset fuzz >/dev/null && cmake --build --preset fuzz | tail -n 1')
docker cp -q "$work/postern" "$container:/"
docker start -a "$container"
