"""Pickles that hold an index as its path and version, so that every process maps the same files."""

import io
import pickle
from pathlib import Path
from typing import Any

from vecrecall.distributed import _ray
from vecrecall.search._flat_index import FlatIndex
from vecrecall.search._ivf_index import load_index

_loaded: dict[tuple[str, str], FlatIndex] = {}


def dumps(value: object) -> bytes:
    """Pickle something that searches indexes, for other processes of a cluster.

    Parameters
    ----------
    value : object
        For example a `Recaller`. Each `FlatIndex` and `IVFIndex` in it is pickled as the path that
        it was loaded from and a word for what was saved there, not as its arrays.

    Returns
    -------
    bytes
        For `loads`.

    Raises
    ------
    TypeError
        If an index was not loaded, or has changed since; says what to do.

    Examples
    --------
    >>> import numpy as np, tempfile, vecrecall as vr
    >>> from vecrecall.distributed import dumps, loads  # doctest: +SKIP
    >>> with tempfile.TemporaryDirectory() as folder:  # doctest: +SKIP
    ...     vr.FlatIndex(np.eye(300, dtype=np.float32)).save(folder)
    ...     len(loads(dumps(vr.FlatIndex.load(folder))))
    300
    """
    base: type[Any] = _ray.ray().cloudpickle.CloudPickler

    class Pickler(base):  # type: ignore[misc]
        def reducer_override(self, obj: Any) -> Any:
            return by_path(obj) if isinstance(obj, FlatIndex) else super().reducer_override(obj)

    to = io.BytesIO()
    Pickler(to, protocol=5).dump(value)
    return to.getvalue()


def loads(data: bytes) -> Any:
    """Read a pickle of `dumps`; an index of one path and version is mapped once a process.

    Parameters
    ----------
    data : bytes
        From `dumps`. As any pickle, it must come from someone who is trusted.

    Returns
    -------
    object

    Raises
    ------
    OSError, ValueError
        If an index is not at its path any more, or another was saved there.
    """
    return pickle.loads(data)


def by_path(index: FlatIndex) -> Any:
    """Reduce an index that was loaded, and not changed since."""
    origin = index._origin
    if origin is None or index._now().version != origin.version:
        how = "not loaded" if origin is None else f"changed since it was loaded from {origin.path}"
        raise TypeError(
            f"pickle: expected an index that was loaded, and is as it was saved, got {index!r}, "
            f"{how}; save it to a path that all nodes read, and load it from there"
        )
    return _load, (str(origin.path), origin.saved)


def _load(path: str, saved: str) -> FlatIndex:
    found = _loaded.get((path, saved))
    if found is None:
        index = load_index(Path(path))
        if index._origin is None or index._origin.saved != saved:
            raise ValueError(
                f"pickle: expected the index that was saved when it was pickled, got another in "
                f"{path}; pickle it again"
            )
        found = _loaded.setdefault((path, saved), index)
    return found._view()
