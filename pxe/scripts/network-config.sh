#!/bin/sh
# network-config.sh - sets up the network of the install environment.
#
# Run by foundation-init.sh, or by hand with the same environment. It gives the
# management interface its address, brings up VLANs, sets the default route and
# writes $SLIPWAY_ROOT/etc/resolv.conf, all from the CFG_NETWORK_ variables. It
# only adds and replaces, so it can be run again, also under a connection that
# uses the address it sets. `ip` is the file of that name in PATH (iproute2 or
# busybox).
#
# The interface is the one with the MAC address CFG_NETWORK_MAC; without it, the
# one that holds the address already; else the only one with hardware behind it.
#
# It refuses to run where $SLIPWAY_ROOT/etc/slipway-installer does not exist.
# Exit codes and environment: see foundation-init.sh and report.sh.

set -eu

SLIPWAY_ROOT=${SLIPWAY_ROOT:-}
if [ ! -e "$SLIPWAY_ROOT/etc/slipway-installer" ]; then
	echo "network-config.sh: $SLIPWAY_ROOT/etc/slipway-installer does not exist: this is no install environment, nothing was touched" >&2
	exit 8
fi
# shellcheck source=report.sh
. "${SLIPWAY_SCRIPT_DIR:-${0%/*}}/report.sh"
slipway_open_log
slipway_guard network-config.sh network_config

# find_ip sets ip to the first file of that name in PATH. A busybox shell that
# was built to prefer its own applets would not look there.
find_ip() {
	path_rest=$PATH:
	while [ -n "$path_rest" ]; do
		ip=${path_rest%%:*}/ip
		path_rest=${path_rest#*:}
		if [ -f "$ip" ] && [ -x "$ip" ]; then
			return 0
		fi
	done
	slipway_fail "there is no ip in $PATH"
}

# prefix_length MASK sets value to the number of leading ones of a dotted mask;
# a prefix length is taken as it is.
prefix_length() {
	case $1 in
	'' | *[!0-9.]*) slipway_fail "\"$1\" is no netmask" ;;
	*.*) ;;
	*)
		value=$1
		return 0
		;;
	esac
	value=0
	mask_rest=$1.
	mask_open=1
	while [ -n "$mask_rest" ]; do
		octet=${mask_rest%%.*}
		mask_rest=${mask_rest#*.}
		case $octet in
		255) bits=8 ;;
		254) bits=7 ;;
		252) bits=6 ;;
		248) bits=5 ;;
		240) bits=4 ;;
		224) bits=3 ;;
		192) bits=2 ;;
		128) bits=1 ;;
		0) bits=0 ;;
		*) slipway_fail "\"$1\" is no netmask" ;;
		esac
		if [ "$mask_open" = 0 ] && [ "$bits" != 0 ]; then
			slipway_fail "\"$1\" is no netmask: its ones are not together"
		fi
		if [ "$bits" != 8 ]; then
			mask_open=0
		fi
		value=$((value + bits))
	done
}

# find_interface sets interface, or ends with an explanation.
find_interface() {
	interface=''
	if [ -n "${CFG_NETWORK_MAC:-}" ]; then
		wanted=$(printf '%s' "$CFG_NETWORK_MAC" | tr '[:upper:]' '[:lower:]')
		for dir in "$SLIPWAY_ROOT"/sys/class/net/*; do
			if [ ! -e "$dir/device" ] || [ "$(cat "$dir/address")" != "$wanted" ]; then
				continue
			fi
			if [ -n "$interface" ]; then
				slipway_fail "two interfaces have the MAC address $wanted: $interface and ${dir##*/}"
			fi
			interface=${dir##*/}
		done
		if [ -z "$interface" ]; then
			slipway_fail "no interface has the MAC address $wanted"
		fi
		return 0
	fi
	interface=$("$ip" -o -4 addr show | awk -v "want=$CFG_NETWORK_ADDRESS" '{ split($4, a, "/"); if (a[1] == want) { print $2; exit } }')
	interface=${interface%%@*}
	if [ -n "$interface" ]; then
		return 0
	fi
	candidates=''
	for dir in "$SLIPWAY_ROOT"/sys/class/net/*; do
		if [ -e "$dir/device" ]; then
			candidates="$candidates${candidates:+ }${dir##*/}"
		fi
	done
	case $candidates in
	'') slipway_fail "this machine has no network interface with hardware behind it" ;;
	*' '*) slipway_fail "no interface holds $CFG_NETWORK_ADDRESS and the configuration has no MAC address; which one of: $candidates?" ;;
	esac
	interface=$candidates
}

# configure_vlan INDEX makes the VLAN's interface, unless it is there, and gives
# it its address, if it has one.
configure_vlan() {
	vlan_id='' vlan_address='' vlan_mask=''
	eval "vlan_id=\$CFG_NETWORK_VLANS_$1_ID"
	eval "vlan_address=\${CFG_NETWORK_VLANS_$1_ADDRESS:-}"
	eval "vlan_mask=\${CFG_NETWORK_VLANS_$1_NETMASK:-}"
	vlan=$interface.$vlan_id
	if ! "$ip" link show dev "$vlan" >/dev/null 2>&1; then
		"$ip" link add link "$interface" name "$vlan" type vlan id "$vlan_id"
	fi
	"$ip" link set dev "$vlan" up
	if [ -n "$vlan_address" ]; then
		prefix_length "$vlan_mask"
		replace_address "$vlan_address/$value" "$vlan"
	fi
	slipway_log "VLAN $vlan_id is up as $vlan ${vlan_address:-without an address}"
}

# replace_address CIDR INTERFACE adds an address where it is not yet. busybox has
# no "ip addr replace", so we look first.
replace_address() {
	if "$ip" -o -4 addr show dev "$2" | grep -F -q "inet $1 "; then
		return 0
	fi
	"$ip" addr add "$1" dev "$2"
}

# write_resolv_conf replaces the file as a whole, or not at all.
write_resolv_conf() {
	resolv=$SLIPWAY_ROOT/etc/resolv.conf
	{
		if [ -n "${CFG_NETWORK_DOMAIN:-}" ]; then
			printf 'search %s\n' "$CFG_NETWORK_DOMAIN"
		fi
		index=1
		while [ "$index" -le "${CFG_NETWORK_DNS_SERVERS_COUNT:-0}" ]; do
			eval "printf 'nameserver %s\\n' \"\$CFG_NETWORK_DNS_SERVERS_$index\""
			index=$((index + 1))
		done
	} >"$resolv.slipway"
	chmod 0644 "$resolv.slipway"
	mv -f "$resolv.slipway" "$resolv"
}

slipway_tell network_config in_progress "setting up $CFG_NETWORK_ADDRESS"
find_ip
find_interface
prefix_length "$CFG_NETWORK_NETMASK"
cidr=$CFG_NETWORK_ADDRESS/$value
"$ip" link set dev "$interface" up
if [ -n "${CFG_NETWORK_MTU:-}" ]; then
	"$ip" link set dev "$interface" mtu "$CFG_NETWORK_MTU"
fi
replace_address "$cidr" "$interface"
if [ -n "${CFG_NETWORK_GATEWAY:-}" ]; then
	"$ip" route replace default via "$CFG_NETWORK_GATEWAY" dev "$interface"
fi
vlan_index=1
while [ "$vlan_index" -le "${CFG_NETWORK_VLANS_COUNT:-0}" ]; do
	configure_vlan "$vlan_index"
	vlan_index=$((vlan_index + 1))
done
write_resolv_conf
slipway_tell network_config success "$interface has $cidr, gateway ${CFG_NETWORK_GATEWAY:-none}"
