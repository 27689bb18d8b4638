#!/usr/bin/env bash
# go vet and golangci-lint on this project's packages.
#
# usage: GOLANGCI=path/to/golangci-lint scripts/lint-go.sh
set -euo pipefail
cd "$(dirname "$0")/.."
mapfile -t packages < <(scripts/packages.sh)
status=0
go vet "${packages[@]}" || status=1
"${GOLANGCI:?the path of golangci-lint}" run ./... || status=1
exit "$status"
