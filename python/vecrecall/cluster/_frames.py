"""Data frames of pandas and polars made of an array, as scikit-learn's `set_output` promises."""

import importlib
from collections.abc import Callable
from typing import Any

from vecrecall.arrays._typing import F32


def _as_it_is(values: F32, names: list[str], x: object) -> Any:
    return values


def _to_pandas(values: F32, names: list[str], x: object) -> Any:
    pandas = _imported("pandas")
    index = x.index if isinstance(x, (pandas.DataFrame, pandas.Series)) else None
    return pandas.DataFrame(values, index=index, columns=names, copy=False)


def _to_polars(values: F32, names: list[str], x: object) -> Any:
    return _imported("polars").DataFrame(values, schema=names, orient="row")


# Makers of the returned container, from an array, names for its columns and the input.
CONTAINERS: dict[str, Callable[[F32, list[str], object], Any]] = {
    "default": _as_it_is,
    "pandas": _to_pandas,
    "polars": _to_polars,
}


def _imported(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"set_output(transform={module!r}) needs {module}: pip install {module}"
        ) from error
