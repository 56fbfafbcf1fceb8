import enum
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, overload

import numpy as np
import numpy.typing as npt

_F32 = npt.NDArray[np.float32]
_F64 = npt.NDArray[np.float64]
_I32 = npt.NDArray[np.int32]
_I64 = npt.NDArray[np.int64]
_U8 = npt.NDArray[np.uint8]
_U64 = npt.NDArray[np.uint64]
_Rows = npt.NDArray[Any]  # float32, float16, or uint16 for bfloat16
_Lists = tuple[_I64, _F32, _I32]

_T = TypeVar("_T")
_Channel = tuple[str, _I64, _F32, _I64 | None, _I32 | None]

EXACT_PROBES: int
MAX_CHANNELS: int
MAX_THREADS: int

class Metric(enum.Enum):
    ip = 0
    cosine = 1
    l2 = 2

class RowType(enum.Enum):
    float32 = 0
    float16 = 1
    bfloat16 = 2

class Pooling(enum.Enum):
    sum = 0
    mean = 1
    max = 2

class Normalize(enum.Enum):
    none = 0
    minmax = 1
    zscore = 2
    max = 3
    l2 = 4

class Absent(enum.Enum):
    automatic = 0
    zero = 1
    min = 2

class RRF:
    def __init__(self, weights: Sequence[float], k: float) -> None: ...

class WeightedSum:
    def __init__(self, weights: Sequence[float], normalize: Normalize, absent: Absent) -> None: ...

class Maximum:
    def __init__(self, weights: Sequence[float], normalize: Normalize, absent: Absent) -> None: ...

class Interleave:
    def __init__(self, weights: Sequence[int], refill: bool) -> None: ...

class Priority:
    def __init__(self, quotas: Sequence[int], cumulative: bool, backfill: bool) -> None: ...

class Quota:
    def __init__(
        self, shares: Sequence[int], minimum: Sequence[int], maximum: Sequence[int]
    ) -> None: ...

class Caps:
    def __init__(self, ids: _I64, groups: _I64, limit: int) -> None: ...
    def members(self) -> tuple[_I64, _I64]: ...

class FpEnvironment:
    def __init__(self) -> None: ...
    def __enter__(self) -> None: ...
    def __exit__(self, *args: object) -> None: ...

class ClusterFeed:
    def __init__(
        self, clusters: int, half_life: float, capacity: int, history: int, max_users: int
    ) -> None: ...
    def observe(
        self, clusters: _I64, items: _I64, times: _F64, users: _I64 | None, weights: _F64 | None
    ) -> tuple[str, int] | None: ...
    def first_unknown(self, clusters: _I64) -> int: ...
    def top(
        self, clusters: _I64, k: int, now: float, exclude: tuple[_I64, _I64] | None, threads: int
    ) -> _Lists: ...
    def related(self, clusters: _I64, items: _I64, k: int, now: float, threads: int) -> _Lists: ...
    def state(self) -> dict[str, _I64 | _F64]: ...
    def restore(self, state: dict[str, npt.NDArray[Any]]) -> None: ...
    @property
    def knows_users(self) -> bool: ...

class IdMask:
    def __init__(self, ids: _I64, complement: bool) -> None: ...

class Snapshot:
    def __len__(self) -> int: ...
    def search(
        self,
        queries: _F32,
        k: int,
        exclude: tuple[_I64, _I64] | None,
        allow: list[IdMask] | None,
        min_score: float,
        probes: int,
        threads: int,
    ) -> tuple[_I64, _F32, _I32, tuple[int, int, str, int, int], bool]: ...
    def search_above(
        self,
        queries: _F32,
        min_scores: _F64,
        limit: int,
        exclude: tuple[_I64, _I64] | None,
        allow: list[IdMask] | None,
        threads: int,
    ) -> tuple[_I64, _F32, _I64]: ...
    def score(self, queries: _F32, values: _I64, offsets: _I64, threads: int) -> _F32: ...
    @property
    def has_bias(self) -> bool: ...
    @property
    def version(self) -> int: ...
    def ids(self) -> _I64: ...
    def compacted(self, threads: int) -> Snapshot: ...
    def parts(self) -> dict[str, npt.NDArray[Any]]: ...
    def contains(self, ids: _I64) -> npt.NDArray[np.bool_]: ...
    def known_vectors(self, ids: _I64) -> tuple[_I64, _F32]: ...
    def lists(self) -> tuple[_F32, _I64]: ...

class FlatIndex:
    def __init__(
        self,
        vectors: _Rows,
        ids: _I64 | None,
        metric: Metric,
        bias: _F64 | None,
        copy: bool,
        codes: bool,
        threads: int,
    ) -> None: ...
    @staticmethod
    def from_parts(parts: dict[str, npt.NDArray[Any]], metric: Metric) -> FlatIndex: ...
    @property
    def dim(self) -> int: ...
    @property
    def row_type(self) -> RowType: ...
    def snapshot(self) -> Snapshot: ...
    def add(self, vectors: _Rows, ids: _I64, bias: _F64 | None, threads: int) -> None: ...
    def append(self, vectors: _Rows, bias: _F64 | None, after: int, threads: int) -> int: ...
    def update(self, vectors: _Rows, ids: _I64, bias: _F64 | None, threads: int) -> None: ...
    def remove(self, ids: _I64, ignore_unknown: bool, threads: int) -> None: ...
    def compact(self, threads: int) -> None: ...

class IVFIndex(FlatIndex):
    def __init__(
        self,
        vectors: _Rows,
        ids: _I64 | None,
        metric: Metric,
        bias: _F64 | None,
        n_lists: int,
        seed: int,
        progress: Callable[[int, int], object] | None,
        threads: int,
    ) -> None: ...
    @staticmethod
    def from_parts(parts: dict[str, npt.NDArray[Any]], metric: Metric) -> IVFIndex: ...
    @property
    def probes(self) -> int: ...
    def stats(self) -> tuple[npt.NDArray[np.uint32], int, int]: ...
    def tune(self, queries: _F32, recall: float, k: int, threads: int) -> int: ...
    def retrain(self, progress: Callable[[int, int], object] | None, threads: int) -> None: ...

class Lloyd:
    def __init__(
        self,
        points: _Rows,
        metric: Metric,
        threads: int,
        weights: _F64 | None = None,
        held: _I32 | None = None,
    ) -> None: ...
    def step(self, centers: _F32) -> tuple[_F32, float, float, int]: ...
    def assign(self, centers: _F32) -> tuple[_I32, _F32, float]: ...

def isa() -> str: ...
def available_isas() -> list[str]: ...
def unavailable_isas() -> dict[str, str]: ...
def set_isa(name: str) -> None: ...
def num_threads() -> int: ...
def set_num_threads(n: int) -> None: ...
def product_limits(threads: int) -> tuple[float, float, float | None]: ...
def read_limit(threads: int) -> float: ...
def first_nonfinite_row(rows: _Rows) -> int: ...
def are_id_rows(values: object, offsets: object) -> bool: ...
def first_zero_row(rows: _Rows) -> int: ...
def finite_rows(rows: _Rows) -> _U8: ...
def check_ids(ids: _I64) -> None: ...
def zero_rows(rows: _Rows) -> _U8: ...
def narrow(wide: _F64) -> tuple[_F32, int]: ...
@overload
def round_rows(
    wide: _F32, half: RowType, threads: int
) -> tuple[_Rows, int, float, float]: ...
@overload
def round_rows(
    wide: _F64, half: RowType, threads: int
) -> tuple[_Rows, int, float, float]: ...
def topk(queries: _F32, items: _Rows, metric: Metric, k: int, threads: int) -> _Lists: ...
def assign(
    points: _Rows, centroids: _F32, m: int, metric: Metric, threads: int
) -> tuple[_I32, _F32]: ...
def assign_sums(
    points: _Rows,
    centroids: _F32,
    metric: Metric,
    threads: int,
    weights: _F64 | None = None,
    held: _I32 | None = None,
) -> tuple[_I32, _F32, _F64, _F64]: ...
def plus_plus(
    points: _Rows, draws: _F64, metric: Metric, threads: int, weights: _F64 | None = None
) -> _I64: ...
def merge_shards(results: list[_Lists], k: int, threads: int) -> _Lists: ...
def merge_groups(
    result: _Lists, offsets: _I64, k: int, sum: bool, threads: int
) -> tuple[_I64, _F32, _I32, _I32, _I64]: ...
def are_lists(ids: object, scores: object, counts: object) -> bool: ...
def merge_found(
    found: dict[str, _T],
    kind: type[_T],
    rows: int,
    k: int,
    policy: RRF | WeightedSum | Maximum | Interleave | Priority | Quota,
    seen: tuple[_I64, _I64] | None,
    caps: list[Caps],
) -> tuple[_I64, _F32, _I32, _U64, _I32, _F32, _I32] | None: ...
def merge(
    channels: list[_Channel],
    k: int,
    policy: RRF | WeightedSum | Maximum | Interleave | Priority | Quota,
    exclude: tuple[_I64, _I64] | None,
    caps: list[Caps],
    provenance: bool,
    threads: int,
) -> tuple[_I64, _F32, _I32, _U64, _I32 | None, _F32 | None, _I32]: ...
def rank_candidates(
    ids: _I64,
    scores: _F32,
    k: int,
    exclude: tuple[_I64, _I64] | None,
    allow: Sequence[tuple[_I64, bool]],
    threads: int,
) -> tuple[_I64, _F32, _I32, int]: ...
def pool(
    table: _Rows,
    values: _I64,
    offsets: _I64,
    weights: _F64 | None,
    mode: Pooling,
    first: int,
    normalize: bool,
    threads: int,
) -> _F32: ...
