"""States of pickles: named arrays and what is to be known about them, as in a folder."""

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt

from vecrecall.arrays._conversion import aligned
from vecrecall.storage._array_folder import FORMAT

State = dict[str, Any]


def packed(about: Mapping[str, object], arrays: Mapping[str, npt.NDArray[Any]]) -> State:
    """Make the state of a pickle; arrays stay as they are, so that they go out of band."""
    return {**about, "format": FORMAT, "arrays": dict(arrays)}


def unpacked(state: object, kind: str) -> tuple[State, dict[str, npt.NDArray[Any]]]:
    """Take a state apart; arrays that are not aligned are copied.

    The caller checks names and values.
    """
    about = dict(state) if isinstance(state, dict) else {}
    form, arrays = about.pop("format", None), about.pop("arrays", None)
    if type(form) is not int or form != FORMAT:
        raise ValueError(
            f"pickle: expected a {kind} of format {FORMAT}, got {form!r}; both ends must have one "
            "version of the library"
        )
    if not isinstance(arrays, dict):
        raise ValueError(f"pickle: expected arrays of a {kind}, got {type(arrays).__name__}")
    return about, {name: aligned(array) for name, array in arrays.items()}
