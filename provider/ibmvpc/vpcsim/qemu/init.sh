#!/bin/sh
# The first program of the system that virtual machines boot from their disk,
# after the bootloader there: the install environment's kernel and programs with
# the disk's second partition as the system's own. It has the host key and the
# access keys that the installation left there, and an SSH server.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=linux LC_ALL=C
# shellcheck source=installer/root/etc/slipway/devices.sh
. /etc/slipway/devices.sh
rm -f /etc/slipway-installer
mount_kernel
exec </dev/console >/dev/console 2>&1
echo 4 >/proc/sys/kernel/printk
load_drivers
mkdir -p /target /etc/dropbear
tries=0
until mount -t ext4 "$(findfs LABEL=slipway-system)" /target; do
	tries=$((tries + 1))
	if [ "$tries" -ge 20 ]; then
		echo "system: there is no file system slipway-system"
		sleep 60
		reboot -f
	fi
	sleep 0.5
done
hostname "$(cat /target/etc/hostname)"
ip link set dev lo up
for link in /sys/class/net/*; do
	if [ -e "$link/device" ]; then
		ip link set dev "${link##*/}" up
		udhcpc -b -t 5 -T 2 -i "${link##*/}" -s /etc/slipway/lease.sh
	fi
done
dropbearconvert openssh dropbear /target/etc/ssh/ssh_host_ed25519_key /etc/dropbear/host_key
mkdir -p /root/.ssh
cp /target/root/.ssh/authorized_keys /root/.ssh/
chmod -R go= /root
echo "system: $(hostname) is up"
while :; do
	dropbear -F -E -s -r /etc/dropbear/host_key -p "@PORT@"
	sleep 1
done
