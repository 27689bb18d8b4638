#!/bin/sh
# The first program of the simulated install environment, in the place of the
# /init of its initial ramdisk: it finds the server on the kernel command line,
# fetches foundation-init.sh from it and runs that. Nothing else is known here.
set -u
url=
# shellcheck disable=SC2013 # words are what is wanted
for word in $(cat "$SLIPWAY_ROOT/proc/cmdline"); do
	case $word in
	slipway.url=*) url=${word#slipway.url=} ;;
	esac
done
if [ -z "$url" ]; then
	echo "init: the kernel command line has no slipway.url, nothing to do"
	exit 97
fi
cd "$TMPDIR" || exit 98
echo "init: fetching $url/boot/scripts/foundation-init.sh"
until curl -fsS --connect-timeout 10 -m 60 -o foundation-init.sh "$url/boot/scripts/foundation-init.sh"; do
	echo "init: trying again in 2 seconds"
	sleep 2 || exit 99
done
sh foundation-init.sh
status=$?
echo "init: foundation-init.sh ended with status $status"
exit $status
