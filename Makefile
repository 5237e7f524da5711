# SPDX-License-Identifier: Apache-2.0

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

GO ?= go
PKGS ?= ./...

# The tools that are not in go.mod, pinned here and nowhere else.
GOLANGCI_MODULE := github.com/golangci/golangci-lint/v2/cmd/golangci-lint
GOLANGCI_VERSION := v2.15.0
GOVULNCHECK_VERSION := v1.8.0
GOLANGCI := bin/golangci-lint-$(GOLANGCI_VERSION)

# The Istio that real clusters get: a released istioctl, unless ISTIOCTL names
# another one. KIND_FLAGS are more flags of meshprobe run.
ISTIO_VERSION ?= 1.31.1
ISTIOCTL ?= bin/istioctl-$(ISTIO_VERSION)
ISTIO_RELEASE := https://github.com/istio/istio/releases/download/$(ISTIO_VERSION)/istioctl-$(ISTIO_VERSION)-linux-amd64.tar.gz
KIND_FLAGS ?=

# How long each fuzz target runs, and each benchmark, and how often; how many
# runs make a soak.
FUZZTIME ?= 30s
BENCHTIME ?= 1s
BENCHCOUNT ?= 6
SOAK ?= 1000

.PHONY: help
help: ## Say what can be made
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  %-11s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

.PHONY: build
build: ## Build bin/meshprobe
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/meshprobe ./cmd/meshprobe

# The image that agents and deploy/check-job.yaml run.
IMAGE ?= meshprobe:latest

.PHONY: image
image: ## Build the image IMAGE of meshprobe, from nothing but the program
	CGO_ENABLED=0 GOOS=linux $(GO) build -trimpath -o bin/image/meshprobe ./cmd/meshprobe
	docker build -t $(IMAGE) -f Dockerfile bin/image

.PHONY: run
run: ## Do the main job: two embedded clusters, federated and probed, into report.xml
	$(GO) run ./cmd/meshprobe run --junit report.xml

.PHONY: test
test: ## Run every test
	$(GO) test $(PKGS)

.PHONY: race
race: ## Run every test under the race detector
	$(GO) test -race $(PKGS)

.PHONY: e2e
e2e: ## Run the suites against a provider through e2e-framework
	$(GO) test -v ./suites/e2e/... -args -provider embedded

.PHONY: kind
kind: build $(ISTIOCTL) ## Do the main job on real clusters with Istio ISTIO_VERSION: needs Docker
	bin/meshprobe run --provider kind --istioctl $(ISTIOCTL) $(KIND_FLAGS) --junit report.xml --json report.json \
		--report conformance.yaml --implementation istio@$(ISTIO_VERSION)
	bin/meshprobe report verify conformance.yaml

.PHONY: faults
faults: $(ISTIOCTL) ## Hold every data plane and each fault on real clusters to the embedded ones: needs Docker
	ISTIOCTL=$(ISTIOCTL) .ci/kind

.PHONY: federation
federation: $(ISTIOCTL) ## Federate real clusters, be killed at every step, and count calls: needs Docker
	ISTIOCTL=$(ISTIOCTL) .ci/federation

.PHONY: times
times: $(ISTIOCTL) ## Say how long real clusters take until they trust each other: needs Docker
	ISTIOCTL=$(ISTIOCTL) .ci/times

bin/istioctl-%:
	@mkdir -p bin
	curl -fsSL --retry 3 -o $@.tar.gz $(ISTIO_RELEASE)
	curl -fsSL --retry 3 $(ISTIO_RELEASE).sha256 | awk '{print $$1 "  $@.tar.gz"}' | sha256sum -c -
	tar -xzf $@.tar.gz -C bin istioctl
	@mv bin/istioctl $@ && rm $@.tar.gz

.PHONY: fuzz
fuzz: ## Fuzz every target for FUZZTIME each
	@targets=$$(mktemp); trap 'rm -f $$targets' EXIT; \
	$(GO) test -list '^Fuzz' $(PKGS) | awk '/^Fuzz/{f[++n]=$$1} /^ok/{for(i=1;i<=n;i++)print $$2, f[i]; n=0}' >$$targets; \
	test -s $$targets || { echo 'make: no fuzz target found' >&2; exit 1; }; \
	while read -r pkg target; do \
		echo "fuzz $$pkg $$target"; \
		$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$pkg </dev/null; \
	done <$$targets

.PHONY: bench
bench: ## Print the ratios of docs/performance.md, then every benchmark BENCHCOUNT times, as benchstat reads them
	$(GO) run ./internal/bench
	$(GO) test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) -count $(BENCHCOUNT) $(PKGS)

.PHONY: soak
soak: ## Run SOAK random topologies one after the other: no flake, no leak
	$(GO) test ./suites/e2e -run '^(TestSoak|TestInterruptedAnywhere)$$' -v -count 1 -timeout 2h -args -soak $(SOAK)

.PHONY: vet
vet: ## Run go vet
	$(GO) vet $(PKGS)

.PHONY: lint
lint: $(GOLANGCI) ## Run golangci-lint, depguard's import rules and the formatters included
	$(GOLANGCI) run $(PKGS)

.PHONY: fmt
fmt: $(GOLANGCI) ## Format every file as lint wants it
	$(GOLANGCI) fmt

$(GOLANGCI):
	@mkdir -p bin
	GOBIN=$(CURDIR)/bin $(GO) install $(GOLANGCI_MODULE)@$(GOLANGCI_VERSION)
	@mv bin/golangci-lint $@

.PHONY: generate
generate: ## Write generated files anew
	$(GO) generate $(PKGS)

# The tree may hold uncommitted work, so what counts is whether generating
# changed anything, not whether anything is changed.
.PHONY: generated
generated: ## Fail when a generated file is not current
	@state() { git diff; git ls-files -z --others --exclude-standard | xargs -0r sha256sum; }; \
	before=$$(state | sha256sum); \
	$(MAKE) --no-print-directory generate; \
	test "$$before" = "$$(state | sha256sum)" || { \
		git status --short >&2; echo 'make: generated files were not current; see git diff' >&2; exit 1; }

.PHONY: vuln
vuln: ## Look for known vulnerabilities in what is called
	$(GO) run golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK_VERSION) $(PKGS)

.PHONY: verify
verify: vet lint race generated ## All that must hold before a change is merged

.PHONY: clean
clean: ## Remove what make built
	rm -rf bin report.xml report.json conformance.yaml
