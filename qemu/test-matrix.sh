#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# test-matrix.sh [--variant NAME] [ROW...]
#
# Runs the tests on machines of many shapes and with each preemption model, and
# prints a table. What make test runs is not repeated here. A row can be named
# to run it alone:
#
#   1cpu             agents and workloads on the only CPU there is; all other
#                    tests want one that is theirs
#   3cpus 8cpus      so many CPUs
#   smt              2 cores with 2 threads each
#   numa             2 nodes with 2 CPUs each
#   none voluntary   preempt=, with 4 CPUs (full is the default)
#   64cpus           boot, files, layout and commits on each of them
#   distro           what distributions switch on (the variant distro, whatever
#                    --variant says): the machine's instruments, CPUs without
#                    ticks, live patches, memory cgroups, other users' root,
#                    security modules
#   nobtf            a kernel without BTF, which is built: policies in BPF, hints,
#                    observers
#   lockdep kasan kcsan  all tests, and torture, on kernels that check themselves;
#                    hours, and only when named

. "$(dirname "$0")/../scripts/common.sh"

variant=default
wanted=()
while [ $# -gt 0 ]; do
	case $1 in
	--variant) variant=${2-}; shift ;;
	-*) usage; exit 2 ;;
	*) wanted+=("$1") ;;
	esac
	shift
done

rows=(1cpu 3cpus 8cpus smt numa none voluntary 64cpus distro nobtf)
results=()
status=0

# Runs the row $1 with the options $2... of test.sh.
run_row()
{
	local name=$1 start=$SECONDS line log=$BUILD/logs/matrix-$1.log
	shift

	say "$name"
	mkdir -p "$BUILD/logs"
	"$TOP/qemu/test.sh" --variant "$variant" "$@" >"$log" 2>&1 || status=1
	line=$(tail -n 1 "$log")
	[[ $line =~ ^[0-9]+\ passed ]] || line="no result, see $log"
	results+=("$(printf '%-10s %-44s %5d s' "$name" "$line" $((SECONDS - start)))")
}

# Runs operations of make torture on the variant $1; the row's last word is theirs.
torture()
{
	local start=$SECONDS line log=$BUILD/logs/matrix-torture-$1.log

	"$TOP/qemu/run.sh" --variant "$1" --cpus 4 --timeout 14400 \
		--append 'loglevel=4 psi=0 preempt=full' --name "torture-$1" -- \
		/usr/lib/ghost/leaks ghost-torture --seconds 14400 --operations 2000 \
		>"$log" 2>&1 || status=1
	line=$(grep -E '^[0-9]+ operations in' "$log") || line="torture failed, see $log"
	results+=("$(printf '%-10s %-44s %5d s' "$1" "${line%%;*}" $((SECONDS - start)))")
}

[ ${#wanted[@]} -gt 0 ] || wanted=("${rows[@]}")
for row in "${wanted[@]}"; do
	case $row in
	1cpu) run_row 1cpu --cpus 1 --only 'e2e/[hw]*' ;;
	3cpus|8cpus) run_row "$row" --cpus "${row%cpus}" ;;
	smt) run_row smt --cpus 4,sockets=1,cores=2,threads=2 ;;
	numa)
		run_row numa --cpus 4,sockets=2,cores=2,threads=1 \
			--qemu -object --qemu memory-backend-ram,id=m0,size=512M \
			--qemu -object --qemu memory-backend-ram,id=m1,size=512M \
			--qemu -numa --qemu node,nodeid=0,cpus=0-1,memdev=m0 \
			--qemu -numa --qemu node,nodeid=1,cpus=2-3,memdev=m1 ;;
	none|voluntary) run_row "$row" --cpus 4 --append "preempt=$row" ;;
	64cpus) run_row 64cpus --cpus 64 --memory 4096 --silence 900 \
		--only 'kernel/[afs][bsw]*' ;;
	distro)
		"$TOP/scripts/build-kernel.sh" --variant distro
		run_row distro --cpus 4 --variant distro \
			--append nohz_full=2-3 --append psi=1 \
			--only "kernel/instr_* kernel/cgroup kernel/coredump \
				kernel/lsm kernel/memory kernel/neighbour \
				kernel/suspend kernel/tree" ;;
	nobtf)
		"$TOP/scripts/build-kernel.sh" --variant nobtf
		run_row nobtf --cpus 4 --variant nobtf --only '*/[bhnop]*' ;;
	lockdep|kasan|kcsan)
		"$TOP/scripts/build-kernel.sh" --variant "$row"
		run_row "$row" --cpus 4 --variant "$row"
		torture "$row" ;;
	*) die "no row '$row'; there are: ${rows[*]} lockdep kasan kcsan" ;;
	esac
done

printf '\n%-10s %s\n' machine result
printf '%s\n' "${results[@]}"
exit $status
