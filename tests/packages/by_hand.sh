#!/bin/bash
# In a container without systemd as process 1, after installed.sh: starts the daemons as the units
# would, doing by hand what LoadCredential, StateDirectory and User do.
. /packages/lib.sh

say "start of the four as their own users, by hand"
for d in $services; do
    dir=/run/credentials/postern-$d.service
    install -d -m 500 -o "postern-$d" "$dir"
    for file in /etc/postern/secrets/"$d"/*; do
        install -m 400 -o "postern-$d" "$file" "$dir/secret_$(basename "$file")"
    done
done
install -d -m 700 -o postern-databroker /var/lib/postern-databroker
for d in $services; do
    caps=-all
    [ "$d" != proxy ] || caps=+net_bind_service
    as=(setpriv --reuid "postern-$d" --regid "postern-$d" --clear-groups --inh-caps "$caps" --ambient-caps "$caps" --no-new-privs)
    "${as[@]}" "/usr/sbin/postern-$d" --check || fail "$d: check"
    "${as[@]}" "/usr/sbin/postern-$d" >"/tmp/$d.log" 2>&1 &
done
wait_for 30 postern health >/tmp/health 2>&1 || { cat /tmp/health; tail -n 5 /tmp/*.log; fail "health"; }
cat /tmp/health
ps -C postern-proxy,postern-authorize,postern-authenticate,postern-databroker -o user:20,comm
pids=$(jobs -p)
kill $pids
for pid in $pids; do
    wait "$pid" || fail "exit status $?"
done
echo "all ended with status 0"
