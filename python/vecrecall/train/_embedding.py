"""An embedding: a vector for each key, as a trainer gives it."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Hashable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from vecrecall.arrays import _scalars, _validation
from vecrecall.search._flat_index import METRICS, FlatIndex
from vecrecall.storage import _array_folder
from vecrecall.train._columns import Column, check_keys, check_length, check_unique, number
from vecrecall.train._folders import load_folder
from vecrecall.train._key_json import from_json, to_json

KIND = "Embedding"
Metric = Literal["ip", "cosine", "l2"]
Missing = Literal["raise", "ignore"]


class Embedding:
    """A vector for each key: what a trainer gives and the library serves.

    Parameters
    ----------
    ids : sequence of hashable, n of them
        The keys, each once: str, int, tuple, whatever the data name things by.
    matrix : array_like of float, shape (n, d)
        Row ``i`` is the vector of ``ids[i]``; finite, converted to float32. An array that is
        float32 and C-contiguous is not copied: leave it as it is.
    metric : {"ip", "cosine", "l2"}
        What the vectors were trained to be compared by.
    about : mapping, optional
        How they were made: settings, seed, size of the data, versions. JSON values.

    Attributes
    ----------
    ids : list of hashable
    matrix : ndarray of float32, shape (n, d)
    metric : str
    about : dict

    Raises
    ------
    TypeError, ValueError
        If a key is missing or stands twice, or the numbers do not fit.

    Examples
    --------
    >>> from vecrecall.train import Embedding
    >>> words = Embedding(["tea", "milk", "rock"], [[1, 0], [0.9, 0.1], [0, 1]], metric="cosine")
    >>> words.vectors(["milk"]).tolist()
    [[0.8999999761581421, 0.10000000149011612]]
    >>> words.nearest("tea", k=1)[0][0]
    'milk'
    """

    def __init__(
        self,
        ids: Column,
        matrix: npt.ArrayLike,
        *,
        metric: Metric = "cosine",
        about: Mapping[str, Any] | None = None,
    ) -> None:
        _scalars.check_choice(metric, "metric", METRICS)
        self.ids = check_keys(ids, "ids")
        check_unique(self.ids, "ids")
        rows = _validation.check_vectors(matrix, "matrix")
        check_length(rows, "matrix", len(self.ids))
        self.matrix: npt.NDArray[np.float32] = np.ascontiguousarray(rows, np.float32)
        self.metric: Metric = metric
        self.about = _in_json({} if about is None else about)
        self._row_of = {key: row for row, key in enumerate(self.ids)}

    def __len__(self) -> int:
        """Return the number of keys."""
        return len(self.ids)

    def __contains__(self, key: object) -> bool:
        """Tell whether a key has a vector."""
        return key in self._row_of

    def __iter__(self) -> Iterator[Hashable]:
        """Iterate over the keys."""
        return iter(self.ids)

    def __repr__(self) -> str:
        trainer = self.about.get("trainer", "Embedding")
        return f"<Embedding of {len(self)} x {self.matrix.shape[1]}, {self.metric}, by {trainer}>"

    @property
    def dim(self) -> int:
        """Numbers per vector."""
        return int(self.matrix.shape[1])

    def rows(self, keys: Column, *, missing: Missing = "raise") -> npt.NDArray[np.int64]:
        """Find the rows of keys.

        Parameters
        ----------
        keys : sequence of hashable, m of them
        missing : {"raise", "ignore"}
            What to do with keys without a vector: raise, or give -1.

        Returns
        -------
        ndarray of int64, shape (m,)

        Raises
        ------
        KeyError
            If a key has no vector.

        Examples
        --------
        >>> from vecrecall.train import Embedding
        >>> Embedding(["a", "b"], [[1], [2]]).rows(["b", "?"], missing="ignore").tolist()
        [1, -1]
        """
        _scalars.check_choice(missing, "missing", {"raise": 0, "ignore": 1})
        wanted = check_keys(keys, "keys")
        found = number(wanted, self._row_of)
        if missing == "raise" and (found < 0).any():
            place = int((found < 0).argmax())
            raise KeyError(f"keys: no vector for {wanted[place]!r}, at place {place}")
        return found

    def vectors(self, keys: Column) -> npt.NDArray[np.float32]:
        """Return the vectors of keys.

        Parameters
        ----------
        keys : sequence of hashable, m of them

        Returns
        -------
        ndarray of float32, shape (m, d)

        Raises
        ------
        KeyError
            If a key has no vector.
        """
        return np.asarray(self.matrix[self.rows(keys)])

    def aligned(self, keys: Column) -> npt.NDArray[np.float32]:
        """Return a row for each key, zero for keys without a vector.

        Parameters
        ----------
        keys : sequence of hashable, m of them

        Returns
        -------
        ndarray of float32, shape (m, d)

        Examples
        --------
        >>> from vecrecall.train import Embedding
        >>> Embedding(["a", "b"], [[1], [2]]).aligned(["b", "?"]).tolist()
        [[2.0], [0.0]]
        """
        rows = self.rows(keys, missing="ignore")
        found = self.matrix[rows] if len(self) else np.zeros((len(rows), self.dim), np.float32)
        found[rows < 0] = 0
        return np.asarray(found)

    def nearest(self, key: Hashable, k: int = 10) -> list[tuple[Hashable, float]]:
        """Return the nearest other keys, for looking at what was learned.

        Parameters
        ----------
        key : hashable
        k : int

        Returns
        -------
        list of (key, float)
            At most `k`, best first, with their scores by `metric`.

        Raises
        ------
        KeyError
            If the key has no vector.
        """
        row = int(self.rows([key])[0])
        index = FlatIndex(self.matrix, metric=self.metric, invalid="skip")
        found = index.search(self.matrix[[row]], k, exclude=[[row]], invalid="empty")
        return [(self.ids[other], score) for other, score in found[0]]

    @property
    def index_ids(self) -> npt.NDArray[np.int64]:
        """The ids of an index over these vectors: the keys if all are ints >= 0, else the rows."""
        return index_ids(self.ids)

    def to_index(self, **options: Any) -> FlatIndex:
        """Build an exact index over the vectors.

        Parameters
        ----------
        **options
            Of `vecrecall.FlatIndex`; `metric` is that of the embedding, `ids` are `index_ids`.

        Returns
        -------
        FlatIndex
            Items are known by `index_ids`: the keys themselves where they are ints, else the rows,
            so that ``embedding.ids[i]`` is the key of item ``i``.

        Examples
        --------
        >>> from vecrecall.train import Embedding
        >>> words = Embedding(["tea", "rock"], [[1, 0], [0, 1]])
        >>> found = words.to_index().search([0.9, 0.1], 1)
        >>> words.ids[found.ids[0, 0]]
        'tea'
        """
        return FlatIndex(self.matrix, **{"ids": self.index_ids, "metric": self.metric, **options})

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a folder of `.npy` files and a JSON manifest, in one step.

        Parameters
        ----------
        path : str or path-like
            An empty folder, one to be made, or a saved embedding, which is replaced as a whole.

        Raises
        ------
        TypeError
            If a key is not str, bytes, int, float, bool, UUID, or a tuple of these.
        OSError
            If the folder cannot be written.
        """
        about = {"metric": self.metric, "about": self.about}
        arrays = {"matrix": self.matrix, **keys_to_arrays(self.ids)}
        _array_folder.save(_scalars.check_path(path, "path"), KIND, about, arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, mmap: bool = False) -> Embedding:
        """Read what `save` wrote.

        Parameters
        ----------
        path : str or path-like
        mmap : bool
            Whether to map the matrix instead of reading it. Values are not compared with their
            checksums then: a damaged file of the right size shows only by a value that is not
            finite, or a key that is none.

        Returns
        -------
        Embedding

        Raises
        ------
        ValueError
            If the folder holds something else, or a file is damaged.
        FileNotFoundError
            If it does not exist.
        """
        mmap = _scalars.check_bool(mmap, "mmap")
        content = load_folder(_scalars.check_path(path, "path"), KIND, mmap=mmap)
        with reading("an Embedding", path):
            arrays, about = content.arrays, content.about
            ids = keys_from_arrays(arrays, path)
            return cls(ids, arrays["matrix"], metric=about["metric"], about=about["about"])


def index_ids(keys: Sequence[Hashable]) -> npt.NDArray[np.int64]:
    """Return the keys if all are ints >= 0, else their rows."""
    if all(type(key) is int and 0 <= key < 2**63 for key in keys):
        return np.asarray(keys, np.int64)
    return np.arange(len(keys))


def about(
    trainer: str, settings: Mapping[str, Any], data: Mapping[str, int], packages: Sequence[str]
) -> dict[str, Any]:
    """Describe how vectors were made.

    Parameters
    ----------
    trainer : str
    settings : mapping
        Hyper-parameters and seed.
    data : mapping of str to int
        Sizes of the data.
    packages : sequence of str
        Whose versions matter.

    Returns
    -------
    dict
    """
    from importlib.metadata import version

    versions = {name: version(name) for name in ("vecrecall", "numpy", *packages)}
    return {
        "trainer": trainer,
        "settings": dict(settings),
        "data": dict(data),
        "versions": versions,
    }


@contextlib.contextmanager
def reading(what: str, path: str | os.PathLike[str]) -> Iterator[None]:
    """Name a folder whose content is not what its manifest says it is."""
    try:
        yield
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"path: expected {what}, got {error} in {path}") from error


def keys_to_arrays(keys: Sequence[Hashable]) -> dict[str, npt.NDArray[Any]]:
    """Write keys as arrays, to be saved with others."""
    texts = [_written(key, row) for row, key in enumerate(keys)]
    lengths = [0, *(len(text) for text in texts)]
    return {
        "key_offsets": np.cumsum(lengths, dtype=np.int64),
        "key_texts": np.frombuffer(b"".join(texts), np.uint8),
    }


def keys_from_arrays(
    arrays: Mapping[str, npt.NDArray[Any]], path: str | os.PathLike[str]
) -> list[Hashable]:
    """Read what `keys_to_arrays` wrote."""
    texts, ends = arrays["key_texts"].tobytes(), arrays["key_offsets"].tolist()
    try:
        return [from_json(json.loads(texts[begin:end])) for begin, end in pairwise(ends)]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"path: expected keys as JSON, got {error} in {path}") from error


def _in_json(about: Mapping[str, Any]) -> dict[str, Any]:
    """Copy what is said of vectors, as a file will have it."""
    if not isinstance(about, Mapping):
        raise TypeError(f"about: expected a mapping, got {type(about).__name__}")
    try:
        found: dict[str, Any] = json.loads(json.dumps(dict(about)))
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(f"about: expected values of JSON, got another: {error}") from error
    return found


def _written(key: Hashable, row: int) -> bytes:
    return json.dumps(to_json(key, "ids", row), ensure_ascii=True).encode()
