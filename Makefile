# `make help` lists what there is.

PREFIX     ?= /usr/local
LIBDIR     ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
BINDIR     ?= $(PREFIX)/bin
DESTDIR    ?=

# Rust's own installer puts cargo here, which not every shell has on its path.
export PATH := $(PATH):$(HOME)/.cargo/bin

VERSION   := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
ABI_MAJOR := 1
TARGET    := $(or $(CARGO_TARGET_DIR),target)
BUILT_SO  := $(TARGET)/release/libsteamnetmsg.so
BUILT_A   := $(TARGET)/release/libsteamnetmsg.a
BUILT_BIN := $(TARGET)/release/steamnetmsg
BUILT_SERVER := $(TARGET)/release/steamnetmsg-server
CHECK     := tools/check.sh

# What a program linked with the static library needs from the system: rustc --print native-static-libs.
SYSTEM_LIBS := -lgcc_s -lutil -lrt -lpthread -lm -ldl

# The library as if installed, for the examples and tests of this tree.
STAGE    := $(CURDIR)/build/stage
EXAMPLES := $(CURDIR)/build/examples

.PHONY: all lib tool server stage examples demo bench bench-instructions test check-format check-lint test-rust test-wire \
        test-examples test-servers test-packaging test-capture test-sanitizers install uninstall clean help

all: examples ## the library, the tool and the server (release), and the C examples

BUILD_ALL := cargo build --release --locked --lib --bins

lib: ## the library: target/release/libsteamnetmsg.{so,a}; the tool and the server come with it
	@tools/ensure.sh cargo cc
	$(BUILD_ALL)

tool: lib ## the program steamnetmsg: target/release/steamnetmsg

server: lib ## rendezvous, STUN and TURN: target/release/steamnetmsg-server

stage: lib
	@$(MAKE) --no-print-directory -s install PREFIX=$(STAGE) LIBDIR=$(STAGE)/lib INCLUDEDIR=$(STAGE)/include \
	    BINDIR=$(STAGE)/bin DESTDIR=

examples: stage ## the C examples: build/examples/{hello,chat,sendfile}
	@tools/ensure.sh cc pkg-config
	@$(MAKE) --no-print-directory -C examples-c OUT=$(EXAMPLES) PKG_CONFIG_PATH=$(STAGE)/lib/pkgconfig

demo: ## certified users: two chats and a file over a bad line, in the terminal
	@tools/ensure.sh cargo cc pkg-config
	@echo "building; the first time takes a few minutes"
	@$(CHECK) "the library and the examples are built" $(MAKE) examples
	@tools/demo.sh $(EXAMPLES) $(STAGE)/bin/steamnetmsg $(STAGE)/bin/steamnetmsg-server

# The libraries measured beside ours (GameNetworkingSockets takes minutes to build): `make bench PEERS=quinn`, `PEERS=`.
PEERS   ?= quinn enet gns
BENCH   := $(TARGET)/release/bench
RESULTS ?= build/bench

bench: lib ## how fast it is beside others, about ten minutes; FULL=1: everything, five times
	@tools/ensure.sh cargo cc git $(PEERS:%=peer-%)
	cargo build --release --locked -p steamnetmsg-bench --features "$(PEERS)"
	$(BENCH) --size $(if $(FULL),full,short) --out $(RESULTS) $(BENCH_OPTIONS)

bench-instructions: ## instructions of the hot walks, which no busy machine changes
	@tools/ensure.sh cargo cc valgrind
	cargo build --release --locked -p steamnetmsg-bench --bin walks
	$(TARGET)/release/walks --twice

TESTS := check-format check-lint test-rust test-wire test-examples test-servers test-packaging test-capture test-sanitizers

test: $(TESTS) ## every test (-k: also after a failure)

check-format:
	@tools/ensure.sh cargo
	@$(CHECK) "formatting" cargo fmt --all --check

check-lint:
	@tools/ensure.sh cargo cc g++
	@$(CHECK) "clippy, no warnings" cargo clippy --workspace --all-targets --locked -- -D warnings

test-rust:
	@tools/ensure.sh cargo cc g++ readelf gcc-m32 node python3 python3-cryptography
	cargo test --workspace --locked --no-fail-fast

test-wire:
	@tools/ensure.sh cargo cc python3 python3-venv
	tests/wire.sh

test-examples: examples
	tests/examples.sh $(EXAMPLES) $(STAGE)/bin/steamnetmsg

test-servers: examples
	@tools/ensure.sh turnserver nginx openssl nft ip ss unshare nsenter
	tests/servers.sh $(EXAMPLES) $(STAGE)/bin/steamnetmsg $(STAGE)/bin/steamnetmsg-server

test-packaging: lib
	@tools/ensure.sh cc g++ cmake pkg-config readelf
	tests/packaging.sh

test-capture: examples
	@tools/ensure.sh tcpdump python3
	tests/capture.sh $(EXAMPLES)

test-sanitizers: lib
	tests/sanitizers.sh

# Only built here when missing, so that `sudo make install` needs no Rust for root.
$(BUILT_SO) $(BUILT_A) $(BUILT_BIN) $(BUILT_SERVER):
	$(BUILD_ALL)

CMAKEDIR := $(LIBDIR)/cmake/steamnetmsg
FILL_IN   = sed -e 's|@VERSION@|$(VERSION)|g' -e 's|@ABI_MAJOR@|$(ABI_MAJOR)|g' -e 's|@SYSTEM_LIBS@|$(SYSTEM_LIBS)|g' \
    -e 's|@PREFIX@|$(PREFIX)|g' -e 's|@LIBDIR@|$(LIBDIR)|g' -e 's|@INCLUDEDIR@|$(INCLUDEDIR)|g' \
    -e "s|@INCLUDEDIR_FROM_LIBDIR@|$$(realpath -m --relative-to=$(LIBDIR) $(INCLUDEDIR))|g"

install: $(BUILT_SO) $(BUILT_A) $(BUILT_BIN) $(BUILT_SERVER) ## into PREFIX (/usr/local), LIBDIR, INCLUDEDIR, BINDIR, below DESTDIR
	install -d "$(DESTDIR)$(LIBDIR)/pkgconfig" "$(DESTDIR)$(CMAKEDIR)" "$(DESTDIR)$(INCLUDEDIR)" "$(DESTDIR)$(BINDIR)"
	install -C -m 755 $(BUILT_BIN) "$(DESTDIR)$(BINDIR)/steamnetmsg"
	install -C -m 755 $(BUILT_SERVER) "$(DESTDIR)$(BINDIR)/steamnetmsg-server"
	install -C -m 755 $(BUILT_SO) "$(DESTDIR)$(LIBDIR)/libsteamnetmsg.so.$(VERSION)"
	ln -sf libsteamnetmsg.so.$(VERSION) "$(DESTDIR)$(LIBDIR)/libsteamnetmsg.so.$(ABI_MAJOR)"
	ln -sf libsteamnetmsg.so.$(ABI_MAJOR) "$(DESTDIR)$(LIBDIR)/libsteamnetmsg.so"
	install -C -m 644 $(BUILT_A) "$(DESTDIR)$(LIBDIR)/libsteamnetmsg.a"
	install -C -m 644 include/steamnetmsg.h "$(DESTDIR)$(INCLUDEDIR)/steamnetmsg.h"
	$(FILL_IN) packaging/steamnetmsg.pc.in >"$(DESTDIR)$(LIBDIR)/pkgconfig/steamnetmsg.pc"
	$(FILL_IN) packaging/steamnetmsgConfig.cmake.in >"$(DESTDIR)$(CMAKEDIR)/steamnetmsgConfig.cmake"
	$(FILL_IN) packaging/steamnetmsgConfigVersion.cmake.in >"$(DESTDIR)$(CMAKEDIR)/steamnetmsgConfigVersion.cmake"

uninstall: ## takes away what install put there
	rm -f "$(DESTDIR)$(LIBDIR)/libsteamnetmsg.so.$(VERSION)" "$(DESTDIR)$(LIBDIR)/libsteamnetmsg.so.$(ABI_MAJOR)" \
	    "$(DESTDIR)$(LIBDIR)/libsteamnetmsg.so" "$(DESTDIR)$(LIBDIR)/libsteamnetmsg.a" "$(DESTDIR)$(BINDIR)/steamnetmsg" \
	    "$(DESTDIR)$(BINDIR)/steamnetmsg-server" "$(DESTDIR)$(INCLUDEDIR)/steamnetmsg.h" "$(DESTDIR)$(LIBDIR)/pkgconfig/steamnetmsg.pc"
	rm -rf "$(DESTDIR)$(CMAKEDIR)"

clean: ## everything built
	rm -rf build
	cargo clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 18
