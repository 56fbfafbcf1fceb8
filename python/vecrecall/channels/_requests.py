"""Requests: the fields of a batch of users."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any, Literal, overload

import numpy as np
import numpy.typing as npt

import vecrecall._core as _core
from vecrecall.arrays import _ids, _ragged_checks, _validation
from vecrecall.arrays._ragged import Ragged, RaggedLike
from vecrecall.arrays._ragged_ops import take_rows
from vecrecall.arrays._row_input import is_flat
from vecrecall.arrays._scalars import counted
from vecrecall.arrays._typing import F32, I64

RaggedField = Literal[
    "history", "history_weights", "tags", "tag_weights", "tag_groups", "clusters", "seen"
]


@dataclass(frozen=True, init=False, eq=False, repr=False)
class RequestBatch:
    """Everything that channels may ask about a batch of users, in flat arrays.

    Every field is optional; a channel that needs one which is missing says so. All is checked
    here, once, and not again by the channels.

    Parameters
    ----------
    user_ids : array_like of int, shape (nq,), optional
        Who the users are.
    history : ragged of int, nq rows, optional
        Item ids that a user has clicked, latest first.
    history_weights : ragged or flat array_like of float, optional
        One finite weight for each item of `history`; default 1.
    tags : ragged of int, nq rows, optional
        The tags of a user's profile as row numbers of a tag table; -1 is an unknown tag.
    tag_weights : ragged or flat array_like of float, optional
        One finite weight for each tag; default 1.
    tag_groups : ragged or flat array_like of int, optional
        The category of each tag; -1 is none.
    vectors : mapping of str to array_like of float, shape (nq, d), optional
        User vectors by name, finite. A zero row says that the user has no such vector.
    clusters : ragged of int, nq rows, or array_like of int, shape (nq,), optional
        The cluster or the clusters of a user; -1 is none.
    seen : ragged of int, nq rows, optional
        Item ids that a user must not get.

    Attributes
    ----------
    user_ids : ndarray of int64, shape (nq,), or None
    history, tags, tag_groups, clusters, seen : Ragged of int64, or None
    history_weights, tag_weights : Ragged of float64, or None
    vectors : mapping of str to ndarray of float32

    Raises
    ------
    TypeError, ValueError
        If a field is not as described or has not as many rows as the first field given; the
        message names the field, the expected value and the given one.

    Notes
    -----
    float32 and int64 arrays are used as they are and must then not change. A pickle is checked
    where it arrives as the arguments are here.

    Examples
    --------
    >>> import vecrecall as vr
    >>> batch = vr.RequestBatch(user_ids=[7, 8], history=[[30, 10], []], seen=[[10, 20, 30], [5]])
    >>> len(batch), batch.history[0].tolist(), batch.tags is None
    (2, [30, 10], True)
    """

    user_ids: I64 | None
    history: Ragged | None
    history_weights: Ragged | None
    tags: Ragged | None
    tag_weights: Ragged | None
    tag_groups: Ragged | None
    vectors: Mapping[str, F32]
    clusters: Ragged | None
    seen: Ragged | None
    _nonzero: Mapping[str, F32]  # of the vectors, those without a row of zeros
    _rows: int

    def __init__(
        self,
        *,
        user_ids: npt.ArrayLike | None = None,
        history: RaggedLike | None = None,
        history_weights: RaggedLike | npt.ArrayLike | None = None,
        tags: RaggedLike | None = None,
        tag_weights: RaggedLike | npt.ArrayLike | None = None,
        tag_groups: RaggedLike | npt.ArrayLike | None = None,
        vectors: Mapping[str, npt.ArrayLike] | None = None,
        clusters: RaggedLike | npt.ArrayLike | None = None,
        seen: RaggedLike | None = None,
    ) -> None:
        clicks = None if history is None else _ragged_checks.check_ragged(history, "history")
        profile = None if tags is None else _ragged_checks.check_ragged(tags, "tags")
        fields: dict[str, object] = {
            "user_ids": None if user_ids is None else _ids.check_integers(user_ids, "user_ids"),
            "history": clicks,
            "history_weights": _weights(history_weights, "history_weights", clicks, "history"),
            "tags": profile,
            "tag_weights": _weights(tag_weights, "tag_weights", profile, "tags"),
            "tag_groups": _groups(tag_groups, profile),
            "vectors": _vectors(vectors),
            "clusters": _clusters(clusters),
            "seen": None if seen is None else _ragged_checks.check_ragged(seen, "seen"),
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)
        nonzero = {name: v for name, v in self.vectors.items() if _core.first_zero_row(v) < 0}
        object.__setattr__(self, "_nonzero", nonzero)
        object.__setattr__(self, "_rows", self._common_length())

    def _common_length(self) -> int:
        sized = {name: len(value) for name, value in self._given().items()}
        if not sized:
            return 0
        first, rows = next(iter(sized.items()))
        for name, n in sized.items():
            if n != rows:
                raise ValueError(f"{name}: expected {counted(rows, 'row')}, as {first}, got {n}")
        return rows

    def _given(self) -> "dict[str, I64 | F32 | Ragged]":
        """List the fields that have one row per user, by the names that messages use."""
        fields: dict[str, I64 | F32 | Ragged | None] = {
            "user_ids": self.user_ids,
            "history": self.history,
            "tags": self.tags,
            **{f"vectors[{name!r}]": v for name, v in self.vectors.items()},
            "clusters": self.clusters,
            "seen": self.seen,
        }
        return {name: value for name, value in fields.items() if value is not None}

    @overload
    def need(self, field: Literal["user_ids"], channel: object) -> I64: ...

    @overload
    def need(self, field: RaggedField, channel: object) -> Ragged: ...

    def need(self, field: RaggedField | Literal["user_ids"], channel: object) -> I64 | Ragged:
        """Give a channel a field that it cannot do without.

        Parameters
        ----------
        field : str
            Any field but ``vectors``, for which there is `need_vectors`.
        channel : object
            Who asks; the message names its class.

        Returns
        -------
        ndarray or Ragged

        Raises
        ------
        ValueError
            If the batch has no such field.
        """
        value: I64 | Ragged | None = getattr(self, field)
        if value is None:
            raise ValueError(f"{type(channel).__name__}: expected a batch with {field}, got none")
        return value

    def need_vectors(self, name: str, channel: object) -> F32:
        """Give a channel the user vectors that it cannot do without.

        Parameters
        ----------
        name : str
            Of the vectors.
        channel : object
            Who asks; the message names its class.

        Returns
        -------
        ndarray of float32, shape (nq, d)

        Raises
        ------
        ValueError
            If the batch has no such vectors; lists those it has.
        """
        if name not in self.vectors:
            got = ", ".join(map(repr, self.vectors)) or "none"
            raise ValueError(
                f"{type(channel).__name__}: expected a batch with vectors {name!r}, got {got}"
            )
        return self.vectors[name]

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what the constructor finds out."""
        state = {name: x for name, x in self.__dict__.items() if name not in ("_nonzero", "_rows")}
        return {**state, "vectors": dict(self.vectors)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take fields by the constructor, and those that a subclass adds."""
        own = dict(state)
        given = {f.name: own.pop(f.name, None) for f in fields(RequestBatch) if f.name[0] != "_"}
        RequestBatch.__init__(self, **given)
        self.__dict__.update(own)

    def _take(self, rows: I64, seen: Ragged | None) -> "RequestBatch":
        """Take users by their rows, also repeatedly, with other seen items."""

        def taken(field: Ragged | None) -> Ragged | None:
            return None if field is None else take_rows(field, rows)

        return RequestBatch(
            user_ids=None if self.user_ids is None else self.user_ids[rows],
            history=taken(self.history),
            history_weights=taken(self.history_weights),
            tags=taken(self.tags),
            tag_weights=taken(self.tag_weights),
            tag_groups=taken(self.tag_groups),
            vectors={name: vectors[rows] for name, vectors in self.vectors.items()},
            clusters=taken(self.clusters),
            seen=seen,
        )

    def __len__(self) -> int:
        return self._rows

    def __repr__(self) -> str:
        given = ", ".join(self._given()) or "no fields"
        return f"RequestBatch({counted(len(self), 'user')}, with {given})"


def _weights(x: object, name: str, rows: Ragged | None, rows_name: str) -> Ragged | None:
    if x is None:
        return None
    if rows is None:
        raise ValueError(f"{name}: expected {rows_name} with it, got none")
    return Ragged._of(_ragged_checks.check_entry_weights(x, name, rows, rows_name), rows.offsets)


def _groups(x: RaggedLike | npt.ArrayLike | None, tags: Ragged | None) -> Ragged | None:
    if x is None:
        return None
    if tags is None:
        raise ValueError("tag_groups: expected tags with it, got none")
    if is_flat(x):
        flat = _ids.check_integers(x, "tag_groups")
        if flat.size != tags.values.size:
            raise ValueError(
                f"tag_groups: expected {tags.values.size} values, one a tag, got {flat.size}"
            )
        return Ragged._of(flat, tags.offsets)
    groups = _ragged_checks.check_ragged(x, "tag_groups", len(tags))
    if not np.array_equal(groups.offsets, tags.offsets):
        raise ValueError("tag_groups: expected rows as long as those of tags, got other lengths")
    return groups


def _vectors(x: Mapping[str, npt.ArrayLike] | None) -> Mapping[str, F32]:
    if x is None:
        return MappingProxyType({})
    if not isinstance(x, Mapping):
        raise TypeError(f"vectors: expected a mapping of names to arrays, got {type(x).__name__}")
    for name in x:
        if not isinstance(name, str):
            raise TypeError(f"vectors: expected names of type str, got {name!r}")
    return MappingProxyType(
        {n: _validation.check_vectors(v, f"vectors[{n!r}]") for n, v in x.items()}
    )


def _clusters(x: RaggedLike | npt.ArrayLike | None) -> Ragged | None:
    if x is None:
        return None
    if not is_flat(x):
        return _ragged_checks.check_ragged(x, "clusters")
    labels = _ids.check_integers(x, "clusters")
    return Ragged._of(labels, np.arange(labels.size + 1))
