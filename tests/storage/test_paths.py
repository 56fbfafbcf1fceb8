"""Paths that calls keep, and what they say when a file cannot be written."""

from __future__ import annotations

import errno
import json
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vecrecall as vr
from vecrecall.cli import _arguments
from vecrecall.storage._atomic import write_report

POINTS = np.random.default_rng(1).standard_normal((3000, 16)).astype(np.float32)


def feed() -> vr.ClusterFeed:
    made = vr.ClusterFeed(2, half_life=10, capacity=5000)
    made.observe(np.arange(8000) % 2, np.arange(8000), np.zeros(8000))
    return made


def groups() -> vr.UserGroups:
    return vr.UserGroups.fit(POINTS, 64, random_state=1)


def table(path: Path) -> None:
    vr.FlatIndex(POINTS).neighbors(20, path=path)


def report(path: Path) -> None:
    write_report(path, b"x" * 100_000)


# Each writes more than the most that is allowed below.
WRITERS: dict[str, Callable[[], Callable[[Path], Any]]] = {
    "index": lambda: vr.FlatIndex(POINTS).save,
    "feed": lambda: feed().save,
    "groups": lambda: groups().save,
    "table": lambda: table,
    "table in memory": lambda: vr.NeighborTable.build(vr.FlatIndex(POINTS), 20).save,
    "vocabulary": lambda: vr.Vocabulary([f"item {i}" for i in range(3000)]).save,
    "report": lambda: report,
}


@contextmanager
def small_files(limit: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def content(path: Path) -> dict[str, bytes]:
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    return {file.name: file.read_bytes() for file in files}


@pytest.mark.parametrize("limit", [0, 50, 200, 4000])
@pytest.mark.parametrize("what", WRITERS)
def test_a_file_that_may_not_grow(tmp_path: Path, what: str, limit: int) -> None:
    write, target = WRITERS[what](), tmp_path / "target"
    with small_files(limit), pytest.raises(OSError, match="File too large") as caught:
        write(target)
    assert caught.value.errno == errno.EFBIG
    assert str(caught.value.filename).startswith(str(target))
    assert what == "table" or not target.exists()
    assert not list(tmp_path.rglob("*.part"))
    write(target)  # an interrupted table goes on
    whole = content(target)
    if what != "table":  # one that is complete is only opened
        with small_files(limit), pytest.raises(OSError, match="File too large"):
            write(target)
        assert content(target) == whole


@pytest.mark.parametrize("of", ["fsync", "replace"])
@pytest.mark.parametrize("what", WRITERS)
def test_the_system_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, of: str
) -> None:
    write, target = WRITERS[what](), tmp_path / "target"

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Path if of == "replace" else os, of, full)
        with pytest.raises(OSError, match="No space left on device") as caught:
            write(target)
    assert caught.value.errno == errno.ENOSPC
    assert str(caught.value.filename).startswith(str(target))
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize("what", ["feed", "groups", "table", "table in memory", "vocabulary"])
def test_a_full_disk(tmp_path: Path, what: str) -> None:
    write = WRITERS[what]()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a small file system needs the right to mount one")
    try:
        (tmp_path / "filler").write_bytes(b"x" * 60_000)
        with pytest.raises(OSError, match="No space left on device") as caught:
            write(tmp_path / "target")
        assert caught.value.errno == errno.ENOSPC
        assert str(caught.value.filename).startswith(str(tmp_path / "target"))
        assert not list(tmp_path.rglob("*.part"))
    finally:
        subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def test_a_report_into_what_is_no_file(tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    kept.write_text("old")
    (tmp_path / "link.json").symlink_to(kept)
    write_report(tmp_path / "link.json", b"new")
    assert (tmp_path / "link.json").is_symlink()
    assert kept.read_text() == "new"
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    write_report(tmp_path / "pipe", b"new")
    assert os.read(reader, 9) == b"new"
    os.close(reader)
    assert (tmp_path / "pipe").is_fifo()


def test_calls_stay_in_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table in progress stays in one place while the process changes its folder."""
    monkeypatch.setattr("vecrecall.search._neighbors.BLOCK_ROWS", 16)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other").mkdir()
    index = vr.FlatIndex(POINTS[:60])
    found = index.neighbors(5, path="table", progress=lambda *_: os.chdir(tmp_path / "other"))
    assert [row.tolist() for row in found.ids] == [row.tolist() for row in index.neighbors(5).ids]
    assert json.loads((tmp_path / "table" / "manifest.json").read_text())["complete"] is True
    assert not list((tmp_path / "other").iterdir())


def test_arguments_of_command_lines_are_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert _arguments.new_file("a.json") == tmp_path / "a.json"
    assert _arguments.new_folder("plots") == tmp_path / "plots"


def test_plots(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs matplotlib")
    curve = vr.Elbow(np.array([1, 2, 3]), np.array([9.0, 2.0, 1.0]), 2)
    target = tmp_path / "curve.png"
    curve.plot(target)
    before = target.read_bytes()
    assert before.startswith(b"\x89PNG")
    with small_files(1000), pytest.raises(OSError, match="File too large") as caught:
        curve.plot(target)
    assert (caught.value.errno, caught.value.filename) == (errno.EFBIG, str(target))
    assert target.read_bytes() == before
    curve.plot(tmp_path / "curve.svg")
    assert b"<svg" in (tmp_path / "curve.svg").read_bytes()
