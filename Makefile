.DEFAULT_GOAL := help
.PHONY: help build demo run test soak bench lint generate check-generated fmt clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build every program into bin/
	scripts/build

demo: ## everything in one process with emulated messengers; ONCE=1 ends after the first webhook
	scripts/build pairgate
	ONCE='$(ONCE)' bin/pairgate demo

run: ## the one-process program against the real messengers, data in ./data
	scripts/build pairgate
	bin/pairgate serve

test: ## everything that must pass, with the race detector
	scripts/test

soak: ## the long fault loops
	scripts/soak

bench: ## the benchmarks, as a table with ratios
	scripts/bench

lint: ## gofmt, vet, staticcheck, schema and module checks
	scripts/lint

generate: ## Go code from proto/
	scripts/generate

check-generated: ## fail when the generated code is not what generate makes
	scripts/generate --check

fmt: ## format all Go code
	gofmt -w deploy pkg proto services

clean: ## remove what was built; data stays
	rm -rf bin .artifacts
