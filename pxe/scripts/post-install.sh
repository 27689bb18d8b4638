#!/bin/sh
# post-install.sh - the last steps in a freshly installed system.
#
# Run by foundation-init.sh after the installer. The installed system's root is
# expected at $SLIPWAY_TARGET ($SLIPWAY_ROOT/target): the installer leaves it
# mounted there. This script lets the access keys in for CFG_ACCESS_USER, makes
# an ed25519 SSH host key if the system has none, and reports post_install with
# what is needed to recognise the machine when it is back:
#   ssh_host_key  "<type> <base64>", the key its SSH server will show
#   boot_id       the kernel's id of this boot; another one proves a restart
#   ssh_port      where its SSH server will listen
#   cvm_ssh_host_key  the key that the SSH server of its controller VM will show,
#                 if the installer left that in $SLIPWAY_CVM_KEY_FILE
#                 ($SLIPWAY_STATE/cvm_host_key.pub), a line as in an OpenSSH .pub file
#
# It refuses to run where $SLIPWAY_ROOT/etc/slipway-installer does not exist.
# Exit codes and environment: see foundation-init.sh and report.sh.

set -eu

SLIPWAY_ROOT=${SLIPWAY_ROOT:-}
if [ ! -e "$SLIPWAY_ROOT/etc/slipway-installer" ]; then
	echo "post-install.sh: $SLIPWAY_ROOT/etc/slipway-installer does not exist: this is no install environment, nothing was touched" >&2
	exit 8
fi
# shellcheck source=report.sh
. "${SLIPWAY_SCRIPT_DIR:-${0%/*}}/report.sh"
slipway_open_log
slipway_guard post-install.sh post_install
SLIPWAY_TARGET=${SLIPWAY_TARGET:-$SLIPWAY_ROOT/target}
umask 022 # directories of the installed system, /home for one, are for everybody

# inside PATH sets value to PATH without symbolic links and ends when that leads
# out of the installed system: an absolute link in it means its own root, which
# here would be ours.
inside() {
	value=$(cd "$1" && pwd -P)
	case $value/ in
	"$target"/*) ;;
	*) slipway_fail "$1 leads out of the installed system, to $value" ;;
	esac
}

# find_home sets home to the user's home directory in the installed system, and
# owner to its user and group ids when the system knows the user.
find_home() {
	owner=''
	home=''
	if [ -r "$target/etc/passwd" ]; then
		entry=$(awk -F: -v "user=$CFG_ACCESS_USER" '$1 == user { print $3 ":" $4 ":" $6; exit }' "$target/etc/passwd")
		home=${entry#*:*:}
		owner=${entry%"$home"}
		owner=${owner%:}
	fi
	if [ -z "$home" ]; then
		case $CFG_ACCESS_USER in
		root) home=/root ;;
		*) home=/home/$CFG_ACCESS_USER ;;
		esac
	fi
}

# own PATH gives a file to the user, where we may.
own() {
	if [ -n "$owner" ] && [ "$(id -u)" = 0 ]; then
		chown "$owner" "$1"
	fi
}

# install_keys adds each key that is not there yet.
install_keys() {
	find_home
	if [ ! -d "$target$home" ]; then
		mkdir -p "$target$home"
		own "$target$home"
	fi
	inside "$target$home"
	ssh_dir=$value/.ssh
	if [ -L "$ssh_dir" ] || [ -L "$ssh_dir/authorized_keys" ]; then
		slipway_fail "$ssh_dir is a symbolic link, or its authorized_keys is"
	fi
	mkdir -p "$ssh_dir"
	chmod 0700 "$ssh_dir"
	own "$ssh_dir"
	keys=$ssh_dir/authorized_keys
	if [ -f "$keys" ]; then
		cp "$keys" "$keys.slipway"
		if [ -n "$(tail -c 1 "$keys.slipway")" ]; then
			printf '\n' >>"$keys.slipway" # or ours would join the last line
		fi
	else
		: >"$keys.slipway"
	fi
	index=1
	while [ "$index" -le "${CFG_ACCESS_AUTHORIZED_KEYS_COUNT:-0}" ]; do
		key=''
		eval "key=\$CFG_ACCESS_AUTHORIZED_KEYS_$index"
		if ! grep -F -x -q -e "$key" "$keys.slipway"; then
			printf '%s\n' "$key" >>"$keys.slipway"
		fi
		index=$((index + 1))
	done
	chmod 0600 "$keys.slipway"
	own "$keys.slipway"
	mv -f "$keys.slipway" "$keys"
}

# find_host_key sets host_key, after making one if there is none.
find_host_key() {
	mkdir -p "$target/etc/ssh"
	inside "$target/etc/ssh"
	key_file=$value/ssh_host_ed25519_key
	if [ -L "$key_file" ] || [ -L "$key_file.pub" ]; then
		slipway_fail "$key_file is a symbolic link"
	fi
	if [ ! -s "$key_file" ]; then
		rm -f "$key_file" "$key_file.pub"
		ssh-keygen -q -t ed25519 -N '' -C "$CFG_NODE_CONFIG_NODE_NAME" -f "$key_file"
	fi
	chmod 0600 "$key_file"
	# The private key is what the server will use, so the public one is taken from it.
	host_key=$(ssh-keygen -y -P '' -f "$key_file" </dev/null)
	host_key=$(printf '%s\n' "$host_key" | awk '{ print $1 " " $2; exit }')
	printf '%s %s\n' "$host_key" "$CFG_NODE_CONFIG_NODE_NAME" >"$key_file.pub"
	chmod 0644 "$key_file.pub"
}

# find_cvm_key sets cvm_key to the controller VM's host key, if the installer
# left one. What is no public key would lock Slipway out of the controller VM
# much later and say less.
find_cvm_key() {
	cvm_file=${SLIPWAY_CVM_KEY_FILE:-$SLIPWAY_STATE/cvm_host_key.pub}
	cvm_key=''
	if [ ! -e "$cvm_file" ]; then
		return 0
	fi
	cvm_key=$(awk '{ sub(/\r$/, "") } NF { if ($1 ~ /^(ssh|ecdsa)-[A-Za-z0-9.@-]+$/ && $2 ~ /^AAAA[A-Za-z0-9+\/]+=*$/) print $1 " " $2; exit }' "$cvm_file")
	if [ -z "$cvm_key" ]; then
		slipway_fail "the installer left no public key in $cvm_file: its first line must be \"<type> <base64>\""
	fi
}

slipway_tell post_install in_progress "preparing the installed system"
if [ ! -d "$SLIPWAY_TARGET" ]; then
	slipway_fail "the installed system is not at $SLIPWAY_TARGET"
fi
target=$(cd "$SLIPWAY_TARGET" && pwd -P)
install_keys
find_host_key
find_cvm_key
boot_id=''
IFS= read -r boot_id <"$SLIPWAY_ROOT/proc/sys/kernel/random/boot_id" || [ -n "$boot_id" ]
details="\"ssh_host_key\":$(slipway_json "$host_key"),\"boot_id\":$(slipway_json "$boot_id"),\"ssh_port\":$CFG_ACCESS_SSH_PORT"
if [ -n "$cvm_key" ]; then
	details="$details,\"cvm_ssh_host_key\":$(slipway_json "$cvm_key")"
fi
told=0
slipway_report post_install success "access for $CFG_ACCESS_USER is ready on port $CFG_ACCESS_SSH_PORT" --final --details "{$details}" || told=$?
slipway_check "$told"
if [ "$told" -ne 0 ]; then
	# Without this report the deployment cannot go on, and a restart would lose it.
	slipway_log "the machine is installed, but the server does not know it"
	slipway_told=1
	exit 7
fi
