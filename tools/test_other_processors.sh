#!/usr/bin/env bash
# Runs the C++ tests on processors that this machine is not: x86-64 without AVX-512 and without AVX2,
# and AArch64 with and without dot product, all under QEMU's user mode. Missing tools are said and
# left out. Debian: apt-get install qemu-user g++-aarch64-linux-gnu
set -euo pipefail
cd "$(dirname "$0")/.."

# QEMU says at every start what its models leave out of the real processors; none of it matters here.
quietly() {
    "$@" 2> >(grep -v "TCG doesn't support requested feature" >&2)
}

# Runs the cases whose names begin so; none is an error.
cases() {
    local said
    said=$(quietly "${@:2}" --test-case="$1: *") || { echo "$said" >&2; return 1; }
    if ! grep -q 'test cases: *[1-9]' <<<"$said"; then
        echo "no test cases: $1" >&2
        return 1
    fi
}

# Each of these processors runs its best instruction set: the other one is that of the next.
# The thread pool's test is left out: it does not depend on the processor, and QEMU's user mode
# cannot start threads in a forked child.
# expect CPU_NAME EXPECTED_BEST_ISA EMULATOR BUILD_FOLDER
expect() {
    local cpu=$1 best=$2 emulator=$3 program=$4/tests/cpp/cpp_tests found name pid
    found=$(quietly "$emulator" -cpu "$cpu" "$program" --test-case="isa: *" |
        sed -n 's/^available: //p' | head -n 1)
    if [ "$found" != "$best" ]; then
        echo "$emulator -cpu $cpu: expected $best first, got '$found'" >&2
        exit 1
    fi
    local running=()
    for name in search cluster feed pool merge values; do
        VECRECALL_TEST_ISAS=$best cases "$name" "$emulator" -cpu "$cpu" "$program" &
        running+=($!)
    done
    for pid in "${running[@]}"; do wait "$pid"; done
    echo "$emulator -cpu $cpu: tests passed on $best"
}

if [ "$(uname -m)" = x86_64 ] && command -v qemu-x86_64 >/dev/null; then
    cmake --fresh --preset release >/dev/null
    cmake --build --preset release >/dev/null
    expect Haswell avx2 qemu-x86_64 build/release
    expect Westmere baseline qemu-x86_64 build/release
else
    echo "skipped: other x86-64 processors need an x86-64 machine and qemu-x86_64 (Debian: qemu-user)"
fi

if command -v aarch64-linux-gnu-g++ >/dev/null && command -v qemu-aarch64 >/dev/null; then
    cmake --fresh --preset aarch64 >/dev/null
    cmake --build --preset aarch64 >/dev/null
    expect max neon qemu-aarch64 build/aarch64
    expect cortex-a53 baseline qemu-aarch64 build/aarch64
else
    echo "skipped: AArch64 needs aarch64-linux-gnu-g++ and qemu-aarch64" \
        "(Debian: g++-aarch64-linux-gnu qemu-user)"
fi
