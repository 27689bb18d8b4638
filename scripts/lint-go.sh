#!/usr/bin/env bash
# golangci-lint, which has all of go vet, on this project's packages; and that
# each has a doc.go that says what it owns and what it may import. What is
# generated has none.
#
# usage: GOLANGCI=path/to/golangci-lint scripts/lint-go.sh
set -euo pipefail
cd "$(dirname "$0")/.."
mapfile -t packages < <(scripts/packages.sh)
status=0
while read -r dir; do
	if ! grep -qi 'import' "$dir/doc.go" 2>/dev/null; then
		echo "$dir: no doc.go that says what the package owns and what it may import" >&2
		status=1
	fi
done < <(go list -f '{{.Dir}}' "${packages[@]}" | grep -vE '/graph/generated$|/ent(/[a-z]+)?$'; go list -f '{{.Dir}}' ./ent/schema ./ent/migrations)
"${GOLANGCI:?the path of golangci-lint}" run ./... || status=1
exit "$status"
