"""The keys of a JSON report, compared with their documentation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def paths(node: Any, path: str = "") -> Iterator[str]:
    """Name every value as the documentation does: ``a.b[].c``."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from paths(value, f"{path}.{key}" if path else key)
    elif isinstance(node, list):
        for value in node:
            yield from paths(value, f"{path}[]")
    else:
        yield path


def documents(key: str, path: str) -> bool:
    """Tell whether a documented key, in which ``<...>`` is any name, is that of a value."""
    parts, names = key.split("."), path.split(".")
    return len(parts) == len(names) and all(
        name == part or (part.startswith("<") and name.endswith("[]") == part.endswith("[]"))
        for part, name in zip(parts, names, strict=True)
    )
