# Slipway. `make help` lists the targets; docs/development.md explains them.
SHELL := /bin/bash
.SHELLFLAGS := -o errexit -o nounset -o pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules
.DEFAULT_GOAL := help

# The binary needs no C; only the race detector does, and asks for it itself.
export CGO_ENABLED := 0

BINARY  := bin/slipway
VERSION ?=
ARGS    ?=

GOLANGCI_VERSION := v2.5.0
GOLANGCI := .cache/bin/golangci-lint-$(GOLANGCI_VERSION)
export GOLANGCI
export GOLANGCI_LINT_CACHE := $(CURDIR)/.cache/golangci-lint

# What the app is built from; its stamp is the page itself.
APP       := frontend/dist/index.html
MODULES   := frontend/node_modules/.package-lock.json
APP_INPUT := $(shell find frontend/src graph/schema -type f 2>/dev/null) \
	$(wildcard frontend/*.html frontend/*.json frontend/*.ts frontend/dev/check-bundle.mjs)

##@ Look at it

.PHONY: demo
demo: setup-demo $(APP) build ## Deploy three simulated servers, live (ARGS=--exit-when-done ends by itself)
	exec $(BINARY) demo $(ARGS)

.PHONY: run
run: setup-demo $(APP) build ## Run a server on a simulated cloud, with data that stays in .cache/run
	exec scripts/run.sh $(ARGS)

##@ Work on it

.PHONY: build
build: $(APP) ## Build the app and the binary, bin/slipway
	go build $(if $(VERSION),-trimpath -ldflags "-s -w -X main.version=$(VERSION)") -o $(BINARY) ./cmd/slipway

.PHONY: test
test: setup-test $(APP) build $(GOLANGCI) ## Everything that must pass; installs what it lacks
	scripts/test.sh

.PHONY: lint
lint: $(MODULES) $(APP) $(GOLANGCI) ## Linters of Go, shell and TypeScript
	scripts/lint.sh

.PHONY: installer
installer: setup-test ## Build the install environment (kernel and initial ramdisk), .cache/installer
	installer/build.sh

.PHONY: generate
generate: $(MODULES) ## Regenerate ent, migrations, GraphQL server, client and TypeScript types
	scripts/generate.sh

.PHONY: pictures
pictures: setup-test $(APP) build ## Make the pictures of docs/app.md anew
	SLIPWAY_BINARY=$(CURDIR)/$(BINARY) SLIPWAY_PICTURES=$(CURDIR)/docs/app node --test e2e/browser/pages.test.mjs

.PHONY: bench
bench: $(APP) ## Benchmarks, once, 8 minutes, for benchstat (BENCH=regexp: those only, 6 times; COUNT=n)
	scripts/bench.sh

.PHONY: fuzz
fuzz: $(APP) ## Every fuzz target for FUZZTIME (20s)
	scripts/fuzz.sh

.PHONY: soak
soak: setup-test $(APP) build ## Long runs: fuzzing, more property checks, end-to-end tests again and again
	scripts/soak.sh

.PHONY: clean
clean: ## Remove what was built; downloaded tools in .cache stay
	rm -rf bin frontend/dist/assets $(APP) .cache/results .cache/generated

##@ Set up

.PHONY: setup-demo
setup-demo: ## Install what the demonstration needs (Debian packages)
	@scripts/setup.sh demo

.PHONY: setup-test
setup-test: ## Install what the tests need (Debian packages)
	@scripts/setup.sh test

.PHONY: setup-lint
setup-lint: $(GOLANGCI) ## Build the pinned golangci-lint into .cache/bin

$(MODULES): frontend/package-lock.json frontend/package.json
	@echo "setup: installing the app's npm packages"
	cd frontend && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

$(APP): $(APP_INPUT) $(MODULES)
	cd frontend && npm run --silent build
	@touch $@

$(GOLANGCI):
	@echo "setup: building golangci-lint $(GOLANGCI_VERSION), once; a minute or two"
	mkdir -p $(@D)/tmp
	GOBIN=$(CURDIR)/$(@D)/tmp go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	mv $(@D)/tmp/golangci-lint $@

.PHONY: help
help: ## This list
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@/ { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
