"""The keys that users know items by, and the ids that an index knows them by."""

import itertools
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from vecrecall.arrays import _ids, _scalars
from vecrecall.arrays._key_lists import flat_keys
from vecrecall.arrays._key_table import HashedKeys, KeyTable
from vecrecall.arrays._keys import Key, KeyColumn, key_column, keys_of
from vecrecall.arrays._ragged import Ragged
from vecrecall.arrays._ragged_ops import offsets_of
from vecrecall.arrays._results import RankedResult
from vecrecall.arrays._typing import I64, Array
from vecrecall.search._key_state import KeyState, numbered, state_of
from vecrecall.storage import _array_folder

KIND = "Vocabulary"
PART = "vocabulary"  # its name in the folder of something that it was saved with
_ITERATED = 1 << 14  # keys at a time
_MISSING = {"raise": False, "ignore": True}
Missing = Literal["raise", "ignore"]


class Vocabulary:
    """The keys of items, numbered from 0 on: from keys to the int64 ids of an index, and back.

    Keys are str, bytes, int or `uuid.UUID`, all of one kind, and come back as they were. Ids are
    given in the order in which keys come and never change.

    Parameters
    ----------
    keys : sequence of str, bytes, int or uuid.UUID
        Each once. A list, a NumPy array, or a column of pandas, polars or Arrow, whose buffers
        are copied as they are.

    Raises
    ------
    TypeError
        If something is no key, is missing, or is of another kind than the keys before.
    ValueError
        If a key stands twice (`add` takes them so), or an int does not fit int64.

    Notes
    -----
    A key takes its own bytes in UTF-8 and 24 more; there is no Python object for each. Lookups
    go by a hash of 64 bits and compare what they find with the key itself, so that keys with one
    hash are told apart. Any number of threads may look up while one adds: each call sees the keys
    of one moment.

    Examples
    --------
    >>> import numpy as np, vecrecall as vr
    >>> vocabulary = vr.Vocabulary(["tea", "milk", "jam"])
    >>> index = vr.FlatIndex(np.eye(3, dtype=np.float32), vocabulary.ids(["tea", "milk", "jam"]))
    >>> result = index.search([[0.5, 1.0, 0.0]], k=2)
    >>> vocabulary.decode(result)
    [[('milk', 1.0), ('tea', 0.5)]]
    >>> vocabulary.add(["jam", "salt"]).tolist(), vocabulary.keys([3, 0, -1])
    ([2, 3], ['salt', 'tea', None])
    """

    def __init__(self, keys: Iterable[Key] | npt.ArrayLike = ()) -> None:
        column = key_column(keys, "keys")
        self._state = KeyState(None, ())
        if not len(column):
            return
        table = KeyTable.of(column.text, column.offsets, HashedKeys.of(column).hashes)
        first = table.first_of_each()
        if first is not None:
            at = int(np.flatnonzero(first != np.arange(first.size))[0])
            state = KeyState(column.kind, (table,))
            raise ValueError(
                f"keys: duplicate key {state.keys(first[at : at + 1])[0]!r} "
                f"at places {first[at]} and {at}"
            )
        self._state = KeyState(column.kind, (table,))

    def add(self, keys: Iterable[Key] | npt.ArrayLike) -> I64:
        """Find the ids of keys; those that are not there get the next ids.

        Parameters
        ----------
        keys : sequence of str, bytes, int or uuid.UUID, m of them
            May repeat.

        Returns
        -------
        ndarray of int64, shape (m,)
            Ids that were there stay; new ones continue after the largest, in the order in which
            their keys come.

        Raises
        ------
        TypeError, ValueError
            If something is no key, or of another kind than the keys before; nothing is added then.

        Examples
        --------
        >>> import vecrecall as vr
        >>> vocabulary = vr.Vocabulary(["a", "b"])
        >>> vocabulary.add(["c", "a", "d", "c"]).tolist(), len(vocabulary)
        ([2, 0, 3, 2], 4)
        """
        column = key_column(keys, "keys")
        wanted = HashedKeys.of(column)
        with _adding:
            state = self._state
            self._check_kind(state, column)
            ids = state.find(wanted)
            new = np.flatnonzero(ids < 0)
            if new.size:
                numbers, table = numbered(wanted.take(new))
                ids[new] = numbers + state.size
                self._state = state.extended(column.kind, table)
        return ids

    def ids(self, keys: Iterable[Key] | npt.ArrayLike, *, missing: Missing = "raise") -> I64:
        """Find the ids of keys.

        Parameters
        ----------
        keys : sequence of str, bytes, int or uuid.UUID, m of them
            May repeat.
        missing : {"raise", "ignore"}
            What to do with keys that are unknown: raise, or give them the id -1.

        Returns
        -------
        ndarray of int64, shape (m,)

        Raises
        ------
        KeyError
            If a key is unknown.
        TypeError, ValueError
            If something is no key, or of another kind than those of the vocabulary.

        Examples
        --------
        >>> import vecrecall as vr
        >>> vocabulary = vr.Vocabulary(["a", "b"])
        >>> vocabulary.ids(["b", "x", "a"], missing="ignore").tolist()
        [1, -1, 0]
        """
        ignore = _scalars.check_choice(missing, "missing", _MISSING)
        return self._find(key_column(keys, "keys"), "keys", ignore)

    def encode(self, lists: Any, *, missing: Missing = "raise") -> Ragged:
        """Find the ids of the keys in lists, for arguments such as ``exclude`` or ``history``.

        Parameters
        ----------
        lists : sequence of sequences of keys, or a column of lists of Arrow or polars
            One row per user or query; rows may be sets.
        missing : {"raise", "ignore"}
            What to do with keys that are unknown: raise, or leave them out.

        Returns
        -------
        Ragged of int64

        Raises
        ------
        KeyError, TypeError, ValueError
            As `ids`.

        Examples
        --------
        >>> import vecrecall as vr
        >>> vocabulary = vr.Vocabulary(["a", "b", "c"])
        >>> [row.tolist() for row in vocabulary.encode([["c", "a"], [], ["x"]], missing="ignore")]
        [[2, 0], [], []]
        """
        ignore = _scalars.check_choice(missing, "missing", _MISSING)
        column, offsets = flat_keys(lists, "lists")
        ids = self._find(column, "lists", ignore, offsets)
        known = ids >= 0
        return Ragged._of(ids[known], np.append(0, known.cumsum())[offsets])

    def keys(self, ids: npt.ArrayLike) -> list[Any]:
        """List the keys of ids.

        Parameters
        ----------
        ids : array_like of int, shape (m,)
            May repeat.

        Returns
        -------
        list of str, bytes, int or uuid.UUID
            Of length m; None for the id -1, which pads lists.

        Raises
        ------
        KeyError
            If an id is unknown.
        TypeError, ValueError
            If the ids are not a row of integers.

        Examples
        --------
        >>> import vecrecall as vr
        >>> vr.Vocabulary(["a", "b"]).keys([1, 1, -1])
        ['b', 'b', None]
        """
        wanted = _ids.check_integers(ids, "ids")
        state = self._state
        _check_known(state, wanted, "ids")
        held = wanted >= 0
        if held.all():
            return state.keys(wanted)
        out = np.empty(wanted.size, object)
        out[held] = state.keys(wanted[held])
        return out.tolist()

    def decode(self, result: Any, *, scores: bool = True) -> list[Any]:
        """List what calls have found, with the items' keys in place of their ids.

        Parameters
        ----------
        result : SearchResult, MergeResult, GroupResult, AboveResult or Neighbors
            Whatever has `ids` and `scores`; also one query's list, with one axis.
        scores : bool
            False gives keys alone.

        Returns
        -------
        list of lists
            One list per query, in the result's order and without its padding, of pairs
            ``(key, score)``, or of keys. Of one query's list, that one.

        Raises
        ------
        KeyError
            If the result has an id that the vocabulary does not have.
        TypeError, ValueError
            If it is no result.

        Examples
        --------
        >>> import numpy as np, vecrecall as vr
        >>> index = vr.FlatIndex(np.eye(2, dtype=np.float32))
        >>> result = index.search([[0.0, 1.0], [2.0, 1.0]], k=9)
        >>> vr.Vocabulary(["a", "b"]).decode(result)
        [[('b', 1.0), ('a', 0.0)], [('a', 2.0), ('b', 1.0)]]
        >>> vr.Vocabulary(["a", "b"]).decode(result, scores=False)
        [['b', 'a'], ['a', 'b']]
        """
        with_scores = _scalars.check_bool(scores, "scores")
        ids, values, offsets = _entries(result)
        state = self._state
        _check_known(state, ids, "result")
        found: list[Any] = state.keys(ids) if ids.size else []
        if with_scores:
            found = list(zip(found, values.tolist(), strict=True))
        if getattr(result.ids, "ndim", 2) == 1:
            return found
        places = offsets.tolist()
        return [found[a:b] for a, b in itertools.pairwise(places)]

    def save(self, path: str | Path) -> None:
        """Write the vocabulary into a folder of its own: `.npy` arrays and a JSON manifest.

        `FlatIndex.save` writes one into the folder of its index.

        Parameters
        ----------
        path : str or Path
            A folder that is new, empty or holds a saved vocabulary, which is replaced as a whole:
            by the time that the call returns the new one is on the disk, and if it fails or the
            process is killed, the old one is there. Its parents are created.

        Raises
        ------
        OSError
            If the folder cannot be made or written.
        ValueError
            If there is something else in the folder.

        Examples
        --------
        >>> import tempfile, vecrecall as vr
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     vr.Vocabulary(["a", "b"]).save(folder)
        ...     vr.Vocabulary.load(folder).ids(["b"]).tolist()
        [1]
        """
        _array_folder.save(_scalars.check_path(path, "path"), KIND, *self._content())

    @classmethod
    def load(cls, path: str | Path, *, mmap: bool = True, verify: bool = False) -> "Vocabulary":
        """Open a vocabulary that `save` wrote, or the one that an index was saved with.

        Parameters
        ----------
        path : str or Path
        mmap : bool
            Map the files instead of reading them: nothing is rebuilt, and processes share one
            copy in memory. Keys that are added are kept in memory.
        verify : bool
            Read everything, compare checksums and look up every key. Without it what is checked
            makes lookups safe whatever is in the files; a changed value may hide keys or change
            them.

        Returns
        -------
        Vocabulary

        Raises
        ------
        OSError
            If a file is missing or cannot be read.
        ValueError
            If there is no vocabulary, or files are cut short or do not fit together; the message
            names the file or the array.

        Examples
        --------
        See `save`.
        """
        mmap, verify = _scalars.check_bool(mmap, "mmap"), _scalars.check_bool(verify, "verify")
        folder = _scalars.check_path(path, "path")
        content = _array_folder.load_part(folder, KIND, PART, mmap=mmap, verify=verify)
        return cls._from_content(*content, path=folder, verify=verify)

    @classmethod
    def _from_content(
        cls, about: Mapping[str, Any], arrays: Mapping[str, Array], path: Path, verify: bool
    ) -> "Vocabulary":
        """Make one of what was in a file."""
        try:
            return _restored(about.get("keys"), arrays, verify)
        except ValueError as error:
            raise ValueError(f"path: expected a whole vocabulary in {path}, got {error}") from error

    def _content(self) -> "_array_folder.Part":
        """Return what is saved, of one moment."""
        state = self._state
        return _array_folder.Part({"keys": state.kind}, state.whole()._asdict())

    def _part_for(self, ids: I64) -> "_array_folder.Part":
        """Return what is saved with something that has these ids; each must have a key."""
        part = self._content()
        keys = part.arrays["order"].shape[0]
        beyond = ids[ids >= keys]
        if beyond.size:
            raise ValueError(f"vocabulary: expected a key for each id, got none for {beyond[0]}")
        return part

    def _find(self, column: KeyColumn, name: str, ignore: bool, offsets: I64 | None = None) -> I64:
        """Find the ids of keys; `offsets` are those of the rows that a message may name."""
        state = self._state
        self._check_kind(state, column, name)
        ids = state.find(HashedKeys.of(column))
        if not ignore and (ids < 0).any():
            at = int(np.flatnonzero(ids < 0)[0])
            one = HashedKeys.of(column).take(np.array([at])).column(column.kind)
            where = f"place {at}"
            if offsets is not None:
                row = int(np.searchsorted(offsets, at, side="right")) - 1
                where = f"place {at - offsets[row]} of row {row}"
            raise KeyError(
                f"{name}: expected keys of the vocabulary, got {keys_of(one)[0]!r} at {where}"
            )
        return ids

    def _check_kind(self, state: KeyState, column: KeyColumn, name: str = "keys") -> None:
        if None not in (state.kind, column.kind) and state.kind != column.kind:
            raise TypeError(
                f"{name}: expected {state.kind} keys as the vocabulary has, got {column.kind}"
            )

    def __len__(self) -> int:
        return self._state.size

    def __contains__(self, key: object) -> bool:
        try:
            column = key_column([key], "key")
        except (TypeError, ValueError):
            return False
        state = self._state
        return state.kind == column.kind and bool(state.find(HashedKeys.of(column))[0] >= 0)

    def __iter__(self) -> Iterator[Any]:
        state = self._state
        for start in range(0, state.size, _ITERATED):
            yield from state.keys(np.arange(start, min(state.size, start + _ITERATED)))

    def __repr__(self) -> str:
        state = self._state
        one = f"{state.kind} key" if state.kind else "key"
        return f"Vocabulary({_scalars.counted(state.size, one)})"

    def __reduce__(self) -> tuple[Any, ...]:
        about, arrays = self._content()
        return _restored, (about["keys"], arrays)


def _restored(kind: Any, arrays: Mapping[str, Array], verify: bool = False) -> Vocabulary:
    """Make a vocabulary of untrusted arrays."""
    vocabulary = Vocabulary()
    vocabulary._state = state_of(kind, arrays, verify)
    return vocabulary


def _check_known(state: KeyState, ids: I64, name: str) -> None:
    wrong = np.flatnonzero((ids < -1) | (ids >= state.size))
    if wrong.size:
        raise KeyError(
            f"{name}: expected ids of the vocabulary, from 0 to {state.size - 1}, "
            f"got {ids[wrong[0]]}"
        )


def _entries(result: Any) -> tuple[I64, Array, I64]:
    """List the ids and scores in a result without its padding, and where each query's begin."""
    ids, scores = getattr(result, "ids", None), getattr(result, "scores", None)
    if isinstance(ids, Ragged) and isinstance(scores, Ragged):
        return _ids.check_integers(ids.values, "result"), scores.values, ids.offsets
    if isinstance(result, RankedResult):
        valid, fields = result._checked()
        return fields["ids"][valid], fields["scores"][valid], offsets_of(valid.sum(axis=1))
    shape = getattr(scores, "shape", None)
    if not isinstance(ids, np.ndarray) or ids.ndim not in (1, 2) or shape != ids.shape:
        raise TypeError(
            f"result: expected a result with ids and scores, got {type(result).__name__}"
        )
    held = ids != -1
    numbers = _ids.check_integers(ids[held], "result")
    return numbers, np.asarray(scores)[held], offsets_of(np.atleast_2d(held).sum(axis=1))


# Held by the thread that adds keys; in a forked child, where that thread is not, it is a new one.
_adding = threading.Lock()


def _begin_in_child() -> None:
    global _adding
    _adding = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_in_child)
