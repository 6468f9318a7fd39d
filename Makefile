# Every command that a person or CI runs. `make help` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory

TARGET_amd64 := x86_64-unknown-linux-musl
TARGET_arm64 := aarch64-unknown-linux-musl
TARGET := $(TARGET_amd64)
# Of the image. Both: make image PLATFORMS='linux/amd64 linux/arm64'
PLATFORMS ?= linux/amd64
ARCHITECTURES := $(PLATFORMS:linux/%=%)
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
# What aws-lc is compiled with for the image: the C library must be the one that is linked.
export CC_x86_64_unknown_linux_musl ?= musl-gcc
# Panics name source files: without this, whose home the dependencies lie in would show in the image, and in its digest.
export CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_RUSTFLAGS ?= --remap-path-prefix=$(or $(CARGO_HOME),$(HOME)/.cargo)=/cargo
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_RUSTFLAGS ?= $(CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_RUSTFLAGS)

.PHONY: help
help: ## Show this list.
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "  make %-10s %s\n", $$1, $$2}'

.PHONY: demo
demo: ## Show the main job on a local cluster (KEEP=1 keeps it, CLUSTER=current uses your kubeconfig).
	@tests/e2e/demo.sh

.PHONY: down
down: ## Remove the local cluster.
	@tests/cluster/down.sh

.PHONY: test
test: ## Build and pass every test that needs no special hardware.
	@if [ "$$(id -u)" = 0 ]; then tests/cluster/require.sh; else tests/cluster/require.sh rust; fi
	cargo test --workspace --locked
	@tests/browser/test.sh
	@tests/e2e/test.sh

.PHONY: lab
lab: ## Try the rules on real kernels, and rewrite docs/lab.md (root and QEMU; about 15 minutes).
	@tests/lab/run.sh

.PHONY: bench
bench: ## Measure beside floors, in one run on this machine (a cluster on the side, if root; numbers are no test).
	@tests/bench/bench.sh

.PHONY: check
check: ## Formatting, lints, architecture, chart.
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	tests/architecture.sh
	charts/gen.sh --check
	@PATH="$$(tests/cluster/tools.sh path):$$PATH" charts/check.sh

.PHONY: gen
gen: ## Rewrite generated files: CRDs, the chart's README and schema.
	UPDATE=1 cargo test --locked -p hostfit-tests --test it generated
	charts/gen.sh

.PHONY: program-amd64
program-amd64:
	@rustup target list --installed | grep -qx $(TARGET) || rustup target add $(TARGET)
	cargo build --locked --profile dist --target $(TARGET) -p hostfit-image

.PHONY: program-arm64
program-arm64:
	@rustup target list --installed | grep -qx $(TARGET_arm64) || rustup target add $(TARGET_arm64)
	PATH="$$(image/zig.sh):$$PATH" cargo zigbuild --locked --profile dist --target $(TARGET_arm64) -p hostfit-image

# Prints cargo's messages, one of which names the program.
.PHONY: bench-binaries
bench-binaries: program-amd64
	@cargo build --locked --profile dist --target $(TARGET) -p hostfit-tests --bench hostfit-bench --message-format json-render-diagnostics

.PHONY: image
image: $(ARCHITECTURES:%=program-%) ## Build the Hostfit image as an OCI layout in target/image, without a container engine.
	@image/build.sh $(VERSION) target/image $(foreach it,$(ARCHITECTURES),target/$(TARGET_$(it))/dist/hostfit-image)

.PHONY: release
release: ## Make what a release offers besides image and chart in target/release-folder: the program, completions, k9s, Argo CD, krew.
	@rustup target list --installed | grep -qx $(TARGET) || rustup target add $(TARGET)
	cargo build --locked --profile dist --target $(TARGET) -p hostfit-cli
	release/folder.sh target/$(TARGET)/dist/hostfit target/release-folder $(VERSION)

.PHONY: chart
chart: ## Package the chart into target/.
	@PATH="$$(tests/cluster/tools.sh path):$$PATH" helm package charts/hostfit --destination target
