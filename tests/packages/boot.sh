#!/bin/sh
# The first process of a test container: installs systemd and becomes it. Where the machine does not
# permit that, /no-systemd says why and the container only waits.
set -e
export DEBIAN_FRONTEND=noninteractive
# The image leaves manual pages out and starts no service; here both are what is looked at.
rm -f /etc/dpkg/dpkg.cfg.d/docker* /usr/sbin/policy-rc.d
apt-get update -qq
apt-get install -y -qq --no-install-recommends systemd dbus >/log 2>&1 || { cat /log; exit 1; }

# A version 2 control group of its own, whatever the host has mounted; systemd 257 has no other.
enter_group() {
    mkdir -p /run/groups
    mount -t cgroup2 groups /run/groups &&
        mkdir "/run/groups/postern-$HOSTNAME" &&
        echo $$ >"/run/groups/postern-$HOSTNAME/cgroup.procs" &&
        umount /run/groups
}
if ! why=$(enter_group 2>&1); then
    echo "no control group of version 2: $why" >/no-systemd
    exec sleep infinity
fi
# In a control group namespace the group is the root that systemd expects.
exec unshare -C sh -c '
    umount -R /sys/fs/cgroup 2>/dev/null || umount -l /sys/fs/cgroup || :
    # Credentials reach a service by a mount that has to propagate; in a container systemd leaves
    # that setting to the one who starts it.
    mount -t cgroup2 cgroup2 /sys/fs/cgroup && mount -t tmpfs -o mode=755 tmpfs /run && mount --make-rshared / ||
        { echo "mount is not permitted" >/no-systemd; exec sleep infinity; }
    exec /lib/systemd/systemd'
