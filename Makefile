# The project's chores. "make" lists them; "make check" is what CI runs.

TOOL    := go tool -modfile=tools/go.mod
FUZZTIME ?= 20s
CHAOS   ?= -seed 1 -blows 1000
LOOPS   ?= 40
ROUNDS  ?= 3
SOAK    ?= 60
SKIP    ?= ^$$

# Tests that are no part of "make test": they start hundreds of processes (lab), or
# build programs of other people (foreign).
TAGS    := -tags lab,foreign,browser

.DEFAULT_GOAL := help
.PHONY: help build test race stress foreign cells soak hostile manifests browser machines vet lint fuzz model chaos count registry bench bench-compare bench-page generate generate-check tidy-check check

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-16s %s\n", $$1, $$2}'

build: ## build everything, and compile it for other systems, of whose programs the command is linked
	go build ./...
	GOOS=darwin go list -export ./... >/dev/null && GOOS=darwin go build -o /dev/null ./cmd/host
	GOOS=windows go list -export ./... >/dev/null && GOOS=windows go build -o /dev/null ./cmd/host

test: ## run the tests
	go test ./...

race: ## run the tests of all that runs concurrently (not host/config, nor models of pure functions) under the race detector
	go test -race -vet=off -p 4 -skip 'TestModel|EveryOrder' $$(go list ./host/... ./sdk/... ./shared/... ./internal/... | grep -v '/host/config')

stress: ## the tests beside LOOPS (40) busy loops, ROUNDS (3) times; PKG=./host for one package
	scripts/stress.sh $(ROUNDS) $(LOOPS) $(PKG)

foreign: ## builds go-plugin programs of other people, and supervises them
	go test -count=1 -tags foreign ./host/foreign

cells: ## every way in which a context can end, between processes and in memory, 20 times
	go test -count=20 -run WhoRaises . ./internal/dialog

soak: ## nurseries come and go (SOAK=60), trees are killed 20 times, 50 levels end, actors come and go 40,000 times: nothing may be left
	TRELLIS_SOAK=$(SOAK) go test -count=1 -tags lab -run 'Soak' -v ./host
	TRELLIS_ROUNDS=20 go test -count=1 -timeout 20m -run 'N07|N08_LongChain|D03_Churn' ./host ./internal/process ./internal/rundir ./internal/report

hostile: ## every hostile plugin of docs/bounds.md at full strength, and what it costs its host
	HOSTILE=full go test -count=1 -tags lab -timeout 15m -run F06_Hostile -v ./host

registry: ## registries, with servers of etcd that are killed, frozen, cut off and restored (under three minutes)
	cd registry/etcd && go vet ./... && go test -race -timeout 2m ./...
	cd registry/etcdembed && go vet ./... && go test -race -timeout 8m ./...
	cd registry/etcdembed && GOOS=darwin go vet ./... && GOOS=windows go vet ./...

manifests: ## what host generate writes, by the types of Kubernetes and Nomad
	cd internal/lab/manifests && go vet ./... && go test ./...

browser: ## the page in a browser, which is installed if it is missing
	scripts/browser.sh

machines: ## hosts in network namespaces are killed, stopped and cut off, and fifty of them make a tree; needs root, ip and sshd
	go test -count=1 -tags lab -timeout 15m -skip '$(SKIP)' -v ./internal/lab/netns ./internal/lab/machines
	go test -count=1 -tags lab -run F01_ACut -v ./host

vet: ## go vet, for other systems too
	go vet $(TAGS) ./...
	GOOS=darwin go vet $(TAGS) ./...
	GOOS=windows go vet $(TAGS) ./...

lint: ## golangci-lint
	$(TOOL) golangci-lint run --build-tags lab,foreign,browser ./...

fuzz: ## every fuzz target for FUZZTIME (20s)
	scripts/fuzz.sh $(FUZZTIME)

model: ## every interleaving of a dialog, with larger bounds, and every mistake in its table (under a minute)
	go test -run TestModel -timeout 10m -v ./internal/dialog -model=full | grep -vE '^=== '
	go test -run EveryOrder -timeout 10m -v ./host -model=full | grep -vE '^=== '

chaos: ## a blow of each kind, then CHAOS="-seed 1 -blows 1000" (docs/chaos.md)
	go test -count=1 -tags lab -run F01 ./internal/lab/chaos
	go run ./internal/lab/chaos $(CHAOS)

count: ## lines, comments and exports of each package, and the budgets of the house
	go run ./internal/lab/count

bench: ## what plugins cost beside go-plugin's: table, and bin/bench.json; QUICK=1 measures everything once, as a test
ifdef QUICK
	go test -count=1 -tags lab ./internal/lab/bench
	go test -run '^$$' -bench . -benchtime 1x $$(grep -rl --include='*_test.go' --exclude-dir=testdata --exclude-dir=registry '^func Benchmark' . | xargs -n 1 dirname | sort -u)
else
	@mkdir -p bin
	go run ./cmd/host bench --json bin/bench.json
endif

bench-compare: ## the Go benchmarks of two commits: BASE=main [HEAD=…] [BENCH=regexp] [PKG=./host] [COUNT=6]
	scripts/bench-compare.sh $(or $(BASE),main) $(HEAD)

bench-page: ## docs/performance.md, its table and plots, from bin/bench.json
	go run ./internal/lab/bench/plot

generate: ## the Go code of the .proto files
	$(TOOL) buf lint
	$(TOOL) buf generate

generate-check: generate ## the generated code is the committed one
	git diff --exit-code -- internal/wire internal/lab/bench/plain

tidy-check: ## go.mod is tidy
	go mod tidy -diff
	cd tools && go mod tidy -diff
	cd testdata/thirdparty && go mod tidy -diff
	cd testdata/foreign && go mod tidy -diff
	cd testdata/ttrpc && go mod tidy -diff
	cd registry/etcd && go mod tidy -diff
	cd registry/etcdembed && go mod tidy -diff
	cd internal/lab/manifests && go mod tidy -diff

check: ## everything that CI runs
	.ci/run
