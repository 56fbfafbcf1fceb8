"""Save indexes, and see what the C++ example finds in them: check_saved_example.py PROGRAM."""

import subprocess
import sys
import tempfile
from typing import get_args

import numpy as np

import vecrecall as vr
from vecrecall.search._protocol import Metric

N, DIM, K = 20_000, 12, 10


def found(program: str, folder: str, query: np.ndarray) -> tuple[list[int], np.ndarray]:
    """Run the example on one query."""
    values = [f"{x:.9g}" for x in query]
    done = subprocess.run([program, folder, *values], capture_output=True, text=True, check=True)
    lines = [line.removeprefix("item ").split(", score ") for line in done.stdout.splitlines()]
    return [int(id) for id, _ in lines], np.array([score for _, score in lines], np.float32)


def main() -> None:
    """Compare ids, and the bits of scores."""
    rng = np.random.default_rng(0)
    program = sys.argv[1]
    for metric in get_args(Metric):
        vectors = rng.standard_normal((N, DIM)) * rng.pareto(1.5, (N, 1))
        ids, bias = rng.permutation(10**12 + np.arange(N)), rng.standard_normal(N)
        index = vr.FlatIndex(vectors, ids, metric=metric, bias=bias)
        with tempfile.TemporaryDirectory() as folder:
            index.save(folder)
            for query in rng.standard_normal((5, DIM)).astype(np.float32):
                expected = index.search(query[None], K)
                numbers, scores = found(program, folder, query)
                assert numbers == expected.ids[0].tolist(), (numbers, expected.ids)
                assert scores.tobytes() == expected.scores[0].tobytes(), (scores, expected.scores)
    print("the saved indexes answer in C++ as in Python")


if __name__ == "__main__":
    main()
