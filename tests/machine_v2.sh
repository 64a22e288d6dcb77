# What the guest of machine_v2.py does, as its first process: it makes itself a root to write to, and runs the tests twice.
#
#     LAB_BOX=directory LAB_REPOSITORY=directory LAB_PYTHONS="directory …" LAB_CLOSED="directory …" sh machine_v2.sh command …
#
# The root is the host's files by hostfs, read only; over them lies the guest's disk. The second part runs in that root.
off() {
    # The Linux kernel must not outlive the script, whatever ended it.
    echo o >/proc/sysrq-trigger
    sleep 60
}
trap off EXIT
set -e

if [ -z "$LAB_INSIDE" ]; then
    mount -t proc proc /proc
    insmod "/usr/lib/uml/modules/$(uname -r)/kernel/fs/overlayfs/overlay.ko"
    mount -t tmpfs -o mode=755 tmpfs /run
    mkdir /run/disk /run/root
    mount -t ext4 -o noatime,nobarrier /dev/ubda /run/disk
    mkdir /run/disk/upper /run/disk/work
    mount -t overlay -o "lowerdir=/,upperdir=/run/disk/upper,workdir=/run/disk/work" root /run/root
    mount --move /dev /run/root/dev
    mount -t proc proc /run/root/proc
    mount -t tmpfs -o mode=755 tmpfs /run/root/run
    mkdir /run/root/run/lab /run/root/run/disk
    mount --move /run/disk /run/root/run/disk
    mount -t hostfs -o "$LAB_BOX" box /run/root/run/lab
    cd /run/root
    pivot_root . mnt
    LAB_INSIDE=yes exec chroot . sh "$LAB_REPOSITORY/tests/machine_v2.sh" "$@"
fi
unset LAB_INSIDE
umount -l /mnt
mount -t sysfs sysfs /sys
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir -p /dev/pts /dev/shm
mount -t devpts -o mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
ln -sfn /proc/self/fd /dev/fd # the shell's <(…)
hostname lab-v2
ip link set lo up
ln -sfn "/usr/lib/uml/modules/$(uname -r)" "/lib/modules/$(uname -r)"
ulimit -n 65536

# Where Python is in root's home, other users could not run it.
for closed in $LAB_CLOSED; do
    chmod a+x "$closed"
done
# Held, wherever they are: what is mounted next may hide them.
held=0
for python in $LAB_PYTHONS; do
    held=$((held + 1))
    mkdir -p /run/held/$held
    mount --bind "$python" /run/held/$held
done

# On an overlay no other overlay can have its upperdir, so what holds containers is on the disk itself. Not in a tmpfs:
# that has no user.* attributes before Linux 6.6, without which an overlay with userxattr has no opaque directories.
for place in /tmp /home /var/lib/labcontainer; do
    mkdir -p $place "/run/disk$place"
    mount --bind "/run/disk$place" $place
done
chmod 1777 /tmp

# The source is a copy: it may be edited meanwhile.
mkdir /run/disk/source
tar -xf /run/lab/source.tar --no-same-owner -C /run/disk/source
cp -r /run/lab/images /run/disk/images
chmod -R a+rX /run/disk
mkdir -p "$LAB_REPOSITORY"
mount --bind /run/disk/source "$LAB_REPOSITORY"
held=0
for python in $LAB_PYTHONS; do
    held=$((held + 1))
    if [ ! -e "$python/bin" ]; then
        mkdir -p "$python"
        mount --bind /run/held/$held "$python"
    fi
done
cd "$LAB_REPOSITORY"

export LAB_STARTER_IMAGES=/run/disk/images HOME=/root USER=root LOGNAME=root
unset LAB_BOX LAB_CLOSED LAB_PYTHONS LAB_REPOSITORY
as_root=0
"$@" || as_root=$?

# What is about cgroups once more, as an ordinary user to whom a part of the hierarchy was delegated.
top=/sys/fs/cgroup
for controller in $(cat $top/cgroup.controllers); do
    echo "+$controller" >$top/cgroup.subtree_control
done
echo lab:x:54321:54321::/home/lab:/bin/sh >>/etc/passwd
echo lab:x:54321: >>/etc/group
for ids in /etc/subuid /etc/subgid; do
    echo lab:543210000:65536 >>$ids
done
install -d -o 54321 -g 54321 /home/lab $top/lab
chown lab: $top/lab/cgroup.procs $top/lab/cgroup.threads $top/lab/cgroup.subtree_control
as_user=0
HOME=/home/lab USER=lab LOGNAME=lab sh -c 'echo $$ >/sys/fs/cgroup/lab/cgroup.procs && exec "$@"' sh \
    setpriv --reuid lab --regid lab --init-groups "$@" -m cgroups || as_user=$?
[ $as_user != 5 ] || as_user=0 # none of what was asked for is about cgroups

echo "$as_root $as_user" >/run/lab/verdict
