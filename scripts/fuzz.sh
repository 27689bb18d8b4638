#!/usr/bin/env bash
# Runs every fuzz target, one after the other.
#
# usage: [FUZZTIME=20s] scripts/fuzz.sh
#
# An input that fails is written to the package's testdata/fuzz and is a test
# from then on: commit it with the repair.
set -euo pipefail
cd "$(dirname "$0")/.."
status=0
while IFS=: read -r file target; do
	echo "fuzz: $target in $(dirname "$file")"
	go test -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-20s}" "./$(dirname "$file")" || status=1
done < <(
	git ls-files --cached --others --exclude-standard '*_test.go' |
		xargs -r grep -oE '^func Fuzz[A-Za-z0-9_]+' /dev/null | sed 's/func //' | sort -u
)
exit "$status"
