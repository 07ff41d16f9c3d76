# SPDX-License-Identifier: GPL-2.0-only
# The front door: short names for the scripts, which take more options.

BUILD := $(CURDIR)/build
VARIANT ?= default
CPUS ?= 4
export KERNEL_SRC KERNEL_TARBALL KERNEL_VERSION KERNEL_SHA256

RUN_ARGS = $(if $(MEMORY),--memory $(MEMORY)) $(foreach f,$(FILES),--file $(f)) \
	--variant $(VARIANT) $(RUN)

# Of make torture; a bound by operations alone is for slow kernels.
TORTURE_SECONDS := $(if $(OPERATIONS),86400,300)
TORTURE_LIMIT := $(if $(OPERATIONS),86400,900)

help:
	@echo 'make demo       see SCHED_GHOST schedule real programs, in a virtual machine'
	@echo 'make test       run all tests in virtual machines: 2 and 4 CPUs, and SMT'
	@echo 'make test-matrix  the same on machines of many more shapes'
	@echo 'make torture    a random walk over everything at once, for minutes'
	@echo 'make fuzz       random calls of the whole interface'
	@echo 'make check      check the sources: style, warnings, documentation'
	@echo 'make test-host  the tests that need no virtual machine'
	@echo 'make off-is-off  with the option off, the kernel is that without the series'
	@echo 'make unhurt     tests of others, beside an enclave and without the series'
	@echo 'make series     the kernel side for git am, in build/series'
	@echo 'make bench      measure it against EEVDF and sched_ext (10 minutes)'
	@echo 'make shell      a prompt in the virtual machine'
	@echo
	@echo 'make kernel     the patched kernel, in build/kernel-VARIANT'
	@echo 'make user       library, agents, tools and tests, in build/user'
	@echo 'make initramfs  the root file system of the virtual machine'
	@echo 'make clean      remove what was built; distclean: the kernel source, too'
	@echo
	@echo 'Each of them builds what it needs. Variables that may be set:'
	@echo '  VARIANT=NAME                    which kernel: default, lockdep, kasan, kcsan,'
	@echo '                                  distro, nobtf, plain'
	@echo '  CPUS=N or a topology of QEMU    CPUs of demo and shell (4)'
	@echo '  TEST_CPUS="2 4"  ONLY=PATTERN   machines and programs of make test'
	@echo '                                  (ONLY of make unhurt, too)'
	@echo '  ROWS="8cpus numa"               rows of make test-matrix, off-is-off'
	@echo '  SERIES="--check"                options of make series, see the script'
	@echo '  REPS=N  ARGS="--tasks N"        repetitions of make bench (5), options'
	@echo '  CHECK="NAME ..."                only these checks of make check'
	@echo '  MINUTES=N OPERATIONS=N SEED=N   bounds and seed of make torture and fuzz'
	@echo '  MEMORY=MB  FILES="SRC:DST ..."  memory, extra files for the guest'
	@echo '  RUN="--option ..."              more options, see qemu/run.sh'
	@echo '  KERNEL_SRC=DIR, KERNEL_TARBALL=FILE or KERNEL_VERSION=6.12.N with'
	@echo '  KERNEL_SHA256=SUM               the kernel source (Debian'"'"'s package)'

demo: initramfs
	@qemu/run.sh --cpus $(CPUS) $(RUN_ARGS) --append loglevel=4 \
		--timeout 300 --name demo -- /usr/lib/ghost/demo

test: initramfs
	@qemu/test.sh $(if $(TEST_CPUS),--cpus "$(TEST_CPUS)") \
		$(if $(ONLY),--only '$(ONLY)') $(RUN_ARGS)

test-matrix: initramfs
	@qemu/test-matrix.sh --variant $(VARIANT) $(ROWS)

torture: initramfs
	@qemu/run.sh --cpus $(CPUS) $(RUN_ARGS) --append loglevel=4 --append 'psi=0 preempt=full' \
		--timeout $(if $(MINUTES),$$(($(MINUTES) * 60 + 600)),$(TORTURE_LIMIT)) \
		--name torture -- /usr/lib/ghost/leaks ghost-torture \
		--seconds $(if $(MINUTES),$$(($(MINUTES) * 60)),$(TORTURE_SECONDS)) \
		$(if $(OPERATIONS),--operations $(OPERATIONS)) \
		$(if $(SEED),--seed $(SEED)) $(ARGS)

fuzz: initramfs
	@qemu/run.sh --cpus $(CPUS) $(RUN_ARGS) --append loglevel=4 --append 'psi=0 preempt=full' \
		--timeout 86400 --name fuzz -- /usr/lib/ghost/leaks ghost-fuzz \
		$(if $(OPERATIONS),--operations $(OPERATIONS)) \
		$(if $(MINUTES),--seconds $$(($(MINUTES) * 60))) \
		$(if $(SEED),--seed $(SEED)) $(ARGS)

check: deps
	@scripts/build-kernel.sh
	@scripts/check.sh $(CHECK)

off-is-off: deps
	@scripts/off-is-off.sh $(ROWS)

unhurt: initramfs
	@scripts/unhurt.sh $(if $(ONLY),--only '$(ONLY)') $(ARGS)

series: deps
	@scripts/series.sh $(SERIES)

test-host: deps
	@set -e; for t in tests/host/*.sh; do echo "# $$t"; $$t; done

bench: initramfs
	@scripts/bench.sh --variant $(VARIANT) $(if $(REPS),--reps $(REPS)) $(ARGS)

shell: initramfs
	@qemu/run.sh --cpus $(CPUS) $(RUN_ARGS) --append loglevel=4 --name shell

deps:
	@scripts/deps.sh

kernel: deps
	@scripts/build-kernel.sh --variant $(VARIANT)

user: kernel $(BUILD)/user/bin/demo-sleepers
	@$(MAKE) --no-print-directory -j$$(nproc) -C userspace O=$(BUILD)/user
	@$(MAKE) --no-print-directory -j$$(nproc) -C tests O=$(BUILD)/user

$(BUILD)/user/bin/demo-sleepers: qemu/demo-sleepers.c | deps
	@mkdir -p $(@D)
	@$(CC) -O2 -Wall -Wextra -static -pthread -o $@ $<

initramfs: user
	@qemu/initramfs.sh

clean:
	rm -rf $(BUILD)/kernel-* $(BUILD)/user $(BUILD)/initramfs.cpio \
		$(BUILD)/logs $(BUILD)/accel $(BUILD)/check* \
		$(BUILD)/off-is-off $(BUILD)/unhurt $(BUILD)/series $(BUILD)/series-work

distclean:
	rm -rf $(BUILD)

.PHONY: help demo test torture fuzz bench test-host off-is-off unhurt series check test-matrix shell deps kernel user initramfs clean distclean
