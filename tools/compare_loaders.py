"""Load hostile folders with Python and with C++, which must agree: compare_loaders.py PROGRAM [N].

PROGRAM is `tests/cpp/load_index`, best built with sanitizers; N the number of folders. Manifests
are changed as data, and have the checksum that they should have: C++ does not look at it.
"""

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np

import vecrecall as vr
from vecrecall.search._protocol import Metric
from vecrecall.storage import _array_folder

VALUES: list[Any] = [
    None, True, 0, 1, -1, 2, 2.0, 40, 2**31, 2**62, 2**63, 2**70, 1.5, "", "ip", "cosine", "l2",
    "<f4", "<f8", "<i8", "<u4", "|u1", "|O", "rows", "../x", "/etc/passwd", "rows-000000000000.npy",
    "\u00e9", "\ud800", [], {}, [0], [40], [40, 3], [3, 40], [0, 3], [40, 0], [2**62, 4], [[1]],
]  # fmt: skip
METRICS: tuple[Metric, ...] = get_args(Metric)
NAMES = ["kind", "format", "arrays", "rows", "ids", "bias", "order", "file", "shape", "other"]


class Damager:
    """Damages a saved index in one way or a few, drawn at random."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def damage(self, folder: Path) -> int:
        """Change the folder, and say how often."""
        manifest = json.loads((folder / "manifest.json").read_bytes())
        ways: list[Callable[[Path, Any], None]] = [self._change, self._change, self._file]
        changes = self._random.choice([1, 1, 1, 2, 3])
        for _ in range(changes):
            self._random.choice(ways)(folder, manifest)
        manifest.pop("checksum", None)
        manifest["checksum"] = _array_folder._sum(manifest)
        if (folder / "manifest.json").is_file():
            text = json.dumps(manifest, indent=self._random.choice([None, 1]))
            (folder / "manifest.json").write_text(text)
        return changes

    def _change(self, folder: Path, manifest: Any) -> None:
        """Put another value somewhere into the manifest, or another name, or take one out."""
        at = manifest
        while True:
            key = self._random.choice(sorted(at) if isinstance(at, dict) else range(len(at)))
            inner = at[key]
            if not inner or not isinstance(inner, (dict, list)) or self._random.random() < 0.2:
                break
            at = inner
        way = self._random.randrange(4)
        if way == 0:
            del at[key]
        elif way == 1 and isinstance(at, dict):
            at[self._random.choice(NAMES)] = at.pop(key)
        elif way == 2 and isinstance(at, dict):
            at[self._random.choice(NAMES)] = self._random.choice(VALUES)
        else:
            at[key] = self._random.choice(VALUES)

    def _file(self, folder: Path, manifest: Any) -> None:
        """Damage a file, or put something else in its place."""
        file = self._random.choice(sorted(folder.iterdir()))
        if not file.is_file():
            return
        content = bytearray(file.read_bytes())
        way = self._random.randrange(9)
        if way < 5 and content:  # most often in the values
            first = self._random.choice([0, min(128, len(content) - 1)])
            last = min(len(content), first + 64)
            content[self._random.randrange(first, last)] ^= 1 << self._random.randrange(8)
            file.write_bytes(content)
        elif way == 5:
            file.write_bytes(content[: self._random.randrange(len(content) + 1)])
        elif way == 6:
            file.write_bytes(content + b"\0")
        else:
            file.unlink()
            there: tuple[Callable[[], object], ...] = (str, file.mkdir, lambda: os.mkfifo(file))
            self._random.choice(there)()


def python_says(folder: Path) -> str:
    """Load and search as the program does."""
    try:
        index = vr.FlatIndex.load(folder, mmap=random.random() < 0.5)
    except ValueError as error:
        return f"invalid {error}"
    except OSError as error:
        return f"system {error}"
    query = (np.arange(index.dim) % 3).astype(np.float32) - np.float32(0.5)
    result = index.search(query[None], 50)
    n = int(result.counts[0])
    bits = result.scores[0, :n].view(np.uint32)
    return " ".join(["index", *(f"{i}:{b:08x}" for i, b in zip(result.ids[0], bits, strict=False))])


def differ(python: str, cpp: str, changes: int) -> bool:
    """Compare the kind of an error, or all of an answer; of several errors each may see another."""
    if python.startswith("index") or cpp.startswith("index"):
        return python != cpp
    return changes == 1 and python.split()[0] != cpp.split()[0]


def ask(program: "subprocess.Popen[str]", folder: Path) -> str:
    """Let the program load and search."""
    assert program.stdin is not None
    assert program.stdout is not None
    program.stdin.write(f"{folder}\n")
    program.stdin.flush()
    return program.stdout.readline().rstrip("\n")


def compare_keyed(program: "subprocess.Popen[str]", folder: Path) -> None:
    """Compare an index that was saved with a vocabulary, which C++ passes over."""
    vectors = np.random.default_rng(1).standard_normal((40, 3))
    vocabulary = vr.Vocabulary([f"item {i}" for i in range(40)])
    vr.FlatIndex(vectors).save(folder, vocabulary=vocabulary)
    python = python_says(folder)
    assert python.startswith("index"), python
    assert python == ask(program, folder), "an index with a vocabulary"


def main() -> None:
    """Damage, load, compare."""
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 2000
    rng = np.random.default_rng(0)
    seen: Counter[str] = Counter()
    with (
        tempfile.TemporaryDirectory() as work,
        subprocess.Popen(
            [sys.argv[1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        ) as program,
    ):
        compare_keyed(program, Path(work, "keyed"))
        whole = Path(work, "whole")
        for turn in range(rounds):
            if turn % 100 == 0:
                vectors, bias = rng.standard_normal((40, 3)), rng.standard_normal(40)
                metric = METRICS[turn // 100 % len(METRICS)]
                index = vr.FlatIndex(vectors, rng.permutation(40), metric=metric, bias=bias)
                index.save(whole)
            folder = Path(work, f"damaged-{turn}")
            shutil.copytree(whole, folder)
            changes = Damager(turn).damage(folder)
            cpp = ask(program, folder)
            python = python_says(folder)
            assert cpp, f"the program has ended at damage {turn}"
            assert not differ(python, cpp, changes), (
                f"damage {turn}:\n  Python: {python}\n  C++: {cpp}"
            )
            seen[python.split()[0]] += 1
            shutil.rmtree(folder)
        if program.stdin is not None:
            program.stdin.close()
    assert program.returncode == 0
    assert min(seen[kind] for kind in ("index", "invalid", "system")) > rounds // 50, seen
    print(f"both loaders say the same of {rounds} folders: {dict(seen)}")


if __name__ == "__main__":
    main()
