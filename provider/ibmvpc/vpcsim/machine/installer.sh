#!/bin/sh
# A stand-in for a hypervisor's installer: small, but nothing in it is pretended.
# It writes the hypervisor's image on the boot disk and the image of the
# controller VM on the first data disk (on the boot disk, behind the hypervisor,
# when there is none), reads both back and compares, and lays out the installed
# system's root directory.
#
# Arguments: [--hypervisor FILE] [--cvm FILE]   names in SLIPWAY_ARTIFACT_DIR
# Environment: what foundation-init.sh gives to installers.

set -eu

steps=@STEPS@ # parts in which an image is written
pause=@PAUSE@ # seconds after each part
block=4096
behind=16384 # blocks on the boot disk that are the hypervisor's

fail() {
	echo "installer.sh: $*" >&2
	if [ -n "${SLIPWAY_ERROR_FILE:-}" ]; then
		printf '%s\n' "$*" >"$SLIPWAY_ERROR_FILE"
	fi
	exit 1
}

# tell PERCENT TEXT shows progress, also to the server; nobody waits for that.
tell() {
	echo "installer.sh: $1 % $2"
	if [ -r "${SLIPWAY_REPORT:-}" ]; then
		SLIPWAY_PATIENCE=0 sh "$SLIPWAY_REPORT" installation in_progress "$2" --progress "$1" || :
	fi
}

# usable DISK is true for something that can be written like a disk.
usable() {
	[ -b "$1" ] || [ -f "$1" ]
}

# write IMAGE DISK SEEK FROM TO writes and verifies an image, SEEK blocks into
# the disk; progress goes from FROM to TO percent.
write() {
	image=$SLIPWAY_ARTIFACT_DIR/$1 disk=$2 seek=$3 from=$4 to=$5
	bytes=$(wc -c <"$image")
	blocks=$(((bytes + block - 1) / block))
	part=$(((blocks + steps - 1) / steps))
	done=1 # the first block is what makes a disk bootable, so it goes last
	while [ "$done" -lt "$blocks" ]; do
		dd if="$image" of="$disk" bs="$block" skip="$done" seek="$((seek + done))" count="$part" conv=notrunc 2>/dev/null ||
			fail "cannot write $1 on $disk"
		done=$((done + part))
		if [ "$done" -gt "$blocks" ]; then
			done=$blocks
		fi
		tell "$((from + (to - from) * done / blocks))" "writing $1 on ${disk##*/}"
		sleep "$pause"
	done
	dd if="$image" of="$disk" bs="$block" seek="$seek" count=1 conv=notrunc 2>/dev/null || fail "cannot write $1 on $disk"
	want=$(sha256sum <"$image")
	have=$(dd if="$disk" bs="$block" skip="$seek" count="$blocks" 2>/dev/null | head -c "$bytes" | sha256sum)
	if [ "$want" != "$have" ]; then
		fail "$1 is not what $disk gives back (sha256 ${have%% *}, expected ${want%% *})"
	fi
}

# mount_system mounts the installed system's root, which is the image's second
# partition. An image without partitions has none.
mount_system() {
	blockdev --rereadpt "$SLIPWAY_BOOT_DISK" || return 1
	tries=0
	until [ "$tries" -ge 20 ]; do
		for partition in "$SLIPWAY_BOOT_DISK"2 "$SLIPWAY_BOOT_DISK"p2; do
			if [ -b "$partition" ]; then
				mkdir -p "$target"
				mount "$partition" "$target" || fail "$partition cannot be mounted"
				return 0
			fi
		done
		tries=$((tries + 1))
		sleep 0.25
	done
	fail "the kernel shows no second partition on $SLIPWAY_BOOT_DISK"
}

# lay_out makes the installed system's root, where no image has one to mount.
lay_out() {
	rm -rf "$target"
	mkdir -p "$target/etc/ssh" "$target/root" "$target/home" "$target/var/log" "$target/boot" "$target/tmp"
	printf '%s\n' "${CFG_NODE_CONFIG_NODE_NAME:-localhost}" >"$target/etc/hostname"
	printf 'NAME="Slipway stand-in hypervisor"\nID=slipway-standin\n' >"$target/etc/os-release"
	printf 'root:x:0:0:root:/root:/bin/sh\n' >"$target/etc/passwd"
	user=${CFG_ACCESS_USER:-root}
	if [ "$user" != root ]; then
		printf '%s:x:1000:1000::/home/%s:/bin/sh\n' "$user" "$user" >>"$target/etc/passwd"
		mkdir -p "$target/home/$user"
	fi
	printf 'Port %s\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n' "${CFG_ACCESS_SSH_PORT:-22}" \
		>"$target/etc/ssh/sshd_config"
}

# lay_out_cvm makes the controller VM's own root, inside the installed system's,
# when the node has an address for one: who may log in as nutanix, and a host
# key, whose public half is left for post-install.sh to report.
lay_out_cvm() {
	cvm_root=$target/var/lib/cvm
	mkdir -p "$cvm_root/etc/ssh" "$cvm_root/home/nutanix/.ssh"
	printf '%s\n' "$CFG_NODE_CONFIG_CVM_IP" >"$cvm_root/etc/address"
	index=1
	while [ "$index" -le "${CFG_ACCESS_AUTHORIZED_KEYS_COUNT:-0}" ]; do
		eval "printf '%s\n' \"\$CFG_ACCESS_AUTHORIZED_KEYS_$index\"" >>"$cvm_root/home/nutanix/.ssh/authorized_keys2"
		index=$((index + 1))
	done
	ssh-keygen -q -t ed25519 -N '' -C "${CFG_NODE_CONFIG_NODE_NAME:-localhost}-cvm" -f "$cvm_root/etc/ssh/ssh_host_ed25519_key" ||
		fail "no host key for the controller VM"
	cut -d ' ' -f 1,2 "$cvm_root/etc/ssh/ssh_host_ed25519_key.pub" >"$SLIPWAY_CVM_KEY_FILE"
}

hypervisor=hypervisor.img
cvm=cvm.img
while [ $# -gt 0 ]; do
	case $1 in
	--hypervisor) hypervisor=${2:-} ;;
	--cvm) cvm=${2:-} ;;
	*) fail "unknown argument $1" ;;
	esac
	[ $# -ge 2 ] || fail "$1 needs a file name"
	shift 2
done
SLIPWAY_ROOT=${SLIPWAY_ROOT:-}
[ -e "$SLIPWAY_ROOT/etc/slipway-installer" ] || fail "this is no install environment, nothing was touched"
[ -n "${SLIPWAY_BOOT_DISK:-}" ] || fail "no boot disk was chosen"
usable "$SLIPWAY_BOOT_DISK" || fail "the boot disk $SLIPWAY_BOOT_DISK is missing"
for file in "$hypervisor" "$cvm"; do
	[ -s "${SLIPWAY_ARTIFACT_DIR:-}/$file" ] || fail "the image $file is missing"
done

# The hypervisor goes last: a machine that is cut off before the end boots from
# the network again.
data=${SLIPWAY_DATA_DISKS:-}
data=${data%% *}
if [ -n "$data" ]; then
	usable "$data" || fail "the data disk $data is missing"
	write "$cvm" "$data" 0 0 45
else
	write "$cvm" "$SLIPWAY_BOOT_DISK" "$behind" 0 45
fi
target=${SLIPWAY_TARGET:-$SLIPWAY_ROOT/target}
if [ ! -b "$SLIPWAY_BOOT_DISK" ]; then
	lay_out
	if [ -n "${CFG_NODE_CONFIG_CVM_IP:-}" ] && [ -n "${SLIPWAY_CVM_KEY_FILE:-}" ]; then
		lay_out_cvm
	fi
fi
write "$hypervisor" "$SLIPWAY_BOOT_DISK" 0 45 95
sync
if [ -b "$SLIPWAY_BOOT_DISK" ]; then
	mount_system || fail "$SLIPWAY_BOOT_DISK is in use"
	printf '%s\n' "${CFG_NODE_CONFIG_NODE_NAME:-localhost}" >"$target/etc/hostname"
fi
tell 100 "installed on ${SLIPWAY_BOOT_DISK##*/}"
