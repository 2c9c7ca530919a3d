#!/bin/sh
# Installs the Debian packages that a task needs, and nothing when all are there.
#   deploy/packages.sh build|demo|test|fuzz|package...
set -eu

# Debian 12 and 13 differ in the version of LLVM; formatting is clang-format-14's.
case $(. /etc/os-release && echo "${VERSION_ID:-}") in
12) clang=14 ;;
*) clang=19 ;;
esac
build='build-essential ca-certificates cmake libcmocka-dev libcurl4-gnutls-dev libgrpc-dev libjansson-dev
 libnghttp2-dev libprotobuf-c-dev libprotobuf-dev libsqlite3-dev libuv1-dev libyaml-dev ninja-build
 pkg-config protobuf-c-compiler uthash-dev xz-utils'
demo='curl openssh-client openssh-server'
test="ansible-core bind9-dnsutils chromium chromium-driver clang-format-$clang clang-tidy-$clang dnsmasq-base dropbear-bin
 faketime git glewlwyd glewlwyd-common haproxy iperf3 iproute2 mariadb-client mariadb-server nftables nghttp2-client
 postgresql postgresql-client procps prometheus psmisc putty-tools python3 python3-asyncssh python3-h2 python3-paramiko
 python3-pytest python3-pytest-timeout python3-pytest-xdist python3-selenium redis-server redis-tools rsync sqlite3
 ssh-audit tmux dbconfig-no-thanks openssl"

fuzz="clang clang-$clang libclang-rt-$clang-dev llvm"
package='debhelper dpkg-dev fakeroot file'

wanted=
for task; do
    case $task in
    build) wanted="$wanted $build" ;;
    demo) wanted="$wanted $demo" ;;
    test) wanted="$wanted $test $fuzz" ;;
    fuzz) wanted="$wanted $fuzz" ;;
    package) wanted="$wanted $package" ;;
    *) echo "packages: unknown task: $task" >&2; exit 2 ;;
    esac
done

missing=
for package in $wanted; do
    status=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) || status=
    [ "$status" = 'install ok installed' ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

as_root=
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || { echo "packages: run as root, or install:$missing" >&2; exit 1; }
    as_root=sudo
fi
echo "packages: installing$missing"
# A package that is a service must not start, and glewlwyd must not ask for a database.
policy=/usr/sbin/policy-rc.d
made_policy=
if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' | $as_root tee $policy >/dev/null
    $as_root chmod 755 $policy
    made_policy=1
fi
status=0
case $missing in
*glewlwyd*)
    # Its maintainer script leaves an existing file alone.
    $as_root mkdir -p /etc/glewlwyd
    [ -e /etc/glewlwyd/glewlwyd.conf ] || echo '# made for the tests' | $as_root tee /etc/glewlwyd/glewlwyd.conf >/dev/null
    ;;
esac
{
    $as_root apt-get update -qq &&
        echo 'glewlwyd glewlwyd/config_type select No configuration' | $as_root debconf-set-selections &&
        $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
} >/tmp/postern-packages.$$ 2>&1 || status=$?
[ -z "$made_policy" ] || $as_root rm -f $policy
[ $status = 0 ] || tail -n 20 /tmp/postern-packages.$$ >&2
rm -f /tmp/postern-packages.$$
exit $status
