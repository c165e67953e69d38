# What a person runs: build, run the examples, test, install. `make help` lists it.
# cargo does the compiling and knows what is up to date; the rest is copying.

PREFIX     ?= /usr/local
LIBDIR     ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
MANDIR     ?= $(PREFIX)/share/man
# gdb looks for a library's script beside it; for PREFIX=/usr also below /usr/share/gdb/auto-load.
GDBDIR     ?= $(if $(filter /usr,$(PREFIX)),/usr/share/gdb/auto-load)$(LIBDIR)
BINDIR     ?= $(PREFIX)/bin
DOCDIR     ?= $(PREFIX)/share/doc/cmempool
# Of debug information. Debuggers look in /usr/lib/debug.
DEBUGDIR   ?= $(PREFIX)/lib/debug
DESTDIR    ?=
CC         ?= cc
CFLAGS     ?= -O2
CXXFLAGS   ?= -O2
CARGO      ?= cargo
# Tells the system of a library in one of its places; fails, without harm, where that is not allowed.
LDCONFIG   ?= ldconfig

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
MAJOR   := $(firstword $(subst ., ,$(VERSION)))

# For another machine than this one: its name in Rust, and its tools.
#   make RUST_TARGET=riscv64gc-unknown-linux-gnu CC=riscv64-linux-gnu-gcc AR=riscv64-linux-gnu-ar \
#       OBJCOPY=riscv64-linux-gnu-objcopy
RUST_TARGET ?=
OBJCOPY     ?= objcopy
NM          ?= nm
READELF     ?= readelf
# More words for rustc, whether the archive alone is wanted, and features of the package.
RUSTC_FLAGS ?=
STATIC_ONLY ?=
FEATURES    ?=
# Empty: debug information stays in the shared library, for packagers who split it off themselves.
SPLIT_DEBUG ?= 1

TARGET := $(or $(CARGO_TARGET_DIR),target)
LIB    := $(TARGET)/lib
STAGE  := $(abspath $(TARGET))/stage
# Make takes a space for the end of a name.
$(foreach name,CURDIR TARGET LIB PREFIX LIBDIR INCLUDEDIR MANDIR GDBDIR BINDIR DOCDIR DEBUGDIR DESTDIR, \
    $(if $(word 2,$($(name))),$(error cmempool is not built or installed where a path has a space: $(name) is '$($(name))')))
# Where cargo puts what it builds.
BUILT   = $(abspath $(TARGET))/$(if $(RUST_TARGET),$(RUST_TARGET)/)release

# Of an address. For the installation, which may have no rustc, the build writes it down.
BITS   = $(shell rustc --print cfg $(if $(RUST_TARGET),--target $(RUST_TARGET)) | \
    sed -n 's/^target_pointer_width="\(.*\)"/\1/p')

# How a shared library is linked, and which names it has. The last of them is the one that programs are
# linked with.
SYSTEM := $(if $(RUST_TARGET),$(RUST_TARGET),$(shell uname -s))
ifneq ($(findstring windows,$(SYSTEM)),)
SHARED       := libcmempool-$(MAJOR).dll
SHARED_NAMES := libcmempool.dll.a
SONAME       := $(SHARED)
LIBS_PRIVATE := -lsynchronization
LINK_SHARED   = -s -static-libgcc -Wl,--out-implib,$(LIB)/libcmempool.dll.a $(LIB)/cmempool.def $(LIBS_PRIVATE)
else ifneq ($(filter %-darwin Darwin,$(SYSTEM)),)
SHARED       := libcmempool.$(VERSION).dylib
SHARED_NAMES := libcmempool.$(MAJOR).dylib libcmempool.dylib
SONAME       := @rpath/libcmempool.$(MAJOR).dylib
LIBS_PRIVATE :=
LINK_SHARED   = -install_name $(SONAME)
else ifneq ($(findstring -none,$(SYSTEM)),)
SHARED       :=
SHARED_NAMES :=
SONAME       :=
LIBS_PRIVATE :=
STATIC_ONLY  := 1
FEATURES     := bare
export CARGO_PROFILE_RELEASE_OPT_LEVEL := s
else
SHARED       := libcmempool.so.$(VERSION)
SHARED_NAMES := libcmempool.so.$(MAJOR) libcmempool.so
SONAME       := libcmempool.so.$(MAJOR)
LIBS_PRIVATE := -lpthread
# All libraries of a program that have probes share the symbol that their notes count from.
STAYS_GLOBAL := _.stapsdt.base
# Functions that threads and fork have yet to call must not be unloaded.
LINK_SHARED   = -Wl,-soname,$(SONAME),--version-script=cmempool.map,-z,nodelete,-z,relro \
    -Wl,-z,now,-z,noexecstack,--gc-sections,--build-id,-O1
# Only functions and lines: full debug information changes the generated code.
DEBUG_FLAGS  := -C debuginfo=1 '--remap-path-prefix=$(CURDIR)=/usr/src/cmempool-$(VERSION)'
DEBUG_FILE   := $(SHARED).debug
endif

ifneq ($(STATIC_ONLY),)
SHARED       :=
SHARED_NAMES :=
DEBUG_FLAGS  :=
DEBUG_FILE   :=
endif

WARNINGS := -std=c11 -Wall -Wextra -Wpedantic
CXX_WARNINGS := -std=c++17 -Wall -Wextra -Wpedantic
EXAMPLES := $(patsubst c-examples/%.c,%,$(wildcard c-examples/*.c))
ADAPTERS := $(notdir $(wildcard adapters/cmempool/*.h))
# The name by which gdb finds the script of a library in ELF.
GDB_SCRIPT := $(if $(findstring .so,$(SHARED)),$(SHARED)-gdb.py)

.PHONY: all build run demo adapters test stage loom stress matrix soak sanitize coverage ports ports-tools fuzz bench \
    bench-quick crates-of-bench names install install-debug ready uninstall dist dist-check deb deb-check header abi clean \
    help tools try pictures

all: build

## build: the shared and the static library, in target/lib (the default)
# One object of cargo's archive is ours; the rest, Rust's own support code, ends up unused after link-time
# optimisation and would only add its symbols to other people's programs. Both libraries are made of it. What
# is hidden in the shared one is made local in the archive.
build: tools
	$(CARGO) rustc --locked --quiet --lib --release --crate-type staticlib --target-dir $(TARGET) \
	    $(if $(FEATURES),--features $(FEATURES)) $(if $(RUST_TARGET),--target $(RUST_TARGET)) -- $(DEBUG_FLAGS) $(RUSTC_FLAGS)
	@rm -rf $(LIB)/members $(LIB)/libcmempool* $(LIB)/try
	@mkdir -p $(LIB)/members
	@archive=$(BUILT)/libcmempool.a; cd $(LIB)/members; \
	    $(AR) x "$$archive" $$($(AR) t "$$archive" | grep '^cmempool[-.]')
	@$(if $(STATIC_ONLY),,$(LINK))
	@$(OBJCOPY) --localize-hidden $(if $(DEBUG_FLAGS),--strip-debug) $(LIB)/members/*.o
	@$(if $(STAYS_GLOBAL),$(OBJCOPY) --globalize-symbol=$(STAYS_GLOBAL) $(LIB)/members/*.o)
	@$(AR) rcs $(LIB)/libcmempool.a $(LIB)/members/*.o
	@rm -r $(LIB)/members
	@echo $(BITS) > $(LIB)/bits
	@$(if $(HAS_TRY),$(BUILD_TRY))

# The shared library, and its other names.
define LINK
$(if $(findstring .dll,$(SHARED)),$(DEFINE)) \
$(CC) -shared $(LIB)/members/*.o -o $(LIB)/$(SHARED) $(LINK_SHARED); \
$(if $(DEBUG_FILE),$(if $(SPLIT_DEBUG),$(SPLIT))) \
previous=$(SHARED); for name in $(filter-out %.dll.a,$(SHARED_NAMES)); do \
    ln -sf $$previous $(LIB)/$$name; previous=$$name; \
done
endef

# The library names the file with its debug information.
define SPLIT
$(OBJCOPY) --only-keep-debug $(LIB)/$(SHARED) $(LIB)/$(DEBUG_FILE); \
$(OBJCOPY) --strip-all --add-gnu-debuglink=$(LIB)/$(DEBUG_FILE) $(LIB)/$(SHARED);
endef

# What a DLL shows.
define DEFINE
{ echo EXPORTS; $(NM) $(LIB)/members/*.o | sed -n 's/.* T \(_*\(r_\|c\)*mempool_.*\)/\1/p'; } > $(LIB)/cmempool.def;
endef

# cmempool-try takes the place of the GNU C library's malloc. Its header of a block is too short for the alignment
# that 32-bit x86 has.
HAS_TRY  = $(and $(SHARED),$(filter Linux %-linux-gnu %-linux-gnueabihf,$(SYSTEM)),$(shell \
    printf '#include <limits.h>\n#if !defined __i386__ && __GLIBC__\nhas_try\n#endif\n' | $(CC) -E -P - 2>/dev/null | grep -x has_try))
TRY     := $(LIB)/try
# The library inside calls libc's own heap, and no other library sees it.
LINK_TRY := -shared -Wl,--wrap=posix_memalign,--wrap=free,--wrap=madvise,-z,now,-z,nodelete \
    -Wl,--version-script=tools/try/preload.map
define BUILD_TRY
mkdir -p $(TRY); \
$(CC) $(WARNINGS) $(CFLAGS) -fPIC -fvisibility=hidden -fno-builtin -ftls-model=initial-exec -Iinclude -Iadapters \
    $(addprefix tools/try/,preload.c pools.c record.c) -o $(TRY)/libcmempool-try.so $(LINK_TRY) \
    $(LIB)/libcmempool.a $(LIBS_PRIVATE); \
$(CC) $(WARNINGS) $(CFLAGS) -Iinclude $(addprefix tools/try/,try.c checks.c runs.c gather.c advise.c report.c) \
    -o $(TRY)/cmempool-try $(LIB)/libcmempool.a $(LIBS_PRIVATE)
endef

## try: build cmempool-try, which runs a program on a pool: target/lib/try/cmempool-try PROGRAM
try: build
	@$(if $(HAS_TRY),,echo "cmempool-try needs Linux and the GNU C library, and not 32-bit x86" >&2; exit 1)

## run: build and run the example programs
run: build
	@mkdir -p $(TARGET)/examples
	@for example in $(EXAMPLES); do \
	    echo "== c-examples/$$example.c"; \
	    $(CC) $(WARNINGS) $(CFLAGS) -Iinclude c-examples/$$example.c -o $(TARGET)/examples/$$example \
	        -L$(LIB) -lcmempool -Wl,-rpath,$(abspath $(LIB)); \
	    $(TARGET)/examples/$$example; \
	done
	@echo "== c-examples/nodes.cpp"; \
	command -v $(firstword $(CXX)) >/dev/null || { \
	    echo "skipped: there is no C++ compiler, '$(firstword $(CXX))'"; exit 0; }; \
	$(CXX) $(CXX_WARNINGS) $(CXXFLAGS) -Iinclude c-examples/nodes.cpp \
	    -o $(TARGET)/examples/nodes -L$(LIB) -lcmempool -Wl,-rpath,$(abspath $(LIB)); \
	$(TARGET)/examples/nodes

# What pkg-config calls the library of an adapter's example: that, or the first of these.
PACKAGE_OF_sqlite := sqlite3
PACKAGE_OF_lua    := lua5.4 lua-5.4 lua54 lua
PACKAGE_OF_zlib   := zlib
PACKAGE_OF_expat  := expat
PACKAGE_OF_cjson  := libcjson
PACKAGE_OF_libuv  := libuv
PACKAGE_OF_pcre2  := libpcre2-8

## adapters: build and run the examples of other libraries on pools, where those are installed
adapters: $(patsubst adapters/examples/%.c,adapters/%,$(wildcard adapters/examples/*.c))

adapters/%: adapters/examples/%.c build
	@mkdir -p $(TARGET)/examples
	@echo "== $<"
	@for package in $(PACKAGE_OF_$*); do \
	    if pkg-config --exists $$package; then break; else package=; fi; \
	done; \
	if [ -z "$$package" ]; then \
	    echo "skipped: pkg-config knows no $(firstword $(PACKAGE_OF_$*))"; \
	else \
	    $(CC) $(WARNINGS) $(CFLAGS) -Iinclude -Iadapters $< -o $(TARGET)/examples/$*-adapter \
	        $$(pkg-config --cflags --libs $$package) -L$(LIB) -lcmempool \
	        -Wl,-rpath,$(abspath $(LIB)); \
	    $(TARGET)/examples/$*-adapter; \
	fi

## demo: a day of a small server, with two sizings of its pool, and docs/use-over-time.svg from it
# The benchmark's runner draws it.
demo: crates-of-bench build
	@mkdir -p $(TARGET)/demo
	@$(CC) $(WARNINGS) $(CFLAGS) -Iinclude c-examples/server.c -o $(TARGET)/demo/server \
	    -L$(LIB) -lcmempool -Wl,-rpath,$(abspath $(LIB))
	@for sizing in guessed measured; do \
	    $(TARGET)/demo/server $$sizing $(TARGET)/demo/$$sizing.csv; \
	    echo "Wrote $(TARGET)/demo/$$sizing.csv"; \
	    echo; \
	done
	@[ -e $(TARGET)/bench/runner/release/bench-runner ] || \
	    echo "Building the program that draws (a minute, once)."
	@$(RUN_BENCH) use-over-time docs/use-over-time.svg $(TARGET)/demo/guessed.csv \
	    $(TARGET)/demo/measured.csv

## test: everything, against a tree installed under target/stage
test: stage
	CMEMPOOL_PREFIX=$(STAGE) $(CARGO) test --locked
	$(MAKE) --no-print-directory loom
	tests/c/run.sh $(STAGE)
	tests/watched.sh $(STAGE)
	tests/probes.sh $(STAGE)
	CARGO="$(CARGO)" tests/layouts.sh $(STAGE)
	tests/cxx.sh $(STAGE)
	tests/install.sh
	tests/gdb.sh $(STAGE)
	tests/debug.sh $(STAGE)
	CARGO="$(CARGO)" tests/subproject.sh $(TARGET)
	tests/adapters.sh $(STAGE)
	tests/metrics.sh $(STAGE)
	tests/try.sh $(STAGE)
	$(MAKE) --no-print-directory pictures

## pictures: texts, marks and frames of all pictures stay inside (the source tarball lacks the benchmark)
pictures:
	@[ ! -e bench/runner/Cargo.toml ] || [ -d vendor ] || $(CARGO) test --locked --quiet \
	    --manifest-path bench/runner/Cargo.toml --target-dir $(TARGET)/bench/runner

## loom: the models of the thread protocol, in every order that threads can run them
loom: tools
	RUSTFLAGS="--cfg loom" $(CARGO) test --locked --release --lib --target-dir $(TARGET)/loom model

## stress: hunt duplicates and losses: TIME=60 seconds
TIME ?= 60
stress: stage
	$(CC) $(WARNINGS) $(CFLAGS) -g tests/c/portable/stress.c -o $(TARGET)/stress -I$(STAGE)/include \
	    -L$(STAGE)/lib -lcmempool -Wl,-rpath,$(STAGE)/lib -pthread
	CMEMPOOL_STRESS_SECONDS=$(TIME) $(TARGET)/stress

## matrix: every kind of misuse in every kind of pool, and whether it is caught
matrix: stage
	@$(CC) $(WARNINGS) $(CFLAGS) -g tests/c/linux/misuse.c -o $(TARGET)/misuse -I$(STAGE)/include \
	    -L$(STAGE)/lib -lcmempool -Wl,-rpath,$(STAGE)/lib -pthread
	@$(TARGET)/misuse

## soak: threads, pools and sizes that come and go: TIME=60 seconds
soak: stage
	$(CC) $(WARNINGS) $(CFLAGS) -g tests/c/posix/soak.c -o $(TARGET)/soak -I$(STAGE)/include \
	    -L$(STAGE)/lib -lcmempool -Wl,-rpath,$(STAGE)/lib -pthread
	CMEMPOOL_SOAK_SECONDS=$(TIME) $(TARGET)/soak

## sanitize: all tests under the sanitizers and valgrind; needs the nightly toolchain
sanitize: stage
	CARGO="$(CARGO)" tests/sanitize/run.sh $(STAGE) $(abspath $(TARGET))/sanitize $(TOOLS)

## coverage: which lines of src/ no test runs; needs the nightly toolchain
coverage: tools
	CARGO="$(CARGO)" tests/coverage/run.sh $(abspath $(TARGET))/coverage

## ports: all platforms whose tools are here: build the library, run the C tests; ONLY=musl for one of them
ports: tools
	CARGO="$(CARGO)" ONLY="$(ONLY)" tests/ports/run.sh $(abspath $(TARGET))/ports

## ports-tools: install the compilers and emulators of make ports, on Debian
ports-tools:
	tests/ports/tools.sh $(abspath $(TARGET))/ports

## fuzz: random calls and arguments, by what they reach: TIME=60 seconds for each target
# What is found is written to tests/corpus, for `make test` to play it from then on. Without the fuzzer's
# notes of compared numbers and of rare features: here they cost two thirds of the time, and memory that
# grows, and find nothing.
FUZZ := $(CARGO) +nightly fuzz
FUZZ_FLAGS := --no-trace-compares --target-dir $(TARGET)/fuzz
fuzz: tools
	@command -v cargo-fuzz >/dev/null || { \
	    echo "make fuzz needs cargo-fuzz: cargo install --locked cargo-fuzz" >&2; exit 1; }
	@for target in calls watched bypassed create; do \
	    corpus=tests/corpus/calls; length=512; \
	    [ $$target != create ] || { corpus=tests/corpus/create; length=2048; }; \
	    mkdir -p $(TARGET)/fuzz/corpus/$$target; \
	    $(FUZZ) run $(FUZZ_FLAGS) $$target $(TARGET)/fuzz/corpus/$$target $$corpus -- \
	        -max_total_time=$(TIME) -max_len=$$length -entropic=0 -artifact_prefix=$$corpus/; \
	done

# What the C tests use: the tree as a user has it installed.
stage: build
	@rm -rf $(STAGE)
	@$(MAKE) --no-print-directory install PREFIX=$(STAGE) LIBDIR=$(STAGE)/lib \
	    INCLUDEDIR=$(STAGE)/include MANDIR=$(STAGE)/share/man DOCDIR=$(STAGE)/share/doc/cmempool BINDIR=$(STAGE)/bin \
	    DESTDIR= LDCONFIG=true >/dev/null

# Not a member of the library's package: its dependencies are nothing that a user of it needs.
RUN_BENCH := $(CARGO) run --locked --quiet --release --manifest-path bench/runner/Cargo.toml \
    --target-dir $(TARGET)/bench/runner -- --target $(TARGET)

crates-of-bench:
	@[ ! -d vendor ] || { echo "the source tarball lacks the benchmark's crates:" \
	    "run it from the repository" >&2; exit 1; }

## bench: measure against other allocators; table, JSON and pictures in bench/results (5 minutes); TO=16: scaling up to 16 threads
bench: crates-of-bench build
	@$(RUN_BENCH) $(if $(TO),--to $(TO)) $(BENCH_FLAGS)

## bench-quick: the same in under 40 seconds, and noisier
bench-quick: crates-of-bench build
	@$(RUN_BENCH) --quick $(BENCH_FLAGS)

# Where the header lies as seen from the CMake files.
CMAKEDIR      = $(LIBDIR)/cmake/cmempool
FROM_CMAKEDIR = $(shell realpath -m --relative-to=$(CMAKEDIR) $(INCLUDEDIR))

# The program lies beside what it preloads; in BINDIR is a link to it.
FROM_BINDIR   = $(shell realpath -m --relative-to=$(BINDIR) $(LIBDIR)/cmempool)

MAN_PAGES    := $(notdir $(wildcard man/*.3))

# Below the prefix where that can be said, so that pkg-config can be told another one.
BELOW_PREFIX = $(patsubst $(PREFIX)/%,$${prefix}/%,$(1))

# For build systems around this one: CMakeLists.txt and meson.build.
names:
	@printf '%s\n' 'shared=$(SHARED)' 'links=$(filter-out %.dll.a,$(SHARED_NAMES))' \
	    'import=$(filter %.dll.a,$(if $(SHARED),$(SHARED_NAMES)))' 'soname=$(SONAME)' 'private=$(LIBS_PRIVATE)'

# What is installed in DOCDIR, by the names that the documents use in their links.
DOCUMENTS := LICENSE README.md CHANGELOG.md SECURITY.md CONTRIBUTING.md cmempool.map adapters/README.md \
    $(wildcard packaging/README.md bench/README.md docs/*.md docs/*.svg bench/results/*.svg)

## install: libraries, headers, pkg-config, CMake, tools, man pages and documents into PREFIX, below DESTDIR if given
install: ready
	install -d $(DESTDIR)$(INCLUDEDIR)/cmempool $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(CMAKEDIR) \
	    $(DESTDIR)$(MANDIR)/man3 $(DESTDIR)$(DOCDIR)
	install -m 644 include/cmempool.h include/cmempool.hpp $(DESTDIR)$(INCLUDEDIR)
	install -m 644 $(addprefix adapters/cmempool/,$(ADAPTERS)) $(DESTDIR)$(INCLUDEDIR)/cmempool
	for name in $(SHARED) $(SHARED_NAMES); do \
	    cp -P --remove-destination $(LIB)/$$name $(DESTDIR)$(LIBDIR)/$$name; \
	done
	install -m 644 $(LIB)/libcmempool.a $(DESTDIR)$(LIBDIR)/libcmempool.a
	$(if $(GDB_SCRIPT),install -D -m 644 gdb/cmempool-gdb.py $(DESTDIR)$(GDBDIR)/$(GDB_SCRIPT))
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(call BELOW_PREFIX,$(LIBDIR))|' \
	    -e 's|@INCLUDEDIR@|$(call BELOW_PREFIX,$(INCLUDEDIR))|' -e 's|@VERSION@|$(VERSION)|' \
	    -e 's|@LIBS_PRIVATE@|$(LIBS_PRIVATE)|' \
	    cmempool.pc.in > $(DESTDIR)$(LIBDIR)/pkgconfig/cmempool.pc
	for file in cmempoolConfig.cmake cmempoolConfigVersion.cmake; do \
	    sed -e 's|@VERSION@|$(VERSION)|g' -e 's|@MAJOR@|$(MAJOR)|g' \
	        -e 's|@SHARED@|$(SHARED)|g' -e 's|@SONAME@|$(SONAME)|' \
        -e "s|@BYTES@|$$(($$(cat $(LIB)/bits) / 8))|" \
	        -e "s|@BITS@|$$(cat $(LIB)/bits)|g" \
	        -e 's|@INCLUDEDIR@|$(FROM_CMAKEDIR)|' -e 's|@LIBS_PRIVATE@|$(LIBS_PRIVATE)|' \
	        $$file.in > $(DESTDIR)$(CMAKEDIR)/$$file; \
	done
	@chmod 644 $(DESTDIR)$(LIBDIR)/pkgconfig/cmempool.pc $(DESTDIR)$(CMAKEDIR)/*.cmake
	cp -P --remove-destination man/*.3 $(DESTDIR)$(MANDIR)/man3
	@chmod 644 $(addprefix $(DESTDIR)$(MANDIR)/man3/,$(MAN_PAGES))
	for document in $(DOCUMENTS); do \
	    install -D -m 644 $$document $(DESTDIR)$(DOCDIR)/$$document; \
	done
	@[ ! -e $(TRY)/cmempool-try ] || { \
	    set -x; \
	    install -d $(DESTDIR)$(BINDIR) $(DESTDIR)$(LIBDIR)/cmempool $(DESTDIR)$(MANDIR)/man1; \
	    install -m 755 $(TRY)/cmempool-try $(TRY)/libcmempool-try.so $(DESTDIR)$(LIBDIR)/cmempool; \
	    ln -sf $(FROM_BINDIR)/cmempool-try $(DESTDIR)$(BINDIR)/cmempool-try; \
	    install -m 644 man/cmempool-try.1 $(DESTDIR)$(MANDIR)/man1; \
	}
	@[ -n "$(DESTDIR)" ] || $(LDCONFIG) 2>/dev/null || true

## install-debug: the debug information of the shared library, where debuggers find it
# By build ID in DEBUGDIR, and by a link next to the library, which tools follow under any prefix.
install-debug: ready
	@[ -e "$(LIB)/$(DEBUG_FILE)" ] && [ -n "$(DEBUG_FILE)" ] || { \
	    echo "there is no debug information in a file of its own: it is made for ELF and SPLIT_DEBUG=1" >&2; exit 1; }
	id=$$($(READELF) -n $(LIB)/$(SHARED) | sed -n 's/.*Build ID: //p'); \
	file=$(DESTDIR)$(DEBUGDIR)/.build-id/$${id::2}/$${id:2}.debug; \
	install -D -m 644 $(LIB)/$(DEBUG_FILE) $$file; \
	install -d $(DESTDIR)$(LIBDIR)/.debug; \
	ln -srf $$file $(DESTDIR)$(LIBDIR)/.debug/$(DEBUG_FILE)

# Root's PATH may lack cargo: for `sudo make install`, what `make` built will do.
ready:
	@for dir in $(PREFIX) $(LIBDIR) $(INCLUDEDIR) $(MANDIR) $(BINDIR) $(GDBDIR) $(DOCDIR) $(DEBUGDIR); do \
	    [ "$${dir#/}" != "$$dir" ] || { \
	        echo "cannot install into '$$dir': give the path from the root on" >&2; exit 1; }; \
	done
	@if command -v $(firstword $(CARGO)) >/dev/null || [ ! -e $(LIB)/libcmempool.a ]; then \
	    $(MAKE) --no-print-directory build; \
	fi

## uninstall: remove what install and install-debug put there
uninstall:
	rm -f $(addprefix $(DESTDIR)$(INCLUDEDIR)/,cmempool.h cmempool.hpp) \
	    $(addprefix $(DESTDIR)$(INCLUDEDIR)/cmempool/,$(ADAPTERS)) \
	    $(addprefix $(DESTDIR)$(LIBDIR)/,$(SHARED) $(SHARED_NAMES)) \
	    $(addprefix $(DESTDIR)$(LIBDIR)/,libcmempool.a pkgconfig/cmempool.pc) \
	    $(addprefix $(DESTDIR)$(MANDIR)/man3/,$(MAN_PAGES)) $(addprefix $(DESTDIR)$(DOCDIR)/,$(DOCUMENTS))
	$(if $(GDB_SCRIPT),rm -f $(DESTDIR)$(GDBDIR)/$(GDB_SCRIPT))
	rm -f $(DESTDIR)$(CMAKEDIR)/cmempoolConfig.cmake $(DESTDIR)$(CMAKEDIR)/cmempoolConfigVersion.cmake
	rm -f $(addprefix $(DESTDIR)$(LIBDIR)/cmempool/,cmempool-try libcmempool-try.so) \
	    $(DESTDIR)$(BINDIR)/cmempool-try $(DESTDIR)$(MANDIR)/man1/cmempool-try.1
	link=$(DESTDIR)$(LIBDIR)/.debug/$(DEBUG_FILE); dirs=(); \
	if [ -L "$$link" ]; then \
	    file=$$(readlink -m $$link); rm -f $$file $$link; \
	    dir=$${file%/*}; dirs=($$dir $${dir%/*} $${dir%/*/*} $${link%/*}); \
	fi; \
	for dir in $(addprefix $(DESTDIR),$(CMAKEDIR) $(INCLUDEDIR)/cmempool $(LIBDIR)/cmempool $(filter-out $(LIBDIR),$(GDBDIR)) \
	    $(addprefix $(DOCDIR)/,docs adapters packaging bench/results bench) $(DOCDIR)) $${dirs[@]+"$${dirs[@]}"}; do \
	    [ ! -d $$dir ] || rmdir --ignore-fail-on-non-empty $$dir; \
	done

DIST := cmempool-$(VERSION)

## dist: the committed source with the crates that it needs, to build without a network, in target/dist
# The same commit and cargo make the same bytes.
dist:
	@[ -e .git ] || { \
	    echo "make dist packs what is committed, and this is no git repository" >&2; exit 1; }
	@git diff --quiet HEAD || echo "make dist: what is not committed stays out" >&2
	@rm -rf $(TARGET)/dist
	@mkdir -p $(TARGET)/dist/$(DIST)/.cargo
	@git archive HEAD | tar -x -C $(TARGET)/dist/$(DIST)
	@cd $(TARGET)/dist/$(DIST) && \
	    $(CARGO) vendor --locked --versioned-dirs vendor > ../config.toml 2> ../vendor.log || { \
	        cat ../vendor.log >&2; exit 1; }; \
	    CARGO="$(CARGO)" tools/slim-vendor vendor; \
	    mv ../config.toml .cargo
	@tar -C $(TARGET)/dist --sort=name --owner=0 --group=0 --numeric-owner --mode=u+rw,go+r,go-w,a+X \
	    --mtime=@$$(git log -1 --format=%ct) --format=gnu -c $(DIST) | \
	    gzip -9n > $(TARGET)/dist/$(DIST).tar.gz
	@rm -rf $(TARGET)/dist/$(DIST)
	@ls $(TARGET)/dist/$(DIST).tar.gz

# Where users may have network namespaces of their own, there is no network at all; else cargo is
# told to do without.
NO_NETWORK = $$(unshare -rn true 2>/dev/null && echo unshare -rn)

## dist-check: make dist twice, compare, and have the result build and pass all tests offline
dist-check: dist
	@work=$$(mktemp -d); trap 'rm -rf "$$work"' EXIT; \
	mv $(TARGET)/dist/$(DIST).tar.gz $$work; \
	$(MAKE) --no-print-directory dist; \
	cmp $(TARGET)/dist/$(DIST).tar.gz $$work/$(DIST).tar.gz; \
	tar -xzf $$work/$(DIST).tar.gz -C $$work; \
	mkdir $$work/cargo; \
	for goal in build test; do \
	    env -u MAKEFLAGS -u CARGO_TARGET_DIR CARGO_HOME=$$work/cargo CARGO_NET_OFFLINE=true \
	        $(NO_NETWORK) $(MAKE) --no-print-directory -C $$work/$(DIST) $$goal; \
	done; \
	echo "$(DIST).tar.gz builds and passes its tests without a network"

## deb: the Debian packages, in target/deb
# From the tarball of make dist, as a maintainer would. -d: rustc and cargo may come from rustup, and then no
# package has them.
deb: dist
	@for tool in dpkg-buildpackage dh; do command -v $$tool >/dev/null || { \
	    echo "make deb needs '$$tool': apt-get install dpkg-dev debhelper" >&2; exit 1; }; done
	@said=$$(sed -n '1s/.*(\(.*\)-[^-]*).*/\1/p' packaging/debian/changelog); [ "$$said" = $(VERSION) ] || { \
	    echo "packaging/debian/changelog is of $$said, and Cargo.toml of $(VERSION)" >&2; exit 1; }
	@rm -rf $(TARGET)/deb
	@mkdir -p $(TARGET)/deb
	@cp $(TARGET)/dist/$(DIST).tar.gz $(TARGET)/deb/cmempool_$(VERSION).orig.tar.gz
	@tar -C $(TARGET)/deb -xzf $(TARGET)/dist/$(DIST).tar.gz
	@mv $(TARGET)/deb/$(DIST)/packaging/debian $(TARGET)/deb/$(DIST)/debian
	@cd $(TARGET)/deb/$(DIST) && env -u MAKEFLAGS -u MFLAGS -u CARGO_TARGET_DIR \
	    dpkg-buildpackage -d -us -uc > ../build.log 2>&1 || { tail -n 30 ../build.log >&2; exit 1; }
	@rm -rf $(TARGET)/deb/$(DIST)
	@ls $(TARGET)/deb/*.deb

## deb-check: make deb, look at the packages with lintian, and use them in a clean Debian (needs root and a network)
deb-check: deb
	tests/deb.sh $(TARGET)/deb

## header: write include/cmempool.h and the man pages anew from the Rust source
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
	@for tool in $(firstword $(CARGO)) $(firstword $(CC)) $(firstword $(AR)) $(firstword $(OBJCOPY)); do \
	    command -v "$$tool" >/dev/null || { \
	        echo "cmempool needs '$$tool' to build, and it is not on the PATH" >&2; exit 1; }; \
	done
