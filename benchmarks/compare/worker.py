"""One peer in a process of its own: builds, then answers requests for one timing each.

Reads JSON lines from standard input, writes JSON lines to standard output.
"""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.compare.peers import PEERS


def main(peer: str, folder: str, threads: int) -> None:
    # What libraries print must not get between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(**answer: object) -> None:
        print(json.dumps(answer), file=answers, flush=True)

    items = np.load(Path(folder) / "items.npy")
    queries = np.load(Path(folder) / "queries.npy")
    begin = time.perf_counter()
    search = PEERS[peer].build(items, threads)
    say(built=time.perf_counter() - begin)
    for line in sys.stdin:
        task = json.loads(line)
        batch = np.ascontiguousarray(queries[task["first"] : task["first"] + task["batch"]])
        for _ in range(task["warm"]):
            search(batch, task["k"])
        seconds = []
        for _ in range(task["calls"]):
            begin = time.perf_counter()
            found = search(batch, task["k"])
            seconds.append(time.perf_counter() - begin)
        if task["keep"]:
            np.save(Path(folder) / f"{peer}.npy", np.asarray(found, dtype=np.int64))
        say(seconds=seconds)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
