# Every target works from a clean checkout; `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build

# The version that the binary prints: the nearest tag and what lies on top of it, or "devel" outside a git checkout.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
FUZZTIME ?= 30s

# How the program is compiled: static and reproducible.
BUILD ?= CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)'

# What the container image is called.
IMAGE ?= shoal

.PHONY: help build image demo test bench bench-swarm bench-testnet sim lint fuzz clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 13

build: ## bin/shoal, static and reproducible
	$(BUILD) -o bin/shoal ./cmd/shoal

# The demo file has the same bytes everywhere: its CID stands in docker-compose.yml.
image: ## the container image for docker-compose.yml, from nothing but the program and a file to share
	rm -rf bin/image
	mkdir -p bin/image/bin bin/image/share bin/image/data
	GOOS=linux GOARCH=$$(docker version --format '{{.Server.Arch}}') $(BUILD) -o bin/image/bin/shoal ./cmd/shoal
	seq -f %.0f 8000000 >bin/image/share/numbers.txt
	chmod -R a+rX bin/image
	docker build --tag $(IMAGE) .

demo: build ## two nodes on this machine find each other, share, fetch, and survive a kill -9
	scripts/demo.sh

test: ## everything that go test runs, with what the tests need installed first
	scripts/test.sh

bench: build ## the figures of docs/benchmarks.md; BENCHFLAGS=-quick for a short try
	go run ./scripts/bench $(BENCHFLAGS)

bench-swarm: build ## many peers on one download, behind shaped links (Linux, as root); SWARMFLAGS='-only NAME -runs N -size MiB'
	go run ./scripts/swarm $(SWARMFLAGS)

sim: ## swarms of engines in virtual time, as docs/scheduling.md reports; SIMFLAGS='-receivers 0 -growth 8' for a short try
	go run ./scripts/simulate $(SIMFLAGS)

bench-testnet: ## 300 whole nodes in virtual time, and 10,000 modelled ones; some minutes of two cores and 4 GB
	SHOAL_VIRTUAL_NODES=300 go test -count=1 -v -run TestFileForAll ./testnet/virtual
	go test -run xxx -bench Simulate -benchtime 1x ./testnet

lint: ## format, vet, staticcheck, layout, cross-compilation, known vulnerabilities
	scripts/lint.sh

fuzz: ## every fuzz target for FUZZTIME (30s) each
	scripts/fuzz.sh $(FUZZTIME)

clean: ## remove what make built, but not the caches of go
	rm -rf bin dist
