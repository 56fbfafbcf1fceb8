"""The items of a FlatIndex that is to become an index of another library."""

import numpy as np
import numpy.typing as npt

from vecrecall.search._flat_index import FlatIndex

Items = tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]


def items_of(index: FlatIndex) -> Items:
    """Copy out ids and rows, which must say all that the scores depend on.

    Raises
    ------
    TypeError, ValueError
        If it is no FlatIndex, or one whose items have a bias.
    """
    if not isinstance(index, FlatIndex):
        raise TypeError(f"index: expected a FlatIndex, got {type(index).__name__}")
    if index._has_bias:
        raise ValueError("index: expected items without a bias, which only a FlatIndex knows")
    ids = index.ids
    return ids, index.vectors(ids)
