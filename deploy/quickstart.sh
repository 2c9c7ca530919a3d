#!/bin/bash
# Postern on one machine, for evaluation: installs packages, builds, makes keys, secrets and a
# configuration in a data folder, starts the four daemons and a demo sshd on loopback, and prints
# the ssh command to type. Runs until Ctrl-C.
#
#   deploy/quickstart.sh [--data DIR] [--ssh-port 2222] [--https-port 8443] [--detach] [--stop]
#
# Everything but packages is kept in DIR (./quickstart); a second run goes on with what is there.
set -euo pipefail
umask 077

source=$(cd "$(dirname "$0")/.." && pwd)
data=./quickstart ssh_port=2222 https_port=8443 detach= stop=
build=${POSTERN_BUILD:-$source/build/release}

usage() { sed -n 's/^#   \(deploy.*\)/usage: \1/p' "$0" >&2; exit 2; }
while [ $# -gt 0 ]; do
    case $1 in
    --data | --ssh-port | --https-port)
        [ $# -ge 2 ] || usage
        case $1 in
        --data) data=$2 ;;
        --ssh-port) ssh_port=$2 ;;
        --https-port) https_port=$2 ;;
        esac
        shift 2
        ;;
    --detach) detach=1; shift ;;
    --stop) stop=1; shift ;;
    *) usage ;;
    esac
done
mkdir -p "$data"
data=$(cd "$data" && pwd)
services="databroker authorize authenticate proxy"
login=$(id -un)

say() { echo "quickstart: $*"; }
die() { echo "quickstart: $*" >&2; exit 1; }
# A daemon may remove its own file at any moment.
running() { kill -0 "$(cat "$data/run/$1.pid" 2>/dev/null || echo none)" 2>/dev/null; }

# The proxy first, so that it can tell its users; the databroker last.
stop_all() {
    local service i
    for service in proxy authenticate authorize databroker demo-sshd; do
        running $service || continue
        kill -TERM "$(cat "$data/run/$service.pid")" 2>/dev/null || true
        for ((i = 0; i < 150; i++)); do
            running $service || break
            sleep 0.1
        done
        ! running $service || kill -KILL "$(cat "$data/run/$service.pid")" 2>/dev/null || true
        rm -f "$data/run/$service.pid"
    done
    rm -f "$data/run/proxy-worker.pid"
}

if [ -n "$stop" ]; then
    stop_all
    say "stopped"
    exit 0
fi

make_keys() {
    local postern="$build/bin/postern"
    mkdir -p "$data"/{secrets,service,keys,tls,databroker,log,run,demo}
    [ -f "$data/secrets/shared_secret" ] || "$postern" keygen secrets --out "$data/secrets"
    [ -f "$data/service/ca.crt" ] || "$postern" keygen services --out "$data/service"
    [ -f "$data/keys/host_ed25519" ] || "$postern" keygen host-keys --out "$data/keys"
    [ -f "$data/keys/user_ca" ] || "$postern" keygen user-ca --out "$data/keys/user_ca"
    [ -f "$data/tls/localhost.crt" ] || "$postern" keygen tls localhost --out "$data/tls"
    [ -f "$data/admin.pem" ] ||
        "$postern" keygen admin quickstart --days 30 --services "$data/service" --out "$data/admin.pem"
    if [ ! -f "$data/secrets/users.yaml" ]; then
        head -c 12 /dev/urandom | base64 | tr '+/' 'xy' >"$data/demo-password"
        cat >"$data/secrets/users.yaml" <<YAML
- email: demo@localhost
  name: Demo User
  groups: [demo]
  password_hash: "$("$postern" password <"$data/demo-password")"
YAML
    fi
}

write_config() {
    [ ! -f "$data/postern.yaml" ] || return 0
    cat >"$data/postern.yaml" <<YAML
shared_secret_file: $data/secrets/shared_secret
cookie_secret_file: $data/secrets/cookie_secret
service_certificate_authority_file: $data/service/ca.crt
service_certificate_file: $data/service/{service}.crt
service_certificate_key_file: $data/service/{service}.key
address: 127.0.0.1:$https_port
certificate_file: $data/tls/localhost.crt
certificate_key_file: $data/tls/localhost.key
authenticate_service_url: https://localhost:$https_port
idp_provider: local
idp_local_users_file: $data/secrets/users.yaml
ssh_address: 127.0.0.1:$ssh_port
ssh_host_key_files: [$data/keys/host_ed25519, $data/keys/host_ecdsa, $data/keys/host_rsa]
ssh_user_ca_key_file: $data/keys/user_ca
databroker_storage_type: file
databroker_storage_connection_string: file://$data/databroker
routes:
  - from: ssh://demo
    to: ssh://127.0.0.1:2022
    policy:
      - allow: {and: [{email: {is: demo@localhost}}]}
YAML
}

# The target: a plain sshd that trusts our user CA and nothing else.
start_demo_sshd() {
    [ -f "$data/demo/host_ed25519" ] ||
        ssh-keygen -q -t ed25519 -N '' -C demo -f "$data/demo/host_ed25519"
    cat >"$data/demo/sshd_config" <<CONF
ListenAddress 127.0.0.1
Port 2022
HostKey $data/demo/host_ed25519
PidFile $data/run/demo-sshd.pid
TrustedUserCAKeys $data/keys/user_ca.pub
AuthorizedKeysFile none
AuthenticationMethods publickey
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
LogLevel VERBOSE
Subsystem sftp internal-sftp
CONF
    # sshd wants its empty folder when root runs it; the package makes it at boot.
    [ "$(id -u)" != 0 ] || mkdir -p /run/sshd
    running demo-sshd || /usr/sbin/sshd -f "$data/demo/sshd_config" -E "$data/log/demo-sshd.log"
}

start() {
    local service=$1
    running "$service" && return 0
    POSTERN_WORKER_PIDFILE="$data/run/proxy-worker.pid" setsid \
        "$build/bin/postern-$service" --config "$data/postern.yaml" \
        >>"$data/log/$service.jsonl" 2>>"$data/log/$service.err" </dev/null &
    echo $! >"$data/run/$service.pid"
}

wait_ready() {
    local i service
    for ((i = 0; i < 300; i++)); do
        "$build/bin/postern" --config "$data/postern.yaml" health >/dev/null 2>&1 && return 0
        for service in $services; do
            running "$service" || { tail -n 20 "$data/log/$service.err" >&2; die "postern-$service did not start; see $data/log"; }
        done
        sleep 0.1
    done
    "$build/bin/postern" --config "$data/postern.yaml" health >&2 || true
    die "not healthy after 30 s; see $data/log"
}

say "1/5 packages"
"$source/deploy/packages.sh" build demo
if [ -z "${POSTERN_BUILD:-}" ]; then
    say "2/5 building (first time: about two minutes)"
    mkdir -p "$source/build"
    (cd "$source" && cmake --preset release && cmake --build --preset release) >"$source/build/quickstart.log" 2>&1 ||
        { tail -n 30 "$source/build/quickstart.log" >&2; die "the build failed; see build/quickstart.log"; }
else
    say "2/5 using $build"
fi
say "3/5 keys, secrets and configuration in $data"
make_keys
write_config
for service in $services; do
    "$build/bin/postern-$service" --config "$data/postern.yaml" --check >/dev/null || die "the configuration is not valid"
done
say "4/5 starting the demo sshd and the daemons"
[ -n "$detach" ] || trap 'echo; say "stopping"; stop_all; exit 0' INT TERM
start_demo_sshd
for service in $services; do
    start "$service"
done
say "5/5 waiting until all are healthy"
wait_ready

cat <<TEXT

Sign in as demo@localhost with the password in $data/demo-password
The target's host key and what it trusts: $data/demo/sshd_config
To look after it:
  export POSTERN_CONFIG=$data/postern.yaml POSTERN_ADMIN=$data/admin.pem PATH=$build/bin:\$PATH
  postern sessions list

READY ssh -p $ssh_port $login@demo@localhost
TEXT
[ -z "$detach" ] || exit 0
say "running until Ctrl-C"
while running proxy; do
    sleep 1 &
    wait $! || true
done
stop_all
die "the proxy ended; see $data/log"
