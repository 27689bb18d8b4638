#!/usr/bin/env bash
# What is too long for `make test`: fuzzing, property tests with many more
# checks, and the end-to-end tests several times.
#
# usage: [FUZZTIME=2m] [CHECKS=5000] [COUNT=5] scripts/soak.sh
set -euo pipefail
cd "$(dirname "$0")/.."
export SLIPWAY_REQUIRE_POSTGRES=1 SLIPWAY_BINARY=$PWD/bin/slipway
status=0

echo "soak: property tests, ${CHECKS:-5000} checks each"
# Only packages that import rapid have its flag.
mapfile -t properties < <(
	git ls-files --cached --others --exclude-standard '*_test.go' | xargs -r grep -l '"pgregory.net/rapid"' |
		xargs -r -n 1 dirname | sort -u | sed 's|^|./|'
)
if [ ${#properties[@]} -gt 0 ]; then
	CGO_ENABLED=1 go test -race -count=1 -p 1 -timeout 120m "${properties[@]}" -rapid.checks="${CHECKS:-5000}" || status=1
fi

if [ -d e2e ]; then
	echo "soak: end-to-end tests, ${COUNT:-5} times"
	CGO_ENABLED=1 go test -race -count="${COUNT:-5}" -p 1 -timeout 180m ./e2e/... || status=1
fi

FUZZTIME=${FUZZTIME:-2m} scripts/fuzz.sh || status=1
exit "$status"
