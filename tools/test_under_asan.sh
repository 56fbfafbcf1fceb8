#!/usr/bin/env bash
# Builds the extension and the C++ tests in one go under AddressSanitizer and UndefinedBehaviorSanitizer;
# then runs the C++ tests, both loaders over hostile folders, and the fuzz tests of the bindings.
# `python` must have the package, its tests' needs and pybind11.
set -euo pipefail
cd "$(dirname "$0")/.."

build=build/asan-ubsan
cmake --fresh --preset asan-ubsan -DVECRECALL_PYTHON=ON -DPython_EXECUTABLE="$(command -v python)" \
    -Dpybind11_DIR="$(python -m pybind11 --cmakedir)" >/dev/null
cmake --build --preset asan-ubsan
ctest --preset asan-ubsan --parallel 2
python tools/compare_loaders.py "$build/tests/cpp/load_index"

runtime=$("${CXX:-g++}" -print-file-name=libasan.so)
if [ ! -e "$runtime" ]; then
    echo "skipped the bindings: the compiler has no libasan.so to preload"
    exit 0
fi
# The package as it is here, with the extension that was just built.
packages=$PWD/$build/packages
rm -rf "$packages"
mkdir "$packages"
cp -r python/vecrecall "$packages/"
rm -f "$packages"/vecrecall/*.so
cp "$build"/cpp/bindings/_core.*.so "$packages/vecrecall/"
export PYTHONPATH=$packages
# Its place is looked up without an import, for which the runtime must be preloaded.
python -c "import importlib.util, sys; found = importlib.util.find_spec('vecrecall').origin
sys.exit(not found.startswith('$packages') and found)"
# Python itself leaks by design; a hook of the allocator's would change what NumPy returns for huge
# sizes, so such a request fails as it does elsewhere.
LD_PRELOAD="$runtime $("${CXX:-g++}" -print-file-name=libstdc++.so)" \
    ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 \
    UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
    python -m pytest -q -n 2 -p no:cacheprovider tests/system/test_fuzz.py \
    tests/storage/test_fuzz_files.py tests/storage/test_fuzz_pickles.py
