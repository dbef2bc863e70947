# `make help` lists the targets. Most of them run a script of scripts/.
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

.DEFAULT_GOAL := help
.PHONY: help run check test attack image build bench

help: ## this list
	@sed -n 's/^\([a-z]*\):[^#]*## /  make \1\t/p' Makefile

run: build ## serve on 127.0.0.1:8765: in containers if a Docker engine answers, else in processes, for development
	@scripts/run

check: ## run the checks and tests that need no engine and are fast: about a minute
	@scripts/check

test: ## install what the tests need, if that is allowed, and run all of them
	@scripts/test

image: build ## make the runtime image jsd-runtime:latest, also without an image registry
	@scripts/image

build: ## bin/jsd
	@go build -buildvcs=false -ldflags '-X main.version=$(VERSION)' -o bin/jsd ./cmd/jsd

attack: build ## run the attack suite: hostile scripts in containers, on runc and on gVisor (make test does, too)
	@scripts/attack

bench: build ## measure against a plain Node daemon and the machine's floor (BENCH=-quick for a short one, PLOTS=1 draws docs/*.svg)
	@scripts/bench $(if $(PLOTS),-plots .cache/plots) $(BENCH)
	$(if $(PLOTS),@scripts/plots .cache/plots)
