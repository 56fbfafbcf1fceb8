#!/usr/bin/env python3
"""Find an interpreter on this machine for each version of Python that the package supports.

Prints a line for each of the classifiers of pyproject.toml: the version, and the interpreter or
why there is none. Looks at the running one, at PATH, and where pyenv and uv keep theirs.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
NONE = "no interpreter on PATH, in pyenv or in uv"


def supported() -> list[str]:
    """Return the versions that the classifiers name, such as 3.12."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return re.findall(r'"Programming Language :: Python :: (3\.\d+)"', text)


def interpreter(version: str) -> str | None:
    """Return an interpreter of a version that can make an environment."""
    return next((path for path in _candidates(version) if _is(path, version)), None)


def _candidates(version: str) -> Iterator[str]:
    yield sys.executable
    if on_path := shutil.which(f"python{version}"):
        yield on_path
    home = Path.home()
    pyenv = Path(os.environ.get("PYENV_ROOT", home / ".pyenv")) / "versions"
    uv = Path(os.environ.get("UV_PYTHON_INSTALL_DIR", home / ".local/share/uv/python"))
    for folder, name in ((pyenv, f"{version}.*"), (uv, f"cpython-{version}.*")):
        yield from map(str, sorted(folder.glob(f"{name}/bin/python3")))


def _is(path: str, version: str) -> bool:
    """Ask the interpreter itself: one on PATH may be a shim of pyenv that runs nothing."""
    ask = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"
    try:
        run = subprocess.run([path, "-c", ask], capture_output=True, text=True, check=False)
    except OSError:
        return False
    return run.returncode == 0 and run.stdout.strip() == version


if __name__ == "__main__":
    for version in supported():
        print(version, interpreter(version) or NONE)
