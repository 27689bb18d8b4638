#!/usr/bin/env bash
# Installs what `make demo` or `make test` needs and this machine lacks.
#
# usage: scripts/setup.sh demo|test
#
# What is missing is found by its commands, so that it does not matter how they
# came here. Only Debian's package manager is used, once, and only if something
# is missing; no service is started. Without the right to install, it says what
# to install and ends with 1.
set -euo pipefail
cd "$(dirname "$0")/.."

goal=${1:-}
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

packages=()
missing=()

# need COMMAND PACKAGE...: the packages give the command.
need() {
	local command=$1
	shift
	if ! command -v "$command" >/dev/null; then
		missing+=("$command")
		packages+=("$@")
	fi
}

# at_least NAME WANTED FOUND: compares version numbers.
at_least() {
	if [ "$(printf '%s\n%s\n' "$2" "$3" | sort -V | head -n 1)" != "$2" ]; then
		echo "setup: $1 $2 or later is needed, this is $3" >&2
		exit 1
	fi
}

# toolchain NAME HINT: what this script does not install.
toolchain() {
	if ! command -v "$1" >/dev/null; then
		echo "setup: $1 is needed: $2" >&2
		exit 1
	fi
}

case $goal in
demo | test) ;;
*)
	echo "usage: scripts/setup.sh demo|test" >&2
	exit 2
	;;
esac

toolchain go "install Go 1.26 from https://go.dev/dl/"
toolchain node "install Node 20.19 or later"
toolchain npm "it comes with Node"
at_least Go 1.26 "$(go env GOVERSION | sed 's/^go//')"
at_least Node 20.19 "$(node --version | sed 's/^v//')"

# The simulated machines run the served scripts with these.
need curl curl ca-certificates
need ssh-keygen openssh-client
need setpriv util-linux
need unshare util-linux
need mount mount
need ps procps

if [ "$goal" = test ]; then
	need git git
	need gcc gcc libc6-dev # the race detector
	need dash dash
	need busybox busybox-static
	need shellcheck shellcheck
	need ip iproute2
	need chromium chromium fonts-dejavu-core
	need nginx nginx-light # the event stream is read through it; the yardstick of HTTP
	need sshd openssh-server # plays the hosts that the deployment script restarts
	# Network boot: another's DHCP server, another's client, the yardsticks of TFTP.
	need dnsmasq dnsmasq-base
	need tftp tftp-hpa
	need in.tftpd tftpd-hpa
	if [ ! -e /usr/lib/ipxe/undionly.kpxe ]; then
		missing+=("ipxe's boot programs")
		packages+=(ipxe)
	fi
	# The install environment is built from these, and virtual machines boot it.
	need cpio cpio
	need zstd zstd
	need depmod kmod
	need mke2fs e2fsprogs
	need mcopy mtools
	need syslinux syslinux syslinux-common syslinux-efi
	need qemu-system-x86_64 qemu-system-x86 seabios ipxe-qemu ipxe
	need dnsmasq dnsmasq-base
	if [ ! -e /usr/share/OVMF/OVMF_CODE.fd ]; then
		missing+=(OVMF)
		packages+=(ovmf)
	fi
	if ! compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null && [ -z "${PGBIN:-}" ]; then
		missing+=(postgres)
		packages+=(postgresql-15)
	fi
fi

if [ ${#missing[@]} -eq 0 ]; then
	exit 0
fi
mapfile -t packages < <(printf '%s\n' "${packages[@]}" | sort -u)
echo "setup: missing: ${missing[*]}"

if ! command -v apt-get >/dev/null; then
	echo "setup: there is no apt-get here; install them yourself (Debian calls them: ${packages[*]})" >&2
	exit 1
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
	if ! command -v sudo >/dev/null || { ! sudo -n true 2>/dev/null && [ ! -t 0 ]; }; then
		echo "setup: please run as root: apt-get install --no-install-recommends ${packages[*]}" >&2
		exit 1
	fi
	as_root=(sudo)
fi
echo "setup: installing with apt-get: ${packages[*]}"

# Installing a server must not start it: Debian asks this file first.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	trap '"${as_root[@]}" rm -f "$policy"' EXIT
	printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
	"${as_root[@]}" chmod 755 "$policy"
fi
apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0)
"${apt[@]}" update
"${apt[@]}" install -y --no-install-recommends "${packages[@]}" >/dev/null
echo "setup: installed"
