"""Kills a save at every moment, and looks at what is left: save_killer.py MOMENTS WHAT FOLDER.

WHAT is saved is one of `SUBJECTS`, or `build`: a table that is built block by block.

The moments are `calls`, those of Python to the system, or `system_calls`: before and after each one
of the process, as a debugger stops it there. A program of its own, so that it can fork before there
are threads.
"""

from __future__ import annotations

import ctypes
import gc
import itertools
import os
import shutil
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import numpy as np

import vecrecall as vr
from vecrecall.search import _neighbors

REFUSED = 3  # the exit code where the system lets no process stop another
BUILD_STEP = 19  # calls between two of the moments of a build, which has many
TRACEME, NEXT_SYSTEM_CALL, SET_OPTIONS = 0, 24, 0x4200
MARK_SYSTEM_CALLS, KILL_WITH_TRACER = 1, 0x100000
SYSTEM_CALL = signal.SIGTRAP | 0x80  # what such a stop looks like then

Save = Callable[[Path], object]
Killed = Callable[[Path, Save, int], bool]


class Subject(NamedTuple):
    """An object to save: each version differs from all others."""

    save: Callable[[int, Path], object]
    load: Callable[[Path], dict[str, bytes]]  # all that was saved
    content: Callable[[int], dict[str, bytes]]  # all that should have been


def index_of(version: int) -> vr.FlatIndex:
    """Make an index that a version tells apart."""
    return vr.FlatIndex(np.full((5, 3), version, np.float32), bias=np.arange(5.0), threads=1)


def table_of(version: int) -> vr.NeighborTable:
    """Make a table of neighbors that a version tells apart."""
    scores: list[Any] = [[version], [], [2.0, 1.0]]
    return vr.NeighborTable([1, 2, version + 9], [[2], [], [1, 2]], scores)


def vocabulary_of(version: int) -> vr.Vocabulary:
    """Make a vocabulary that a version tells apart."""
    return vr.Vocabulary(["a", "b", "c", "d", f"version {version}"])


def bytes_of_index(index: vr.FlatIndex) -> dict[str, bytes]:
    keys = [] if index.vocabulary is None else list(index.vocabulary)
    parts = {name: part.tobytes() for name, part in index._now().parts().items()}
    return {**parts, "keys": repr(keys).encode()}


def bytes_of_table(table: vr.NeighborTable) -> dict[str, bytes]:
    arrays = (table.items, table.ids.values, table.ids.offsets, table.scores.values)
    return {str(i): array.tobytes() for i, array in enumerate(arrays)}


def bytes_of_vocabulary(vocabulary: vr.Vocabulary) -> dict[str, bytes]:
    return {"keys": repr(list(vocabulary)).encode()}


def keyed_index_of(version: int) -> vr.FlatIndex:
    index = index_of(version)
    index._vocabulary = vocabulary_of(version)
    return index


SUBJECTS = {
    "index": Subject(
        lambda version, path: index_of(version).save(path, threads=1),
        lambda path: bytes_of_index(vr.FlatIndex.load(path, verify=True)),
        lambda version: bytes_of_index(index_of(version)),
    ),
    "index with a vocabulary": Subject(
        lambda version, path: index_of(version).save(
            path, vocabulary=vocabulary_of(version), threads=1
        ),
        lambda path: bytes_of_index(vr.FlatIndex.load(path, verify=True)),
        lambda version: bytes_of_index(keyed_index_of(version)),
    ),
    "table": Subject(
        lambda version, path: table_of(version).save(path),
        lambda path: bytes_of_table(vr.NeighborTable.load(path, verify=True)),
        lambda version: bytes_of_table(table_of(version)),
    ),
    "vocabulary": Subject(
        lambda version, path: vocabulary_of(version).save(path),
        lambda path: bytes_of_vocabulary(vr.Vocabulary.load(path, verify=True)),
        lambda version: bytes_of_vocabulary(vocabulary_of(version)),
    ),
}


def killed_at_call(path: Path, save: Save, fatal: int) -> bool:
    """Save in a child that is killed at the call of this number; tell whether it got so far."""
    child = os.fork()
    if child == 0:
        calls = itertools.count()

        def look(frame: FrameType, event: str, function: Any) -> None:
            if event not in ("c_call", "c_return"):
                return
            of = function.__module__ or type(function.__self__).__module__
            if of in ("posix", "io", "_io", "fcntl") and next(calls) == fatal:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.setprofile(look)
        save(path)
        os._exit(0)
    return was_killed(os.waitpid(child, 0)[1])


def was_killed(status: int) -> bool:
    """Tell whether a child was killed; an error of its own is one here."""
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, status
    return os.WIFSIGNALED(status)


def ptrace(request: int, process: int, data: int = 0) -> None:
    """Ask the system to stop a process, or to let it run on."""
    call = ctypes.CDLL(None, use_errno=True).ptrace
    call.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    call.restype = ctypes.c_long
    if call(request, process, None, data) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def killed_at_system_call(path: Path, save: Save, fatal: int) -> bool:
    """The same for a stop before or after a system call; the manifest is replaced once."""
    child = os.fork()
    if child == 0:
        try:
            ptrace(TRACEME, 0)
        except OSError:
            os._exit(REFUSED)
        os.kill(os.getpid(), signal.SIGSTOP)
        save(path)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if not os.WIFSTOPPED(status):
        assert os.WEXITSTATUS(status) == REFUSED
        print("the system lets no process trace another")
        sys.exit(REFUSED)
    ptrace(SET_OPTIONS, child, MARK_SYSTEM_CALLS | KILL_WITH_TRACER)
    manifest = path / "manifest.json"
    inodes = [manifest.stat().st_ino]
    for _ in range(fatal + 1):
        ptrace(NEXT_SYSTEM_CALL, child)
        status = os.waitpid(child, 0)[1]
        if os.WIFEXITED(status):
            break
        assert os.WSTOPSIG(status) == SYSTEM_CALL, status
        inodes.append(manifest.stat().st_ino)  # there is one at any moment
    else:
        os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
    assert len(list(itertools.groupby(inodes))) <= 2
    return was_killed(status)


def version_in(subject: Subject, path: Path, versions: tuple[int, int], fatal: int) -> int:
    """Load what is there; it must be one of two versions. Returns which."""
    found = subject.load(path)
    same = [version for version in versions if subject.content(version) == found]
    assert same, (fatal, found)
    return same[0]


def kill_saves(killed_save: Killed, subject: Subject, path: Path) -> None:
    """Print how many moments there were, and after which of them the new version was in place."""
    old = 1
    subject.save(old, path)
    files, manifest = len(list(path.iterdir())), path / "manifest.json"
    replaced = []
    for fatal in itertools.count():
        before = manifest.stat().st_ino
        killed = killed_save(path, partial(subject.save, old + 1), fatal)
        found = version_in(subject, path, (old, old + 1), fatal)
        replaced.append(found == old + 1)
        assert replaced[-1] == (manifest.stat().st_ino != before), "new with its manifest"
        old += 2
        subject.save(old, path)  # which nothing that was left hinders
        assert version_in(subject, path, (old, old), fatal) == old
        assert len(list(path.iterdir())) == files, "what was left is swept away"
        if not killed:
            break
    # Some save may ask the system for memory once more than the next; its other calls are the same.
    if killed_save is killed_at_call:
        assert replaced == sorted(replaced), "first the old one, then the new one"
    print(len(replaced), replaced.index(True))


def kill_builds(killed_save: Killed, path: Path) -> None:
    """Print how many moments there were, and after which of them the table was complete."""
    _neighbors.BLOCK_ROWS = 8
    index = vr.FlatIndex(np.random.default_rng(1).standard_normal((20, 3)), threads=1)
    expected = bytes_of_table(vr.NeighborTable.build(index, 4))

    def build(path: Path) -> None:
        vr.NeighborTable.build(index, 4, path=path)

    complete = []
    for fatal in itertools.count(step=BUILD_STEP):
        folder = path / str(fatal)
        killed = killed_save(folder, build, fatal)
        try:
            found = bytes_of_table(vr.NeighborTable.load(folder, verify=True))
        except (FileNotFoundError, ValueError):
            found = {}
        assert found in ({}, expected), fatal
        complete.append(found == expected)
        build(folder)  # goes on with what is there
        assert bytes_of_table(vr.NeighborTable.load(folder, verify=True)) == expected, fatal
        assert len(list(folder.iterdir())) == 5, "what was left is swept away"
        shutil.rmtree(folder)
        if not killed:
            break
    assert complete == sorted(complete)
    print(len(complete), complete.index(True))


def main(moments: str, what: str, path: Path) -> None:
    """Kill saves of one kind."""
    # Who is killed leaves what is written to the system, flushed or not; to wait for the disk takes
    # most of the time of a save. A call of the same kind instead: there are as many moments.
    os.fsync = os.fstat  # type: ignore[assignment]
    ways = {"calls": killed_at_call, "system_calls": killed_at_system_call}
    if what == "build":
        kill_builds(ways[moments], path)
    else:
        kill_saves(ways[moments], SUBJECTS[what], path)


if __name__ == "__main__":
    gc.disable()  # so that every save makes the same calls
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
