#!/usr/bin/env bash
# Builds the extension and the C++ tests in one go under AddressSanitizer and UndefinedBehaviorSanitizer,
# into the folder given; then runs the C++ tests, both loaders over hostile folders (`python` must have
# the package), and the fuzz tests of the bindings.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=${1:?usage: tools/test_under_asan.sh FOLDER}
python3 -m venv "$folder"
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check ".[test]" \
    -Cbuild-dir="$folder/build" -Ccmake.build-type=RelWithDebInfo \
    -Ccmake.define.VECRECALL_SANITIZE=address,undefined \
    -Ccmake.define.VECRECALL_TESTS=ON -Ccmake.define.VECRECALL_WERROR=ON

ctest --test-dir "$folder/build" --parallel 2 --output-on-failure
python tools/compare_loaders.py "$folder/build/tests/cpp/load_index"

runtime=$("${CXX:-g++}" -print-file-name=libasan.so)
if [ ! -e "$runtime" ]; then
    echo "skipped the bindings: the compiler has no libasan.so to preload"
    exit 0
fi
# Python itself leaks by design; a hook of the allocator's would change what NumPy returns for huge
# sizes, so such a request fails as it does elsewhere.
LD_PRELOAD="$runtime $("${CXX:-g++}" -print-file-name=libstdc++.so)" \
    ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 \
    UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
    "$folder/bin/python" -m pytest -q -n 2 -p no:cacheprovider tests/system/test_fuzz.py \
    tests/storage/test_fuzz_files.py tests/storage/test_fuzz_pickles.py
