"""python -m benchmarks.compare: this library compared with others, in one run.

Each peer has a process of its own, since the thread pools of BLAS, OpenMP and torch disturb each
other in one. Timings are interleaved in several rounds; medians are printed with their ratio to
vecrecall and, where it is meaningful, the share of the limits of this machine, measured before.
Answers are checked: a workload with a wrong one, of ours or of an exact peer, ends there, and the
exit code is 1. The run ends with the targets that it covers and the measured values.
"""

import argparse
import importlib.util
import json
import sys
from pathlib import Path

from benchmarks.compare.data import DATA, QUERIES
from benchmarks.compare.report import targets
from benchmarks.compare.workload import Measurement, WorkloadError
from benchmarks.compare.workloads.registry import WORKLOADS
from benchmarks.options import add_common
from vecrecall.cli._arguments import new_folder, positive_seconds, whole_number
from vecrecall.cli.bench import machine
from vecrecall.cli.bench.interleaved import LIMIT
from vecrecall.storage._atomic import write_report

TOO_LONG = "a peer fails if it takes longer to build, or per answer (default: %(default)s)"

EPILOG = """\
workloads:
{workloads}

programs with options of their own (--help): python -m benchmarks.compare.NAME
  studies.ivf      training and filling an IVF index of FAISS
  studies.indexes  indexes of all libraries, each tuned to a recall
  studies.tune     the time of tuning, and its curves
  report.pages     the tables and plots of the docs, from files of --json
"""


def parser() -> argparse.ArgumentParser:
    """Make the parser of the options, which all workloads share."""
    workloads = "\n".join(f"  {name:<10} {workload.about}" for name, workload in WORKLOADS.items())
    options = argparse.ArgumentParser(
        prog="python -m benchmarks.compare",
        description=__doc__,
        epilog=EPILOG.format(workloads=workloads),
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
        help="for search, filters, churn, ivf and half",
    )
    add("--only", nargs="+", metavar="PEER", help="only these peers, and ours; no targets")
    add("--exact", action="store_true", help="only exact peers")
    add("--batch", nargs="+", type=whole_number(), default=[1, 16, 256], help=f"at most {QUERIES}")
    add("-k", nargs="+", type=whole_number(), default=[100])
    add("--items", type=whole_number(), help="number of items; at most those of a data set")
    add_common(options, repeats=5)
    add("--limit", type=positive_seconds, default=LIMIT, metavar="SECONDS", help=TOO_LONG)
    add(
        "--quick",
        action="store_true",
        help="small sizes and 2 rounds, for the assertions: a minute",
    )
    add("--plot", type=new_folder, metavar="FOLDER", help="write PNG plots of search and ivf here")
    return options


def parse() -> argparse.Namespace:
    """Read the options, and refuse invalid ones."""
    options = parser()
    args = options.parse_args()
    args.workloads = args.workloads or (list(WORKLOADS) if args.quick else ["search"])
    selected = [WORKLOADS[name] for name in args.workloads if name in WORKLOADS]
    peers = dict.fromkeys(peer for workload in selected for peer in workload.peers)
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
    """Measure the workloads, and print their tables and the targets."""
    args = parse()
    measured = machine.measure(args.threads)
    print(measured.describe())
    measurements: list[Measurement] = []
    results: list[targets.TargetResult] = []
    failed = 0
    for name in args.workloads:
        try:
            for measurement in WORKLOADS[name].run(args, measured):
                measurements.append(measurement)
                # Of some peers only, the best is perhaps not the best.
                whole = not args.quick and not args.only
                results = targets.evaluate(measurements, measured) if whole else []
                # Now, since a later workload may be interrupted.
                write(args.json, args.repeats, measured, measurements, results)
        except WorkloadError as error:
            failed += 1
            print(f"{name}: {error}", file=sys.stderr, flush=True)
    if results:
        print(targets.table(results))
    if args.plot:
        from benchmarks.compare.report import plots, recall_curves

        plots.draw(measurements, measured, args.plot)
        recall_curves.draw(measurements, measured, args.plot)
    return 1 if failed else 0


def write(
    path: Path | None,
    repeats: int,
    measured: machine.Machine,
    measurements: list[Measurement],
    results: list[targets.TargetResult],
) -> None:
    """Write the measurements so far, if --json was given."""
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
