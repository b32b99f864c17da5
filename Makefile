# sqlite-replica. `make` builds the extension, `make help` says what else there is.
#
# Needs Rust (cargo), gcc, make, Python 3 with venv, and the sqlite3 shell.
# Everything else is put into .tools/ and target/ of this folder, once.

TOOLS     := $(CURDIR)/.tools
DLL       := $(if $(filter Windows_NT,$(OS)),dll,$(if $(filter Darwin,$(shell uname -s)),dylib,so))
BUILT     := $(if $(filter dll,$(DLL)),replica,libreplica).$(DLL)
EXTENSION := dist/replica.$(DLL)
VENV      := $(TOOLS)/venv/requirements.txt
SHELL_OK  := $(TOOLS)/shell
TURSODB   := $(TOOLS)/tursodb
FRONTS    := $(TOOLS)/fronts
ORACLES   := $(TOOLS)/oracles
PEERS     := $(TOOLS)/venv/peers.txt
# On Linux, packages are linked by zig, for the oldest glibc that Rust supports.
ZIG       := $(if $(filter Linux,$(shell uname -s)),$(TOOLS)/zig/zig.txt)
TRIPLE    := $(shell uname -m)-unknown-linux-gnu
ifdef ZIG
DIST_BUILD    = PATH="$(TOOLS)/zig/bin:$$PATH" cargo-zigbuild zigbuild --locked --profile dist --lib --target $(TRIPLE).2.17
DIST_LIBRARY  = $(TARGET)/$(TRIPLE)/dist/$(BUILT)
else
DIST_BUILD    = cargo build --locked --profile dist
DIST_LIBRARY  = $(TARGET)/dist/$(BUILT)
endif
TARGET    := $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),target)
# Suites that run a second time, on replicas in memory; of turso, what is not
# sqld's and does not take its half minute.
IN_MEMORY := writes transactions histories batch live liars bad_input turso panic
SOURCES   := Cargo.toml Cargo.lock build.rs $(shell find src -name '*.rs')

# bindgen (a build dependency) wants libclang and gcc's own C headers.
export LIBCLANG_PATH            := $(TOOLS)/libclang
export BINDGEN_EXTRA_CLANG_ARGS  = -I$(shell gcc -print-file-name=include)
# What the tests and the demo start.
export SQLD   := $(TOOLS)/sqld
export TURSODB
export ORACLES
export PYTHON := $(TOOLS)/venv/bin/python

.PHONY: build help demo demo-offline primary test test-hosts test-suites test-versions soak fuzz sanitize library dist test-dist cross test-cross release test-release check bench bench-plot session symbols env clean distclean

build: $(EXTENSION) ## build dist/replica.so (release); the default
	@echo "$(EXTENSION) is up to date; 'make help' lists the other targets"

library: ## the library alone, by cargo and a libclang that is there: LIBCLANG_PATH=FOLDER
	cargo build --locked --release --lib
	@mkdir -p dist && cp $(TARGET)/release/$(BUILT) $(EXTENSION)

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | sed 's/[$$][$$]/$$/' | expand -t 22

demo: $(EXTENSION) $(SQLD) $(SHELL_OK) ## the session of the README against a real local sqld
	@tests/demo.sh $(EXTENSION)

demo-offline: $(EXTENSION) $(SQLD) $(SHELL_OK) ## writes without a primary, kill -9, a start of the primary: everything arrives once
	@tests/demo-offline.sh $(EXTENSION)

primary: $(EXTENSION) $(SQLD) ## a primary to play with, with the README's table; stays until Ctrl-C. PORT=8080
	@tests/primary.sh $(PORT)

test: $(SQLD) $(TURSODB) $(ORACLES)/installed $(FRONTS) $(SHELL_OK) ## all tests, against a real sqld, a real Turso server and the real sqlite3 shell
	cargo test --locked --no-fail-fast --features fault-points
	REPLICA_TEST_IN_MEMORY=1 cargo test --locked --no-fail-fast --features fault-points $(IN_MEMORY:%=--test %) -- --skip sqld:: --skip what_does_not_fit

test-hosts: $(EXTENSION) $(SQLD) $(SHELL_OK) ## one story in every language, one service in seven frameworks; installs hosts (by apt if root). HOSTS="php go" APPS="rails"
	$(if $(or $(HOSTS),$(if $(APPS),,all)),@$(PYTHON) tests/hosts/run.py --extension $(EXTENSION) $(HOSTS))
	$(if $(or $(APPS),$(if $(HOSTS),,all)),@$(PYTHON) tests/hosts/apps.py --extension $(EXTENSION) $(APPS))

test-suites: $(EXTENSION) $(SQLD) ## suites of SQLAlchemy, Django and libsql's clients on replicas; fetches them
	@$(PYTHON) tests/suites/run.py $(EXTENSION)

test-versions: $(EXTENSION) $(SQLD) ## the main story in old SQLites, from 3.29 (refused) on, and in ones built otherwise; fetches and builds them
	@tests/versions/run.sh $(EXTENSION) $(SQLD) $(TOOLS)/versions
	@tests/versions/built.sh $(EXTENSION) $(SQLD) $(TOOLS)/versions/built

soak: $(EXTENSION) $(SQLD) $(FRONTS) $(SHELL_OK) ## many processes and kill -9 at random: make soak MINUTES=10 [SEED=n]
	MINUTES=$(or $(MINUTES),10) cargo test --locked --features fault-points --test soak --test soak_live --test exactly_once --test outbox --test power --test kill --test fuzz --test proxies --test cloud --test memory --test security -- --ignored --nocapture

fuzz: $(VENV) ## every decoder by libFuzzer, if cargo-fuzz is there: make fuzz MINUTES=2 [TARGETS="turso wal"]
	@.ci/fuzz.sh $(or $(MINUTES),2) $(TARGETS)

sanitize: $(SQLD) $(SHELL_OK) ## tests with the shell under a tool: make sanitize TOOL=valgrind|address [ARGS="--test kill"]
	@.ci/sanitize.sh $(or $(TOOL),valgrind) $(ARGS)

dist: $(VENV) $(ZIG) ## archive, Python wheel, npm package and sqlpkg.json in dist/
	$(DIST_BUILD)
	@tests/symbols.sh $(DIST_LIBRARY)
	@mkdir -p dist/.build && cp $(DIST_LIBRARY) dist/.build/replica.$(DLL)
	@$(PYTHON) packages/dist.py dist dist/.build/replica.$(DLL)

test-dist: dist $(SQLD) $(SHELL_OK) ## install each package into an empty place and use it from there
	@$(PYTHON) tests/packages.py dist

cross: $(TOOLS)/zig/zig.txt $(VENV) ## build for arm64, musl, Windows and macOS, here. NAMES="linux-arm64 ..."
	@.ci/cross.sh $(NAMES)

release: $(VENV) ## packages of all platforms in dist/release/, of what `make dist` and `make cross` built
	@$(PYTHON) packages/dist.py dist/release $(wildcard dist/.build/replica.* dist/cross/*/replica.*)

test-release: $(VENV) ## what pip, npm and sqlpkg take of dist/release/ on each platform
	@$(PYTHON) tests/release.py dist/release

test-cross: $(SQLD) $(SHELL_OK) ## exports and oldest system of each that `make cross` built; the suites on arm64 (qemu) and musl
	@$(PYTHON) tests/binaries.py dist/cross
	@tests/cross.sh $(NAMES)

check: $(VENV) ## formatting, lints, licences and advisories of what is linked
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	cargo clippy --locked --all-targets --features fault-points -- -D warnings
	@$(PYTHON) .ci/dependencies.py # last: it asks nobody, so the crates must be there

bench: $(EXTENSION) $(SQLD) $(TURSODB) $(PEERS) ## beside libsql's client: times, round trips, memory (minutes)
	cargo bench --locked --bench apply
	$(PYTHON) benches/bench.py $(CASES)
	$(PYTHON) benches/batch.py

bench-plot: ## draw benches/bench.svg from the last `make bench`
	$(PYTHON) benches/plot.py

session: $(EXTENSION) $(SQLD) $(SHELL_OK) ## draw docs/session.svg: the README's first session, from a real run
	@$(PYTHON) tests/record.py $(EXTENSION) docs/session.svg

symbols: $(EXTENSION) ## prove that the library exports its entry points and contains no SQLite
	@tests/symbols.sh $(EXTENSION)

env: $(SQLD) ## variables for running cargo by hand: eval "$$(make -s env)"
	@echo 'export LIBCLANG_PATH="$(LIBCLANG_PATH)" BINDGEN_EXTRA_CLANG_ARGS="$(BINDGEN_EXTRA_CLANG_ARGS)"'

clean: ## remove what was built
	rm -rf target dist

distclean: clean ## remove the installed tools too
	rm -rf .tools

$(EXTENSION): $(SOURCES) | $(VENV)
	cargo build --release --locked
	@mkdir -p dist
	cp $(TARGET)/release/$(BUILT) $@

# Each of these is installed by the script, says so in one line, and is not
# touched again. A machine that has them all needs no network.
$(VENV): .ci/requirements.txt
	@.ci/tools.sh venv

$(SQLD): $(VENV)
	@.ci/tools.sh sqld

# Not there without node: then its tests say that they are skipped.
$(TURSODB):
	@.ci/tools.sh turso

# Turso's own clients. What cannot be had is left out, as its tests say.
$(ORACLES)/installed: .ci/oracles.txt $(VENV)
	@.ci/tools.sh oracles

# nginx, HAProxy, Apache and tinyproxy. Not there without root: then their tests
# say so.
$(FRONTS): .ci/fronts.txt
	@.ci/tools.sh fronts

# What `make bench` compares with; nothing else needs it.
$(PEERS): .ci/peers.txt | $(VENV)
	@.ci/tools.sh peers

$(TOOLS)/zig/zig.txt: .ci/zig.txt
	@.ci/tools.sh zig

$(SHELL_OK):
	@.ci/tools.sh shell
