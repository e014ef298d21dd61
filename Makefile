# The commands of this repository; `make help` lists them. The build itself is CMake's (CMakePresets.json).
PARALLEL ?= $(shell nproc)
PREFIX ?= /usr/local
REPEAT ?= 200
export PARALLEL

.DEFAULT_GOAL := help
.PHONY: help run test check stress ci bench format docs install clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# The program needs no tests, so a first `make run` neither builds nor requires what they need.
run: ## compare the ways to run the same work on this machine, with a report
	@scripts/install-packages build
	@test -f build/release/build.ninja || cmake --preset release -DFOURFOLD_BUILD_TESTS=OFF --log-level=WARNING
	cmake --build build/release --parallel $(PARALLEL) --target tools/fourfold
	build/release/tools/fourfold compare --report build/report.html
	@echo "The report is in $(CURDIR)/build/report.html"

test: ## build everything and run all tests
	@scripts/install-packages build test
	@cmake --preset release -DFOURFOLD_BUILD_TESTS=ON --log-level=WARNING
	cmake --build build/release --parallel $(PARALLEL)
	ctest --preset release --parallel $(PARALLEL)

check: ## build and test what changed since the last good check
	@scripts/install-packages build test
	@scripts/check

stress: test ## repeat the tests of every floor, REPEAT=200 times
	scripts/stress $(REPEAT)

ci: ## the wider checks: clang, sanitizers, clang-tidy, format, fuzzers
	@scripts/install-packages build test format ci
	@scripts/ci

bench: ## measure beside the peers; ONLY=B03 runs one
	@scripts/install-packages build test bench
	@cmake --preset bench --log-level=WARNING
	cmake --build build/bench --parallel $(PARALLEL) --target fourfold_bench
	bench/run $(ONLY)

format: ## lay out the sources
	@scripts/install-packages format
	scripts/format

docs: ## check the links and the examples of the documentation
	@scripts/install-packages build test
	scripts/check-docs

install: ## install library, headers and program, PREFIX=/usr/local
	@scripts/install-packages build
	@test -f build/release/build.ninja || cmake --preset release -DFOURFOLD_BUILD_TESTS=OFF --log-level=WARNING
	cmake --build build/release --parallel $(PARALLEL) --target fourfold tools/fourfold
	cmake --install build/release --prefix $(PREFIX)

clean: ## remove everything that was built
	rm -rf build
