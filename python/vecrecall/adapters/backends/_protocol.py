"""The interface between a wrapped index and another library's index."""

from collections.abc import Mapping
from typing import Literal, NamedTuple, Protocol

from vecrecall.arrays._typing import F32, I64
from vecrecall.search._protocol import Metric

Setting = Mapping[str, int]


class SearchParam(NamedTuple):
    """The range of a search setting: a larger value finds more and takes longer.

    Attributes
    ----------
    low, high : int
        Beyond `high` nothing more is found.
    counts : {"parts", "candidates", "times k", "scan"}
        What the value is: a number of parts of the index that are searched; one of candidates,
        which for lists of length `k` is `k` where it is less; one of candidates for each entry of
        the list; or 1 for a search of all items, whatever the other settings say of parts and
        candidates, and 0 for none.
    """

    low: int
    high: int
    counts: Literal["parts", "candidates", "times k", "scan"]


class Answer(NamedTuple):
    """The lists that a library has found, without its quirks.

    Attributes
    ----------
    labels : ndarray of int64, shape (nq, k)
        The library's names of the items, -1 for places that it could not fill, which come last.
    scores : ndarray of float32, shape (nq, k)
        As the library computes them, but larger is better.
    """

    labels: I64
    scores: F32


class Backend(Protocol):
    """One index of another library.

    Attributes
    ----------
    library : str
        Its name, for messages.
    dim : int
    metric : {"ip", "cosine", "l2"}
    tells_metric : bool
        The library tells the metric. Else ``"ip"`` may also be a cosine of rows of length one.
    ordered : bool
        Its `labels` are in the order of its rows; else ascending.
    search_params : mapping of str to SearchParam
        Its search settings; that of the largest effect first.
    """

    library: str
    dim: int
    metric: Metric
    tells_metric: bool
    ordered: bool
    search_params: Mapping[str, SearchParam]

    def size(self) -> int:
        """Count the items."""

    def labels(self) -> I64:
        """List the items' labels, all >= 0."""

    def setting(self) -> dict[str, int]:
        """Tell the value of each parameter that a search uses where none is given."""

    def exact(self, setting: Setting) -> bool:
        """Tell whether a search looks at every item and scores it in float32."""

    def selector(self, labels: I64, complement: bool) -> object | None:
        """Make the library's own filter for ascending labels (or all others), None without one."""

    def search(
        self, queries: F32, k: int, setting: Setting, selector: object | None, threads: int
    ) -> Answer:
        """Search for the `k` best of at least one query, 1 <= k <= size()."""

    def read(self, labels: I64) -> F32 | None:
        """Copy out the vectors of labels as they were added; None where they are not kept so."""
