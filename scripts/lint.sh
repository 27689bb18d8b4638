#!/usr/bin/env bash
# Every linter. `make test` runs the same ones, as steps of its own.
#
# usage: GOLANGCI=path/to/golangci-lint scripts/lint.sh
set -euo pipefail
cd "$(dirname "$0")/.."
status=0
scripts/lint-shell.sh || status=1
(cd frontend && npm run --silent typecheck) || status=1
(cd frontend && npm run --silent lint) || status=1
scripts/lint-go.sh || status=1
exit "$status"
