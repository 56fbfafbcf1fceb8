"""Items to serve: the films of the demo, or synthetic vectors."""

from collections.abc import Callable

import numpy as np

import vecrecall as vr


def films(seed: int = 0) -> vr.FlatIndex:
    """Index MovieLens' films by the factors of the matrix of users and films.

    Parameters
    ----------
    seed : int

    Returns
    -------
    FlatIndex
        By inner product; ids are MovieLens' own.

    Raises
    ------
    ImportError
        If the extra ``demo`` is not installed.
    """
    from vecrecall.cli.demo import embeddings, reading

    dataset = reading.load(None)
    vectors = embeddings.svd(dataset, seed)
    assert vectors is not None  # for want of users or items, of which MovieLens has enough
    return vr.FlatIndex(vectors.items, np.array(dataset.items, np.int64))


def synthetic(items: int, dim: int, seed: int = 0) -> vr.FlatIndex:
    """Index vectors of normal random numbers.

    Parameters
    ----------
    items, dim : int
    seed : int

    Returns
    -------
    FlatIndex
        By inner product; ids are row numbers.
    """
    rng = np.random.default_rng(seed)
    return vr.FlatIndex(rng.standard_normal((items, dim), dtype=np.float32), copy=False)


def in_lists(load: Callable[[], vr.FlatIndex]) -> vr.IVFIndex:
    """Put the items of an index into lists.

    Parameters
    ----------
    load : callable
        Makes the index.

    Returns
    -------
    IVFIndex
    """
    index = load()
    return vr.IVFIndex(index.vectors(index.ids), index.ids, metric=index.metric)
