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
from benchmarks.compare.workloads import build, churn, cluster, filters, merge, pool, recall, search
from benchmarks.compare.works import Case, Work, WorkError
from benchmarks.options import add_common
from vecrecall.cli._arguments import new_folder, seconds, whole
from vecrecall.cli.bench import machine
from vecrecall.cli.bench.peers import PEERS
from vecrecall.cli.bench.turns import LIMIT
from vecrecall.storage._atomic import write_report

WORKS = {
    "search": Work("top-K, exact and approximate", search.run, list(PEERS)),
    "assign": Work("nearest centroids", cluster.assignments, list(cluster.PEERS)),
    "kmeans": Work("k-means", cluster.fits, list(cluster.PEERS)),
    "merge": Work("reciprocal rank fusion", merge.run, list(merge.PEERS)),
    "pool": Work("sums of bags of rows", pool.run, list(pool.PEERS)),
    "build": Work("making an index, saving, loading", build.run, list(build.PEERS)),
    "filters": Work("what a filter adds to a search", filters.run, []),
    "churn": Work("what updates leave behind in an index", churn.run, []),
    "recall": Work("what a whole recall adds to its searches", recall.run, []),
}

TOO_LONG = "a peer that takes longer to build, or for an answer, has failed (default: %(default)s)"

APART = """\
works:
{works}

measured apart, with options of their own (--help): python -m benchmarks.compare.NAME
  ivf        training and filling an IVF index of FAISS
  indexes    which index to take when, each tuned to a recall
  tune       how long tuning takes, and the curves
  readme     the tables of docs/explanation/benchmarks.md, from what --json wrote
"""


def parser() -> argparse.ArgumentParser:
    """The options, which all works share."""
    works = "\n".join(f"  {name:<10} {work.about}" for name, work in WORKS.items())
    options = argparse.ArgumentParser(
        prog="python -m benchmarks.compare",
        description=__doc__,
        epilog=APART.format(works=works),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = options.add_argument
    add("works", nargs="*", metavar="WORK", help="default: search; with --quick, all of them")
    add(
        "--data",
        nargs="+",
        default=["gaussian-64"],
        choices=list(DATA),
        help="for search, filters and churn",
    )
    add("--only", nargs="+", metavar="PEER", help="these peers, and ours")
    add("--exact", action="store_true", help="leave approximate peers out")
    add("--batch", nargs="+", type=whole(), default=[1, 16, 256], help=f"at most {QUERIES}")
    add("-k", nargs="+", type=whole(), default=[100])
    add("--items", type=whole(), help="so many items, no more than a data set has")
    add_common(options, repeats=5)
    add("--limit", type=seconds, default=LIMIT, metavar="SECONDS", help=TOO_LONG)
    add("--quick", action="store_true", help="small sizes, 2 turns, for its assertions: a minute")
    add("--plot", type=new_folder, metavar="FOLDER", help="draw searches as PNG here")
    return options


def parse() -> argparse.Namespace:
    """Read the options, and refuse what cannot be."""
    options = parser()
    args = options.parse_args()
    args.works = args.works or (list(WORKS) if args.quick else ["search"])
    some = [WORKS[name] for name in args.works if name in WORKS]
    peers = dict.fromkeys(peer for work in some for peer in work.peers)
    for name, values, known in (("WORK", args.works, WORKS), ("--only", args.only or [], peers)):
        for value in values:
            if value not in known:
                expected = (
                    f"one of {', '.join(known)}" if known else "none, these works have no peers"
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
    """Measure the works, print their tables, then the targets."""
    args = parse()
    measured = machine.measure(args.threads)
    print(measured.describe())
    cases: list[Case] = []
    judged: list[targets.Judged] = []
    refused = 0
    for name in args.works:
        try:
            for case in WORKS[name].run(args, measured):
                cases.append(case)
                judged = [] if args.quick else targets.judge(cases, measured)
                write(args.json, args.repeats, measured, cases, judged)  # it may be ended
        except WorkError as error:
            refused += 1
            print(f"{name}: {error}", file=sys.stderr, flush=True)
    if judged:
        print(targets.table(judged))
    if args.plot:
        from benchmarks.compare.report import plots

        plots.draw(cases, measured, args.plot)
    return 1 if refused else 0


def write(
    path: Path | None,
    repeats: int,
    measured: machine.Machine,
    cases: list[Case],
    judged: list[targets.Judged],
) -> None:
    """Write what is known so far, where that is wanted."""
    if path is None:
        return
    found = {
        "machine": measured.as_json(),
        "versions": machine.versions(["numpy", *targets.PACKAGES]),
        "repeats": repeats,
        "cases": cases,
        "targets": [row._asdict() for row in judged],
    }
    write_report(path, json.dumps(found, indent=1).encode())


if __name__ == "__main__":
    sys.exit(main())
