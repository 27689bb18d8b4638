# shellcheck shell=sh
# What the first program of a system needs before anything else; sourced.

# mount_kernel mounts the file systems that the kernel makes.
mount_kernel() {
	mount -t proc -o nosuid,nodev,noexec proc /proc
	mount -t sysfs -o nosuid,nodev,noexec sysfs /sys
	mount -t devtmpfs -o nosuid,mode=0755 devtmpfs /dev
	mkdir -p /dev/pts /dev/shm
	mount -t devpts -o nosuid,noexec,gid=5,mode=0620 devpts /dev/pts
	mount -t tmpfs -o nosuid,nodev tmpfs /dev/shm
	mount -t tmpfs -o nosuid,nodev,mode=0755 tmpfs /run
	ln -s /proc/self/fd /dev/fd
}

# load_drivers loads what fits the devices, more than once: a controller that has
# a driver shows what is behind it.
load_drivers() {
	for round in 1 2 3; do
		find /sys/devices -name modalias -exec cat {} + | sort -u >/run/modalias
		if cmp -s /run/modalias /run/modalias.seen; then
			break
		fi
		xargs -r modprobe -a -q </run/modalias
		cp /run/modalias /run/modalias.seen
		# What is behind a controller shows up a little after its driver.
		sleep "0.$round"
	done
	modprobe -a -q sd_mod crc32c_generic ext4 vfat nls_cp437 nls_ascii loop 8021q
	# Not all disk controllers answer at once.
	tries=0
	until ls -d /sys/block/*/device >/dev/null 2>&1 || [ "$tries" -ge 20 ]; do
		tries=$((tries + 1))
		sleep 0.5
	done
}
