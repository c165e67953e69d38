# What a person runs: build, run the examples, test, install. `make help` lists it.
# cargo does the compiling and knows what is up to date; the rest is copying.

PREFIX     ?= /usr/local
LIBDIR     ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
DESTDIR    ?=
CC         ?= cc
CFLAGS     ?= -O2
CARGO      ?= cargo

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
MAJOR   := $(firstword $(subst ., ,$(VERSION)))

TARGET := $(or $(CARGO_TARGET_DIR),target)
LIB    := $(TARGET)/lib
STAGE  := $(abspath $(TARGET))/stage
SHARED := libcmempool.so.$(VERSION)

WARNINGS := -std=c11 -Wall -Wextra -Wpedantic
EXAMPLES := $(patsubst c-examples/%.c,%,$(wildcard c-examples/*.c))

.PHONY: all build run test stage loom stress soak sanitize coverage fuzz bench bench-quick install uninstall header abi clean \
    help tools

all: build

## build: the shared and the static library, in target/lib (the default)
# One object of the archive is ours; the rest, Rust's own support code, ends up unused after link-time
# optimisation and would only add its symbols to other people's programs. What is hidden in the shared
# library is made local here.
build: tools
	$(CARGO) rustc --locked --quiet --lib --release --crate-type cdylib,staticlib
	@mkdir -p $(LIB)
	@install -m 755 $(TARGET)/release/libcmempool.so $(LIB)/$(SHARED)
	@ln -sf $(SHARED) $(LIB)/libcmempool.so.$(MAJOR)
	@ln -sf libcmempool.so.$(MAJOR) $(LIB)/libcmempool.so
	@rm -rf $(LIB)/members $(LIB)/libcmempool.a
	@mkdir $(LIB)/members
	@archive=$(abspath $(TARGET))/release/libcmempool.a; cd $(LIB)/members; \
	    ar x "$$archive" $$(ar t "$$archive" | grep '^cmempool\.')
	@objcopy --localize-hidden $(LIB)/members/*.o
	@ar rcs $(LIB)/libcmempool.a $(LIB)/members/*.o
	@rm -r $(LIB)/members

## run: build and run the example programs
run: build
	@mkdir -p $(TARGET)/examples
	@for example in $(EXAMPLES); do \
	    echo "== c-examples/$$example.c"; \
	    $(CC) $(WARNINGS) $(CFLAGS) -Iinclude c-examples/$$example.c -o $(TARGET)/examples/$$example \
	        -L$(LIB) -lcmempool -Wl,-rpath,$(abspath $(LIB)); \
	    $(TARGET)/examples/$$example; \
	done

## test: everything, against a tree installed under target/stage
test: stage
	CMEMPOOL_PREFIX=$(STAGE) $(CARGO) test --locked
	$(MAKE) --no-print-directory loom
	tests/c/run.sh $(STAGE)

## loom: the models of the thread protocol, in every order that threads can run them
loom: tools
	RUSTFLAGS="--cfg loom" $(CARGO) test --locked --release --lib --target-dir $(TARGET)/loom model

## stress: hunt duplicates and losses: TIME=60 seconds
TIME ?= 60
stress: stage
	$(CC) $(WARNINGS) $(CFLAGS) -g tests/c/stress.c -o $(TARGET)/stress -I$(STAGE)/include \
	    -L$(STAGE)/lib -lcmempool -Wl,-rpath,$(STAGE)/lib -pthread
	CMEMPOOL_STRESS_SECONDS=$(TIME) $(TARGET)/stress

## soak: threads, pools and sizes that come and go: TIME=60 seconds
soak: stage
	$(CC) $(WARNINGS) $(CFLAGS) -g tests/c/soak.c -o $(TARGET)/soak -I$(STAGE)/include \
	    -L$(STAGE)/lib -lcmempool -Wl,-rpath,$(STAGE)/lib -pthread
	CMEMPOOL_SOAK_SECONDS=$(TIME) $(TARGET)/soak

## sanitize: all tests under the sanitizers and valgrind; needs the nightly toolchain
sanitize: stage
	CARGO="$(CARGO)" tests/sanitize/run.sh $(STAGE) $(abspath $(TARGET))/sanitize $(TOOLS)

## coverage: which lines of src/ no test runs; needs the nightly toolchain
coverage: tools
	CARGO="$(CARGO)" tests/coverage/run.sh $(abspath $(TARGET))/coverage

## fuzz: random calls and arguments, by what they reach: TIME=60 seconds for each target
# What is found is written to tests/corpus, for `make test` to play it from then on.
fuzz: tools
	@command -v cargo-fuzz >/dev/null || { \
	    echo "make fuzz needs cargo-fuzz: cargo install --locked cargo-fuzz" >&2; exit 1; }
	@for target in calls create; do \
	    mkdir -p $(TARGET)/fuzz/corpus/$$target; \
	    $(CARGO) +nightly fuzz run --target-dir $(TARGET)/fuzz $$target \
	        $(TARGET)/fuzz/corpus/$$target tests/corpus/$$target -- -max_total_time=$(TIME) \
	        -max_len=2048 -artifact_prefix=tests/corpus/$$target/; \
	done

# What the C tests use: the tree as a user has it installed.
stage: build
	@rm -rf $(STAGE)
	@$(MAKE) --no-print-directory install PREFIX=$(STAGE) LIBDIR=$(STAGE)/lib \
	    INCLUDEDIR=$(STAGE)/include DESTDIR= >/dev/null

# Not a member of the library's package: its dependencies are nothing that a user of it needs.
RUN_BENCH := $(CARGO) run --locked --quiet --release --manifest-path bench/runner/Cargo.toml \
    --target-dir $(TARGET)/bench/runner -- --target $(TARGET)

## bench: measure against other allocators; table, JSON and pictures in bench/results (3 minutes)
bench: build
	@$(RUN_BENCH) $(BENCH_FLAGS)

## bench-quick: the same in under 40 seconds, and noisier
bench-quick: build
	@$(RUN_BENCH) --quick $(BENCH_FLAGS)

## install: header, libraries and pkg-config file into PREFIX (/usr/local), below DESTDIR if given
install: build
	install -d $(DESTDIR)$(INCLUDEDIR) $(DESTDIR)$(LIBDIR)/pkgconfig
	install -m 644 include/cmempool.h $(DESTDIR)$(INCLUDEDIR)/cmempool.h
	install -m 755 $(LIB)/$(SHARED) $(DESTDIR)$(LIBDIR)/$(SHARED)
	ln -sf $(SHARED) $(DESTDIR)$(LIBDIR)/libcmempool.so.$(MAJOR)
	ln -sf libcmempool.so.$(MAJOR) $(DESTDIR)$(LIBDIR)/libcmempool.so
	install -m 644 $(LIB)/libcmempool.a $(DESTDIR)$(LIBDIR)/libcmempool.a
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@INCLUDEDIR@|$(INCLUDEDIR)|' \
	    -e 's|@VERSION@|$(VERSION)|' cmempool.pc.in > $(LIB)/cmempool.pc
	install -m 644 $(LIB)/cmempool.pc $(DESTDIR)$(LIBDIR)/pkgconfig/cmempool.pc

## uninstall: remove what install put there
uninstall:
	rm -f $(DESTDIR)$(INCLUDEDIR)/cmempool.h $(DESTDIR)$(LIBDIR)/libcmempool.so \
	    $(DESTDIR)$(LIBDIR)/libcmempool.so.$(MAJOR) $(DESTDIR)$(LIBDIR)/$(SHARED) \
	    $(DESTDIR)$(LIBDIR)/libcmempool.a $(DESTDIR)$(LIBDIR)/pkgconfig/cmempool.pc

## header: write include/cmempool.h anew from the Rust source
header: tools
	CMEMPOOL_WRITE_HEADER=1 $(CARGO) check --locked --quiet --lib

## abi: record the header's ABI anew in tests/abi
abi:
	CMEMPOOL_WRITE_ABI=1 $(CARGO) test --locked --quiet --test abi programs

## clean: remove everything that was built
clean:
	rm -rf $(TARGET)

## help: this list
help:
	@sed -n 's/^## /  make /p' Makefile

tools:
	@for tool in $(firstword $(CARGO)) $(firstword $(CC)) ar objcopy; do \
	    command -v "$$tool" >/dev/null || { \
	        echo "cmempool needs '$$tool' to build, and it is not on the PATH" >&2; exit 1; }; \
	done
