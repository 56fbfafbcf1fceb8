"""Find the id that a label stands for; vectors are compared where the index keeps them."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from vecrecall.adapters._completion import ROUNDING
from vecrecall.adapters._items import Items
from vecrecall.adapters._spherical import unit_rows
from vecrecall.adapters.backends._protocol import Backend
from vecrecall.arrays._typing import F32, F64, I64
from vecrecall.cluster._lloyd import lengths
from vecrecall.search._flat_index import FlatIndex
from vecrecall.search._protocol import Metric

SAMPLE = 16  # items that are compared, spread over all
NEAREST = 8  # of each, where only scores can be compared

Bools = npt.NDArray[np.bool_]
Lookup = Callable[[I64], F32]  # from labels to the vectors that were given for them


def aligned(
    backend: Backend, metric: Metric, ids: I64 | None, vectors: F32 | FlatIndex | None
) -> Items:
    """Say which items an index holds.

    `ids` name the rows of an index that keeps their order. Of another one they are its labels, in
    the order of the rows of `vectors`; or its labels are 0 to n - 1, and label j stands for
    ``ids[j]``. Where both are possible, the vectors decide: those that the index holds, or which of
    the items searches for them find. Without vectors it is the latter.

    Raises
    ------
    ValueError
        If neither is possible, or the index holds other vectors.
    """
    labels = backend.labels()
    ways = _ways(labels, ids, backend.ordered)
    sample = _sample(labels if len(ways) == 1 else labels[labels != ids])
    if metric != backend.metric:
        _check_lengths(backend, sample)
    if vectors is None:
        return ways[0]
    wrong = [_other(backend, metric, sample, _lookup(items, vectors)) for items in ways]
    chosen = wrong.index(None) if None in wrong else 0
    if wrong.count(None) > 1:
        found = [_found(backend, metric, sample, _lookup(items, vectors)) for items in ways]
        chosen = int(np.argmax(found))
    _refuse(ways[chosen], wrong[chosen])
    return ways[chosen]


def check_vectors(backend: Backend, metric: Metric, items: Items, vectors: F32 | FlatIndex) -> None:
    """Refuse vectors that are seen to be others than those that an index holds of its items."""
    _refuse(items, _other(backend, metric, _sample(items.labels), _lookup(items, vectors)))


def _ways(labels: I64, ids: I64 | None, ordered: bool) -> list[Items]:
    """List what ids can mean."""
    if ids is None or ordered:
        return [Items(labels, ids)]
    n = len(labels)
    ways = []
    if np.array_equal(labels, np.arange(n)):
        ways.append(Items(labels, ids))
    twice = bool(ways) and np.array_equal(labels, ids)  # the same either way
    if not twice and np.array_equal(labels, np.sort(ids)):
        ways.append(Items(ids, None))
    if not ways:
        raise ValueError(
            f"ids: expected the {n} labels of the index, since these are not 0 to {n - 1}, "
            "got others"
        )
    return ways


def _refuse(items: Items, label: int | None) -> None:
    """Say of which item the vector is another one, unless there is none."""
    if label is None:
        return
    found = items.ids_of(np.array([label]))
    raise ValueError(
        f"vectors: expected those that the index holds, got another one for id {found[0]}, "
        f"in row {items.find(found)[0]}"
    )


def _sample(labels: I64) -> I64:
    if len(labels) <= SAMPLE:
        return labels
    return labels[np.linspace(0, len(labels) - 1, SAMPLE, dtype=np.int64)]


def _lookup(items: Items, vectors: F32 | FlatIndex) -> Lookup:
    def of(labels: I64) -> F32:
        ids = items.ids_of(labels)
        if isinstance(vectors, FlatIndex):
            return vectors.vectors(ids)
        return vectors[items.find(ids)]

    return of


def _other(backend: Backend, metric: Metric, sample: I64, given: Lookup) -> int | None:
    """Find a label of which the index holds another vector, None if there is none to be seen."""
    if not sample.size:
        return None
    own = backend.read(sample)
    if own is not None:
        differs = _differs(own, given(sample), metric)
    elif backend.exact({}):
        sample, differs = _scored_otherwise(backend, metric, given(sample), given)
    else:
        return None
    return int(sample[differs.argmax()]) if differs.any() else None


def _differs(own: F32, given: F32, metric: Metric) -> Bools:
    """Tell which rows differ; of directions, divided by lengths in float32, more than that does.

    The division rounds a coordinate once, and its factor is the same for all of them.
    """
    if metric != "cosine":
        other: Bools = (own != given).any(axis=1)
        return other
    apart: F64 = np.abs(_unit(own) - _unit(given)).max(axis=1)
    return apart > 4 * ROUNDING


def _found(backend: Backend, metric: Metric, sample: I64, given: Lookup) -> int:
    """Count the items that a search for their own vectors finds."""
    queries = given(sample)
    if metric != backend.metric:
        queries = unit_rows(queries)
    labels, _ = backend.search(queries, min(NEAREST, backend.size()), {}, None, 1)
    return int(np.count_nonzero((labels == sample[:, None]).any(axis=1)))


def _scored_otherwise(
    backend: Backend, metric: Metric, queries: F32, given: Lookup
) -> tuple[I64, Bools]:
    """Search an exact index for some of its items, and tell whose scores are others.

    The sums of float32 products are off by what `ListCompleter` bounds them by.
    """
    if metric != backend.metric:
        queries = unit_rows(queries)
    labels, scores = backend.search(queries, min(NEAREST, backend.size()), {}, None, 1)
    q = np.repeat(queries, labels.shape[1], axis=0).astype(np.float64)
    x = given(labels.ravel()).astype(np.float64)
    size = lengths(q) * lengths(x)
    if metric == "l2":
        exact = -np.square(q - x).sum(axis=1)
        size = np.square(lengths(q) + lengths(x))
    else:
        exact = (q * x).sum(axis=1)
        if metric == "cosine":
            exact, size = exact / size, np.full(len(q), 2.0)
    bound = (2 * q.shape[1] + 16) * ROUNDING * (size + 1)
    return labels.ravel(), ~(np.abs(scores.ravel() - exact) <= bound)


def _check_lengths(backend: Backend, sample: I64) -> None:
    """Refuse to call products cosines where rows have other lengths than one."""
    own = backend.read(sample) if sample.size else None
    if own is None:
        return
    found = lengths(own.astype(np.float64))
    off = np.abs(found - 1) > (own.shape[1] + 8) * ROUNDING
    if off.any():
        raise ValueError(
            "metric: expected rows of length one for 'cosine' over an index by inner product, "
            f"got length {found[off][0]:.6g} under label {sample[off][0]}"
        )


def _unit(a: F32) -> F64:
    wide = a.astype(np.float64)
    wide /= lengths(wide)[:, None]
    return wide
