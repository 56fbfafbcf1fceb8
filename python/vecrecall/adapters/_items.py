"""The items of a wrapped index: between the library's labels and the items' ids."""

import numpy as np

from vecrecall.arrays._candidate_lists import IdIndex
from vecrecall.arrays._typing import I64


class Items:
    """Labels and the ids that they stand for.

    Parameters
    ----------
    labels : ndarray of int64, shape (n,)
        Those of the library; unique, >= 0.
    ids : ndarray of int64, shape (n,), optional
        The id of each; default the labels themselves.

    Attributes
    ----------
    labels, ids : ndarray of int64, shape (n,)
    """

    def __init__(self, labels: I64, ids: I64 | None) -> None:
        self.ids = labels if ids is None else ids
        self._by_id = IdIndex(self.ids, "index" if ids is None else "ids")
        self.labels = labels
        self._table: I64 | None = None
        self._rows: IdIndex | None = None
        if ids is not None:
            self._table = np.append(ids, -1)  # what a label or row of -1 leads to
            if not np.array_equal(labels, np.arange(len(labels))):
                self._rows = IdIndex(labels, "labels")

    def __len__(self) -> int:
        return len(self.ids)

    def find(self, ids: I64) -> I64:
        """Find the rows of ids, -1 for unknown ones."""
        return self._by_id.find(ids)

    def ids_of(self, labels: I64) -> I64:
        """Tell the ids that labels stand for; -1 stays."""
        if self._table is None:
            return labels
        return self._table[labels if self._rows is None else self._rows.find(labels)]

    def labels_of(self, ids: I64) -> I64:
        """List the labels of those ids that are known, ascending."""
        rows = self.find(ids)
        return np.sort(self.labels[rows[rows >= 0]])
