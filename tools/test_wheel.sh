#!/usr/bin/env bash
# Repairs the wheel in the folder given, so that it runs on other systems, and tries it in a new
# environment that has NumPy alone, of the interpreter given (default python). Needs auditwheel and
# patchelf.
set -euo pipefail
folder=$(realpath "${1:?usage: tools/test_wheel.sh FOLDER [PYTHON]}")
python=${2:-python}
cd "$(dirname "$0")/.."

rm -rf "$folder/repaired" "$folder/empty"
auditwheel repair "$folder"/vecrecall-*.whl --wheel-dir "$folder/repaired"
"$python" -m venv "$folder/empty"
"$folder/empty/bin/python" -m pip install --quiet --disable-pip-version-check \
    "$folder"/repaired/vecrecall-*.whl
cp tools/check_wheel.py "$folder/empty/"
cd "$folder/empty" # where no sources are
bin/python -I check_wheel.py
bin/vecrecall info
