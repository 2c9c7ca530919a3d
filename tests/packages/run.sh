#!/bin/bash
# Packages for Debian 12 and 13: builds them, installs them into clean containers and uses them.
#   tests/packages/run.sh [SUITE]...
# POSTERN_DEBS=DIR: take those in DIR/SUITE instead of building.
set -euo pipefail
cd "$(dirname "$0")/../.."
[ $# -gt 0 ] || set -- bookworm trixie
say() { echo "packages: $*"; }

container=
# The control group that boot.sh makes outlives the container where the host has version 1 too.
remove() {
    [ -n "$container" ] || return 0
    local name=${container:0:12}
    docker rm -f "$container" >/dev/null
    container=
    [ ! -d "/sys/fs/cgroup/unified/postern-$name" ] ||
        find "/sys/fs/cgroup/unified/postern-$name" -depth -type d -exec rmdir {} + || true
}
trap remove EXIT

# prepare COMMAND [docker create's options]: a container of the suite with the packages and the tests.
prepare() {
    container=$(docker create "${@:2}" "debian:$suite-slim" $1)
    docker cp -q "${POSTERN_DEBS:-build/packages}/$suite" "$container:/debs"
    docker cp -q tests/packages "$container:/packages"
    docker cp -q tests/bin/sign-in "$container:/packages/sign-in"
}

is_up() { docker exec "$container" systemctl is-system-running 2>/dev/null | grep -qE 'running|degraded'; }

# With systemd as process 1. Says why not where it is not permitted.
boot() {
    local why i
    prepare /packages/boot.sh --stop-signal RTMIN+3 -e container=docker --cap-add SYS_ADMIN \
        --cap-add SYS_PTRACE --security-opt seccomp=unconfined --security-opt apparmor=unconfined
    if ! why=$(docker start "$container" 2>&1); then
        echo "$why"
        return 1
    fi
    for ((i = 0; i < 300; i++)); do
        ! is_up || return 0
        if why=$(docker exec "$container" cat /no-systemd 2>/dev/null); then
            echo "$why"
            return 1
        fi
        [ "$(docker inspect -f '{{.State.Running}}' "$container")" = true ] || break
        sleep 1
    done
    docker logs "$container" 2>&1 | tail -n 5
    return 1
}

run() { docker exec "$container" "/packages/$1" || { say "$suite failed"; exit 1; }; }

for suite; do
    if [ -z "${POSTERN_DEBS:-}" ]; then
        deploy/package.sh --suite "$suite"
    fi
    deploy/base-image.sh "$suite"
    if boot >/tmp/postern-boot.$$ 2>&1; then
        run installed.sh
        run systemd.sh
        say "$suite passed, units included"
    else
        say "this machine does not let a container run systemd ($(head -n 1 /tmp/postern-boot.$$));"
        say "the units are checked but not run, the daemons are started by hand"
        remove
        prepare "sleep infinity" --init
        docker start "$container" >/dev/null
        run installed.sh
        run by_hand.sh
        say "$suite passed, its units NOT RUN"
    fi
    rm -f /tmp/postern-boot.$$
    remove
done
