#!/usr/bin/env bash
# What is too long for `make test`: property tests with many more checks, the
# tests of whole systems several times, cores killed in many more ways, each line
# of the served scripts failing, and fuzzing.
#
# usage: [FUZZTIME=2m] [CHECKS=5000] [COUNT=5] [RUNS=200] scripts/soak.sh
set -euo pipefail
cd "$(dirname "$0")/.."
export SLIPWAY_TEST_COMPLETE=1 SLIPWAY_REQUIRE_POSTGRES=1 SLIPWAY_BINARY=$PWD/bin/slipway
mapfile -t race < <(scripts/race.sh)
status=0

echo "soak: property tests, ${CHECKS:-5000} checks each"
# Only packages that import rapid have its flag.
mapfile -t properties < <(
	git ls-files --cached --others --exclude-standard '*_test.go' | xargs -r grep -l '"pgregory.net/rapid"' |
		xargs -r -n 1 dirname | sort -u | sed 's|^|./|'
)
if [ ${#properties[@]} -gt 0 ]; then
	CGO_ENABLED=1 go test "${race[@]}" -count=1 -p 1 -timeout 120m "${properties[@]}" -rapid.checks="${CHECKS:-5000}" || status=1
fi

echo "soak: whole systems, ${COUNT:-5} times"
mapfile -t systems < <(scripts/packages.sh | grep -E '/slipway/(cmd/slipway|e2e(/.*)?)$' | grep -v '/e2e/crash$')
CGO_ENABLED=1 go test "${race[@]}" -count="${COUNT:-5}" -p 1 -timeout 180m "${systems[@]}" || status=1
echo "soak: the core killed at every boundary, and in ${RUNS:-200} random runs"
SLIPWAY_CRASH_RUNS=${RUNS:-200} go test -count=1 -timeout 120m ./e2e/crash || status=1
for ((i = 1; i <= ${COUNT:-5}; i++)); do
	echo "soak: protocol and browser, $i of ${COUNT:-5}"
	node --test --test-concurrency=1 e2e/protocol/*.test.mjs e2e/browser/*.test.mjs || status=1
done

echo "soak: every line of the served scripts fails once"
SLIPWAY_SOAK=1 go test -count=1 -timeout 60m ./pxe/scripts || status=1

echo "soak: virtual machines on every path, and the install environment built twice"
SLIPWAY_SOAK=1 go test -count=1 -p 1 -timeout 60m -run 'Virtual' ./cmd/slipway || status=1
SLIPWAY_SOAK=1 go test -count=1 -p 1 -timeout 60m ./e2e/netboot ./installer || status=1

FUZZTIME=${FUZZTIME:-2m} scripts/fuzz.sh || status=1
exit "$status"
