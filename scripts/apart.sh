#!/usr/bin/env bash
# Runs a command in a network namespace of its own, with a loopback that nobody
# else listens on: simulated machines, which all have the same addresses, run
# there beside those of others. Where no namespace can be made, the command runs
# as it is, and the lock of simulated machines (e2e/simlock) has it wait.
#
# usage: scripts/apart.sh COMMAND [ARG...]
set -euo pipefail

if ! unshare --net true 2>/dev/null; then
	exec "$@"
fi
# Like any host it has a network beside loopback, which leads nowhere: a browser
# without one takes itself for offline. The addresses are for documentation
# (RFC 5737).
# shellcheck disable=SC2016 # the inner shell's
exec unshare --net -- bash -euo pipefail -c '
	ip link set lo up
	if ip link add uplink type veth peer name nowhere 2>/dev/null; then
		ip link set dev nowhere addrgenmode none up
		ip link set dev uplink addrgenmode none up
		ip addr add 192.0.2.1/24 dev uplink
		ip route add default via 192.0.2.254
	fi
	SLIPWAY_TEST_APART=$(readlink /proc/self/ns/net | tr -dc 0-9)
	export SLIPWAY_TEST_APART
	exec "$@"
' apart "$@"
