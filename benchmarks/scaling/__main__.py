"""python -m benchmarks.scaling: the growth of time and memory with the size of a workload.

One axis at a time around a base point (1,000,000 gaussian items of width 64, 100 of them for each
of 256 queries, 2 threads), each point in a fresh process. Growth is given as an exponent, the slope
of time over size in logarithms; each time as a share of what the machine's measured int8 or read
rate allows, whichever binds; it exceeds 1 where codes stay in a cache. Points that do not fit
into free memory are left out, and reported.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator

from benchmarks.scaling.measure import measure
from benchmarks.scaling.points import AXES, Axis, Point
from benchmarks.scaling.report import Record, growth_table, points_table
from vecrecall.cli._arguments import new_file, new_folder, whole_number
from vecrecall.cli.bench import machine
from vecrecall.storage._atomic import write_report


def fits(point: Point) -> bool:
    """Return whether a point fits into free memory, with a tenth to spare; report if not."""
    need, free = point.need_bytes(), machine.available()
    if free is None or need <= 0.9 * free:
        return True
    print(
        f"  left out: {point} needs {need / 1e9:.1f} GB, {free / 1e9:.1f} GB are free",
        file=sys.stderr,
        flush=True,
    )
    return False


def run(name: str, axis: Axis, repeats: int) -> Iterator[Record]:
    """Measure the points of an axis."""
    for place, (value, point) in enumerate(axis.points().items(), 1):
        print(
            f"  {name}, point {place} of {len(axis.values)}: {axis.field} {value:,} ...",
            file=sys.stderr,
            flush=True,
        )
        if not fits(point):
            continue
        measured = measure(point, repeats)
        about = {"axis": name, "value": value, "point": point._asdict()}
        # Measured at each point, since shared machines change their speed within minutes.
        about["limits"] = machine.limits(point.threads, rounds=2)._asdict()
        for who, figures in measured.items():
            yield {**about, "name": who, **figures}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--axes", nargs="+", default=list(AXES), choices=list(AXES))
    parser.add_argument("--repeats", type=whole_number(), default=9)
    parser.add_argument("--quick", action="store_true", help="few small points, 2 repeats")
    parser.add_argument(
        "--json",
        type=new_file,
        help="write the figures here; axes that are there and not run now stay",
    )
    parser.add_argument("--plot", type=new_folder, metavar="FOLDER", help="write PNG figures here")
    args = parser.parse_args()
    if args.quick:
        args.repeats = min(args.repeats, 2)
    return args


def main() -> int:
    """Print a table for each axis, and the exponents."""
    args = parse()
    print(machine.measure(2).describe())
    records: list[Record] = []
    if args.json and args.json.exists():
        records = json.loads(args.json.read_text())["records"]
    for name in args.axes:
        axis = AXES[name].quick() if args.quick else AXES[name]
        records = [r for r in records if r["axis"] != name]
        for record in run(name, axis, args.repeats):
            records.append(record)
            if args.json:  # after each point, since a long run may be interrupted
                write_report(args.json, json.dumps({"records": records}, indent=1).encode())
        print(points_table(records, name), flush=True)
    print(growth_table(records))
    if args.plot:
        from benchmarks.scaling.plot import plot

        for path in plot(records, args.plot):
            print(f"written: {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
