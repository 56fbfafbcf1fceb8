"""The supported versions of Python: named alike everywhere, and found where they are."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from tool_modules import tool

ROOT = Path(__file__).parents[2]


PYTHONS = tool("pythons")


def fake(path: Path, says: str) -> None:
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\n{says}\n")
    path.chmod(0o755)


def test_all_files_name_the_same_versions() -> None:
    versions = PYTHONS.supported()
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'requires-python = ">={versions[0]}"' in project
    tags = [f"cp{version.replace('.', '')}" for version in versions]
    assert f'build = "{" ".join(f"{tag}-*" for tag in tags)}"' in project
    wheels = (ROOT / ".github/workflows/wheels.yml").read_text(encoding="utf-8")
    assert f"python: [{', '.join(tags)}]" in wheels
    tests = (ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8")
    assert re.findall(r'"(3\.\d+)"', tests.partition("python: [")[2].partition("]")[0]) == versions


def test_the_running_interpreter_is_found() -> None:
    running = "{}.{}".format(*sys.version_info)
    assert PYTHONS.interpreter(running) == sys.executable


def test_an_interpreter_is_taken_at_its_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shim that runs nothing, and another version under the name, are passed over."""
    fake(tmp_path / "bin/python3.99", "echo 'not found' >&2; exit 127")
    fake(tmp_path / "pyenv/versions/3.99.1/bin/python3", "echo 3.98")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    monkeypatch.setenv("UV_PYTHON_INSTALL_DIR", str(tmp_path / "uv"))
    assert PYTHONS.interpreter("3.99") is None
    there = tmp_path / "uv/cpython-3.99.2-linux/bin/python3"
    fake(there, "echo 3.99")
    assert PYTHONS.interpreter("3.99") == str(there)
