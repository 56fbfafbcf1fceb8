"""Kills a save at every call that it makes to the system, and looks at what is left.

A program of its own, so that it can fork before there are threads. Its one argument is a folder.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

import vecrecall as vr


def index_of(version: int) -> vr.FlatIndex:
    """Make an index that a version tells apart."""
    return vr.FlatIndex(np.full((5, 3), version, np.float32), bias=np.arange(5.0))


def killed_save(path: Path, version: int, fatal: int) -> bool:
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

        index = index_of(version)
        sys.setprofile(look)
        index.save(path, threads=1)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def main() -> None:
    """Print how many calls there were, and after which of them the new index was in place."""
    path = Path(sys.argv[1])
    old = 1
    index_of(old).save(path, threads=1)
    replaced = []
    for fatal in itertools.count():
        new = old + 1
        killed = killed_save(path, new, fatal)
        loaded = vr.FlatIndex.load(path, verify=True)
        found = int(loaded.vectors([4])[0, 0])
        assert found in (old, new), (fatal, found)
        assert len(loaded) == 5
        replaced.append(found == new)
        old = found
        if not killed:
            break
    assert replaced == sorted(replaced), "first the old one, then the new one"
    assert len(list(path.iterdir())) == len(loaded._now().parts()) + 2, "skipped, and a manifest"
    print(len(replaced), replaced.index(True))


if __name__ == "__main__":
    main()
