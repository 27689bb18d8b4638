#!/usr/bin/env bash
# Builds the install environment: the kernel and the initial ramdisk that machines
# are booted with to be installed.
#
# usage: installer/build.sh [DIRECTORY]      (.cache/installer)
#
# It makes, in the directory:
#   vmlinuz     Debian's kernel, unchanged
#   initrd.img  busybox, curl, ssh-keygen, dropbear, the kernel's modules of the
#               network cards and disk controllers below, and installer/root
#   manifest    what went in, by package and version; its sum is the version
#
# The kernel and dropbear are downloaded as Debian packages and only unpacked;
# the rest is what scripts/setup.sh has installed. No root is needed. The same
# packages give the same bytes. When nothing has changed, nothing is built.
#
# Environment
#   KERNEL_PACKAGE          linux-image-… (default: what linux-image-amd64 depends on)
#   SLIPWAY_INSTALLER_KEYS  file of public keys that may log in to the install
#                           environment as root (default: none, no SSH server runs)
set -euo pipefail
umask 022
export LC_ALL=C TZ=UTC SOURCE_DATE_EPOCH=1704067200
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/../.cache/installer}
mkdir -p "$out/packages"
out=$(cd "$out" && pwd)

# Network cards, disk controllers and file systems, by module; what they need
# comes along.
modules=(
	virtio_pci virtio_net virtio_blk virtio_scsi
	e1000 e1000e igb igc ixgbe i40e ice tg3 bnxt_en mlx5_core r8169
	nvme vmd ahci ata_piix sd_mod megaraid_sas mpt3sas virtio_rng
	8021q bonding crc32c_generic crc32c_intel ext4 vfat nls_cp437 nls_ascii nls_iso8859_1 loop xfs
)
# Not in every kernel of Debian: ionic is missing in that of Debian 12.
if_there=(ionic)
programs=(busybox curl ssh-keygen)

die() {
	echo "installer: $*" >&2
	exit 1
}

for command in apt-get apt-cache dpkg dpkg-deb dpkg-query busybox curl ssh-keygen cpio zstd depmod modprobe ldd sha256sum; do
	command -v "$command" >/dev/null || die "$command is missing: scripts/setup.sh test installs it"
done
[ "$(dpkg --print-architecture)" = amd64 ] || die "only amd64 is built; this is $(dpkg --print-architecture)"

# download PACKAGE sets deb to its file, downloaded unless it is here.
download() {
	local version
	version=$(apt-cache policy "$1" | sed -n 's/^  Candidate: //p')
	if [ -z "$version" ] || [ "$version" = "(none)" ]; then
		die "apt-get does not know $1: run apt-get update"
	fi
	deb=$out/packages/$1_${version//:/%3a}_amd64.deb
	if [ ! -s "$deb" ]; then
		echo "installer: downloading $1 $version"
		(cd "$out/packages" && apt-get -qq -o APT::Sandbox::User="$(id -un)" download "$1=$version") || die "$1 $version could not be downloaded: run apt-get update"
	fi
	[ -s "$deb" ] || die "apt-get left no $deb"
}

# manifest says what goes in.
manifest() {
	local deb path
	for deb in "${debs[@]}"; do
		# shellcheck disable=SC2016 # dpkg's variables
		dpkg-deb -W --showformat '${Package} ${Version}\n' "$deb"
	done
	for path in "${files[@]}"; do
		printf '%s %s\n' "$path" "$(sha256sum <"$path" | cut -d' ' -f1)"
	done
	(cd "$here" && find build.sh root -type f -exec sha256sum {} + | sort -k 2)
	if [ -n "${SLIPWAY_INSTALLER_KEYS:-}" ]; then
		sha256sum <"$SLIPWAY_INSTALLER_KEYS"
	fi
}

kernel_package=${KERNEL_PACKAGE:-$(apt-cache depends linux-image-amd64 | sed -n 's/^  Depends: \(linux-image-.*\)/\1/p' | head -n 1)}
[ -n "$kernel_package" ] || die "apt-get does not know linux-image-amd64: run apt-get update"
debs=()
for package in "$kernel_package" dropbear-bin libtomcrypt1 libtommath1; do
	download "$package"
	debs+=("$deb")
done

# The programs of this machine and the libraries that they load.
files=()
for program in "${programs[@]}"; do
	files+=("$(readlink -f "$(command -v "$program")")")
done
ldd "${files[0]}" >/dev/null 2>&1 && die "${files[0]} is not static: install busybox-static"
mapfile -t libraries < <(ldd "${files[@]:1}" | sed -n -e 's/.*=> \(\/[^ ]*\) .*/\1/p' -e 's/^\t\(\/lib[^ ]*ld-[^ ]*\) .*/\1/p' | sort -u)
files+=("${libraries[@]}")

text=$(manifest)
sum=$(sha256sum <<<"$text")
version=${kernel_package#linux-image-}-${sum:0:12}
if [ -s "$out/initrd.img" ] && [ -s "$out/vmlinuz" ] && [ "$(sed -n 's/^version //p' "$out/manifest" 2>/dev/null)" = "$version" ]; then
	echo "installer: $version is up to date in $out"
	exit 0
fi

work=$(mktemp -d "$out/build.XXXXXX")
trap 'rm -rf "$work"' EXIT
unpacked=$work/packages root=$work/root
mkdir -p "$unpacked" "$root"
for deb in "${debs[@]}"; do
	dpkg -x "$deb" "$unpacked"
done
release=${kernel_package#linux-image-}
[ -f "$unpacked/boot/vmlinuz-$release" ] || die "$kernel_package has no boot/vmlinuz-$release"

mkdir -p "$root"/{bin,sbin,dev,proc,sys,run,tmp,target,root,etc/ssl/certs,var/lib,var/log,usr/bin,usr/sbin,lib64,"lib/modules/$release"}
chmod 0700 "$root/root"
chmod 1777 "$root/tmp"

# copy FILE [PATH] puts a file where it was, or at the path.
copy() {
	local to=$root${2:-$1}
	mkdir -p "${to%/*}"
	cp -L "$1" "$to"
}
copy "${files[0]}" /bin/busybox
while read -r applet; do
	[ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
done < <(busybox --list)
ln -s ../bin/busybox "$root/sbin/modprobe" # where the kernel looks for it
copy "${files[1]}" /usr/bin/curl
copy "${files[2]}" /usr/bin/ssh-keygen
for library in "${libraries[@]}"; do
	copy "$library"
done
# What libc loads by itself for names and users.
for library in libnss_files.so.2 libnss_dns.so.2 libresolv.so.2; do
	found=$(ldconfig -p | sed -n "s/.*$library (libc6,x86-64) => //p" | head -n 1)
	if [ -n "$found" ]; then
		copy "$found"
	fi
done
for program in usr/sbin/dropbear usr/bin/dropbearkey usr/bin/dropbearconvert; do
	copy "$unpacked/$program" "/$program"
done
for library in "$unpacked"/usr/lib/x86_64-linux-gnu/lib{tomcrypt,tommath}.so.?; do # by the name that is loaded
	copy "$library" "/usr/lib/x86_64-linux-gnu/${library##*/}"
done
while read -r library; do
	[ -e "$root$library" ] || copy "$library"
done < <(LD_LIBRARY_PATH=$unpacked/usr/lib/x86_64-linux-gnu ldd "$unpacked/usr/sbin/dropbear" "$unpacked/usr/bin/dropbearconvert" |
	sed -n 's/.*=> \(\/[^ ]*\) .*/\1/p' | grep -v "^$unpacked" | sort -u)
copy /etc/ssl/certs/ca-certificates.crt

# The modules, without what a debugger would want.
depmod -b "$unpacked" "$release"
for module in "${if_there[@]}"; do
	if modprobe -d "$unpacked" -S "$release" --show-depends "$module" >/dev/null 2>&1; then
		modules+=("$module")
	else
		echo "installer: $kernel_package has no driver $module; machines that need it take another KERNEL_PACKAGE"
	fi
done
for module in "${modules[@]}"; do
	modprobe -d "$unpacked" -S "$release" --show-depends "$module" || die "$kernel_package has no module $module"
done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | sort -u >"$work/modules"
while read -r module; do
	copy "$module" "${module#"$unpacked"}"
	if command -v strip >/dev/null; then
		strip --strip-debug "$root${module#"$unpacked"}"
	fi
done <"$work/modules"
cp "$unpacked/lib/modules/$release"/modules.{order,builtin,builtin.modinfo} "$root/lib/modules/$release/"
depmod -b "$root" "$release"
rm -f "$root/lib/modules/$release"/modules.*.bin "$root/lib/modules/$release"/modules.{order,builtin,builtin.modinfo}

cp -R "$here/root/." "$root/"
chmod 0755 "$root/init" "$root/etc/slipway/lease.sh"
printf '%s\n' "$version" >"$root/etc/slipway-installer"
if [ -n "${SLIPWAY_INSTALLER_KEYS:-}" ]; then
	install -D -m 0600 "$SLIPWAY_INSTALLER_KEYS" "$root/root/.ssh/authorized_keys"
	chmod 0700 "$root/root/.ssh"
fi

find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
(cd "$root" && find . -print0 | sort -z | cpio --quiet --null -o -H newc --reproducible -R 0:0) |
	zstd -q -19 --single-thread >"$work/initrd.img" # a fifth smaller than gzip's, and sooner unpacked; Debian's kernels know it
mv -f "$work/initrd.img" "$out/initrd.img"
install -m 0644 "$unpacked/boot/vmlinuz-$release" "$out/vmlinuz"
printf 'version %s\n%s\n' "$version" "$text" >"$out/manifest"
echo "installer: $version: kernel $(wc -c <"$out/vmlinuz") bytes, initrd $(wc -c <"$out/initrd.img") bytes, $(wc -l <"$work/modules") modules, in $out"
