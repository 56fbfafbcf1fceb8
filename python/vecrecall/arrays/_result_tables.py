"""Results as tables, one row per item that was found."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from vecrecall._extras import needed
from vecrecall.arrays._typing import I64, Array

_SINGULAR = {"ids": "id", "scores": "score"}


def columns(lengths: I64, entries: Mapping[str, Array]) -> dict[str, Array]:
    """Name the columns: the query, the rank from 1, and what each entry has.

    Parameters
    ----------
    lengths : ndarray of int64, shape (nq,)
        Of the lists.
    entries : mapping of str to ndarray, shape (n_entries, ...)
        One list after the other.
    """
    ends = np.cumsum(lengths, dtype=np.int64)
    total = int(ends[-1]) if ends.size else 0
    rank = np.arange(1, total + 1) - np.repeat(ends - lengths, lengths)
    named = {_SINGULAR.get(name, name): values for name, values in entries.items()}
    return {"query": np.repeat(np.arange(lengths.size), lengths), "rank": rank, **named}


def arrow_table(table: Mapping[str, Array]) -> Any:
    """Make an Arrow table; rows of a matrix become lists of a fixed size."""
    pa = needed("pyarrow", "arrow", "to_arrow")

    def column(values: Array) -> Any:
        if values.ndim == 1:
            return pa.array(values)
        return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])

    return pa.table({name: column(values) for name, values in table.items()})


def pandas_frame(table: Mapping[str, Array]) -> Any:
    """Make a DataFrame; rows of a matrix become arrays in a column of objects."""
    pd = needed("pandas", "pandas", "to_pandas")

    def column(values: Array) -> Any:
        return values if values.ndim == 1 else pd.Series(list(values), dtype=object)

    return pd.DataFrame({name: column(values) for name, values in table.items()})
