#!/usr/bin/env bash
# Builds the extension with AddressSanitizer into a virtual environment of its own (the folder given)
# and runs the fuzz tests on it.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=${1:?usage: tools/fuzz_bindings.sh FOLDER}
runtime=$("${CXX:-g++}" -print-file-name=libasan.so)
if [ ! -e "$runtime" ]; then
    echo "skipped: the compiler has no libasan.so to preload"
    exit 0
fi
python3 -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check ".[test]" \
    -Cbuild-dir="$venv/build" -Ccmake.build-type=RelWithDebInfo \
    -Ccmake.define.VECRECALL_SANITIZE=address,undefined
# Python itself leaks by design; a hook of the allocator's would change what NumPy returns for huge
# sizes, so such a request fails as it does elsewhere.
LD_PRELOAD="$runtime $("${CXX:-g++}" -print-file-name=libstdc++.so)" \
    ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 \
    UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
    "$venv/bin/python" -m pytest -q -p no:cacheprovider tests/test_fuzz.py tests/test_fuzz_files.py
