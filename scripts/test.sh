#!/usr/bin/env bash
# Everything that must pass, in steps; `make test` prepares and calls it.
#
# usage: GOLANGCI=path/to/golangci-lint scripts/test.sh
#
# A step that fails does not stop the others. The last line is
# "N passed, N failed, N skipped" over all of them; ends with 1 if one failed.
set -uo pipefail
cd "$(dirname "$0")/.." || exit

# All that scripts/setup.sh installs is there by now: a test that cannot find it
# must fail, not be skipped.
export SLIPWAY_TEST_COMPLETE=1 SLIPWAY_REQUIRE_POSTGRES=1
export SLIPWAY_BINARY=$PWD/bin/slipway
export SUITE_RESULTS=$PWD/.cache/results
suite=.cache/bin/suite

rm -rf "$SUITE_RESULTS"
mkdir -p "$SUITE_RESULTS" .cache/bin
go build -o "$suite" ./tools/suite || exit 1

mapfile -t race < <(scripts/race.sh)
mapfile -t packages < <(scripts/packages.sh)
if [ ${#packages[@]} -eq 0 ]; then
	echo "test: there are no Go packages" >&2
	exit 1
fi
# Whole systems, some killed, and simulated machines, which all have the same
# addresses: one after the other. The crash test starts hundreds of processes,
# which take five times as long when they look for races.
system=()
units=()
for package in "${packages[@]}"; do
	case $package in
	*/slipway/e2e/crash) ;;
	*/slipway/cmd/* | */slipway/e2e | */slipway/e2e/* | */vpcsim/machine | */vpcsim/qemu) system+=("$package") ;;
	*) units+=("$package") ;;
	esac
done

# A step that could not tell how it ended has failed.
step() { "$suite" "$@" || "$suite" check "$2" false; }
# A step on a network of its own: its machines run beside those of other rows.
apart() { SUITE_LAUNCHER=scripts/apart.sh scripts/apart.sh "$suite" "$@" || "$suite" check "$2" false; }

# Three rows beside each other; in each, one step after the other. Two mostly wait.
# golangci-lint has all of go vet, so go test need not do a part of it; and no
# debugger looks at what is built for it, whose tables cost a third of linking.
flags=(-vet=off -ldflags=-w -count=1)
systems() {
	apart go "whole systems" "${race[@]}" "${flags[@]}" -p=1 -timeout=30m "${system[@]}"
	apart go "killed at every boundary" "${flags[@]}" -timeout=20m ./e2e/crash
	apart node "protocol" e2e/protocol/*.test.mjs
	step vitest "app: vitest" frontend # where its row is the shortest
}
browser() {
	apart node "browser" e2e/browser/*.test.mjs
}
# What needs the processors, and no machines: at a lower priority it takes what
# the others leave of them.
computes() {
	renice -n 10 "$BASHPID" >/dev/null
	step go "go test -race" "${race[@]}" "${flags[@]}" -p=2 -parallel=4 -timeout=20m "${units[@]}"
	step check "golangci-lint" scripts/lint-go.sh
	step check "shellcheck" scripts/lint-shell.sh
	step check "app: types" npm --prefix frontend run --silent typecheck
	step check "app: eslint" npm --prefix frontend run --silent lint
	step check "generated code" scripts/check-generated.sh
}

# Rows that have a network of their own cannot fetch what the install environment
# is made of. If it cannot be built, the tests that boot it say why.
installer/build.sh >"$SUITE_RESULTS/installer.log" 2>&1 &
environment=$!

# The rows need it: built once, not at the same time by each. What does not build
# is said by the steps.
CGO_ENABLED=1 go build "${race[@]}" "${packages[@]}" || true
wait "$environment" || cat "$SUITE_RESULTS/installer.log"

# The first row is shown as it goes, the others at the end.
beside=(browser computes)
declare -A running
for row in "${beside[@]}"; do
	"$row" >"$SUITE_RESULTS/$row.log" 2>&1 &
	running[$row]=$!
done
systems
for row in "${beside[@]}"; do
	wait "${running[$row]}" || "$suite" check "the steps beside ($row) came to their end" false
	cat "$SUITE_RESULTS/$row.log"
done
"$suite" again || "$suite" check "what failed, once more" false
"$suite" total
