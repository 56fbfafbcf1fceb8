"""Opens a saved index, searches it, and prints by how many bytes its share of memory has grown.

With several of them, each waits for its standard input before it looks: all have the index then.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import vecrecall as vr


def share() -> int:
    """Return the proportional set size: a page that n processes have counts 1/n."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:"))


def main() -> None:
    """Search, and go step by step with the others."""
    warm = vr.FlatIndex(np.ones((5000, 64), np.float32))
    warm.search(np.ones((50, 64), np.float32), 10, threads=1)  # what every search needs
    before = share()
    index = vr.FlatIndex.load(sys.argv[1])
    queries = np.random.default_rng(0).standard_normal((50, index.dim)).astype(np.float32)
    index.search(queries, 10, threads=1)
    index.search(queries[:1], len(index) // 8, threads=1)  # looks at every row
    index.vectors(index.search(queries[:1], 1).ids[0])
    print("ready", flush=True)
    sys.stdin.readline()
    print(share() - before, flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    main()
