#!/bin/sh
# Called by udhcpc with what the DHCP server said: one address, one default
# route, name servers.
# shellcheck disable=SC2154 # udhcpc gives the variables
case $1 in
deconfig)
	ip -4 addr flush dev "$interface"
	ip link set dev "$interface" up
	;;
bound | renew)
	ip -4 addr flush dev "$interface"
	ip addr add "$ip/${mask:-24}" dev "$interface"
	for gateway in $router; do
		ip route replace default via "$gateway" dev "$interface"
		break
	done
	if [ -n "$domain" ]; then
		echo "search $domain" >/etc/resolv.conf
	else
		: >/etc/resolv.conf
	fi
	for server in $dns; do
		echo "nameserver $server" >>/etc/resolv.conf
	done
	echo "slipway-installer: $interface has $ip/${mask:-24}, gateway ${router:-none}, by DHCP"
	;;
esac
