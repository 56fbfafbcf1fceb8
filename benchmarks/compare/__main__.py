"""python -m benchmarks.compare: this library beside its peers, in one run.

Each peer has a process of its own, since BLAS, OpenMP and torch pools disturb each other in one.
The peers are timed in turn, several times over; medians are printed with their ratio to vecrecall
and, where that says something, the share of what this machine can do, measured before. Answers are
checked: a work that finds a wrong one, of ours or of an exact peer, is not measured further, and
the exit code is 1. At the end every target that the run covers is listed with what was measured.
"""

import argparse
import importlib.util
import json
import sys
from pathlib import Path

from benchmarks.compare.data import DATA, QUERIES
from benchmarks.compare.report import targets
from benchmarks.compare.workload import Measurement, Workload, WorkloadError
from benchmarks.compare.workloads import build, churn, cluster, filters, merge, pool, recall, search
from benchmarks.options import add_common
from vecrecall.cli._arguments import new_folder, positive_seconds, whole_number
from vecrecall.cli.bench import machine
from vecrecall.cli.bench.interleaved import LIMIT
from vecrecall.cli.bench.peers import PEERS
from vecrecall.storage._atomic import write_report

WORKLOADS = {
    "search": Workload("top-K, exact and approximate", search.run, list(PEERS)),
    "assign": Workload("nearest centroids", cluster.assignments, list(cluster.PEERS)),
    "kmeans": Workload("k-means", cluster.fits, list(cluster.PEERS)),
    "merge": Workload("reciprocal rank fusion", merge.run, list(merge.PEERS)),
    "pool": Workload("sums of bags of rows", pool.run, list(pool.PEERS)),
    "build": Workload("making an index, saving, loading", build.run, list(build.PEERS)),
    "filters": Workload("what a filter adds to a search", filters.run, []),
    "churn": Workload("what updates leave behind in an index", churn.run, []),
    "recall": Workload("what a whole recall adds to its searches", recall.run, []),
}

TOO_LONG = "a peer that takes longer to build, or for an answer, has failed (default: %(default)s)"

APART = """\
workloads:
{workloads}

measured apart, with options of their own (--help): python -m benchmarks.compare.NAME
  ivf        training and filling an IVF index of FAISS
  indexes    which index to take when, each tuned to a recall
  tune       how long tuning takes, and the curves
  readme     the tables of docs/benchmarks.md, from what --json wrote
"""


def parser() -> argparse.ArgumentParser:
    """The options, which all workloads share."""
    workloads = "\n".join(f"  {name:<10} {workload.about}" for name, workload in WORKLOADS.items())
    options = argparse.ArgumentParser(
        prog="python -m benchmarks.compare",
        description=__doc__,
        epilog=APART.format(workloads=workloads),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = options.add_argument
    add(
        "workloads",
        nargs="*",
        metavar="WORKLOAD",
        help="default: search; with --quick, all of them",
    )
    add(
        "--data",
        nargs="+",
        default=["gaussian-64"],
        choices=list(DATA),
        help="for search, filters and churn",
    )
    add("--only", nargs="+", metavar="PEER", help="these peers, and ours")
    add("--exact", action="store_true", help="leave approximate peers out")
    add("--batch", nargs="+", type=whole_number(), default=[1, 16, 256], help=f"at most {QUERIES}")
    add("-k", nargs="+", type=whole_number(), default=[100])
    add("--items", type=whole_number(), help="so many items, no more than a data set has")
    add_common(options, repeats=5)
    add("--limit", type=positive_seconds, default=LIMIT, metavar="SECONDS", help=TOO_LONG)
    add("--quick", action="store_true", help="small sizes, 2 turns, for its assertions: a minute")
    add("--plot", type=new_folder, metavar="FOLDER", help="draw searches as PNG here")
    return options


def parse() -> argparse.Namespace:
    """Read the options, and refuse what cannot be."""
    options = parser()
    args = options.parse_args()
    args.workloads = args.workloads or (list(WORKLOADS) if args.quick else ["search"])
    some = [WORKLOADS[name] for name in args.workloads if name in WORKLOADS]
    peers = dict.fromkeys(peer for workload in some for peer in workload.peers)
    for name, values, known in (
        ("WORKLOAD", args.workloads, WORKLOADS),
        ("--only", args.only or [], peers),
    ):
        for value in values:
            if value not in known:
                expected = (
                    f"one of {', '.join(known)}" if known else "none, these workloads have no peers"
                )
                options.error(f"{name}: expected {expected}, got {value}")
    if max(args.batch) > QUERIES:
        options.error(f"--batch: expected at most {QUERIES} queries, got {max(args.batch)}")
    if args.plot and importlib.util.find_spec("matplotlib") is None:
        options.error("--plot: expected the package matplotlib, got none")
    if args.quick:
        args.repeats = min(args.repeats, 2)
    return args


def main() -> int:
    """Measure the workloads, print their tables, then the targets."""
    args = parse()
    measured = machine.measure(args.threads)
    print(measured.describe())
    measurements: list[Measurement] = []
    results: list[targets.TargetResult] = []
    refused = 0
    for name in args.workloads:
        try:
            for measurement in WORKLOADS[name].run(args, measured):
                measurements.append(measurement)
                results = [] if args.quick else targets.evaluate(measurements, measured)
                write(args.json, args.repeats, measured, measurements, results)  # it may be ended
        except WorkloadError as error:
            refused += 1
            print(f"{name}: {error}", file=sys.stderr, flush=True)
    if results:
        print(targets.table(results))
    if args.plot:
        from benchmarks.compare.report import plots

        plots.draw(measurements, measured, args.plot)
    return 1 if refused else 0


def write(
    path: Path | None,
    repeats: int,
    measured: machine.Machine,
    measurements: list[Measurement],
    results: list[targets.TargetResult],
) -> None:
    """Write what is known so far, where that is wanted."""
    if path is None:
        return
    found = {
        "machine": measured.as_json(),
        "versions": machine.versions(["numpy", *targets.PACKAGES]),
        "repeats": repeats,
        "measurements": measurements,
        "targets": [row._asdict() for row in results],
    }
    write_report(path, json.dumps(found, indent=1).encode())


if __name__ == "__main__":
    sys.exit(main())
