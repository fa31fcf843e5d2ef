# Everything a person needs: `make run`, `make test`, `make bench`. Built tools and
# compiled code are kept in $(ARGOSY_CACHE), outside the repository.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

export ARGOSY_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/argosy
export CARGO_TARGET_DIR ?= $(ARGOSY_CACHE)/target

say = printf '\n== %s\n' "$(1)"

# One thing after the other: each prints its progress and uses all cores.
.NOTPARALLEL:
.PHONY: help run test bench bench-fleet bench-fleet-ranges bench-sandbox fuzz lint tools cargo

help: ## Says what there is.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 16

cargo:
	@command -v cargo >/dev/null || { echo "cargo not found: install Rust 1.95 or newer from https://rustup.rs"; exit 1; }

tools: cargo ## Builds the Kubernetes components that the tests start.
	@tests/tools/build >/dev/null

run: cargo ## Starts Argosy with clusters of its own, deploys a sample and goes on running.
	@$(call say,building argosy)
	@cargo build --locked -p argosy
	@$(CARGO_TARGET_DIR)/debug/argosy up --data-dir $(ARGOSY_CACHE)/up

lint: cargo ## Formatting, lints, and crates that must not be linked.
	@$(call say,formatting and lints)
	@cargo fmt --all --check
	@cargo clippy --workspace --all-targets --locked -- -D warnings
	@for crate in ring openssl-sys native-tls; do \
	  users=$$(cargo tree --locked --workspace --edges normal,build --invert $$crate 2>/dev/null || true); \
	  if [[ -n $$users ]]; then printf '%s\n%s\n' "$$crate must not be linked (deny.toml), but is:" "$$users"; exit 1; fi; \
	done

# Test programs of the product that run once more on its own sandbox: those that show
# the most and take the least.
on_sandbox := first_light operations control_plane impersonation custom_health bad_input old_server settings sources api_projects

test: tools lint ## Everything: lints, unit tests, tests against real components, and on the sandbox.
	@$(call say,building the tests)
	@cargo build --locked -p argosy
	@cargo test --locked --workspace --no-run
	@$(call say,running the tests)
	@ARGOSY_TEST_BIN="$$(tests/tools/build)" cargo test --locked --workspace
	@$(call say,running the product on its own sandbox)
	@ARGOSY_TEST_CONTROL_PLANE=sandbox cargo test --locked --workspace $(on_sandbox:%=--test %)

bench: tools ## 1,000 applications on one API server, with figures.
	@$(call say,building for the benchmark)
	@cargo build --locked --release -p argosy -p argosy-loadtest
	@$(CARGO_TARGET_DIR)/release/bench

bench-sandbox: cargo ## Memory and speed of simulated clusters, with figures.
	@$(call say,building for the benchmark)
	@cargo build --locked --release -p argosy-loadtest --bin sandbox
	@$(CARGO_TARGET_DIR)/release/sandbox

# A fleet to measure: the name of a file in loadtest/fleet/scenarios, or any other file.
SCENARIO ?= small
scenario = $(if $(filter %.yaml,$(SCENARIO)),$(SCENARIO),loadtest/fleet/scenarios/$(SCENARIO).yaml)
fleet = $(basename $(notdir $(scenario)))
reports = $(ARGOSY_CACHE)/fleet/$(fleet)
ranges = loadtest/fleet/ranges/$(fleet).yaml

bench-fleet: tools ## A fleet that is worked on, killed, drained and upgraded, with figures and plots; SCENARIO says which.
	@$(call say,building for the benchmark)
	@cargo build --locked --release -p argosy -p argosy-loadtest --bin argosy --bin fleet
	@$(CARGO_TARGET_DIR)/release/fleet $(scenario) --report $(reports)/$$(date +%Y%m%d-%H%M%S).json \
	  $(if $(wildcard $(ranges)),--ranges $(ranges))

bench-fleet-ranges: cargo ## Makes the ranges that later runs of SCENARIO must be in, from its runs so far.
	@cargo build --locked --release -p argosy-loadtest --bin fleet
	@$(CARGO_TARGET_DIR)/release/fleet ranges $(ranges) $(reports)/*.json

fuzz: cargo ## Tries readers of foreign input with made-up ones, each for FUZZ_SECONDS (30).
	@$(call say,building the fuzz targets)
	@RUSTC_WORKSPACE_WRAPPER=$(CURDIR)/fuzz/rustc cargo build --locked --release -p argosy-fuzz --features libfuzzer
	@$(call say,fuzzing; what is found is told with how to repeat it)
	@fuzz/run
