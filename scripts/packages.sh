#!/usr/bin/env bash
# Lists this project's Go packages: those of the app's npm packages are not ours.
#
# usage: scripts/packages.sh
set -euo pipefail
cd "$(dirname "$0")/.."
go list ./... | grep -v /node_modules/
