"""python -m benchmarks.compare.readme FILE: the README's table, from what compare wrote as JSON."""

import json
import sys
from pathlib import Path

import numpy as np

from benchmarks.compare.peers import PEERS
from benchmarks.compare.report import describe_machine


def main(file: str) -> None:
    measured = json.loads(Path(file).read_text())
    cases = [c for c in measured["cases"] if c["k"] == measured["cases"][0]["k"]]
    about = cases[0]["data"]
    batches = [c["batch"] for c in cases]
    times = {n: [float(np.median(c["ms"][n])) for c in cases] for n in cases[0]["ms"]}
    ours = times["vecrecall"]
    print(
        f"Top-{cases[0]['k']} of {about['items']:,} x {about['dim']} by inner product, "
        "milliseconds a query (times vecrecall's), medians of one run, each peer in its own "
        "process:\n"
    )
    print("| | " + " | ".join(f"batch {b}" for b in batches) + " | recall |")
    print("|---|" + "---|" * (len(batches) + 1))
    for name in sorted(times, key=lambda n: times[n][-1]):
        recall = cases[-1]["recall"].get(name, 1.0)
        cells = [
            f"{t:.2f}" if name == "vecrecall" else f"{t:.2f} ({t / o:.1f}x)"
            for t, o in zip(times[name], ours, strict=True)
        ]
        label = f"**{name}**" if name == "vecrecall" else f"{name} {PEERS[name].version()}"
        print(f"| {label} | " + " | ".join(cells) + f" | {recall:.3f} |")
    print(f"\n{describe_machine(measured['limits'], measured['threads'])}")


if __name__ == "__main__":
    main(sys.argv[1])
