"""Checks of an estimator's points, their shape and the names of their columns, as in scikit-learn.

Its tools and tests look for its messages, so that these stand behind ours.
"""

import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from vecrecall.arrays._conversion import as_array
from vecrecall.arrays._row_types import check_finite_rows
from vecrecall.arrays._typing import Array

Names = npt.NDArray[np.object_]
_SHOWN = 5  # names in a message


def check_points(x: object, dim: int | None, owner: str) -> Array:
    """Coerce `X` to finite rows, C-contiguous, of the width that `owner` was fitted with."""
    try:
        return check_finite_rows(x, "X", dim)
    except ValueError as error:
        theirs = _about_shape(_shape(x), dim, owner)
        if not theirs:
            raise
        raise ValueError(f"{error} ({theirs})") from None


def _shape(x: object) -> tuple[int, ...]:
    try:
        return as_array(x, "X", "an array").shape
    except (TypeError, ValueError):
        return ()


def _about_shape(shape: tuple[int, ...], dim: int | None, owner: str) -> str:
    if len(shape) == 1:
        return (
            "Reshape your data: X.reshape(1, -1) if it is one sample, X.reshape(-1, 1) if it has "
            "one feature"
        )
    if len(shape) != 2:
        return ""
    if shape[1] == 0:
        return f"0 feature(s) (shape={shape}) while a minimum of 1 is required."
    if dim not in (None, shape[1]):
        return f"X has {shape[1]} features, but {owner} is expecting {dim} features as input"
    return ""


def expect_names(names: object, dim: int) -> None:
    """Refuse what `names_of` does not return for so many columns."""
    known = isinstance(names, np.ndarray) and names.shape == (dim,) and names.dtype == object
    if not known or not all(isinstance(name, str) for name in names):  # type: ignore[attr-defined]
        raise ValueError(f"feature_names_in_: expected {dim} names of type str, got others")


def names_of(x: object) -> Names | None:
    """Return the names of the columns of a data frame, None where there are none of type str.

    Frames are told by what their class has: an attribute of a frame may be a column.
    """
    kind = type(x)
    if kind is np.ndarray:
        return None
    if hasattr(kind, "column_names"):  # Arrow's, whose `columns` are the columns themselves
        names = _all_of(x.column_names)  # type: ignore[attr-defined]
    elif hasattr(kind, "columns"):
        names = _all_of(x.columns)  # type: ignore[attr-defined]
    else:
        return None
    are_text = [isinstance(name, str) for name in names]
    if any(are_text) and not all(are_text):
        types = sorted({type(name).__name__ for name in names})
        raise TypeError(
            f"X: expected columns whose names are all of type str, or none, got {types} (Feature "
            "names are only supported if all input features have string names)"
        )
    return np.array(names, object) if any(are_text) else None


def _all_of(names: Any) -> list[Any]:
    return list(names) if isinstance(names, Iterable) else []


def check_names(x: object, fitted: Names | None, owner: str, stacklevel: int) -> None:
    """Refuse other names of columns than those of `fit`; warn where only one of both has some."""
    names = names_of(x)
    if names is None and fitted is None:
        return
    if names is None or fitted is None:
        had = "has feature names" if fitted is None else "does not have valid feature names"
        was = "without" if fitted is None else "with"
        warnings.warn(
            f"X {had}, but {owner} was fitted {was} feature names",
            UserWarning,
            stacklevel=stacklevel + 1,
        )
        return
    if names.tolist() != fitted.tolist():
        raise ValueError(
            "X: expected the columns of `fit`, got others: The feature names should match those "
            f"that were passed during fit.\n{_differences(set(names), set(fitted))}"
        )


def _differences(names: set[str], fitted: set[str]) -> str:
    unseen, missing = sorted(names - fitted), sorted(fitted - names)
    told = _listed("Feature names unseen at fit time:", unseen)
    told += _listed("Feature names seen at fit time, yet now missing:", missing)
    return told or "Feature names must be in the same order as they were in fit.\n"


def _listed(title: str, names: list[str]) -> str:
    if not names:
        return ""
    lines = [f"- {name}\n" for name in names[:_SHOWN]]
    return f"{title}\n" + "".join(lines) + ("- ...\n" if len(names) > _SHOWN else "")


def check_given_names(given: npt.ArrayLike | None, n: int, fitted: Names | None) -> None:
    """Refuse names that are not those of the `n` columns of `fit`."""
    if given is None:
        return
    names = as_array(given, "input_features", f"{n} names").tolist()
    if fitted is not None and names != fitted.tolist():
        raise ValueError(
            "input_features: expected the columns of `fit`, got others (input_features is not "
            "equal to feature_names_in_)"
        )
    if not isinstance(names, list) or len(names) != n:
        got = len(names) if isinstance(names, list) else type(names).__name__
        raise ValueError(
            f"input_features: expected {n} names, got {got} (input_features should have length "
            f"equal to number of features ({n}))"
        )
