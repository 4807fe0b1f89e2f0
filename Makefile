# slurm-asg. `make help` lists what there is.

# The AWS SDK takes minutes and gigabytes to compile: its place is outside the checkout.
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/slurm-asg
export CARGO_TARGET_DIR ?= $(CACHE)/target
CARGO := cargo --locked
DEBUG := $(CARGO_TARGET_DIR)/debug
RELEASE := $(CARGO_TARGET_DIR)/release
# Random worlds for each property of the plan.
export SLURM_ASG_CASES ?= 10000

.PHONY: help deps build demo test test-releases packages test-packages soak chaos memcheck fuzz oracle lint deny \
	bench bench-build bench-quick bench-alone bench-peer bench-scale bench-queue bench-bursts bench-results clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 16

# One line for whoever is not root: make would add one of its own to a failing command.
deps: ## install what is missing on this machine (root)
ifneq ($(shell id -u),0)
	$(error this starts slurmctld and slurmd and may install packages; run it as root, for instance 'sudo -E make demo')
endif
	@tools/install-deps

build: deps ## build everything
	$(CARGO) build --workspace --examples --bins --lib

demo: build ## show slurm-asg at work: real slurmctld and slurmd, a sandbox for AWS (root)
	$(DEBUG)/slurm-asg-demo

test: build ## run all tests (root)
	tools/run-tests

# Releases of Slurm, and words of tests' names: all of each.
RELEASES ?= 22.05 24.11 26.05
TESTS ?=
test-releases: build ## run the end-to-end tests with each release of Slurm (RELEASES=24.11 TESTS=life::, root)
	@for release in $(RELEASES); do tools/test-release $$release $(TESTS) || exit; done

# Where packages go.
PACKAGES ?= $(CARGO_TARGET_DIR)/packages
packages: deps ## build the DEB and RPM packages (RELEASES=24.11 PACKAGES=directory)
	packaging/build $(PACKAGES) $(RELEASES)

test-packages: build ## install, use, upgrade and remove the packages with each release (RELEASES, root)
	tools/test-packages $(RELEASES)

# How many hours of clusters `make soak` simulates: at about 200,000 an hour on two cores.
HOURS ?= 100000
soak: deps ## simulate clusters with faults, in virtual time (HOURS=100000)
	SLURM_ASG_SIM_HOURS=$(HOURS) $(CARGO) test -p slurm-asg-engine --test sim no_seed_breaks_a_rule -- --nocapture

# How many jobs `make chaos` submits, and further lines of the group in asg.toml.
JOBS ?= 200
KEYS ?=
chaos: build ## many jobs on a real cluster while everything goes wrong (JOBS=200 KEYS='api = "launch-instances"', root)
	SLURM_ASG_CHAOS_JOBS=$(JOBS) SLURM_ASG_CHAOS_KEYS='$(KEYS)' $(CARGO) test --test e2e every_job_runs_while_everything -- --nocapture

memcheck: build ## a cluster's life with slurmctld under Valgrind's memcheck (minutes, root)
	$(CARGO) test --workspace --test e2e memcheck_finds -- --ignored --nocapture

# For how long `make fuzz` runs each target, seconds.
SECONDS ?= 60
fuzz: ## feed broken files, node lists, requests and errors to what reads them (SECONDS=60)
	tools/run-fuzz $(SECONDS)

# How many mixes of jobs `make oracle` submits to real clusters.
MIXES ?= 300
oracle: build ## compare the count of demand with what Slurm powers up (MIXES=300, root)
	SLURM_ASG_MIXES=$(MIXES) $(CARGO) test --workspace --test oracle -- --nocapture

lint: deps ## formatting, clippy, shell scripts: warnings are errors
	cargo fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	shellcheck -x -P SCRIPTDIR tools/* slurm-headers/fetch .ci/run packaging/node/slurm-asg-node packaging/build \
		packaging/lib/* packaging/test/* packaging/deb/*.p*

# The advisory database comes from the network, which not every machine that runs CI has.
ADVISORIES ?= 0
deny: ## licences, sources and versions of the dependencies (ADVISORIES=1: advisories, yanked crates)
	tools/check-deps $(ADVISORIES)

# Figures of the last run, one file for each program.
FIGURES := $(CARGO_TARGET_DIR)/figures
# How often the programs take a figure, and ParallelCluster's beside it.
RUNS ?= 5

bench-build: deps
	$(CARGO) build --release --workspace --bins --lib
	@mkdir -p $(FIGURES)

bench: bench-alone bench-peer bench-scale bench-queue bench-bursts ## take all figures, write benches/RESULTS.md (an hour, PyPI, root)
	$(MAKE) bench-results

bench-quick: bench-build ## print the figures that take no time: under three minutes once it is built (root)
	$(RELEASE)/slurm-asg-bench --quick

bench-alone: bench-build ## plan, report, sizes, hook, programs, capacity call, memory, suspension (RUNS=5, root)
	$(RELEASE)/slurm-asg-bench --runs $(RUNS) --json $(FIGURES)/alone.json

bench-peer: bench-build ## resume 1, 100 and 1,000 nodes beside ParallelCluster's own program (RUNS=5, PyPI, root)
	$(RELEASE)/slurm-asg-bench-peer --runs $(RUNS) --json $(FIGURES)/peer.json

bench-scale: bench-build ## what 10,000 nodes and 5,000 submissions cost (RUNS=5, root)
	$(RELEASE)/slurm-asg-bench-scale --runs $(RUNS) --json $(FIGURES)/scale.json

bench-queue: bench-build ## what 100,000 queued jobs cost slurmctld (root)
	$(RELEASE)/slurm-asg-bench-queue --json $(FIGURES)/queue.json

bench-bursts: bench-build ## 1,000, 5,000 and 10,000 nodes and back to zero, drawn in benches/bursts.svg (root)
	$(RELEASE)/slurm-asg-bench-bursts --json $(FIGURES)/bursts.json --svg benches/bursts.svg

bench-results: ## write benches/RESULTS.md and results.json from the last figures of each
	$(RELEASE)/slurm-asg-bench-results --out benches \
		$(FIGURES)/alone.json $(FIGURES)/peer.json $(FIGURES)/scale.json $(FIGURES)/queue.json $(FIGURES)/bursts.json

clean: ## remove what was built
	rm -rf $(CARGO_TARGET_DIR)
