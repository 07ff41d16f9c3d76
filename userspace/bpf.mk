# SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#
# Policies in BPF, libghost-bpf, which loads them, and ghostctl observe. They need clang, bpftool
# and libbpf, the packages libbpf-dev and bpftool; without them the rest is
# built, and a line says so.

CLANG ?= clang
BPFTOOL ?= $(firstword $(wildcard /usr/sbin/bpftool) bpftool)
LIBBPF := $(shell pkg-config --exists libbpf 2>/dev/null && \
	command -v $(BPFTOOL) >/dev/null && echo yes)
BPF_POLICIES := biff prio eevdf-bpf toy hybrid

ifeq ($(LIBBPF),)

all: no-bpf
.PHONY: no-bpf
no-bpf:
	@echo "no libbpf-dev or no bpftool here: without the policies in BPF"

else

LIBBPF_CFLAGS := $(shell pkg-config --cflags libbpf)
BPF_LIBS := $(shell pkg-config --static --libs libbpf)
MULTIARCH := $(shell $(CC) -print-multiarch 2>/dev/null)

# A program reads the ABI's types only: no vmlinux.h.
BPF_CFLAGS := -target bpf -mcpu=v3 -O2 -g -Wall -Wextra -Werror \
	-Wno-unused-function -Wno-unused-parameter \
	$(LIBBPF_CFLAGS) -I$(UAPI) -Iinclude \
	$(if $(MULTIARCH),-I/usr/include/$(MULTIARCH)) -MMD -MP

LIBBPF_OBJS := $(patsubst %.c,$(O)/obj/%.o,$(wildcard lib/bpf/*.c))
HOST_OBJS := $(patsubst %.c,$(O)/obj/%.o,$(wildcard agents/frame/*.c) \
	agents/common/supervise.c)
BPF_OBJS := $(LIBBPF_OBJS) $(HOST_OBJS) \
	$(BPF_POLICIES:%=$(O)/obj/agents/%/main.o)

OBSERVE := $(O)/obj/tools/observe/observe
CTL_OBJS += $(OBSERVE).o
CTL_LIBS := $(BPF_LIBS)
$(OBSERVE).o: $(OBSERVE).skel.h
$(CTL_OBJS): ALL_CFLAGS += -DHAVE_OBSERVE
$(OBSERVE).o: ALL_CFLAGS += $(LIBBPF_CFLAGS) -I$(O)/obj/tools/observe

BINS += $(BPF_POLICIES:%=$(O)/bin/ghost-%)

all: $(O)/lib/libghost-bpf.a $(O)/lib/libghost-bpf.so \
	$(O)/lib/pkgconfig/libghost-bpf.pc $(BINS)

$(BPF_OBJS): ALL_CFLAGS += $(LIBBPF_CFLAGS)
$(LIBBPF_OBJS): ALL_CFLAGS += -fPIC

$(O)/lib/libghost-bpf.a: $(LIBBPF_OBJS)
	@mkdir -p $(@D)
	@echo "  AR      $(@F)"
	@rm -f $@
	@$(AR) rcs $@ $^

$(O)/lib/libghost-bpf.so: $(LIBBPF_OBJS) $(O)/lib/libghost.so \
		lib/bpf/libghost-bpf.map
	@mkdir -p $(@D)
	@echo "  LD      $(@F)"
	@$(CC) $(CFLAGS) -shared -pthread -Wl,-soname,libghost-bpf.so.0 \
		-Wl,--version-script=lib/bpf/libghost-bpf.map -Wl,-z,defs \
		-o $@ $(LIBBPF_OBJS) -L$(O)/lib -lghost \
		$$(pkg-config --libs libbpf)
	@ln -sf libghost-bpf.so $(@D)/libghost-bpf.so.0

$(O)/lib/pkgconfig/libghost-bpf.pc: lib/bpf/libghost-bpf.pc.in Makefile
	@mkdir -p $(@D)
	@sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(VERSION)|' $< >$@

$(O)/obj/%.bpf.o: %.bpf.c
	@mkdir -p $(@D)
	@echo "  BPF     $<"
	@$(CLANG) $(BPF_CFLAGS) -c -o $@ $<

# NAME.skel.h holds the object and the names of what is in it.
.SECONDARY:
$(O)/obj/%.skel.h: $(O)/obj/%.bpf.o
	@echo "  SKEL    $(@F)"
	@$(BPFTOOL) gen object $(@:.skel.h=.linked.o) $<
	@$(BPFTOOL) gen skeleton $(@:.skel.h=.linked.o) \
		name $(subst -,_,$(notdir $*))_bpf >$@.tmp
	@mv $@.tmp $@

define policy
$(O)/obj/agents/$(1)/main.o: $(O)/obj/agents/$(1)/$(1).skel.h
$(O)/obj/agents/$(1)/main.o: ALL_CFLAGS += -I$(O)/obj/agents/$(1)

$(O)/bin/ghost-$(1): $(O)/obj/agents/$(1)/main.o $(HOST_OBJS) \
		$(O)/lib/libghost-bpf.a $(O)/lib/libghost.a
	@mkdir -p $$(@D)
	@echo "  LD      $$(@F)"
	@$(CC) $(CFLAGS) -static -pthread -o $$@ $$^ $(BPF_LIBS)
endef
$(foreach p,$(BPF_POLICIES),$(eval $(call policy,$(p))))

check: check-bpf
.PHONY: check-bpf install-bpf
check-bpf: all
	@if nm -D --defined-only $(O)/lib/libghost-bpf.so | \
		grep -v -e ' ghost_policy_' -e ' GHOST_BPF_0'; then \
		echo "these symbols should be hidden"; exit 1; fi

install: install-bpf
install-bpf: all
	install -d $(DESTDIR)$(PREFIX)/lib/pkgconfig
	install -m 644 $(O)/lib/libghost-bpf.a $(DESTDIR)$(PREFIX)/lib
	install $(O)/lib/libghost-bpf.so \
		$(DESTDIR)$(PREFIX)/lib/libghost-bpf.so.0
	ln -sf libghost-bpf.so.0 $(DESTDIR)$(PREFIX)/lib/libghost-bpf.so
	install -m 644 $(O)/lib/pkgconfig/libghost-bpf.pc \
		$(DESTDIR)$(PREFIX)/lib/pkgconfig

-include $(BPF_OBJS:.o=.d) $(OBSERVE).bpf.d \
	$(foreach p,$(BPF_POLICIES),$(O)/obj/agents/$(p)/$(p).bpf.d)

endif
