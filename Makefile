# Every target of the project. `make` alone lists them.

GO      ?= go
TOOLS   := -modfile=internal/tools/go.mod
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
CLANG   := clang-19
# What the tests need beyond Go, as Debian packages.
PACKAGES := clang-19 llvm-19 libbpf-dev gcc libc6-dev iproute2 procps lsof net-tools nftables util-linux man-db systemd libnss-systemd tmux podman runc prometheus
# A number of inputs: a span of time that ends in the middle of one fails now and then.
FUZZTIME ?= 3000x

.DEFAULT_GOAL := help
.PHONY: help build install uninstall packages test check lint unit fuzz generate generate-check cross docs bench bench-live bench-agent matrix deps screens test-hostile test-kills test-zabbix test-zabbix7 test-fleet test-packages

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build ./whose and ./whose-agent, two static binaries, and completions
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o whose ./cmd/whose
	CGO_ENABLED=0 $(GO) build -trimpath -tags whose_agent -ldflags '-s -w -X main.version=$(VERSION)' -o whose-agent ./cmd/whose
	@./scripts/installed make

install: ## install what make build made below $(DESTDIR)/usr; it builds nothing
	@DESTDIR='$(DESTDIR)' ./scripts/installed put

uninstall: ## remove what make install installed; pins, history and the group stay
	@DESTDIR='$(DESTDIR)' ./scripts/installed remove

packages: ## build packages for dpkg and rpm, archives, a bill of materials and sums in build/packages
	@./scripts/packages build/packages

test: deps check generate-check cross unit fuzz test-zabbix test-fleet ## install what the tests need and run them all

deps:
	@./scripts/deps $(PACKAGES)

check: ## formatting, vet and linters
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "gofmt: the files above are not formatted"; exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags whose_agent ./cmd/whose
	cd bench && $(GO) vet ./...
	$(GO) vet -tags zabbix ./integrations/zabbix/test
	$(GO) vet -tags fleet ./integrations/clickhouse/test
	cd integrations/clickhouse/engine && $(GO) vet ./...
	$(GO) tool $(TOOLS) staticcheck ./...
	$(GO) tool $(TOOLS) staticcheck -tags whose_agent ./cmd/whose

cross: ## what builds elsewhere: the model, filter and render are tested there by their users
	GOOS=darwin $(GO) vet ./...
	GOOS=windows $(GO) vet ./...
	GOOS=linux GOARCH=arm64 $(GO) build ./...
	GOOS=linux GOARCH=arm $(GO) build ./...

unit: ## all tests, and each benchmark once
	$(GO) test -p 1 -timeout 20m -bench . -benchtime 1x ./...
	$(GO) test -p 1 -timeout 10m -race ./filter ./internal/render ./internal/hostname ./internal/spool ./collect ./internal/proc
	WHOSE_TRUTH_SCALE=50 $(GO) test -timeout 10m -race -short ./track ./track/internal/ledger
	cd bench && $(GO) test ./...

fuzz: ## each fuzz target for a short while
	@./scripts/fuzz $(FUZZTIME)

# `unit` runs these too; this prints their figures.
test-hostile: ## attack whose, as root in namespaces of its own, and say what came of it
	@./scripts/test-hostile

test-kills: ## kill an agent 200 times under load, and look what its history has; a quarter of an hour
	WHOSE_KILLS=200 $(GO) test -timeout 60m -count=1 -run TestAgent_Kills -v ./cmd/whose

test-zabbix: ## show the Zabbix template against Debian's own Zabbix (6.0 on Debian 12)
	@./scripts/test-zabbix

test-zabbix7: ## the same against Zabbix 7.0, in a tree of Debian 13
	@./scripts/test-zabbix trixie

test-fleet: ## show the agent's export and the fleet against a real ClickHouse
	@./scripts/test-fleet

test-packages: ## build the packages twice; install, upgrade and remove them in trees of Debian 12 and 13 and by rpm
	@./scripts/test-packages

screens: build ## write docs/screens/after again and the screen of the README
	@./scripts/deps tmux iproute2 util-linux
	@./scripts/screens ./whose docs/screens/after 80x24 120x40 200x50
	$(GO) test ./scripts -run TestScreens_README -update

generate: ## rebuild the BPF objects and the generated pages
	cd collect/internal/bpfiter && $(GO) generate ./...
	cd track/internal/bpfevent && $(GO) generate ./...
	$(GO) test ./filter ./internal/render ./internal/api ./internal/zabbix ./cmd/whose ./collect/collecttest -run 'Fresh|FactsPage' -update
	cd bench && $(GO) test ./result -run Fresh -update

generate-check: ## rebuild the BPF objects and compare them with the committed ones
	@./scripts/generate-check $(CLANG)

bench: build ## time whose beside other tools; long, and best on a quiet machine
	cd bench && $(GO) run ./compare -whose ../whose $(BENCHFLAGS)

bench-live: deps build ## what watching costs a busy web server, beside other tools
	@./scripts/deps nginx-light wrk conntrack nftables libbpf-tools bpfcc-tools
	cd bench && $(GO) run ./live -whose ../whose $(LIVEFLAGS)

bench-agent: deps build ## what the agent costs an idle host, a busy web server, and its askers; six minutes
	@./scripts/deps nginx-light wrk
	cd bench && $(GO) run ./live -whose ../whose -only agent -rounds 5 $(LIVEFLAGS)
	cd bench && $(GO) run ./agent -whose ../whose $(AGENTFLAGS)

# There is no compiler in the machines, and everything is slow in them: they get
# the load of the truth tests ready made, and a fiftieth of it.
matrix: deps ## run the conformance suite and the truth tests under other kernels in QEMU
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && \
	$(CC) -O2 -pthread -static -o "$$dir/truthload" track/internal/truthload/*.c && \
	$(GO) run ./internal/matrix -accel tcg -timeout 40m -record docs/kernel-support.md \
		-with "$$dir/truthload:usr/bin/truthload" -env WHOSE_TRUTH_LOAD=/usr/bin/truthload -env WHOSE_TRUTH_SCALE=50 \
		./internal/proc ./internal/netns ./internal/bpf ./collect ./collect/internal/bpfiter ./collect/internal/sockdiag ./collect/internal/procnet \
		./track ./track/internal/bpfevent ./internal/testenv
