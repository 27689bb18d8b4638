#!/usr/bin/env bash
# Regenerates everything that is generated and committed.
#
# usage: scripts/generate.sh
#
# The order matters: migrations are made from ent's tables, the GraphQL server
# refers to ent's rows, and both clients are made from the schema. The form's
# rules are made from those of the server. Migrations
# for PostgreSQL are made with a throw-away server from the installed binaries.
set -euo pipefail
cd "$(dirname "$0")/.."
export CGO_ENABLED=0

step() {
	echo "generate: $1"
}

step "ent"
go generate ./ent
step "migrations"
go generate ./ent/migrations
step "GraphQL server"
go generate ./graph
step "form of node configurations"
go generate ./deploy/hostconfig
step "Go client"
go generate ./client
step "TypeScript types"
(cd frontend && npm run --silent codegen)
