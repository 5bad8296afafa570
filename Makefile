# The two commands to know: `make test` (everything, installs what it needs)
# and `make check` (format, vet, staticcheck, quick tests).

GO          ?= go
STATICCHECK  = honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOTESTSUM    = gotest.tools/gotestsum@v1.13.0

# Tests that start a database, a browser or nginx have packages of their own,
# so that all others stay quick.
SLOW = /e2e|/embedded$$$$|/mongotest|/storetest|/contract|/browsertest|/nginx
# Of these, the process that tests does without the race detector: it holds the
# database too, ten times slower with it, or measures. The servers have it.
PLAIN = ./cmd/statustail/e2e/convergence ./nginx
# The longest come first, so that the others run beside them.
FIRST = ./stream/tail/contract ./widget/browsertest
QUICK = $(shell $(GO) list ./stream/fanout ./... | grep -vE '$(SLOW)')

# A line for each package; what was skipped stands at the end.
TESTS = $(GO) run $(GOTESTSUM) --format pkgname --hide-summary skipped

.PHONY: test check deps fmt generate build bench clean

# Many tests wait more than they compute, so a few packages run at a time on
# however few processors.
test: export STATUSTAIL_PROGRAM = $(CURDIR)/bin/statustail-race
test: deps vet
	$(GO) build -race -o $(STATUSTAIL_PROGRAM) ./cmd/statustail
	@mkdir -p testoutput
	$(TESTS) --jsonfile testoutput/race.json -- -race -p 3 -timeout 20m $$($(GO) list $(FIRST) ./... | grep -vE '/nginx$$|/convergence$$')
	$(TESTS) --jsonfile testoutput/plain.json -- -p 2 -timeout 20m $(PLAIN)
	@sed -n 's/.*"Action":"skip","Package":"\([^"]*\)","Test":"\([^"]*\)".*/skipped: \1 \2/p' testoutput/race.json testoutput/plain.json

check: fmt vet types
	$(GO) run $(STATICCHECK) ./...
	$(GO) test -race -p 3 $(QUICK)

# The widget's TypeScript is checked where npm is there; building it needs none.
.PHONY: types
types:
	@if command -v npm >/dev/null 2>&1; then sh widget/typecheck.sh; else echo "no npm: the widget's types are not checked"; fi

.PHONY: vet
vet:
	$(GO) vet ./...

# The shipped nginx configuration, proven with the real nginx. Part of test.
.PHONY: nginx-test
nginx-test: deps
	$(GO) test -timeout 15m ./nginx/...

# The widget in Firefox and WebKitGTK, as visitors see it. Needs npm, and
# Debian's firefox-esr, webkit2gtk-driver and xvfb; not part of test.
.PHONY: engines
engines: build
	cd widget/engines && npm install --no-package-lock --no-audit --no-fund && node run.mjs $(CURDIR)/bin/statustail $(CURDIR)/testoutput/engines

fmt:
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); \
	if [ -n "$$unformatted" ]; then echo "run gofmt -w on:"; echo "$$unformatted"; exit 1; fi

# Chromium and nginx, for the end-to-end tests. Those say so, and are skipped,
# where neither is installed nor can be.
deps:
	@sh .ci/install-deps

generate:
	$(GO) generate ./...

build:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags='-s -w' -o bin/statustail ./cmd/statustail

# Beside its peers: see bench/README.md.
bench:
	cd bench && $(GO) run .

clean:
	rm -rf bin dist testoutput
