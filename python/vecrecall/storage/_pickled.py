"""What a pickle says of an object: named arrays and what is to be known about them, as a folder."""

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt

from vecrecall.arrays._conversion import aligned
from vecrecall.storage._array_folder import FORMAT

State = dict[str, Any]


def packed(about: Mapping[str, object], arrays: Mapping[str, npt.NDArray[Any]]) -> State:
    """Make the state of a pickle; arrays stay as they are, so that they go out of band."""
    return {**about, "format": FORMAT, "arrays": arrays}


def unpacked(state: object, kind: str) -> tuple[State, dict[str, npt.NDArray[Any]]]:
    """Take a state apart; arrays that do not lie as numbers must are copied.

    Names and values are for the caller to check.
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
