#!/usr/bin/env bash
# Benchmarks of every package that has some.
#
# usage: [BENCH=regexp] [COUNT=n] scripts/bench.sh
#
# The output is kept in .cache/bench under the commit's name; benchstat compares
# two such files.
set -euo pipefail
cd "$(dirname "$0")/.."
mapfile -t packages < <(
	git ls-files --cached --others --exclude-standard '*_test.go' | xargs -r grep -l '^func Benchmark' |
		xargs -r -n 1 dirname | sort -u | sed 's|^|./|'
)
if [ ${#packages[@]} -eq 0 ]; then
	echo "bench: no package has a benchmark"
	exit 0
fi
mkdir -p .cache/bench
out=.cache/bench/$(git rev-parse --short HEAD).txt
# One package at a time: they would share the processors otherwise.
go test -run '^$' -bench "${BENCH:-.}" -benchmem -count "${COUNT:-6}" -p 1 -timeout 60m "${packages[@]}" | tee "$out"
echo "kept in $out"
