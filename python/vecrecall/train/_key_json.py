"""Keys as JSON, for files: what JSON lacks is written as an object with one name."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Hashable
from typing import Any


def to_json(key: Any, name: str, row: int) -> Any:
    """Return a JSON value for a key.

    Raises
    ------
    TypeError
        If a key is not str, bytes, int, float, bool, UUID, or a tuple of these.
    """
    if key is None or type(key) in (str, int, float, bool):
        return key
    if type(key) is bytes:
        return {"bytes": base64.b64encode(key).decode()}
    if type(key) is uuid.UUID:
        return {"uuid": str(key)}
    if type(key) is tuple:
        return [to_json(part, name, row) for part in key]
    raise TypeError(
        f"{name}: expected str, bytes, int, float, bool, UUID or tuples of these to save, "
        f"got {type(key).__name__} in row {row}"
    )


def from_json(value: Any) -> Hashable:
    """Return the key that `to_json` has written."""
    if isinstance(value, list):
        return tuple(from_json(part) for part in value)
    if isinstance(value, dict):
        ((kind, text),) = value.items()
        return base64.b64decode(text) if kind == "bytes" else uuid.UUID(text)
    key: Hashable = value
    return key
