#!/bin/busybox sh
# /init of the virtual machine: makes an ordinary small system of it, runs the
# tests that /matrix/list names, and says on the console what happened. Lines
# that begin with @@matrix are for the program that started the machine.
/bin/busybox --install -s
export PATH=/bin:/sbin:/usr/bin:/usr/sbin HOME=/root TMPDIR=/tmp USER=root
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -t tmpfs tmpfs /run
mount -t bpf -o mode=755 bpf /sys/fs/bpf
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tracefs tracefs /sys/kernel/tracing
ln -s /proc/self/fd /dev/fd
ln -s /proc/self/fd/0 /dev/stdin
ln -s /proc/self/fd/1 /dev/stdout
ln -s /proc/self/fd/2 /dev/stderr
echo 1 > /proc/sys/kernel/printk
ip link set lo up
ulimit -n 1048576

echo "@@matrix booted $(uname -r)"
[ -e /sys/kernel/btf/vmlinux ] && echo "@@matrix fact btf yes" || echo "@@matrix fact btf no"
for module in $(cat /matrix/modules); do
	modprobe "$module" || echo "@@matrix fact missing-module $module"
done
[ -e /matrix/env ] && . /matrix/env

tab=$(printf '\t')
while IFS="$tab" read -r name file dir; do
	echo "@@matrix begin $name"
	cd "$dir" || cd /
	{
		"$file" $(cat /matrix/flags) </dev/null
		echo $? >/run/status
	} 2>&1 | cat
	echo
	echo "@@matrix end $name $(cat /run/status)"
done </matrix/list

dmesg | grep -E 'WARNING:|BUG:|Oops|general protection|soft lockup|rcu.*stall' |
	while read -r line; do echo "@@matrix complaint $line"; done
echo "@@matrix done"
poweroff -f
