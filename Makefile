# What there is to do here, over CMake and Ninja. `make help` lists it.
BUILD ?= build
PREFIX ?= /usr/local
SECONDS ?= 60
COMMIT ?= HEAD~1
SEARCHES ?= 1000000
JOBS ?=

ninja = ninja -C $(BUILD) $(if $(JOBS),-j$(JOBS))
c_files = $(shell git ls-files '*.c' '*.h')

.PHONY: all help deps build-deps package-deps check-deps configure demo test quick bench bench-against fuzz soak wheel test-pythons test-distros test-arm64 docs install format check-format lint clean

all: configure ## build the command and the libraries (the default)
	$(ninja)

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

deps: ## install the distribution's packages that are missing
	@tools/install-deps

build-deps: # those that building needs
	@tools/install-deps build

package-deps: # and the Python package
	@tools/install-deps package

check-deps:
	@tools/install-deps --check build

configure: check-deps
	@cmake -S . -B $(BUILD) -G Ninja -DCMAKE_INSTALL_PREFIX=$(PREFIX) > $(BUILD).log 2>&1 || { cat $(BUILD).log; exit 1; }
	@mv $(BUILD).log $(BUILD)/configure.log

demo: build-deps ## build, then build a snapshot from the words in examples/words and search it
	@$(MAKE) --no-print-directory all
	tools/demo $(BUILD)/shardyfusion

test: deps ## build and run all tests, with the sanitizers too
	tools/test --build $(BUILD)

quick: deps configure ## build and run the unit tests that take a second or so each: under a minute
	@cmake -S . -B $(BUILD) -DSF_BUILD_TESTS=ON > /dev/null
	$(ninja) quick_tests
	ctest --test-dir $(BUILD) -L quick -j $(or $(JOBS),$(shell getconf _NPROCESSORS_ONLN)) --output-on-failure

bench: build-deps configure ## build and run the benchmarks
	cmake -S . -B $(BUILD) -DSF_BUILD_BENCHMARKS=ON > /dev/null
	$(ninja)
	tools/bench $(BUILD)

bench-against: build-deps configure ## the benchmarks of this tree and of COMMIT=… by turns: what became slower
	bench/run_against $(COMMIT) --build-dir $(BUILD)

fuzz: ## run every fuzzer for SECONDS=60 (needs clang)
	tools/fuzz --build $(BUILD)/fuzz --seconds $(SECONDS)

soak: deps ## a million searches of the package (SEARCHES=N), the library under everything for SECONDS=60, 660 kills, engines that fail, every allocation failing
	tools/test --build $(BUILD) --soak $(SECONDS) --searches $(SEARCHES)

wheel: package-deps ## build a self-contained Python wheel in build/wheels, and try it
	tools/wheel --build $(BUILD)

test-pythons: wheel ## the package's tests with the wheel, on every version of CPython that is there
	tools/test-pythons --build $(BUILD)

test-distros: ## build and test on Debian 12, 13 and unstable with gcc and clang (needs root and debootstrap)
	tools/test-distros --build $(BUILD)

test-arm64: ## the tests of kernels and scans on arm64, under qemu elsewhere (needs a cross-compiler)
	tools/test-arm64 --build $(BUILD)

docs: package-deps ## build the documentation of the Python package in build/docs
	tools/docs --build $(BUILD)

install: all ## install below PREFIX=/usr/local; DESTDIR is put before it
	cmake --install $(BUILD)
	@if [ -z "$(DESTDIR)" ] && [ "$$(id -u)" = 0 ] && command -v ldconfig > /dev/null; then ldconfig; fi

format: ## format the C sources
	@clang-format-14 -i $(c_files)

check-format:
	@clang-format-14 --dry-run -Werror $(c_files)

lint: configure check-format ## clang-format, clang-tidy, mandoc, the layers of the rooms, and the sizes of functions and files
	cmake -S . -B $(BUILD) -DSF_BUILD_TESTS=ON > /dev/null
	tools/lint $(BUILD)

clean: ## remove what was built
	rm -rf $(BUILD) $(BUILD).log
