#!/usr/bin/env bash
# Prints the flags of go test that look for races, one a line: in all code, but
# not inside SQLite. That is C translated to Go, with memory and locks of its own
# that the detector knows nothing of; to watch its every access takes nine tenths
# of the time of tests with a database. Its Go driver is watched.
#
# usage: mapfile -t race < <(scripts/race.sh); CGO_ENABLED=1 go test "${race[@]}" ...
set -euo pipefail
echo -race
for translated in modernc.org/sqlite/lib modernc.org/libc/... modernc.org/memory; do
	echo "-gcflags=$translated=-race=false"
done
