# Nexus. `make help` lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

B := build
GUEST := GOOS=linux GOARCH=riscv64 CGO_ENABLED=0
NX := $(B)/nx
# The files of a boot archive are as old as the commit, so that every checkout of it builds the same archive.
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null)
export SOURCE_DATE_EPOCH := $(SOURCE_DATE_EPOCH)
# Prints a line a package, what was skipped and why, and a count.
GOTEST := go tool -modfile=tools/lint/go.mod gotestsum --format pkgname --format-hide-empty-pkg --

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.DEFAULT_GOAL := help

.PHONY: setup
setup: ## install what is missing (QEMU, OpenSBI, dtc, …), with apt
	@scripts/setup.sh

# Go decides itself what has to be compiled again, so these are always run; a
# file is replaced only when it changed.
.PHONY: FORCE
FORCE:

$(NX): FORCE
	@mkdir -p $(B)
	@go build -trimpath -o $@ ./tools/nx

$(B)/neuron.img: FORCE
	@mkdir -p $(B)
	@go run ./tools/mkkernel -o $@

# source/nexus is nexus-init, every service and the selftests in one file.
$(B)/nexus: FORCE
	@mkdir -p $(B)
	@$(GUEST) go build -trimpath -ldflags='-s -w' -o $@ ./source/nexus

$(B)/virt-nexus.dtb: pkg/dts/virt-nexus.dts | $(NX)
	@$(NX) dtb $< $@

# DEST=SRC pairs of an archive with manifest $1.
contents = /init=$(B)/nexus /etc/hosts=pkg/etc/hosts /etc/nexus/manifest.json=pkg/manifests/$1.json /pkg/dts=pkg/dts /pkg/fixtures=pkg/fixtures

$(B)/boot.cpio: $(B)/nexus FORCE
	@go run ./tools/mkarchive -o $@ $(call contents,default)

$(B)/bench.cpio: $(B)/nexus FORCE
	@go run ./tools/mkarchive -o $@ $(call contents,bench)

.PHONY: build
build: setup $(NX) $(B)/neuron.img $(B)/boot.cpio $(B)/virt-nexus.dtb ## build the kernel image, the boot archive, the device tree and nx

.PHONY: run
run: build ## build everything, boot it in QEMU and prove the boot
	@exec $(NX) boot

.PHONY: check
check: ## go vet, gofmt, staticcheck, shellcheck
	@scripts/check.sh

.PHONY: test
test: setup check test-host test-qtest test-boot ## every test that this machine can run

.PHONY: test-host
test-host: ## tests that need no guest, with the race detector
	@$(GOTEST) -race -timeout 5m ./source/... ./tools/... ./docs/... ./tests/deps/...

.PHONY: test-qtest
test-qtest: setup ## the drivers against QEMU's real devices, without our kernel
	@$(GOTEST) -count=1 ./tests/qtest/...

.PHONY: test-boot
test-boot: build ## the whole system in QEMU: proofs on every back end, faults, bad input
	@$(GOTEST) -count=1 -p 1 -timeout 20m $$(go list ./tests/... | grep -v -e /qtest -e /deps)

.PHONY: test-guides
test-guides: build ## the worked examples of docs/guides and README's boot, followed word for word
	@$(GOTEST) -count=1 -p 1 -timeout 20m ./tests/guides/... ./tests/session/...

.PHONY: boots100
boots100: build ## 100 boots in a row on each back end, with a summary
	@exec $(NX) soak --boots 100

.PHONY: determinism
determinism: build ## 10 boots that count instructions, their consoles compared
	@exec $(NX) same --boots 10

.PHONY: bench
bench: ## every benchmark of the host's packages, once
	@go test -run '^$$' -bench . -benchtime 1x ./source/... ./tools/...

.PHONY: scoreboard
scoreboard: build $(B)/bench.cpio ## measure Nexus beside its peers; PEERS_DIR is the folder of the peers' runner
	@scripts/scoreboard.sh $(B)

FUZZTIME ?= 10s
.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (10s) each
	@scripts/fuzz.sh $(FUZZTIME)

SEED ?= 1
SEEDS ?= 20
CALLS ?= 50000
BESIDE ?= 1
KERNEL ?=
.PHONY: fuzz-kernel
fuzz-kernel: ## random system calls: SEEDS (20) programs of threads from SEED (1) on, CALLS (50000) calls each; BESIDE (1) seeds beside the system
	@go test -count=1 -timeout 0 -v ./tests/fuzzkernel -run TestHunt -hunt -seed $(SEED) -seeds $(SEEDS) -calls $(CALLS) -kernel "$(abspath $(KERNEL))"
	@[ $(BESIDE) -eq 0 ] || go test -count=1 -timeout 0 -v ./tests/boot -run '^TestHostile$$' \
		-hostile.seed $(SEED) -hostile.seeds $(BESIDE) -hostile.calls $(CALLS) -hostile.kernel "$(abspath $(KERNEL))"

.PHONY: mutate
mutate: ## mutation testing of one package, PKG=./its/folder: which changes of the code its tests do not notice
	@scripts/mutate.sh "$(PKG)"

.PHONY: man
man: $(NX) ## write the manual pages of nx into build/man
	@$(NX) man $(B)/man

.PHONY: clean
clean: ## remove what was built
	rm -rf $(B)
