# What the scripts in the test containers share.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive
services="databroker authorize authenticate proxy" # in the order in which they are started
fail() { echo "FAILED: $*"; exit 1; }
say() { echo "--- $*"; }

# wait_for SECONDS COMMAND...: until it succeeds.
wait_for() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ $SECONDS -lt $end ] || { echo "still not: $*"; return 1; }
        sleep 0.2
    done
}

has_systemd() { [ -d /run/systemd/system ]; }

install_packages() { apt-get install -y -qq --no-install-recommends "$@" >/tmp/apt.log 2>&1 || { cat /tmp/apt.log; return 1; }; }
