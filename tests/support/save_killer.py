"""Kills a save at every moment, and looks at what is left: save_killer.py MOMENTS FOLDER.

The moments are `calls`, those of Python to the system, or `system_calls`: before and after each one
of the process, as a debugger stops it there. A program of its own, so that it can fork before there
are threads.
"""

from __future__ import annotations

import ctypes
import gc
import itertools
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

import vecrecall as vr

REFUSED = 3  # the exit code where the system lets no process stop another
TRACEME, NEXT_SYSTEM_CALL, SET_OPTIONS = 0, 24, 0x4200
MARK_SYSTEM_CALLS, KILL_WITH_TRACER = 1, 0x100000
SYSTEM_CALL = signal.SIGTRAP | 0x80  # what such a stop looks like then

Killed = Callable[[Path, vr.FlatIndex, int], bool]


def index_of(version: int) -> vr.FlatIndex:
    """Make an index that a version tells apart."""
    return vr.FlatIndex(np.full((5, 3), version, np.float32), bias=np.arange(5.0), threads=1)


def killed_at_call(path: Path, index: vr.FlatIndex, fatal: int) -> bool:
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
        index.save(path, threads=1)
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


def killed_at_system_call(path: Path, index: vr.FlatIndex, fatal: int) -> bool:
    """The same for a stop before or after a system call; the manifest is replaced once."""
    child = os.fork()
    if child == 0:
        try:
            ptrace(TRACEME, 0)
        except OSError:
            os._exit(REFUSED)
        os.kill(os.getpid(), signal.SIGSTOP)
        index.save(path, threads=1)
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


def save_at_once(index: vr.FlatIndex, path: Path) -> None:
    """Save without waiting for the disk, which takes most of the time."""
    flush = os.fsync
    os.fsync = lambda descriptor: None
    index.save(path, threads=1)
    os.fsync = flush


def check_folder(path: Path, versions: tuple[int, int], fatal: int) -> int:
    """Load what is there; it must be one of two versions. Returns which."""
    loaded = vr.FlatIndex.load(path, verify=True)
    found = int(loaded.vectors([4])[0, 0])
    assert found in versions, (fatal, found)
    assert_same_bits(loaded, index_of(found))
    return found


def assert_same_bits(index: vr.FlatIndex, other: vr.FlatIndex) -> None:
    """Compare everything that is saved."""
    parts, expected = index._now().parts(), other._now().parts()
    assert parts.keys() == expected.keys()
    for name, part in expected.items():
        assert part.tobytes() == parts[name].tobytes(), name


def main(killed_save: Killed, path: Path) -> None:
    """Print how many moments there were, and after which of them the new index was in place."""
    old = 1
    index_of(old).save(path, threads=1)
    files = len(list(path.iterdir()))
    replaced = []
    for fatal in itertools.count():
        killed = killed_save(path, index_of(old + 1), fatal)
        found = check_folder(path, (old, old + 1), fatal)
        replaced.append(found == old + 1)
        old += 2
        save_at_once(index_of(old), path)  # which nothing that was left hinders
        assert check_folder(path, (old, old), fatal) == old
        assert len(list(path.iterdir())) == files, "what was left is swept away"
        if not killed:
            break
    assert replaced == sorted(replaced), "first the old one, then the new one"
    print(len(replaced), replaced.index(True))


if __name__ == "__main__":
    gc.disable()  # so that every save makes the same calls
    ways = {"calls": killed_at_call, "system_calls": killed_at_system_call}
    main(ways[sys.argv[1]], Path(sys.argv[2]))
