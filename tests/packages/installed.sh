#!/bin/bash
# In a clean container: installs the packages in /debs, and uses what they bring.
set -euo pipefail
fail() { echo "FAILED: $*"; exit 1; }
say() { echo "--- $*"; }

. /etc/os-release
say "$PRETTY_NAME: install"
# The image leaves manual pages out; here they are what is looked at.
rm -f /etc/dpkg/dpkg.cfg.d/docker*
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends systemd man-db bash-completion curl tmux procps util-linux >/dev/null 2>&1
dpkg -i /debs/*.deb >/dev/null 2>&1 || true # what they depend on comes next
apt-get install -y -qq --no-install-recommends -f >/dev/null 2>&1
dpkg -s postern postern-server | grep -E '^(Package|Status|Version)'
postern version
for d in authenticate authorize databroker proxy; do
    "postern-$d" --version
    id "postern-$d" >/dev/null
done

say "units"
systemd-analyze verify /usr/lib/systemd/system/postern-*.service /lib/systemd/system/postern-*.service 2>&1 | grep postern && fail "verify"
for unit in /lib/systemd/system/postern-*.service; do
    systemd-analyze security --offline=yes "$unit" | tail -n 1 | tee /tmp/exposure
    awk '{ for (i = 1; i <= NF; i++) if ($i ~ /^[0-9.]+$/ && $i <= 2.0) ok = 1 } END { exit !ok }' /tmp/exposure || fail "$unit is exposed"
done

say "manual pages"
for page in /usr/share/man/man[158]/postern*; do
    said=$(man --warnings -l "$page" 2>&1 >/tmp/page)
    [ -z "$said" ] && [ "$(wc -l </tmp/page)" -gt 10 ] || fail "$page: $said"
    basename "$page"
done

say "completion in a terminal"
export LANG=C.UTF-8
tmux new-session -d -x 100 -y 30 'bash --norc'
sleep 1
tmux send-keys '. /usr/share/bash-completion/bash_completion' Enter
sleep 2
tmux send-keys 'postern keygen h' Tab '--ou' Tab
sleep 2
tmux capture-pane -p | tee /tmp/screen | grep -v '^$'
grep -qE 'postern keygen host-keys --out *$' /tmp/screen || fail "completion"
tmux kill-server

say "first run"
postern-setup
[ -z "$(find /etc/postern/secrets -type f -perm /077)" ] || fail "a secret is open"
before=$(cat /etc/postern/secrets/*/* | sha256sum)
postern-setup >/dev/null
[ "$before" = "$(cat /etc/postern/secrets/*/* | sha256sum)" ] || fail "setup changed what was there"
sed -i 's/^routes:/routes: []/' /etc/postern/postern.yaml

# Without systemd as process 1: what LoadCredential and User= do, by hand.
say "start of the four as their own users"
for d in databroker authorize authenticate proxy; do
    dir=/run/credentials/postern-$d.service
    install -d -m 500 -o "postern-$d" "$dir"
    for file in /etc/postern/secrets/"$d"/*; do
        install -m 400 -o "postern-$d" "$file" "$dir/secret_$(basename "$file")"
    done
done
install -d -m 700 -o postern-databroker /var/lib/postern-databroker
for d in databroker authorize authenticate proxy; do
    caps=-all
    [ $d != proxy ] || caps=+net_bind_service
    as=(setpriv --reuid "postern-$d" --regid "postern-$d" --clear-groups --inh-caps "$caps" --ambient-caps "$caps" --no-new-privs)
    "${as[@]}" "/usr/sbin/postern-$d" --check || fail "$d: check"
    "${as[@]}" "/usr/sbin/postern-$d" >"/tmp/$d.log" 2>&1 &
done
for port in 28080 28081 28082 28083; do
    for i in $(seq 50); do
        [ "$(curl -s -o /dev/null -w '%{http_code}' "http://127.0.0.1:$port/readyz")" != 200 ] || break
        [ "$i" != 50 ] || { tail -n 5 /tmp/*.log; fail "port $port"; }
        sleep 0.2
    done
    echo "$port/healthz $(curl -s -o /dev/null -w '%{http_code}' "http://127.0.0.1:$port/healthz")"
done
ps -C postern-proxy,postern-authorize,postern-authenticate,postern-databroker -o user:20,comm
pids=$(jobs -p)
kill $pids
for pid in $pids; do
    wait "$pid" || fail "exit status $?"
done
echo "all ended with status 0"
