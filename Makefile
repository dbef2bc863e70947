# What each target does in full stands in scripts/; `make help` lists them.
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

.DEFAULT_GOAL := help
.PHONY: help run test attack image build bench

help: ## this list
	@sed -n 's/^\([a-z]*\):[^#]*## /  make \1\t/p' Makefile

run: build ## serve on 127.0.0.1:8765: in containers where a Docker engine answers, else for development
	@scripts/run

test: ## install what the tests need where that is allowed, and run all of them
	@scripts/test

image: build ## make the runtime image jsd-runtime:latest
	@scripts/image

build: ## bin/jsd
	@go build -buildvcs=false -ldflags '-X main.version=$(VERSION)' -o bin/jsd ./cmd/jsd

attack: build ## hostile scripts against jsd in containers, on runc and on gVisor (part of the tests)
	@scripts/attack

bench: build ## measure against a plain Node daemon and the machine's floor (BENCH=-quick for a short one, PLOTS=1 draws docs/*.svg)
	@scripts/bench $(if $(PLOTS),-plots .cache/plots) $(BENCH)
	$(if $(PLOTS),@scripts/plots .cache/plots)
