"""Ways in which an object gets to another process, or to a copy; and what it is, in plain data."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

import vecrecall as vr

Buffer = npt.NDArray[np.uint8]


def taken_apart(x: object) -> tuple[bytes, list[memoryview]]:
    """Pickle with the arrays out of band; the buffers are where they lay."""
    buffers: list[pickle.PickleBuffer] = []
    data = pickle.dumps(x, protocol=5, buffer_callback=buffers.append)
    return data, [buffer.raw() for buffer in buffers]


def moved(buffers: Sequence[memoryview], shift: int = 0) -> list[Buffer]:
    """Copy buffers to other memory, read-only, so many bytes behind where all numbers can lie."""
    out = []
    for buffer in buffers:
        room = np.zeros(buffer.nbytes + 128 + shift, np.uint8)
        start = -room.ctypes.data % 64 + shift
        place = room[start : start + buffer.nbytes]
        place[:] = np.frombuffer(buffer, np.uint8)
        place.flags.writeable = False
        out.append(place)
    return out


def out_of_band(x: Any) -> Any:
    """Deliver the arrays in read-only memory, as Ray and Dask do."""
    data, buffers = taken_apart(x)
    return pickle.loads(data, buffers=moved(buffers))


def _by_protocol(protocol: int) -> Callable[[Any], Any]:
    return lambda x: pickle.loads(pickle.dumps(x, protocol))


PICKLES: dict[str, Callable[[Any], Any]] = {
    **{f"protocol{p}": _by_protocol(p) for p in range(pickle.HIGHEST_PROTOCOL + 1)},
    "out of band": out_of_band,
}
WAYS: dict[str, Callable[[Any], Any]] = {**PICKLES, "copy": copy.copy, "deepcopy": copy.deepcopy}


def plain(x: Any) -> Any:
    """Compare what is public, arrays by their bits."""
    if isinstance(x, np.ndarray):
        return x.dtype.str, x.shape, x.tobytes()
    if isinstance(x, BaseException):
        return type(x).__name__, x.args  # scikit-learn's of that name, too
    if isinstance(x, Mapping):
        return {key: plain(value) for key, value in x.items()}
    if isinstance(x, list) or type(x) is tuple:
        return [plain(value) for value in x]
    names = [name for name in _attributes(x) if not name.startswith("_")]
    return type(x), {name: plain(getattr(x, name)) for name in names} if names else x


def _attributes(x: Any) -> Sequence[str]:
    if dataclasses.is_dataclass(x):
        return [field.name for field in dataclasses.fields(x)]
    return getattr(x, "_fields", None) or getattr(x, "__slots__", ())


def behavior(index: vr.FlatIndex, rng: np.random.Generator) -> Any:
    """Everything that an index answers, by its bits."""
    queries = rng.standard_normal((20, index.dim)).astype(np.float32)
    some = np.arange(0, 600, 3)
    found = [index.search(queries, k) for k in (1, 10, 400)]
    found.append(index.search(queries, 10, allow=some, exclude=[some[:9]] * 20, min_score=-9.0))
    floor = float(found[0].scores.min(initial=0))
    above = index.search_above(queries, floor, limit=300)
    scores = index.score(queries, [some] * 20)
    ids = index.ids
    neighbors = index.neighbors(3) if len(index) < 1000 else ()
    own = (index.dim, index.metric, len(index), ids, index.skipped, index.vectors(ids))
    return plain([*own, *found, above, scores, *neighbors])
