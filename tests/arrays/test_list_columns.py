"""Columns of lists and CSR matrices, of every library, wherever a ragged argument stands."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import vecrecall as vr

ROWS = [[3, 1], [], [7, 2, 5]]
WEIGHTS = [[0.5, 2.0], [], [1.0, -1.0, 0.25]]
ITEMS = np.arange(32, dtype=np.float32).reshape(8, 4) % 5 + 1
INDEX = vr.FlatIndex(ITEMS)
VECTORS = [[1.0, 2.0], [3.0, 4.0]]
Make = Callable[[Any, str], Any]


def _arrow(kind: str, missing: bool = False) -> Make:
    def make(rows: Any, dtype: str) -> Any:
        pa = pytest.importorskip("pyarrow")
        value = {"int": pa.int64(), "int32": pa.int32(), "float": pa.float64()}[dtype]
        column = pa.array([[9], *rows, [9]], getattr(pa, kind)(value))
        return column.slice(1, len(rows))

    return make


def _chunked(rows: Any, dtype: str) -> Any:
    pa = pytest.importorskip("pyarrow")
    made = _arrow("list_")(rows, dtype)
    return pa.chunked_array([made.slice(0, 1), made.slice(1)])


def _pandas_of_arrow(rows: Any, dtype: str) -> Any:
    pd = pytest.importorskip("pandas")
    pa = pytest.importorskip("pyarrow")
    value = pa.int64() if dtype == "int" else pa.float64()
    return pd.Series(rows, dtype=pd.ArrowDtype(pa.list_(value)), index=range(10, 10 + len(rows)))


def _pandas_of_objects(rows: Any, dtype: str) -> Any:
    return pytest.importorskip("pandas").Series(rows, index=range(10, 10 + len(rows)))


def _polars(rows: Any, dtype: str) -> Any:
    pl = pytest.importorskip("polars")
    return pl.Series(rows, dtype=pl.List(pl.Int64 if dtype == "int" else pl.Float64))


def _awkward(rows: Any, dtype: str) -> Any:
    ak = pytest.importorskip("awkward")
    return ak.values_astype(ak.Array([[9], *rows]), "int64" if dtype == "int" else "float64")[1:]


def _csr(rows: Any, dtype: str) -> Any:
    sparse = pytest.importorskip("scipy.sparse")
    columns = np.array([c for row in ROWS for c in row], np.int32)
    data = np.array([v for row in rows for v in row])
    offsets = np.cumsum([0, *map(len, rows)]).astype(np.int32)
    return sparse.csr_array((data, columns, offsets), shape=(len(rows), 8))


COLUMNS: dict[str, Make] = {
    "arrow list": _arrow("list_"),
    "arrow large list": _arrow("large_list"),
    "arrow chunks": _chunked,
    "pandas of arrow": _pandas_of_arrow,
    "pandas of objects": _pandas_of_objects,
    "polars": _polars,
    "awkward": _awkward,
    "scipy csr": _csr,
}


@pytest.mark.parametrize("name", COLUMNS)
def test_columns_of_lists_are_ragged_rows(name: str) -> None:
    rows = COLUMNS[name](ROWS, "int")
    weights = COLUMNS[name](WEIGHTS, "float")
    known = INDEX.search(ITEMS[:3], 5, exclude=ROWS)
    assert INDEX.search(ITEMS[:3], 5, exclude=rows).ids.tolist() == known.ids.tolist()
    assert [row.tolist() for row in INDEX.score(ITEMS[:3], rows)] == [
        row.tolist() for row in INDEX.score(ITEMS[:3], ROWS)
    ]
    pooled = vr.pool(ITEMS, rows, weights=weights)
    assert pooled.tolist() == vr.pool(ITEMS, ROWS, weights=WEIGHTS).tolist()
    made = vr.RequestBatch(history=rows, tags=rows, tag_weights=weights, seen=rows)
    assert made.history is not None
    assert [r.tolist() for r in made.history] == ROWS
    assert made.seen is not None
    assert [r.tolist() for r in made.seen] == ROWS
    table = vr.NeighborTable([0, 1, 2], rows, weights)
    expected = vr.NeighborTable([0, 1, 2], ROWS, WEIGHTS)
    assert repr(table) == repr(expected)
    assert vr.recall_at_k([[3], [1], [2, 5]], rows) == vr.recall_at_k([[3], [1], [2, 5]], ROWS)


@pytest.mark.parametrize("name", [name for name in COLUMNS if name != "scipy csr"])
def test_columns_of_lists_are_channels(name: str) -> None:
    pair = COLUMNS[name](ROWS, "int"), COLUMNS[name](WEIGHTS, "float")
    expected = vr.merge({"a": (vr.Ragged.from_lists(ROWS), vr.Ragged.from_lists(WEIGHTS))}, 4)
    assert vr.merge({"a": pair}, 4).to_list() == expected.to_list()
    with pytest.raises(ValueError, match=r"channels\['a'\]: .* rows of the same lengths"):
        vr.merge({"a": (pair[0], COLUMNS[name]([[1.0], [], []], "float"))}, 4)


@pytest.mark.parametrize("name", [name for name in COLUMNS if name != "scipy csr"])
def test_ragged_from_arrow_and_back(name: str) -> None:
    pytest.importorskip("pyarrow")
    made = vr.Ragged.from_arrow(COLUMNS[name](ROWS, "int"))
    if name == "pandas of objects":
        made = vr.Ragged(made.values.astype(np.int64), made.offsets)
    assert made.values.dtype == np.int64
    assert [row.tolist() for row in made] == ROWS
    column = made.to_arrow()
    assert column.to_pylist() == ROWS
    assert [row.tolist() for row in vr.Ragged.from_arrow(column)] == ROWS
    scores = vr.Ragged.from_arrow(COLUMNS[name](WEIGHTS, "float"))
    assert [row.tolist() for row in scores] == WEIGHTS


def test_results_are_ragged_rows() -> None:
    found = INDEX.search(ITEMS[:3], 2)
    expected = INDEX.search(ITEMS[:3], 5, exclude=[one.ids for one in found]).to_list()
    for rows in (found, list(found), [found[0], *found[1:]], INDEX.search_above(ITEMS[:3], 0.0)):
        if isinstance(rows, vr.AboveResult):
            assert INDEX.search(ITEMS[:3], 5, exclude=rows.ids).counts.tolist() == [0, 0, 0]
        else:
            assert INDEX.search(ITEMS[:3], 5, exclude=rows).to_list() == expected
    assert vr.recall_at_k(list(found), list(found)) == 1.0


def test_arrow_shares_the_values() -> None:
    pa = pytest.importorskip("pyarrow")
    values = np.arange(5)
    column = vr.Ragged(values, [0, 2, 5]).to_arrow()
    assert np.shares_memory(column.values.to_numpy(), values)
    there = pa.array(ROWS, pa.list_(pa.int64()))
    assert np.shares_memory(vr.Ragged.from_arrow(there).values, there.values.to_numpy())


def test_no_rows() -> None:
    pa = pytest.importorskip("pyarrow")
    none = pa.array([], pa.list_(pa.int64()))
    assert len(vr.Ragged.from_arrow(none)) == 0
    assert len(vr.Ragged.from_arrow(pa.chunked_array([], pa.list_(pa.int64())))) == 0
    assert vr.Ragged.from_arrow(pa.array([[], []])).lengths.tolist() == [0, 0]
    empty = pa.array([[], []], pa.list_(pa.int64()))
    assert vr.Ragged.from_arrow(empty).lengths.tolist() == [0, 0]
    assert vr.Ragged.from_arrow(empty).to_arrow().to_pylist() == [[], []]


def test_from_csr() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    dense = np.array([[0, 5, 1], [0, 0, 0], [2, 0, 0]])
    for kind in (sparse.csr_array, sparse.csr_matrix):
        rows = vr.Ragged.from_csr(kind(dense))
        assert rows.values.dtype == np.int64
        assert [r.tolist() for r in rows] == [np.flatnonzero(r).tolist() for r in dense]
    for other in (sparse.coo_array(dense), sparse.csc_matrix(dense)):
        with pytest.raises(TypeError, match=r"matrix: expected .* CSR .*, got \w+ \(.*tocsr\(\)"):
            vr.Ragged.from_csr(other)
    with pytest.raises(TypeError, match="matrix: expected a SciPy CSR matrix, got ndarray"):
        vr.Ragged.from_csr(dense)


def test_other_sparse_formats_name_the_call() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(TypeError, match=r"exclude: .* got a sparse coo_array .*tocsr\(\)"):
        INDEX.search(ITEMS[:3], 2, exclude=sparse.coo_array(ITEMS[:3]))


def test_csr_matrices_that_do_not_fit() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(ValueError, match="exclude: expected 3 rows, got 2"):
        INDEX.search(ITEMS[:3], 2, exclude=sparse.csr_array(np.eye(2)))
    rows, weights = sparse.csr_array(np.eye(8)), sparse.csr_array(np.eye(8)[::-1])
    with pytest.raises(ValueError, match="weights: expected a CSR matrix with the columns of"):
        vr.pool(ITEMS, rows, weights=weights)
    damaged = sparse.csr_array(np.eye(8))
    damaged.indptr = damaged.indptr[::-1].copy()
    with pytest.raises(ValueError, match="exclude: expected a sound CSR matrix"):
        INDEX.search(ITEMS, 2, exclude=damaged)
    beyond = sparse.csr_array(np.eye(8))
    beyond.indptr = beyond.indptr + np.arange(9)
    with pytest.raises(ValueError, match="matrix: expected a sound CSR matrix"):
        vr.Ragged.from_csr(beyond)


@pytest.mark.parametrize("name", ["arrow list", "polars", "awkward", "pandas of arrow"])
def test_missing_lists_are_named(name: str) -> None:
    column = COLUMNS[name]([[1], None, [2]], "int")
    with pytest.raises((TypeError, ValueError), match=r"exclude: expected .*, got .* row 1"):
        INDEX.search(ITEMS[:3], 2, exclude=column)
    with pytest.raises(ValueError, match="lists: expected a column of lists, got a missing row"):
        vr.Ragged.from_arrow(column)


def test_missing_values_are_named() -> None:
    column = _arrow("list_")([[1], [2, None]], "int")
    with pytest.raises(ValueError, match="lists: expected numbers, got a missing value in row 1"):
        vr.Ragged.from_arrow(column)
    with pytest.raises(TypeError, match=r"exclude: expected integers, got .*missing value"):
        INDEX.search(ITEMS[:2], 2, exclude=column)


@pytest.mark.parametrize("value", [[[1, 2]], 3, "text", np.eye(2), {"a": 1}])
def test_from_arrow_refuses_what_is_no_column(value: Any) -> None:
    with pytest.raises(TypeError, match="lists: expected a column of lists, got"):
        vr.Ragged.from_arrow(value)


def test_from_arrow_refuses_text() -> None:
    pa = pytest.importorskip("pyarrow")
    with pytest.raises(TypeError, match="lists: expected real numbers, got"):
        vr.Ragged.from_arrow(pa.array([["a"]]))


def test_to_arrow_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"needs pyarrow: pip install 'vecrecall\[arrow\]'"):
        vr.Ragged.from_lists(ROWS).to_arrow()


VECTOR_COLUMNS: dict[str, Callable[[Any], Any]] = {
    "arrow lists": lambda v: _arrow("list_")(v, "float"),
    "arrow chunks": lambda v: _chunked(v, "float"),
    "pandas of arrow": lambda v: _pandas_of_arrow(v, "float"),
    "pandas of objects": lambda v: _pandas_of_objects(v, "float"),
    "polars": lambda v: _polars(v, "float"),
    "awkward": lambda v: _awkward(v, "float"),
}


@pytest.mark.parametrize("name", VECTOR_COLUMNS)
def test_columns_of_lists_of_one_length_are_vectors(name: str) -> None:
    made = vr.FlatIndex(VECTOR_COLUMNS[name](VECTORS))
    assert made.vectors([0, 1]).tolist() == VECTORS
    with pytest.raises((TypeError, ValueError), match=r"vectors: expected real numbers"):
        vr.FlatIndex(VECTOR_COLUMNS[name]([[1.0], [2.0, 3.0]]))


def test_columns_of_fixed_size_lists() -> None:
    pa = pytest.importorskip("pyarrow")
    pl = pytest.importorskip("polars")
    pd = pytest.importorskip("pandas")
    fixed = pa.list_(pa.float32(), 2)
    arrow = pa.array([[9, 9], *VECTORS], fixed).slice(1)
    for column in (
        arrow,
        pl.Series(VECTORS, dtype=pl.Array(pl.Float32, 2)),
        pd.Series(VECTORS, dtype=pd.ArrowDtype(fixed)),
        pa.FixedShapeTensorArray.from_numpy_ndarray(np.array(VECTORS)),
    ):
        assert vr.FlatIndex(column).vectors([0, 1]).tolist() == VECTORS
    for nothing in (arrow[:0], pl.Series([], dtype=pl.Array(pl.Float32, 2))):
        assert len(vr.FlatIndex(arrow).search(nothing, 3)) == 0
    missing = pa.array([[1, 2], None], fixed)
    with pytest.raises(ValueError, match=r"vectors: expected .*, got a missing row as row 1"):
        vr.FlatIndex(missing)


def test_frames_with_nullable_columns() -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"a": pd.array([1, 2], "Int64"), "b": [0.5, 3]})
    assert vr.FlatIndex(frame).vectors([0, 1]).tolist() == [[1, 0.5], [2, 3]]
    flags = pd.DataFrame({"a": pd.array([True, False], "boolean"), "b": [1, 3]})
    assert vr.FlatIndex(flags).vectors([0, 1]).tolist() == [[1, 1], [0, 3]]
    frame.loc[1, "a"] = pd.NA
    with pytest.raises(ValueError, match=r"vectors: expected finite .* row 1"):
        vr.FlatIndex(frame)
    mixed = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    with pytest.raises(TypeError, match="vectors: expected real numbers"):
        vr.FlatIndex(mixed)


def test_what_copy_false_borrows() -> None:
    """`copy=False` borrows what needs no conversion and converts the rest, as it says."""
    borrowed = np.eye(3, dtype=np.float32)
    index = vr.FlatIndex(borrowed, copy=False)
    wide = np.eye(3)
    converted = vr.FlatIndex(wide, copy=False)
    borrowed[0, 0] = wide[0, 0] = 5
    assert index.vectors([0]).tolist() == [[5, 0, 0]]
    assert converted.vectors([0]).tolist() == [[1, 0, 0]]
