#!/usr/bin/env bash
# Benchmarks of every package that has some.
#
# usage: [BENCH=regexp] [COUNT=n] scripts/bench.sh
#
# All of them once take eight minutes on two processors, more on busy ones. COUNT
# is 1 unless BENCH chooses some, and 6 then: benchstat needs that many to tell a
# change from chance. The fan-out (Paced, FlatOut, Idle, Reconnect) is four of
# the eight minutes. The app's page (FleetPage) is measured by the last.
#
# The output is kept in .cache/bench under the commit's name, with -dirty if the
# tree was changed; benchstat compares two such files.
set -euo pipefail
cd "$(dirname "$0")/.."
mapfile -t files < <(git ls-files --cached --others --exclude-standard '*_test.go' | xargs -r grep -l '^func Benchmark')
if [ ${#files[@]} -eq 0 ]; then
	echo "bench: no package has a benchmark"
	exit 0
fi
mapfile -t packages < <(printf '%s\n' "${files[@]}" | xargs -n 1 dirname | sort -u | sed 's|^|./|')
count=${COUNT:-1}
if [ -n "${BENCH:-}" ]; then
	count=${COUNT:-6}
fi
mkdir -p .cache/bench
out=.cache/bench/$(git describe --always --dirty --exclude '*').txt
# One package at a time: they would share the processors otherwise.
go test -run '^$' -bench "${BENCH:-.}" -benchmem -count "$count" -p 1 -timeout "$((30 * count))m" "${packages[@]}" | tee "$out"
# Frames and memory of the app's fleet page, in Debian's Chromium.
if [[ BenchmarkFleetPage =~ ${BENCH:-.} ]]; then
	PERF_COUNT=$count node frontend/dev/perf.mjs | tee -a "$out"
fi
if [ -z "${BENCH:-}" ]; then
	while read -r name; do
		if ! grep -q "^${name}[/-]" "$out"; then
			echo "bench: $name gave no figure" >&2
			exit 1
		fi
	done < <(sed -n 's/^func \(Benchmark[A-Za-z0-9_]*\)(.*/\1/p' "${files[@]}" | sort -u)
fi
echo "kept in $out"
