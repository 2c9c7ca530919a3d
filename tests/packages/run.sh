#!/bin/bash
# Packages for Debian 12 and 13: builds them, installs them into clean containers and uses them.
#   tests/packages/run.sh [SUITE]...
set -euo pipefail
cd "$(dirname "$0")/../.."
[ $# -gt 0 ] || set -- bookworm trixie
for suite; do
    if [ -z "${POSTERN_DEBS:-}" ]; then
        deploy/package.sh --suite "$suite"
    fi
    deploy/base-image.sh "$suite"
    container=$(docker create --init "debian:$suite-slim" /installed.sh)
    docker cp -q "${POSTERN_DEBS:-build/packages}/$suite" "$container:/debs"
    docker cp -q tests/packages/installed.sh "$container:/installed.sh"
    status=0
    docker start -a "$container" || status=$?
    docker rm -f "$container" >/dev/null
    [ $status = 0 ] || { echo "packages: $suite failed"; exit 1; }
    echo "packages: $suite passed"
done
