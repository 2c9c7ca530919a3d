#!/bin/bash
# Postern in containers: four services behind a balancer, a target and a provider to try them with.
#
#   deploy/compose.sh init [--user-ca FILE] [--host-key FILE]...
#                                          keys, secrets and certificates in deploy/state
#   deploy/compose.sh up [--build]         images where they are missing, start, wait until healthy
#   deploy/compose.sh scale SERVICE=N...   proxy, authorize: while everything runs
#   deploy/compose.sh ps|logs|exec ...     as docker compose has them
#   deploy/compose.sh postern ...          the postern command with the administrator's certificate
#   deploy/compose.sh down [-v]            stop; -v: forget sign-ins and the provider's data too
#
# init makes what is not there and keeps what is: a second one changes nothing. A user CA and host
# keys of your own, of any type, are private key files without a passphrase, as ssh-keygen makes
# them: --user-ca keys/user_ca --host-key keys/host_rsa. They are copied.
#
# After init, docker compose and docker-compose 1.29 can be used in deploy/ as well: up -d, ps,
# logs -f, exec, down -v. A plain up -d starts one of each, whatever scale said.
#
# Variables: POSTERN_HTTPS_PORT (443) and POSTERN_SSH_PORT (2222), the balancer's published ports;
# POSTERN_STATE_DIR and POSTERN_CONFIG_DIR, absolute; POSTERN_EDGE_SUBNET (172.30.0.0/24; then
# proxy_protocol_trusted in postern.yaml must say the same); POSTERN_IMAGE, POSTERN_TAG;
# COMPOSE_PROJECT_NAME (postern).
set -euo pipefail
umask 077

deploy=$(cd "$(dirname "$0")" && pwd)
export COMPOSE_PROJECT_NAME=${COMPOSE_PROJECT_NAME:-postern}
export POSTERN_STATE_DIR=${POSTERN_STATE_DIR:-$deploy/state}
export POSTERN_CONFIG_DIR=${POSTERN_CONFIG_DIR:-$deploy/config}
state=$POSTERN_STATE_DIR
image=${POSTERN_IMAGE:-postern} tag=${POSTERN_TAG:-latest}

say() { echo "compose: $*"; }
die() { echo "compose: $*" >&2; exit 1; }
usage() { sed -n '4,11s/^#   //p' "$0" >&2; exit 2; }

compose() {
    if docker compose version >/dev/null 2>&1; then
        docker compose --file "$deploy/compose.yaml" "$@"
    else
        docker-compose --file "$deploy/compose.yaml" "$@"
    fi
}

image_name() { [ "$1" = postern ] && echo "$image:$tag" || echo "$image-$1:$tag"; }

# images [--build]: those that are missing, or all.
images() {
    local target name
    for target in postern lb sshd idp; do
        name=$(image_name $target)
        if [ "${1:-}" != --build ] && docker image inspect "$name" >/dev/null 2>&1; then
            continue
        fi
        "$deploy/base-image.sh" trixie
        say "building $name"
        docker build --force-rm --quiet --file "$deploy/Dockerfile" --target $target --tag "$name" \
            "$deploy/.." >"$state/build-$target.log" 2>&1 ||
            { tail -n 40 "$state/build-$target.log" >&2; die "the image $name was not built"; }
        say "$name is $(docker image inspect -f '{{.Size}}' "$name" | awk '{printf "%.0f", $1 / 1e6}') MB"
    done
}

# Runs in a container, as root: the files belong to the users of the containers, whoever runs this
# script. Nothing that is there is written again.
make_state() {
    docker run --rm --interactive --user 0 --network none --volume "$state:/state" \
        --env "OWNER=$(id -u):$(id -g)" "$(image_name postern)" sh -s <<'STATE'
set -eu
umask 077
cd /state
mkdir -p ca users databroker authorize authenticate proxy sshd idp import
t=$(mktemp -d)
trap 'rm -rf "$t" /state/import' EXIT

# put FILE FROM: a file of a service, unless it has it.
put() { [ -e "$1" ] || cp "$2" "$1"; }

# bring FILE FROM: the same for a file that the user named, which must not be lost in silence.
bring() {
    [ ! -e "$1" ] || cmp -s "$1" "$2" || {
        echo "compose: $1 is there and is another key; remove it first to use yours" >&2
        exit 1
    }
    put "$1" "$2"
}

# Its format names the type in the clear.
key_type() {
    case $(head -n 1 "$1") in
    *'RSA PRIVATE KEY'*) echo ssh-rsa ;;
    *'EC PRIVATE KEY'*) echo ecdsa ;;
    *) grep -v -e ----- "$1" | base64 -d 2>/dev/null | tr -c 'a-z0-9-' '\n' |
        grep -m 1 -E '^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521))$' ;;
    esac
}

postern keygen secrets --out "$t/secrets" >/dev/null
# The public half is made from the private one, so that the target trusts what signs; a file that
# authorize could not use is found here, before anything is made.
cat >"$t/ca.yaml" <<YAML
shared_secret_file: $t/secrets/shared_secret
authenticate_service_url: https://auth.example.test
ssh_user_ca_key_file: $t/user_ca
YAML
if [ -e import/user_ca ]; then
    cp import/user_ca "$t/user_ca"
elif [ -e authorize/user_ca ]; then
    cp authorize/user_ca "$t/user_ca"
else
    postern keygen user-ca --out "$t/user_ca" >/dev/null
fi
rm -f "$t/user_ca.pub"
chmod 400 "$t/user_ca"
postern --config "$t/ca.yaml" ca show >"$t/ca.pub" 2>"$t/err" || {
    sed "s|$t/user_ca|the user CA|g" "$t/err" >&2
    exit 1
}
for key in import/host-*; do
    [ -e "$key" ] || continue
    case $(key_type "$key") in
    ssh-ed25519) bring proxy/host_ed25519 "$key" ;;
    ssh-rsa) bring proxy/host_rsa "$key" ;;
    ecdsa*) bring proxy/host_ecdsa "$key" ;;
    *) echo "compose: a --host-key is not a private key of type ed25519, ecdsa or rsa" >&2; exit 1 ;;
    esac
done
bring authorize/user_ca "$t/user_ca"

if [ ! -e ca/ca.crt ]; then
    postern keygen services --out "$t/services" >/dev/null
    for service in databroker authorize authenticate proxy; do
        put $service/$service.crt "$t/services/$service.crt"
        put $service/$service.key "$t/services/$service.key"
    done
    put ca/ca.key "$t/services/ca.key"
    cp "$t/services/ca.crt" ca/ca.crt
fi
for service in databroker authorize authenticate proxy; do put $service/ca.crt ca/ca.crt; done

put authorize/shared_secret "$t/secrets/shared_secret"
put authenticate/shared_secret authorize/shared_secret
put authenticate/cookie_secret "$t/secrets/cookie_secret"

postern keygen host-keys --out "$t/keys" >/dev/null
for type in ed25519 ecdsa rsa; do put proxy/host_$type "$t/keys/host_$type"; done
if [ ! -e proxy/tls.crt ]; then
    postern keygen tls auth.example.test gw.example.test --out "$t/tls" >/dev/null
    put proxy/tls.key "$t/tls/auth.example.test.key"
    put proxy/tls.crt "$t/tls/auth.example.test.crt"
fi

rm -f sshd/user_ca.pub
cp "$t/ca.pub" sshd/user_ca.pub
if [ ! -e sshd/host_ed25519 ]; then
    postern keygen host-keys --out "$t/target" >/dev/null
    cp "$t/target/host_ed25519" sshd/
fi

if [ ! -e idp/tls.crt ]; then
    postern keygen tls idp.example.test --out "$t/tls" >/dev/null
    put idp/tls.key "$t/tls/idp.example.test.key"
    put idp/tls.crt "$t/tls/idp.example.test.crt"
fi
put authenticate/idp-ca.crt idp/tls.crt
random() { head -c 24 /dev/urandom | base64 | tr '+/' 'xy'; }
random >"$t/client"
put authenticate/idp_client_secret "$t/client"
put idp/client_secret authenticate/idp_client_secret
[ -e idp/redirect_uri ] || echo https://auth.example.test/oauth2/callback >idp/redirect_uri
for user in you guest; do [ -e users/$user ] || random >users/$user; done
if [ ! -e idp/users.json ]; then
    printf '[{"username":"you","name":"You","email":"you@example.test","groups":["ops"],"password":"%s"},\n' "$(cat users/you)" >"$t/users"
    printf '{"username":"guest","name":"Guest","email":"guest@example.test","groups":["guests"],"password":"%s"}]\n' "$(cat users/guest)" >>"$t/users"
    cp "$t/users" idp/users.json
fi
[ -e admin.pem ] || postern keygen admin compose --days 30 --services ca --out admin.pem >/dev/null
cat proxy/tls.crt idp/tls.crt >tls-ca.pem
chmod 644 tls-ca.pem

# own DIR USER: 0400 files in a folder that only this user enters.
own() {
    find "$1" -type f -exec chmod 400 {} +
    chown -R "$2" "$1"
    chmod 500 "$1"
}
for service in databroker authorize authenticate proxy; do own $service 10001:10001; done
own sshd 10002:10002
own idp 10003:10003
chown -R "$OWNER" ca users admin.pem tls-ca.pem
STATE
}

init() {
    local user_ca='' host_keys=() import=$state/import key
    while [ $# -gt 0 ]; do
        case $1 in
        --user-ca) user_ca=${2:?FILE}; shift 2 ;;
        --host-key) host_keys+=("${2:?FILE}"); shift 2 ;;
        *) usage ;;
        esac
    done
    rm -rf "$import"
    mkdir -p "$import"
    [ -z "$user_ca" ] || cp "$user_ca" "$import/user_ca"
    for key in "${!host_keys[@]}"; do cp "${host_keys[$key]}" "$import/host-$key"; done
    images
    make_state
    say "keys, secrets and certificates are in $state"
    say "users you@example.test and guest@example.test have their passwords in $state/users"
}

# The counts that were asked for with scale, as options: a plain up would go back to one.
scales() {
    [ ! -f "$state/scale" ] || sed 's/^/--scale /' "$state/scale"
}

# Every container runs and, where it has a check, is healthy.
wait_healthy() {
    local deadline=$((SECONDS + 180)) id line bad
    while :; do
        bad=
        for id in $(docker ps -aq --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME" \
            --filter label=com.docker.compose.oneoff=False); do
            # A container that is being removed is gone a moment later.
            line=$(docker inspect -f '{{.State.Status}} {{if .State.Health}}{{.State.Health.Status}}{{else}}unchecked{{end}} {{.Name}}' "$id" 2>/dev/null) || continue
            case $line in
            'running healthy '* | 'running unchecked '*) ;;
            *) bad="$bad$line"$'\n' ;;
            esac
        done
        [ -n "$bad" ] || return 0
        [ $SECONDS -lt $deadline ] || { printf %s "$bad" >&2; die "not healthy after 180 s; see deploy/compose.sh logs"; }
        sleep 0.5
    done
}

up() {
    [ -e "$state/admin.pem" ] || init
    images "${1:-}"
    # shellcheck disable=SC2046
    compose up --detach $(scales)
    wait_healthy
    compose ps
    say "all are healthy: ssh -p ${POSTERN_SSH_PORT:-2222} developer@ssh-target@HOST, with this host's"
    say "address for auth.example.test, gw.example.test and idp.example.test in the browser's hosts file"
}

scale() {
    local one service
    [ $# -gt 0 ] || usage
    for one; do
        # haproxy.cfg has places for ten.
        [[ $one =~ ^(proxy|authorize|authenticate)=([1-9]|10)$ ]] ||
            die "scale takes proxy=N, authorize=N or authenticate=N with N from 1 to 10, not $one"
    done
    touch "$state/scale"
    for one; do
        service=${one%%=*}
        { grep -v "^$service=" "$state/scale" || true; echo "$one"; } >"$state/scale.new"
        mv "$state/scale.new" "$state/scale"
    done
    # shellcheck disable=SC2046
    compose up --detach --no-recreate --no-build $(scales)
    wait_healthy
    say "running: $(tr '\n' ' ' <"$state/scale")"
}

admin() {
    local network=${COMPOSE_PROJECT_NAME}_control
    docker run --rm --interactive --read-only --cap-drop ALL --security-opt no-new-privileges \
        --user "$(id -u):$(id -g)" --network "$network" --volume "$POSTERN_CONFIG_DIR:/etc/postern:ro" \
        --volume "$state/admin.pem:/run/postern/admin.pem:ro" --volume "$state/ca/ca.crt:/run/postern/ca.crt:ro" \
        "$(image_name postern)" postern --config /etc/postern/postern.yaml --admin /run/postern/admin.pem "$@"
}

[ $# -gt 0 ] || usage
command=$1
shift
case $command in
init) init "$@" ;;
up) up "$@" ;;
scale) scale "$@" ;;
ps | logs | exec | down) compose "$command" "$@" ;;
postern) admin "$@" ;;
*) usage ;;
esac
