"""ScaNN: a searcher of its pybind module."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from vecrecall.adapters.backends._protocol import Answer, SearchParam, Setting
from vecrecall.adapters.backends._scann_config import (
    defaults,
    metric_of,
    parse,
    scans_floats,
    search_params,
)
from vecrecall.arrays import _ids, _scalars
from vecrecall.arrays._typing import F32, I64
from vecrecall.search._protocol import Metric

WIDEST = 2**16  # widths that are tried; a searcher does not tell its own


class ScannBackend:
    """A ScaNN searcher, by dot product or squared Euclidean distance.

    Parameters
    ----------
    index : scann.scann_ops.py.scann_ops_pybind.ScannSearcher
        Its docids are the labels, where it has some.
    """

    library = "scann"
    ordered = True
    tells_metric = True

    def __init__(self, index: Any) -> None:
        from scann.scann_ops.py.scann_ops_pybind import ScannSearcher

        if not isinstance(index, ScannSearcher):
            raise TypeError(f"index: expected a ScannSearcher, got {_scalars.type_name(index)}")
        # The library's wrapper maps docids one at a time.
        self._searcher = index.searcher
        self._docids = None if index.docids is None else _docids(index.docids)
        config = parse(index.config())
        self.metric: Metric = metric_of(config)
        self.dim = _width(self._searcher)
        self._scans = scans_floats(config)
        self._default = defaults(config)
        self.search_params: Mapping[str, SearchParam] = search_params(config, max(1, self.size()))

    def size(self) -> int:
        """Count the items."""
        n: int = self._searcher.size()
        return n

    def labels(self) -> I64:
        """List the docids, or row numbers."""
        return np.arange(self.size()) if self._docids is None else self._docids

    def setting(self) -> dict[str, int]:
        """Read the searcher's own values from its configuration."""
        return dict(self._default)

    def exact(self, setting: Setting) -> bool:
        """Tell whether the searcher is a scan of float32."""
        return self._scans

    def selector(self, labels: I64, complement: bool) -> None:
        """There is none."""

    def search(
        self, queries: F32, k: int, setting: Setting, selector: object | None, threads: int
    ) -> Answer:
        """Search; places that are not filled hold row 0 at a distance of NaN.

        There are as many batches as threads, since the searcher's own pool has one size for all.
        """
        leaves = setting.get("leaves_to_search", -1)
        reordered = -1
        if "pre_reorder_num_neighbors" in self.search_params:
            values = {**self._default, **setting}
            reordered = max(k, values["pre_reorder_num_neighbors"])
        batch = -(-len(queries) // threads)
        rows, distances = self._searcher.search_batched(
            queries, k, reordered, leaves, batch < len(queries), batch
        )
        missing = np.isnan(distances)
        labels = rows.astype(np.int64) if self._docids is None else self._docids[rows]
        scores = distances if self.metric == "ip" else -distances
        if missing.any():
            labels[missing], scores[missing] = -1, -np.inf
        return Answer(labels, scores)

    def read(self, labels: I64) -> None:
        """Say that the library does not give them back."""


def _docids(docids: Any) -> I64:
    """Take the docids as labels, which they can be where they are integers."""
    try:
        labels = _ids.check_integers(list(docids), "index.docids")
    except (TypeError, ValueError) as error:
        raise TypeError(
            "index: expected docids that are integers, or none, got others; wrap "
            "`ScannSearcher(index.searcher)`, which has none, with `ids` for its rows"
        ) from error
    if labels.size and labels.min() < 0:
        raise ValueError(f"index: expected docids >= 0, got {labels.min()} in the index")
    return labels


def _width(searcher: Any) -> int:
    """Find how wide a query must be, by asking with all widths; wrong ones are refused."""
    zeros = np.zeros(WIDEST, np.float32)
    for width in range(1, WIDEST + 1):
        try:
            searcher.search(zeros[:width], 1, -1, -1)
        except RuntimeError:
            continue
        return width
    raise ValueError(f"index: expected one at most {WIDEST} wide, got a wider one")
