#!/usr/bin/env bash
# Installs the C++ library of a build into the folder given, builds the examples with what is there and
# runs them: one on indexes that Python saves, so `python` must have the package.
set -euo pipefail
cd "$(dirname "$0")/.."

build=${1:?usage: tools/test_cpp_package.sh BUILD FOLDER}
folder=${2:?usage: tools/test_cpp_package.sh BUILD FOLDER}
cmake --install "$build" --prefix "$folder/installed" >/dev/null
cmake -S examples/cpp -B "$folder/example" -G Ninja -DCMAKE_PREFIX_PATH="$folder/installed" >/dev/null
cmake --build "$folder/example" >/dev/null
"$folder/example/nearest"
python tools/check_saved_example.py "$folder/example/saved"
