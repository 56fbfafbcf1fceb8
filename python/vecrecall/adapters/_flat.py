"""The items of a FlatIndex that is to become an index of another library."""

import numpy as np
import numpy.typing as npt

from vecrecall.search._flat_index import FlatIndex
from vecrecall.search._protocol import frozen
from vecrecall.search._reloading import ReloadingIndex

Items = tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]


def items_of(index: FlatIndex | ReloadingIndex) -> tuple[FlatIndex, Items]:
    """Hold an index as it is now and copy out ids and rows, which must say all that scores need.

    Raises
    ------
    TypeError, ValueError
        If it is no FlatIndex, or one whose items have a bias.
    """
    whole = frozen(index)
    if not isinstance(whole, FlatIndex):
        raise TypeError(f"index: expected a FlatIndex, got {type(index).__name__}")
    if whole._has_bias:
        raise ValueError("index: expected items without a bias, which only a FlatIndex knows")
    ids = whole.ids
    return whole, (ids, whole.vectors(ids))
