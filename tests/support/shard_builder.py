"""Builds shards for a test that kills this process: shard_builder.py ADDRESS VECTORS IDS FOLDER.

It joins the Ray of the test, cuts the source into many pieces, and prints each step.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from vecrecall.distributed import _sources, build_shards

PIECE_BYTES = 32 << 10
OPTIONS: dict[str, Any] = {"n_shards": 3, "index": "ivf", "n_lists": 20, "num_cpus": 0.5}


def build(vectors: str, ids: str, folder: str) -> None:
    """Build in pieces that are small."""
    _sources.PIECE_BYTES = PIECE_BYTES

    def step(done: int, total: int) -> None:
        print(done, total, flush=True)

    build_shards(vectors, folder, ids=ids, progress=step, **OPTIONS)


def main() -> None:
    """Join, build and leave."""
    import ray

    address, *what = sys.argv[1:]
    ray.init(
        address=address, log_to_driver=False, configure_logging=False,
        runtime_env={"env_vars": {"PYTHONPATH": os.environ["PYTHONPATH"]}},
    )  # fmt: skip
    print("begun", flush=True)
    build(*what)


if __name__ == "__main__":
    main()
