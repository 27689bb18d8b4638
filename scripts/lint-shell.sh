#!/usr/bin/env bash
# Runs shellcheck on every shell script, the served ones included.
#
# usage: scripts/lint-shell.sh
set -euo pipefail
cd "$(dirname "$0")/.."
mapfile -t files < <(git ls-files --cached --others --exclude-standard '*.sh' .ci/run ':!*/testdata/*')
# The served scripts source each other from their own folder.
shellcheck --external-sources --source-path=SCRIPTDIR "${files[@]}"
