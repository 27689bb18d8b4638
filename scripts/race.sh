#!/usr/bin/env bash
# Prints the flags of go test that look for races, one a line: in all code, but
# not inside SQLite. That is C translated to Go, with memory and locks of its own
# that the detector knows nothing of; to watch its every access takes nine tenths
# of the time of tests with a database. Its Go driver is watched. Nor inside the
# arithmetic of cryptography, which works on what its caller alone has, and takes a
# third of the time of tests with SSH: who calls it is watched. Nor inside regular
# expressions, which are never changed once they are compiled.
#
# A package that has a sync.Map, such as encoding/json, cannot be left out: the
# linker may take its copy of what is inside one for the whole program, and then
# everything that a sync.Map hands from one goroutine to another looks like a race.
#
# usage: mapfile -t race < <(scripts/race.sh); CGO_ENABLED=1 go test "${race[@]}" ...
set -euo pipefail
echo -race
for unwatched in modernc.org/sqlite/lib modernc.org/libc/... modernc.org/memory \
	regexp/... crypto/internal/fips140/... golang.org/x/crypto/chacha20/... golang.org/x/crypto/internal/...; do
	echo "-gcflags=$unwatched=-race=false"
done
