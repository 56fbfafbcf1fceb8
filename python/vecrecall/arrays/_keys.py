"""Keys of items as bytes in one row: from lists, arrays and columns, and back.

Other libraries are told by what their objects can do; none is imported.
"""

import itertools
import uuid
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from vecrecall.arrays import _ids
from vecrecall.arrays._conversion import TEXT, as_array
from vecrecall.arrays._ragged_ops import offsets_of
from vecrecall.arrays._typing import I64, U8, Array

Key = str | bytes | int | uuid.UUID

PADDING = 8  # bytes behind the last key, so that a word of 8 can be read at any of them
WIDTHS = {"str": None, "bytes": None, "int": 8, "UUID": 16}  # by kind, of those that have one
_EXPECTED = "str, bytes, int or uuid.UUID keys"
_NO_KEYS = (bool, np.bool_, np.timedelta64)
_CODEC = ("utf-8", "surrogatepass")  # every str can be a key, also one that is no valid Unicode


class KeyColumn(NamedTuple):
    """Keys of one kind; key ``i`` is ``text[offsets[i]:offsets[i + 1]]``."""

    kind: str | None  # a name of `WIDTHS`; None where there are no keys
    text: U8  # and `PADDING` bytes
    offsets: I64

    def __len__(self) -> int:
        return self.offsets.size - 1


def key_column(x: Any, name: str) -> KeyColumn:
    """Coerce to keys of one kind, in their order and with their repetitions."""
    if isinstance(x, (*TEXT, Mapping, set, frozenset)) or not isinstance(x, Iterable):
        raise TypeError(f"{name}: expected a sequence of {_EXPECTED}, got {type(x).__name__}")
    if isinstance(x, (list, tuple)):
        return _of_list(x, name)
    if hasattr(x, "columns"):
        raise TypeError(f"{name}: expected a column of {_EXPECTED}, got {type(x).__name__}")
    x = _arrow(x)
    if isinstance(x, list):
        return _of_list(x, name)
    if hasattr(x, "buffers") and hasattr(x, "type"):
        return _of_arrow(x, name)
    if hasattr(x, "chunks") and hasattr(x, "type"):
        return _joined([_of_arrow(chunk, name) for chunk in x.chunks])
    if isinstance(x, np.ndarray):
        return _of_array(x, name)
    numbers = getattr(getattr(x, "dtype", None), "kind", None) in ("i", "u", "f")  # of pandas
    if numbers or hasattr(x, "__dlpack__"):
        return _of_array(as_array(x, name, _EXPECTED), name)
    return _of_list(x.tolist() if hasattr(x, "tolist") else list(x), name)


def keys_of(column: KeyColumn) -> list[Any]:
    """Give back keys as they were."""
    kind, text, offsets = column
    if kind == "int":
        numbers: list[Any] = text[: int(offsets[-1])].view("<i8").tolist()
        return numbers
    raw = text[: int(offsets[-1])].tobytes()
    places = offsets.tolist()
    pairs = itertools.pairwise(places)
    if kind == "UUID":
        return [uuid.UUID(int=int.from_bytes(raw[a:b], "big")) for a, b in pairs]
    if kind == "str":
        decoded = raw.decode(*_CODEC)
        if len(decoded) == len(raw):  # ASCII
            return [decoded[a:b] for a, b in pairs]
        return [raw[a:b].decode(*_CODEC) for a, b in pairs]
    return [raw[a:b] for a, b in pairs]


def _column(kind: str, content: bytes | Array, lengths: I64) -> KeyColumn:
    offsets = offsets_of(lengths)
    text = np.zeros(int(offsets[-1]) + PADDING, np.uint8)
    text[: int(offsets[-1])] = np.frombuffer(content, np.uint8)
    return KeyColumn(kind if lengths.size else None, text, offsets)


def _joined(columns: list[KeyColumn]) -> KeyColumn:
    """Put the chunks of a column one behind the other."""
    kinds = {column.kind for column in columns} - {None}
    if not kinds:
        return _column("str", b"", np.empty(0, np.int64))
    content = np.concatenate([c.text[: int(c.offsets[-1])] for c in columns])
    return _column(str(kinds.pop()), content, np.concatenate([np.diff(c.offsets) for c in columns]))


def _kind_of(key: type) -> str | None:
    """Name the kind of keys of a type, None for what is none."""
    if issubclass(key, (str, bytes)):
        return "str" if issubclass(key, str) else "bytes"
    if issubclass(key, (int, np.integer)) and not issubclass(key, _NO_KEYS):
        return "int"
    return "UUID" if issubclass(key, uuid.UUID) else None


def _of_list(keys: "list[Any] | tuple[Any, ...]", name: str) -> KeyColumn:
    types = {t: _kind_of(t) for t in set(map(type, keys))}
    kinds = set(types.values())
    if None in kinds:
        at = next(i for i, key in enumerate(keys) if types[type(key)] is None)
        got = "a missing value" if _is_missing(keys[at]) else type(keys[at]).__name__
        raise TypeError(f"{name}: expected {_EXPECTED}, got {got} at place {at}")
    if len(kinds) > 1:
        of_first = types[type(keys[0])]
        at = next(i for i, key in enumerate(keys) if types[type(key)] != of_first)
        raise TypeError(
            f"{name}: expected keys of one kind, got {of_first} at place 0 "
            f"and {types[type(keys[at])]} at place {at}"
        )
    kind = kinds.pop() if kinds else "str"
    if kind == "int":
        return _of_integers(_ids.check_integers([int(key) for key in keys], name))
    if kind == "UUID":
        return _column(
            "UUID", b"".join([key.int.to_bytes(16, "big") for key in keys]), np.full(len(keys), 16)
        )
    if kind == "str":
        return _of_texts(keys if set(types) <= {str} else [str.__str__(key) for key in keys])
    return _of_pieces("bytes", keys)


def _is_missing(key: object) -> bool:
    not_a_number = isinstance(key, float) and key != key
    return key is None or not_a_number or type(key).__name__ in ("NAType", "NaTType")


def _of_texts(keys: "list[str] | tuple[str, ...]") -> KeyColumn:
    whole = "".join(keys)
    if whole.isascii():
        return _column("str", whole.encode(), np.fromiter(map(len, keys), np.int64, len(keys)))
    return _of_pieces("str", [key.encode(*_CODEC) for key in keys])


def _of_pieces(kind: str, keys: "list[bytes] | tuple[bytes, ...]") -> KeyColumn:
    return _column(kind, b"".join(keys), np.fromiter(map(len, keys), np.int64, len(keys)))


def _of_integers(numbers: I64) -> KeyColumn:
    content = np.ascontiguousarray(numbers, "<i8").view(np.uint8)
    return _column("int", content, np.full(numbers.size, 8))


def _of_array(a: Array, name: str) -> KeyColumn:
    if isinstance(a, np.ma.MaskedArray):
        raise TypeError(f"{name}: expected {_EXPECTED}, got a masked array (fill or drop its mask)")
    if a.ndim != 1:
        raise ValueError(f"{name}: expected a row of keys, got shape {a.shape}")
    if a.dtype.kind in "iu":
        return _of_integers(_ids.check_integers(a, name))
    if a.dtype.kind in "US" and a.dtype.itemsize and a.size:
        return _of_wide(a)
    if a.dtype.kind in "USOT" or a.size == 0:
        return _of_list(a.tolist(), name)
    raise TypeError(f"{name}: expected {_EXPECTED}, got dtype {a.dtype}")


def _of_wide(a: Array) -> KeyColumn:
    """Take an array of text of one width, in which shorter keys are padded with zeros."""
    kind, code = ("str", np.uint32) if a.dtype.kind == "U" else ("bytes", np.uint8)
    codes = np.ascontiguousarray(a, a.dtype.newbyteorder("=")).view(code).reshape(a.size, -1)
    if kind == "str" and codes.max() > 127:
        return _of_texts(a.tolist())
    filled = codes != 0
    lengths = np.where(filled.any(axis=1), filled.shape[1] - filled[:, ::-1].argmax(axis=1), 0)
    held = np.arange(codes.shape[1]) < lengths[:, None]
    return _column(kind, codes.astype(np.uint8)[held], lengths)


def _arrow(x: Any) -> Any:
    """Turn a column of polars or pandas into one of Arrow, where it is one in truth."""
    try:
        if hasattr(x, "to_arrow") and hasattr(x, "to_list"):  # of polars
            return x.to_list() if str(x.dtype) == "Object" else x.to_arrow()
        inner = getattr(x, "array", None)  # of pandas
        if inner is not None and hasattr(inner, "__arrow_array__"):
            return inner.__arrow_array__()
    except ImportError:  # Arrow is not there
        pass
    return x


def _of_arrow(x: Any, name: str) -> KeyColumn:
    """Take the buffers of an Arrow array."""
    if hasattr(x, "dictionary_decode"):
        x = x.dictionary_decode()  # the values, too, may be missing
    if x.null_count:
        at = int(np.flatnonzero(np.asarray(x.is_null()))[0])
        raise TypeError(f"{name}: expected {_EXPECTED}, got a missing value at place {at}")
    kind, type_name = "bytes", str(x.type)
    if "arrow.uuid" in type_name and hasattr(x, "storage"):
        kind, x = "UUID", x.storage
    elif "int" in type_name and type_name.strip("uint").isdigit():
        return _of_integers(_ids.check_integers(np.asarray(x), name))
    elif type_name in ("string", "large_string", "string_view"):
        kind = "str"
    elif "binary" not in type_name and len(x):
        raise TypeError(f"{name}: expected {_EXPECTED}, got Arrow's {type_name}")
    if len(x) == 0:
        return _column("str", b"", np.empty(0, np.int64))
    x = x.cast("large_string" if kind == "str" else "large_binary")
    _, offsets_buffer, content = x.buffers()
    offsets = np.frombuffer(offsets_buffer, np.int64)[x.offset : x.offset + len(x) + 1]
    part = slice(int(offsets[0]), int(offsets[-1]))
    text = np.frombuffer(content if content is not None else b"", np.uint8)[part]
    return _column(kind, text, np.diff(offsets))
