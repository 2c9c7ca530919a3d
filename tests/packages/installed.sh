#!/bin/bash
# In a clean container: installs the packages in /debs, and looks at what they bring.
. /packages/lib.sh

. /etc/os-release
say "$PRETTY_NAME: install"
rm -f /etc/dpkg/dpkg.cfg.d/docker* # the image leaves manual pages out
apt-get update -qq
install_packages man-db bash-completion curl tmux procps util-linux
dpkg -i /debs/*.deb >/dev/null 2>&1 || true # what they depend on comes next
install_packages -f
dpkg -s postern postern-server | grep -E '^(Package|Status|Version)'
[ "$(dpkg-query -W -f '${Conffiles}' postern-server | awk '{print $1}')" = /etc/postern/postern.yaml ] || fail "conffiles"
postern version
for d in $services; do
    "postern-$d" --version
    id "postern-$d"
done

say "what they bring besides programs"
for file in postern/examples/postern-tcp@.service postern-server/examples/prometheus/alerts.yaml \
    postern-server/examples/prometheus/prometheus.yml.example postern-server/examples/grafana/postern.json \
    postern-server/{configuration,deployment,messages,metrics}.md postern-server/README.Debian postern/clients.md; do
    file=/usr/share/doc/$file
    [ -s "$file" ] || [ -s "$file.gz" ] || fail "no $file"
    echo "$file"
done
[ "$(dpkg -L postern | grep -c '/systemd/')" = 0 ] || fail "the client's unit is to be copied, not to be there for everybody"

say "nothing runs and nothing is enabled"
! pgrep -l postern || fail "something was started"
for d in $services; do
    if has_systemd; then
        [ "$(systemctl is-enabled "postern-$d")" = disabled ] || fail "postern-$d is enabled"
        # Before postern-setup there is nothing to run with: the condition says so, and it is no failure.
        systemctl start "postern-$d"
        state=$(systemctl show -p ActiveState,ConditionResult,Result --value "postern-$d" | sort | tr '\n' ' ')
        [ "$state" = "inactive no success " ] || fail "postern-$d before the setup: $state"
        echo "postern-$d: disabled; start before postern-setup: inactive, condition not met"
    fi
    status=0
    "postern-$d" --check >/tmp/check 2>&1 || status=$?
    [ $status = 2 ] || fail "postern-$d --check before the setup: $status"
done

say "units"
units=$(dpkg -L postern-server | grep '\.service$')
systemd-analyze verify $units 2>&1 | tee /tmp/verify
! grep -q postern /tmp/verify || fail "verify"
export XDG_RUNTIME_DIR=/tmp/user
mkdir -p $XDG_RUNTIME_DIR
systemd-analyze --user verify /usr/share/doc/postern/examples/postern-tcp@.service >/tmp/verify 2>&1 || { cat /tmp/verify; fail "verify"; }
! grep postern /tmp/verify || fail "verify"
echo "postern-tcp@.service: good"
for unit in $units; do
    systemd-analyze security --offline=yes "$unit" >/tmp/exposure 2>/dev/null
    echo "$(basename "$unit"): $(tail -n 1 /tmp/exposure)"
    awk 'END { for (i = 1; i <= NF; i++) if ($i ~ /^[0-9.]+$/ && $i <= 2.0) ok = 1; exit !ok }' /tmp/exposure || fail "$unit is exposed"
done

say "manual pages"
export LANG=C.UTF-8
for program in $(dpkg -L postern postern-server | grep -E '^/usr/s?bin/.') /etc/postern/postern.yaml; do
    man -w "$(basename "$program")" >/dev/null || fail "$program has no page"
done
pages=$(dpkg -L postern postern-server | grep '/man/man[1-8]/.')
for wanted in postern-tcp.1 postern-ssh.1 postern-login.1; do
    grep -q "/$wanted.gz$" <<<"$pages" || fail "no page $wanted"
done
for page in $pages; do
    said=$(man --warnings -l "$page" 2>&1 >/tmp/page)
    [ -z "$said" ] && [ "$(wc -l </tmp/page)" -gt 10 ] || fail "$page: $said"
    lexgrog "$page" >/dev/null || fail "$page: no name for whatis"
    # What is ours under SEE ALSO is there.
    for other in $(sed -n '/^SEE ALSO/,/^[A-Z]/p' /tmp/page | grep -oE 'postern[a-z.-]*\([1-8]\)'); do
        section=${other#*(}
        man -w "${section%)}" "${other%(*}" >/dev/null || fail "$page names $other"
    done
    echo "$(basename "$page"): $(wc -l </tmp/page) lines"
done
say "completion in a terminal"
screen_has() { tmux capture-pane -p >/tmp/screen; grep -qE "$1" /tmp/screen; }
tmux new-session -d -x 100 -y 30 'PS1="\$ " bash --norc'
tmux send-keys '. /usr/share/bash-completion/bash_completion; complete -p | wc -l; echo loaded' Enter
wait_for 20 screen_has '^loaded' || { cat /tmp/screen; fail "no shell"; }
tmux send-keys 'postern keygen h' Tab '--ou' Tab
wait_for 20 screen_has 'postern keygen host-keys --out *$' || { cat /tmp/screen; fail "completion"; }
grep -v '^$' /tmp/screen
tmux send-keys C-u 'postern sess' Tab 're' Tab
wait_for 20 screen_has 'postern sessions revoke *$' || { cat /tmp/screen; fail "completion"; }
grep 'sessions' /tmp/screen
tmux send-keys C-u 'postern tc' Tab '--lis' Tab '127.0.0.1:0 --head' Tab
wait_for 20 screen_has 'postern tcp --listen 127.0.0.1:0 --headless *$' || { cat /tmp/screen; fail "completion"; }
grep 'postern tcp' /tmp/screen
tmux kill-server

say "lintian"
install_packages lintian
# Overrides are in deploy/debian/*.lintian-overrides, each with its reason.
lintian --allow-root --fail-on error,warning --tag-display-limit 0 /debs/*.deb || fail "lintian"
lintian --allow-root --fail-on none --show-overrides --tag-display-limit 0 /debs/*.deb | grep '^O:'
echo "no error and no warning but these"

say "first run"
postern-setup
[ -z "$(find /etc/postern/secrets /etc/postern/ca -type f -perm /077)" ] || fail "a secret is open"
[ -z "$(find /etc/postern/secrets /etc/postern/ca ! -user root)" ] || fail "a secret is not root's"
before=$(cat /etc/postern/secrets/*/* /etc/postern/ca/* | sha256sum)
postern-setup >/dev/null
[ "$before" = "$(cat /etc/postern/secrets/*/* /etc/postern/ca/* | sha256sum)" ] || fail "setup changed what was there"
! postern-setup --no-such-option 2>/dev/null || fail "setup takes any argument"
! setpriv --reuid nobody --regid nogroup --clear-groups postern-setup 2>/dev/null || fail "setup by nobody"
# A file that is lost alone is made again, and nothing else.
rm /etc/postern/secrets/proxy/host_ed25519
postern-setup >/tmp/setup
head -n 1 /tmp/setup
[ -s /etc/postern/secrets/proxy/host_ed25519 ] || fail "setup does not repair"
echo "again: nothing changed"
