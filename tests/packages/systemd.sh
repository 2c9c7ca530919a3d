#!/bin/bash
# In a container whose process 1 is systemd, after installed.sh: the units, from the first start to
# the purge, with people who log in through them.
. /packages/lib.sh

units=$(printf 'postern-%s ' $services)
property() { systemctl show -p "$2" --value "postern-$1"; }
each() { for d in $services; do echo "$d $(property "$d" "$1")"; done; }
is_active() { [ "$(property "$1" ActiveState)" = active ]; }
in_journal() { journalctl -q -u "postern-$1" -o cat | grep -q "$2"; }
count_journal() { journalctl -q -u "postern-$1" -o cat | grep -c "$2" || true; }

# Logs in by ROUTE and runs COMMAND there; what ssh says goes to /tmp/ssh.err.
gateway_ssh() {
    ssh -F none -i /root/.ssh/id_ed25519 -p 2222 -o StrictHostKeyChecking=accept-new \
        -o PreferredAuthentications=publickey,keyboard-interactive "dev@$1@gateway.example.com" "$2" \
        </dev/null 2>/tmp/ssh.err
}
# Without any question.
log_in() {
    local said
    said=$(gateway_ssh "$1" 'id -un; hostname') || { cat /tmp/ssh.err; fail "login by $1"; }
    ! grep -q user_code /tmp/ssh.err || fail "asked to sign in again"
    [ "$said" = "dev
$(hostname)" ] || fail "login by $1: $said"
    echo "dev@$1@gateway.example.com: logged in, not asked"
}
log_in_with_browser() {
    : >/tmp/ssh.err
    gateway_ssh "$1" 'id -un' >/tmp/ssh.out &
    local pid=$!
    wait_for 20 grep -q user_code /tmp/ssh.err || { cat /tmp/ssh.err; fail "no link"; }
    /packages/sign-in "$(grep -o 'https://[^ ]*user_code=[A-Za-z0-9_-]*' /tmp/ssh.err | head -n 1)" you@example.com /root/password --remember
    wait "$pid" || { cat /tmp/ssh.err; fail "login by $1 after the sign-in"; }
    echo "signed in, and on the target as $(cat /tmp/ssh.out)"
}

say "a target: the machine's own sshd trusts the gateway's CA"
install_packages openssh-server openssh-client curl
useradd --create-home --shell /bin/bash dev
ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519
echo "TrustedUserCAKeys /etc/postern/user_ca.pub" >/etc/ssh/sshd_config.d/postern.conf
systemctl restart ssh
echo '127.0.0.1 gateway.example.com' >>/etc/hosts

say "configuration, as README.Debian says"
head -c 12 /dev/urandom | base64 >/root/password
cat >/etc/postern/secrets/authenticate/users.yaml <<YAML
- email: you@example.com
  name: You
  password_hash: "$(postern password </root/password)"
YAML
sed -i '/^routes:/,$d' /etc/postern/postern.yaml
cat >>/etc/postern/postern.yaml <<'YAML'
shutdown_grace: 2s
metrics_address: {proxy: 127.0.0.1:9901}
routes:
  - from: ssh://web1
    to: ssh://127.0.0.1:22
    policy:
      - allow: {and: [{email: {is: you@example.com}}]}
YAML
postern-setup --check
[ -z "$(ls /run/credentials | grep postern)" ] || fail "the check leaves secrets"
sed -i 's|secret_user_ca$|secret_nothing|' /etc/postern/postern.yaml
! postern-setup --check || fail "the check accepts a file that is missing"
sed -i 's|secret_nothing$|secret_user_ca|' /etc/postern/postern.yaml

say "start"
systemctl enable --now $units 2>&1 | grep -v '^Created symlink' || :
for d in $services; do
    is_active "$d" || { journalctl -u "postern-$d" -n 20; fail "postern-$d"; }
    systemctl show -p Id,Type,ActiveState,SubState,StatusText,WatchdogUSec,NRestarts "postern-$d" | tr '\n' ' '
    echo
    # systemctl start came back because of READY=1: by then the daemon serves.
    [ "$(property "$d" StatusText)" = running ] || fail "$d: status text"
done
wait_for 20 postern health >/tmp/health 2>&1 || { cat /tmp/health; fail "health"; }
cat /tmp/health

say "a first login with a browser, and one without a question"
log_in_with_browser web1
log_in web1
postern keygen admin you --days 30 --services /etc/postern/ca --out /root/postern-admin.pem >/dev/null
postern --admin /root/postern-admin.pem sessions list

# order WORD: in which the journal has it since mark.
mark() { journalctl -q -n 0 --show-cursor | sed -n 's/^-- cursor: //p' >/tmp/cursor; }
order() { journalctl -q -o cat --after-cursor "$(cat /tmp/cursor)" | sed -n "s/^$1 postern-\([a-z]*\)\.service.*/\1/p" | tr '\n' ' '; }

say "what each service sees"
pid_of() { property "$1" MainPID; }
# sees SERVICE COMMAND...: as root, but in the service's mount namespace.
sees() { nsenter --mount --target "$(pid_of "$1")" -- "${@:2}"; }
for d in $services; do
    pid=$(pid_of "$d")
    grep -E '^(Uid|NoNewPrivs|Seccomp|CapEff|CapBnd)' "/proc/$pid/status" | tr -s '\n\t' ' '
    echo "$d"
    [ "$(awk '/^Seccomp:/ {print $2}' "/proc/$pid/status")" = 2 ] || fail "$d: no system call filter"
    [ "$(awk '/^NoNewPrivs:/ {print $2}' "/proc/$pid/status")" = 1 ] || fail "$d: may gain privileges"
    wanted=0000000000000000
    [ "$d" != proxy ] || wanted=0000000000000400 # net_bind_service
    [ "$(awk '/^CapEff:/ {print $2}' "/proc/$pid/status")" = $wanted ] || fail "$d: capabilities"
    [ "$(stat -c %U "/proc/$pid/environ")" = root ] || fail "$d: its memory can be read by its own user" # not dumpable
    ! sees "$d" test -e /proc/meminfo || fail "$d: ProcSubset=pid has no effect"
    ! sees "$d" touch /usr/x /etc/x /var/lib/x 2>/dev/null || fail "$d: the file system is writable"
    [ -z "$(sees "$d" ls /home)" ] || fail "$d: sees home folders"
    ! sees "$d" test -e /dev/kmsg || fail "$d: sees devices"
    # Its own credentials and nobody else's; and no other service's user may read them.
    dir=/run/credentials/postern-$d.service
    [ "$(stat -c '%U %a' "$dir")" = "postern-$d 500" ] || [ "$(stat -c '%U %a' "$dir")" = "root 550" ] || stat "$dir"
    for file in $(ls "/etc/postern/secrets/$d"); do
        setpriv --reuid "postern-$d" --regid "postern-$d" --clear-groups cat "$dir/secret_$file" >/dev/null || fail "$d cannot read $file"
        for other in $services; do
            [ "$other" != "$d" ] || continue
            as=(setpriv --reuid "postern-$other" --regid "postern-$other" --clear-groups)
            ! "${as[@]}" cat "$dir/secret_$file" >/dev/null 2>&1 || fail "$other reads $d's $file"
            ! "${as[@]}" cat "/etc/postern/secrets/$d/$file" >/dev/null 2>&1 || fail "$other reads $d's $file"
            ! sees "$other" test -r "$dir/secret_$file" || fail "$other has $d's $file in its view"
        done
    done
done
[ "$(stat -c '%U %a' /var/lib/postern-databroker)" = "postern-databroker 700" ] || fail "state directory"
! in_journal proxy 'no Landlock\|Landlock failed' || echo "note: no Landlock on this kernel"
echo "credentials: each service reads its own, no other's"

say "numbers from /proc behind ProcSubset=pid"
curl -s http://127.0.0.1:9901/metrics >/tmp/metrics
metric() { awk -v name="$1" 'index($1, name) == 1 {print $2; exit}' /tmp/metrics; }
for name in postern_worker_memory_budget_bytes postern_worker_resident_memory_bytes postern_worker_open_fds process_resident_memory_bytes process_open_fds; do
    echo "$name $(metric $name)"
    awk -v v="$(metric $name)" 'BEGIN {exit !(v > 0)}' || fail "$name"
done
awk -v v="$(metric postern_worker_memory_budget_bytes)" -v kb="$(awk '/^MemTotal/ {print $2}' /proc/meminfo)" \
    'BEGIN {exit !(v > 0 && v <= kb * 512 + 4096)}' || fail "the memory budget is not half of the memory"

say "reload"
before=$(count_journal authorize 'configuration reloaded')
systemctl reload $units
for d in $services; do
    wait_for 10 in_journal "$d" 'configuration reloaded' || fail "$d did not reload"
    is_active "$d" || fail "$d after the reload"
done
[ "$(count_journal authorize 'configuration reloaded')" -gt "$before" ] || fail "no reload"
sed 's|ssh://web1|ssh://web2|' /etc/postern/postern.yaml | sed -n '/^  - from/,$p' >>/etc/postern/postern.yaml
systemctl reload $units
log_in web2
cp /etc/postern/postern.yaml /root/good.yaml
echo 'ssh_address: 5:5:5' >>/etc/postern/postern.yaml
systemctl reload postern-proxy
wait_for 10 sh -c 'systemctl show -p StatusText --value postern-proxy | grep -q "configuration before"' || fail "status text"
echo "with a bad configuration: $(property proxy ActiveState), $(property proxy StatusText)"
log_in web1
cat /root/good.yaml >/etc/postern/postern.yaml
systemctl reload $units
wait_for 10 sh -c '[ "$(systemctl show -p StatusText --value postern-proxy)" = running ]' || fail "status text"
[ "$(each NRestarts | grep -vc ' 0$')" = 0 ] || fail "something was restarted: $(each NRestarts)"

say "kill -9"
restarted() { [ "$(property "$1" NRestarts)" = "$2" ] && is_active "$1"; }
for d in $services; do
    pid=$(pid_of "$d")
    kill -9 "$pid"
    wait_for 30 restarted "$d" 1 || fail "$d was not restarted"
    echo "$d: $pid killed, $(pid_of "$d") runs, restarts: $(property "$d" NRestarts)"
done
wait_for 20 postern health >/dev/null || fail "health"
log_in web1
worker=$(pgrep -P "$(pid_of proxy)")
kill -9 "$worker"
new_worker() { local now; now=$(pgrep -P "$(pid_of proxy)") && [ "$now" != "$worker" ]; }
wait_for 20 new_worker || fail "no new worker"
wait_for 20 postern health >/dev/null || fail "health"
log_in web1
[ "$(property proxy NRestarts)" = 1 ] || fail "a worker's end is not the proxy's"
echo "proxy's worker: killed, started again by its supervisor"

say "watchdog"
mkdir -p /run/systemd/system/postern-authorize.service.d
printf '[Service]\nWatchdogSec=2s\n' >/run/systemd/system/postern-authorize.service.d/watchdog.conf
systemctl daemon-reload
systemctl restart postern-authorize
pid=$(pid_of authorize)
first=$(property authorize WatchdogTimestampMonotonic)
pinged() { [ "$(property authorize WatchdogTimestampMonotonic)" -gt "$((first + 4000000))" ]; }
wait_for 20 pinged || fail "no sign of life"
[ "$(pid_of authorize)" = "$pid" ] || fail "restarted though it lives"
kill -STOP "$pid"
other_pid() { local now; now=$(pid_of authorize); [ "$now" != 0 ] && [ "$now" != "$pid" ] && is_active authorize; }
wait_for 60 other_pid || fail "one that hangs is not restarted"
journalctl -q -u postern-authorize -o cat | grep -i 'watchdog timeout' | tail -n 1
rm -r /run/systemd/system/postern-authorize.service.d
systemctl daemon-reload
systemctl restart postern-authorize
wait_for 20 postern health >/dev/null || fail "health"
log_in web1

say "a TCP tunnel as a user's unit, as docs/clients.md has it"
cat >>/etc/postern/postern.yaml <<'YAML'
  - from: tcp+https://web1.example.com:22
    to: tcp://127.0.0.1:22
    policy:
      - allow: {and: [{email: {is: you@example.com}}]}
YAML
systemctl reload $units
uid=$(id -u dev)
as_dev() { setpriv --reuid dev --regid dev --init-groups env HOME=/home/dev XDG_RUNTIME_DIR="/run/user/$uid" "$@"; }
# What a login does by libpam-systemd, whose logind does not get along with every container.
mkdir -p /run/systemd/system/user@.service.d
printf '[Service]\nEnvironment=XDG_RUNTIME_DIR=/run/user/%%i\n' >/run/systemd/system/user@.service.d/runtime.conf
systemctl daemon-reload
systemctl start "user@$uid"
as_dev mkdir -p /home/dev/.config/systemd/user /home/dev/.config/postern/tunnels
as_dev cp /usr/share/doc/postern/examples/postern-tcp@.service /home/dev/.config/systemd/user/
SHARED_SECRET_FILE=/etc/postern/secrets/authorize/shared_secret postern --admin /root/postern-admin.pem \
    service-account create local/you@example.com --expires 1h | tail -n 1 >/root/account
as_dev tee /home/dev/.config/postern/account </root/account >/dev/null
as_dev tee /home/dev/.config/postern/tunnels/web1 >/dev/null <<'TUNNEL'
DEST=https://gateway.example.com/web1.example.com:22
FLAGS=--listen=127.0.0.1:2022 --service-account-file=/home/dev/.config/postern/account --disable-tls-verification
TUNNEL
as_dev systemctl --user enable --now postern-tcp@web1
tunnel() { as_dev systemctl --user show -p "$1" --value postern-tcp@web1; }
tunnel_says() { journalctl -q _SYSTEMD_USER_UNIT=postern-tcp@web1.service -o cat | grep -q "$1"; }
banner() { timeout 10 bash -c 'exec 3<>/dev/tcp/127.0.0.1/2022 && head -n 1 <&3' 2>/dev/null | grep -a '^SSH-2.0-OpenSSH'; }
wait_for 20 tunnel_says 'listening on 127.0.0.1:2022' || { journalctl -q -n 20; fail "no listener"; }
wait_for 20 banner || { journalctl -q _SYSTEMD_USER_UNIT=postern-tcp@web1.service -n 20; fail "no tunnel"; }
pid=$(tunnel MainPID)
kill -9 "$pid"
tunnel_is_back() { [ "$(tunnel ActiveState)" = active ] && [ "$(tunnel MainPID)" != "$pid" ]; }
wait_for 30 tunnel_is_back || fail "the tunnel's unit was not restarted"
wait_for 20 banner >/dev/null || fail "no tunnel after the restart"
echo "enabled: $(tunnel UnitFileState); killed, and started again: restarts $(tunnel NRestarts)"
# Words that are off are not tried again.
printf "%s\n" DEST= FLAGS=--no-such-flag | as_dev tee /home/dev/.config/postern/tunnels/bad >/dev/null
as_dev systemctl --user start postern-tcp@bad || :
bad() { as_dev systemctl --user show -p "$1" --value postern-tcp@bad; }
bad_has_failed() { [ "$(bad ActiveState)" = failed ]; }
wait_for 20 bad_has_failed || fail "a unit with bad words: $(bad ActiveState)"
[ "$(bad NRestarts) $(bad ExecMainStatus)" = "0 2" ] || fail "a unit with bad words: $(bad NRestarts) restarts, status $(bad ExecMainStatus)"

say "stop, with somebody connected"
gateway_ssh web1 'echo on; sleep 1000' >/tmp/live.out &
live=$!
wait_for 20 grep -q on /tmp/live.out || { cat /tmp/ssh.err; fail "no session"; }
mark
systemctl stop postern.target
status=0
wait "$live" || status=$?
[ $status != 0 ] || fail "the session did not end"
echo "the session ended with $status: $(grep -v '^$' /tmp/ssh.err | tail -n 1)"
grep -qi 'stop\|restart' /tmp/ssh.err || fail "nobody told why"
in_order() { [[ "$(order "$1")" = $2 ]]; }
wait_for 10 in_order Stopped 'proxy * databroker ' || fail "order: $(order Stopped)"
echo "stopped in this order: $(order Stopped)"
each Result | grep -v success && fail "not stopped cleanly"
each ExecMainStatus | grep -v ' 0$' && fail "not stopped cleanly"
! pgrep -l postern- || fail "processes are left"
[ -z "$(ls /run/credentials | grep postern)" ] || fail "credentials are left"

say "start again: what was known is known"
mark
systemctl start postern.target
wait_for 10 in_order Started 'databroker * proxy ' || fail "order: $(order Started)"
echo "started in this order: $(order Started)"
wait_for 20 postern health >/dev/null || fail "health"
log_in web1
[ "$(tunnel ActiveState) $(tunnel NRestarts)" = "active 1" ] || fail "the tunnel's unit ended with the gateway"
wait_for 40 banner || fail "no tunnel after the gateway's restart"

say "upgrade while it runs"
mkdir -p /tmp/new
for deb in /debs/*.deb; do
    name=$(dpkg-deb -f "$deb" Package) version=$(dpkg-deb -f "$deb" Version)
    dpkg-deb -R "$deb" "/tmp/new/$name"
    sed -i "s/$version/$version+1/" "/tmp/new/$name/DEBIAN/control"
    dpkg-deb --root-owner-group -b "/tmp/new/$name" "/tmp/new/$name.deb" >/dev/null
done
systemctl disable --now postern-authenticate 2>/dev/null
mark
before=$(each MainPID)
dpkg -i /tmp/new/*.deb >/tmp/dpkg.log 2>&1 || { cat /tmp/dpkg.log; fail "upgrade"; }
dpkg-query -W postern postern-server
for d in databroker authorize proxy; do
    is_active "$d" || fail "$d does not run after the upgrade"
    ! grep -qx "$d $(pid_of "$d")" <<<"$before" || fail "$d was not restarted"
done
is_active authenticate && fail "the upgrade started what was stopped and disabled"
wait_for 10 in_order Started 'databroker authorize proxy ' || fail "order: $(order Started)"
echo "restarted in this order: $(order Started); what was stopped and disabled stayed so"
grep -q 'ssh://web2' /etc/postern/postern.yaml || fail "the configuration was replaced"
systemctl enable --now postern-authenticate 2>/dev/null
wait_for 20 postern health >/dev/null || fail "health"
log_in web1

say "remove"
wait_for 40 banner || fail "no tunnel after the upgrade"
as_dev systemctl --user disable --now postern-tcp@web1
[ "$(tunnel ActiveState) $(tunnel Result)" = "inactive success" ] || fail "the tunnel's unit: $(tunnel ActiveState), $(tunnel Result)"
! pgrep -x postern || fail "the tunnel goes on"
apt-get remove -y -qq postern-server >/tmp/apt.log 2>&1 || { cat /tmp/apt.log; fail "remove"; }
! pgrep -l postern- || fail "processes are left"
[ -z "$(systemctl list-units --all --no-legend 'postern*' | grep -v not-found)" ] || fail "units are left"
for kept in /etc/postern/postern.yaml /etc/postern/secrets/authorize/user_ca /var/lib/postern-databroker/databroker.sqlite3; do
    [ -e "$kept" ] || fail "removed: $kept"
done
echo "no process, no unit; configuration, keys and records are kept"
dpkg -i /tmp/new/*.deb >/tmp/dpkg.log 2>&1 || { cat /tmp/dpkg.log; fail "installed again"; }
systemctl enable --now $units 2>/dev/null
wait_for 20 postern health >/dev/null || fail "health"
log_in web1
echo "installed again"

say "purge"
apt-get purge -y -qq postern-server postern >/tmp/apt.log 2>&1 || { cat /tmp/apt.log; fail "purge"; }
! pgrep -l postern- || fail "processes are left"
for gone in /etc/postern /var/lib/postern-databroker; do
    [ ! -e "$gone" ] || { find "$gone"; fail "$gone is left"; }
done
[ -z "$(find /etc/systemd /lib/systemd /usr/lib/systemd -name 'postern*')" ] || fail "units are left"
echo "nothing is left but the four users"
