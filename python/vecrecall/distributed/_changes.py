"""Changes of one shard, as its log has them."""

import json
import struct
from typing import Literal, NamedTuple

import numpy as np

from vecrecall.arrays._typing import F32, F64, I64
from vecrecall.search._flat_index import FlatIndex, usable_rows

Kind = Literal["add", "update", "remove"]
_LENGTH = struct.Struct("<I")


class Change(NamedTuple):
    """A change of items of one shard, made as a whole or not at all.

    Attributes
    ----------
    kind : {"add", "update", "remove"}
    token : str
        The same for each try of one change, so that it is made once.
    ids : ndarray of int64
    vectors : ndarray of float32, optional
    bias : ndarray of float64, optional
    ignore : bool
        Remove what is there of the ids.
    """

    kind: Kind
    token: str
    ids: I64
    vectors: F32 | None = None
    bias: F64 | None = None
    ignore: bool = False

    def taken(self, places: I64) -> "Change":
        """Return the part of it that is about some of its items."""
        return self._replace(
            ids=self.ids[places],
            vectors=None if self.vectors is None else self.vectors[places],
            bias=None if self.bias is None else self.bias[places],
        )


def packed(change: Change) -> bytes:
    """Make the record of a change."""
    dim = 0 if change.vectors is None else change.vectors.shape[1]
    head = json.dumps(
        [change.kind, change.token, len(change.ids), dim, change.bias is not None, change.ignore]
    ).encode()
    parts = [_LENGTH.pack(len(head)), head, np.ascontiguousarray(change.ids, "<i8").tobytes()]
    if change.vectors is not None:
        parts.append(np.ascontiguousarray(change.vectors, "<f4").tobytes())
    if change.bias is not None:
        parts.append(np.ascontiguousarray(change.bias, "<f8").tobytes())
    return b"".join(parts)


def unpacked(record: bytes) -> Change:
    """Read the record of a change."""
    (size,) = _LENGTH.unpack_from(record)
    at = _LENGTH.size + size
    kind, token, n, dim, biased, ignore = json.loads(record[_LENGTH.size : at])
    ids = np.frombuffer(record, "<i8", n, at).astype(np.int64)
    at += ids.nbytes
    vectors = bias = None
    if dim:
        vectors = np.frombuffer(record, "<f4", n * dim, at).astype(np.float32).reshape(n, dim)
        at += vectors.nbytes
    if biased:
        bias = np.frombuffer(record, "<f8", n, at).astype(np.float64)
    return Change(kind, token, ids, vectors, bias, ignore)


def check(index: FlatIndex, change: Change) -> None:
    """Refuse what could not be done."""
    if change.vectors is not None:
        usable_rows(change.vectors, change.bias, index.metric, False)
    known = index.contains(change.ids)
    if change.kind == "add" and known.any():
        raise ValueError(
            "ids: expected ids that the index does not have, "
            f"got {change.ids[np.flatnonzero(known)[0]]}"
        )
    if change.kind == "remove" and not change.ignore and not known.all():
        raise KeyError(
            f"ids: expected ids of the index, got {change.ids[np.flatnonzero(~known)[0]]}"
        )


def apply(index: FlatIndex, change: Change) -> None:
    """Make a change that was checked."""
    if change.kind == "remove":
        index.remove(change.ids, missing="ignore")
    elif change.kind == "add":
        assert change.vectors is not None
        index.add(change.vectors, change.ids, bias=change.bias)
    else:
        assert change.vectors is not None
        index.update(change.vectors, change.ids, bias=change.bias)
