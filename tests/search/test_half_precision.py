"""Rows in half precision: an index of them is that of the same rows in float32, in every bit."""

from __future__ import annotations

import copy
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import half
import numpy as np
import numpy.typing as npt
import pytest
import reference
from comparison import (
    ISAS,
    METRICS,
    Metric,
    arrays,
    assert_same_bits,
    assert_same_float32,
    forced_isa,
)
from datasets import HARD, normal, without_zero_rows
from half import HALVES, fitting, nearest, of_type, widened
from hostile_files import write_manifest
from index_model import INDEXES, in_all

import vecrecall as vr

F32 = npt.NDArray[np.float32]
Rng = np.random.Generator

K = 30


def rows_of(rng: Rng, kind: str, n: int, d: int, name: str) -> tuple[F32, F32]:
    """Queries, and rows whose values the format has; none is zero."""
    queries, items = HARD[kind](rng, 6, n, d)
    return queries, without_zero_rows(widened(fitting(items, name), name))


def assert_same_answers(found: vr.FlatIndex, expected: vr.FlatIndex, queries: F32) -> None:
    """Everything that can be asked has the same bits."""
    assert found.ids.tolist() == expected.ids.tolist()
    ids = expected.ids
    for k in (1, K, len(ids) + 1):
        ours = found.search(queries, k, **in_all(found))
        assert_same_bits(ours, *arrays(expected.search(queries, k, **in_all(expected))))
    filters: dict[str, Any] = {
        "exclude": [ids[:7]] * len(queries),
        "allow": ids[::3],
        "min_score": float(ours.scores[0, min(9, len(ids) - 1)]) if len(ids) else 0.0,
    }
    ours = found.search(queries, K, **filters, **in_all(found))
    assert_same_bits(ours, *arrays(expected.search(queries, K, **filters, **in_all(expected))))
    above = [index.search_above(queries, filters["min_score"]) for index in (found, expected)]
    assert above[0].ids.values.tolist() == above[1].ids.values.tolist()
    assert_same_float32(above[0].scores.values, above[1].scores.values)
    scores = [index.score(queries, [ids[:9]] * len(queries)) for index in (found, expected)]
    assert_same_float32(scores[0].values, scores[1].values)
    assert_same_float32(found.vectors(ids), expected.vectors(ids))


def assert_same_arrays(found: vr.FlatIndex, expected: vr.FlatIndex) -> None:
    """Files of both would be the same but for the rows."""
    ours, theirs = found._arrays(), expected._arrays()
    assert ours.keys() == theirs.keys()
    for name in ours.keys() - {"rows"}:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)


@pytest.mark.parametrize("name", HALVES)
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("kind", HARD)
def test_hard_data(kind: str, metric: Metric, name: str, rng: Rng) -> None:
    queries, items = rows_of(rng, kind, 2200, 19, name)
    expected = reference.search(queries, items, K, metric=metric)
    given = of_type(items, name)
    for isa in ISAS:
        with forced_isa(isa):
            index = vr.FlatIndex(given, metric=metric)
            assert_same_bits(index.search(queries, K), *expected)
            assert_same_bits(vr.topk(queries, given, K, metric=metric), *expected)


@pytest.mark.parametrize("name", HALVES)
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("d", range(1, 71))
def test_widths(d: int, metric: Metric, name: str, rng: Rng) -> None:
    queries, items = rows_of(rng, "gaussian", 83, d, name)
    expected = reference.search(queries, items, 20, metric=metric)
    given = of_type(items, name)
    for isa in ISAS:
        with forced_isa(isa):
            index = vr.FlatIndex(given, metric=metric)
            assert_same_bits(index.search(queries, 20), *expected)


def check_widened(of: type[vr.FlatIndex], metric: Metric, d: int, name: str, rng: Rng) -> None:
    """Compare in blocks that are ordered by length (of width 5) or have a direction (of 150)."""
    n = 14_500 if d == 5 else 3000
    lengths = rng.pareto(1.5, (n, 1)) if d == 5 else 1.0
    items = widened(fitting((normal(rng, n, d) + 2) * np.float32(lengths), name), name)
    bias = rng.standard_normal(n) if d == 150 and metric != "ip" else None
    ours = of(of_type(items, name), metric=metric, bias=bias)
    theirs = of(items, metric=metric, bias=bias)
    assert_same_answers(ours, theirs, normal(rng, 5, d))
    assert_same_arrays(ours, theirs)
    assert (ours.dtype, ours.rounding) == (name, None)


@pytest.mark.parametrize("name", HALVES)
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("d", [5, 150])
def test_the_index_of_the_widened_rows(
    d: int, metric: Metric, name: str, isa: str, rng: Rng
) -> None:
    check_widened(vr.FlatIndex, metric, d, name, rng)


@pytest.mark.parametrize("name", HALVES)
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("d", [5, 150])
def test_lists_of_the_widened_rows(d: int, metric: Metric, name: str, rng: Rng) -> None:
    check_widened(vr.IVFIndex, metric, d, name, rng)


@pytest.mark.parametrize("of", INDEXES)
@pytest.mark.parametrize("name", HALVES)
def test_updates_files_and_copies(
    name: str, of: type[vr.FlatIndex], rng: Rng, tmp_path: Path
) -> None:
    items, queries = normal(rng, 9000, 12), normal(rng, 5, 12)
    ours, theirs = of(items, dtype=name), of(widened(items, name))
    for step in range(5):
        more = normal(rng, 900, 12)
        ids = rng.permutation(12_000)[: len(more)]
        bias = rng.standard_normal(len(more)) if step % 2 else None
        ours.update(more, ids, bias=bias)
        theirs.update(widened(more, name), ids, bias=bias)
        gone = rng.permutation(theirs.ids)[:800]
        ours.remove(gone)
        theirs.remove(gone)
        ours.add(more)
        theirs.add(widened(more, name))
        if step == 3:
            ours.save(tmp_path)
            ours = of.load(tmp_path, mmap=True)
        elif step == 4:
            ours = pickle.loads(pickle.dumps(ours))
        assert ours.dtype == name
        assert_same_bits(
            ours.search(queries, K, **in_all(ours)),
            *arrays(theirs.search(queries, K, **in_all(theirs))),
        )
    for twin in (copy.copy(ours), copy.deepcopy(ours)):
        assert (twin.dtype, twin.rounding) == (name, ours.rounding)
        twin.compact()
        assert_same_answers(twin, theirs, queries)


@pytest.mark.fork
def test_a_forked_child(rng: Rng) -> None:
    queries = normal(rng, 5, 12)
    indexes = {name: vr.FlatIndex(normal(rng, 5000, 12), dtype=name) for name in HALVES}
    expected = {name: arrays(index.search(queries, K)) for name, index in indexes.items()}

    def child(name: str) -> bool:
        indexes[name].add(queries[:1], [9000])
        indexes[name].remove([9000])
        found = indexes[name].search(queries, K)
        assert_same_bits(found, *expected[name])
        return True

    assert in_a_child(lambda: all(map(child, HALVES)))
    assert all(len(index) == 5000 for index in indexes.values())


def in_a_child(work: Callable[[], bool]) -> bool:
    """Run in a forked child, and tell whether all was well."""
    pid = os.fork()
    if pid == 0:
        try:
            os._exit(0 if work() else 1)
        finally:
            os._exit(1)
    return os.waitpid(pid, 0)[1] == 0


@pytest.mark.parametrize("name", HALVES)
def test_neighbors(name: str, rng: Rng, tmp_path: Path) -> None:
    items = normal(rng, 300, 9)
    ours = vr.FlatIndex(items, metric="cosine", dtype=name)
    theirs = vr.FlatIndex(widened(items, name), metric="cosine")
    found, expected = ours.neighbors(5, path=tmp_path), theirs.neighbors(5)
    assert found.ids.values.tolist() == expected.ids.values.tolist()
    assert_same_float32(np.array(found.scores.values), expected.scores.values)
    # It is the table of the other too, whose vectors are the same.
    assert theirs.neighbors(5, path=tmp_path).ids.values.tolist() == found.ids.values.tolist()


@pytest.mark.parametrize("name", HALVES)
def test_other_libraries_get_the_widened_rows(name: str, rng: Rng) -> None:
    faiss = pytest.importorskip("faiss", reason="needs faiss")
    from vecrecall.adapters.faiss import to_faiss

    items, queries = normal(rng, 500, 8), normal(rng, 5, 8)
    wide = widened(items, name)
    index = vr.FlatIndex(items, dtype=name)
    expected = arrays(index.search(queries, 9))
    library = to_faiss(index)
    assert_same_float32(np.sort(library.reconstruct_n(0, 500), 0), np.sort(wide, 0))
    plain = faiss.IndexFlatIP(8)
    plain.add(wide)
    for given in (index, of_type(wide, name)):
        assert_same_bits(vr.wrap(plain, vectors=given).search(queries, 9), *expected)


# Types.


@pytest.mark.parametrize("of", INDEXES)
def test_types(of: type[vr.FlatIndex], rng: Rng) -> None:
    items = widened(normal(rng, 9, 4), "bfloat16")  # few digits: float16 has these too
    given: dict[str, Any] = {name: of_type(items, name) for name in half.TYPES}
    for name, rows in given.items():
        assert of(rows).dtype == name
        for wanted in half.TYPES:
            index = of(rows, dtype=wanted)
            assert index.dtype == wanted
            assert_same_float32(index.vectors(range(9)), items)
            lossless = name == wanted or wanted == "float32"
            assert index.rounding == (None if lossless else (0.0, 0.0))
    for rows in (items.astype(np.float64), items.astype(np.longdouble), np.ones((3, 2), np.int8)):
        assert of(rows).dtype == "float32"
        assert of(rows, dtype="float16").dtype == "float16"
    assert of(given["float16"].astype(">f2")).dtype == "float16"
    assert of(np.asfortranarray(given["bfloat16"])).vectors([3]).tolist() == items[3:4].tolist()
    assert of(np.ones((3, 2), np.uint16) * 7).vectors([0]).tolist() == [[7.0, 7.0]]


def test_names_of_types(rng: Rng) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes", reason="needs ml_dtypes")
    items = normal(rng, 3, 4)
    for given, name in (
        (np.float16, "float16"),
        (np.dtype("float16"), "float16"),
        (np.float32, "float32"),
        (ml_dtypes.bfloat16, "bfloat16"),
        (np.dtype(ml_dtypes.bfloat16), "bfloat16"),
    ):
        assert vr.FlatIndex(items, dtype=given).dtype == name
    for wrong in ("float64", "half", "", np.float64, float, "torch.int8"):
        with pytest.raises(ValueError, match=r"dtype: expected one of \['float32', 'float16', "):
            vr.FlatIndex(items, dtype=wrong)
    with pytest.raises(TypeError, match=r"dtype: expected one of .* got int"):
        vr.FlatIndex(items, dtype=16)  # type: ignore[arg-type]


def test_tensors(rng: Rng) -> None:
    torch = pytest.importorskip("torch", reason="needs torch")
    items = torch.from_numpy(normal(rng, 5, 4))
    for dtype, name in ((torch.float16, "float16"), (torch.bfloat16, "bfloat16")):
        for given in (items.to(dtype), list(items.to(dtype))):
            index = vr.FlatIndex(given)
            assert (index.dtype, index.rounding) == (name, None)
            assert index.vectors(range(5)).tolist() == items.to(dtype).tolist()
        assert vr.FlatIndex(items, dtype=dtype).dtype == name


@pytest.mark.parametrize("name", HALVES)
def test_borrowed_rows(name: str, rng: Rng) -> None:
    rows = of_type(widened(normal(rng, 500, 8), name), name)
    index = vr.FlatIndex(rows, copy=False)
    kept = index._arrays()["rows"]
    assert np.shares_memory(kept, rows)
    assert not np.shares_memory(vr.FlatIndex(rows)._arrays()["rows"], rows)
    assert kept.dtype == (np.float16 if name == "float16" else np.uint16)
    assert kept.nbytes == 500 * 8 * 2


@pytest.mark.parametrize("name", HALVES)
def test_special_values(name: str) -> None:
    """Denormals, the largest values, and zeros of both signs; every row scores as in float32."""
    form = half.FORMATS[name]
    tiny, big = 2.0**form.lowest, form.largest
    items = np.array(
        [[tiny, -tiny], [3 * tiny, 0.0], [-0.0, 0.0], [big, -big], [-big, tiny], [-0.0, -1.0]],
        np.float32,
    )
    queries = np.array([[1, 1], [-1e30, 1e30], [tiny, -tiny], [0, 0]], np.float32)
    for metric in METRICS:
        keep = items.any(axis=1) | (metric != "cosine")
        expected = reference.search(queries, items[keep], 6, metric=metric)
        index = vr.FlatIndex(of_type(items[keep], name), metric=metric)
        assert_same_bits(index.search(queries, 6), *expected)
        assert_same_float32(index.vectors(range(keep.sum())), items[keep])


@pytest.mark.parametrize("of", INDEXES)
@pytest.mark.parametrize("name", HALVES)
def test_invalid_rows(name: str, of: type[vr.FlatIndex], rng: Rng) -> None:
    items = widened(normal(rng, 8, 3), name)
    items[2, 1], items[4, 0], items[5, 2], items[6] = np.nan, np.inf, -np.inf, -0.0
    for given, dtype in ((of_type(items, name), None), (items, name)):
        with pytest.raises(ValueError, match=r"vectors: expected finite .* in row 2"):
            of(given, dtype=dtype)
        index = of(given, dtype=dtype, invalid="skip", metric="cosine")
        assert index.skipped.tolist() == [2, 4, 5, 6]
        assert index.ids.tolist() == [0, 1, 3, 7]
        with pytest.raises(ValueError, match="row 0 is all zeros in half precision, which has no"):
            index.add(given[6:7], [99])
        with pytest.raises(ValueError, match="in row 1"):
            index.update(given[1:3], [1, 2])
        assert len(index) == 4


# Rounding.


@pytest.mark.parametrize("name", HALVES)
def test_every_number_and_what_lies_between(name: str) -> None:
    """All numbers of the format, ties, and the neighbors of both, from float32 and float64."""
    halves = np.arange(2**15, dtype=np.uint16)
    if name == "bfloat16":
        numbers = (halves.astype(np.uint32) << 16).view(np.float32)
    else:
        numbers = halves.view(np.float16).astype(np.float32)
    numbers = numbers[np.isfinite(numbers)].astype(np.float64)
    ties = (numbers[1:] + numbers[:-1]) / 2
    for dtype in (np.float32, np.float64):
        points = np.concatenate([numbers, ties]).astype(dtype)
        values = np.concatenate(
            [points, np.nextafter(points, dtype(-1)), np.nextafter(points, 1e38)]
        )
        values = values[np.abs(values) <= half.FORMATS[name].largest].astype(dtype)
        values = np.concatenate([values, -values])
        values = values[: len(values) // 8 * 8].reshape(-1, 8)
        index = vr.FlatIndex(values, dtype=name)
        assert_same_float32(index.vectors(range(len(values))), widened(values, name))


@pytest.mark.parametrize("of", INDEXES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", HALVES)
def test_what_was_lost(name: str, dtype: Any, of: type[vr.FlatIndex], rng: Rng) -> None:
    values = rng.standard_normal((9000, 3)).astype(dtype)
    values[5], values[7, 1] = 0.0, 1e-42 if dtype is np.float32 else 1e-300
    index = of(values, dtype=name, invalid="skip")
    wide = values.astype(np.float64)
    wide = wide[wide != 0]
    relative = np.abs(nearest(wide, name) - wide) / np.abs(wide)
    assert index.rounding is not None
    assert index.rounding.max_relative_error == relative.max() == 1.0
    # Sums of 27000 terms in different orders: 27000 * 2^-53 apart at most, relatively.
    assert index.rounding.mean_relative_error == pytest.approx(
        relative.mean(), rel=27000 * 2.0**-52
    )
    values[np.abs(values) < 2.0**-14] = 1.0  # which float16 has with fewer digits
    values[7, 1] = np.nan
    again = of(values, dtype=name, invalid="skip", threads=1).rounding
    assert again is not None
    assert 0 < again.max_relative_error <= 2.0 ** -half.FORMATS[name].digits
    assert again == of(values, dtype=name, invalid="skip", threads=5).rounding


def test_float64_is_rounded_once() -> None:
    """Just above the middle of two numbers, but not by as much as float32 sees."""
    for name in HALVES:
        step = 2.0 ** (1 - half.FORMATS[name].digits)
        values = np.array([[1 + step / 2 + 2.0**-40, 1 + step / 2 - 2.0**-40, -1 - step / 2]])
        rows = vr.FlatIndex(values, dtype=name).vectors([0])
        assert rows.tolist() == [[1 + step, 1.0, -1.0]]


@pytest.mark.parametrize("of", INDEXES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize("name", HALVES)
def test_overflow(name: str, dtype: Any, of: type[vr.FlatIndex]) -> None:
    form = half.FORMATS[name]
    limit = form.largest + 2.0 ** (np.frexp(form.largest)[1] - form.digits - 1)  # the tie
    if dtype is np.int64 and limit >= 2**63:
        return
    below = np.nextafter(limit, 0).astype(dtype) if dtype is np.float64 else form.largest
    good, bad = np.ones((2, 5, 2), dtype)
    good[3, 1], bad[3, 1] = -below, -limit
    message = f"vectors: expected values that fit {name}, got an overflow in row 3"
    for invalid in ("raise", "skip"):
        with pytest.raises(ValueError, match=message):
            of(bad, dtype=name, invalid=invalid)
    index = of(good, dtype=name)
    assert index.vectors([3]).tolist() == [[1.0, -form.largest]]
    for change in (index.add, index.update):
        with pytest.raises(ValueError, match=message):
            change(bad, np.arange(5) + 5)
    with pytest.raises(ValueError, match=message):
        index.add(bad)
    assert len(index) == 5


def test_rows_that_become_zero() -> None:
    rows = np.full((3, 2), 1e-9, np.float32)
    rows[0] = 1
    with pytest.raises(ValueError, match="row 1 is all zeros in half precision, which has no"):
        vr.FlatIndex(rows, dtype="float16", metric="cosine")
    assert vr.FlatIndex(rows, dtype="bfloat16", metric="cosine").dtype == "bfloat16"
    index = vr.FlatIndex(rows, dtype="float16", metric="cosine", invalid="skip")
    assert index.skipped.tolist() == [1, 2]


# Files.


@pytest.mark.parametrize("of", INDEXES)
@pytest.mark.parametrize("mmap", [True, False])
@pytest.mark.parametrize("name", HALVES)
def test_files(name: str, mmap: bool, of: type[vr.FlatIndex], rng: Rng, tmp_path: Path) -> None:
    items = normal(rng, 3000, 16)
    index = of(items, dtype=name)
    index.save(tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert (manifest["dtype"], manifest["format"]) == (name, 6)
    rows = manifest["arrays"]["rows"]
    assert rows["dtype"] == {"float16": "<f2", "bfloat16": "<u2"}[name]
    kept = of_type(widened(items, name), name)
    if "order" in manifest["arrays"]:
        kept = kept[np.load(tmp_path / manifest["arrays"]["order"]["file"])]
    assert np.load(tmp_path / rows["file"]).tobytes() == kept.tobytes()
    loaded = of.load(tmp_path, mmap=mmap, verify=True)
    assert (loaded.dtype, loaded.rounding) == (name, None)
    assert_same_answers(loaded, of(widened(items, name)), normal(rng, 5, 16))
    served = vr.ReloadingIndex(tmp_path)
    assert served.dtype == name


@pytest.mark.parametrize("of", INDEXES)
def test_hostile_manifests(of: type[vr.FlatIndex], rng: Rng, tmp_path: Path) -> None:
    of(normal(rng, 20, 4), dtype="float16").save(tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    for wrong in ("float8", "float64", 16, None, ["float16"], {}):
        write_manifest(tmp_path, {**manifest, "dtype": wrong})
        with pytest.raises(ValueError, match=r"path: expected one of \['float32', 'float16', "):
            of.load(tmp_path)
    for other, stored in (("float32", "float32"), ("bfloat16", "uint16")):
        write_manifest(tmp_path, {**manifest, "dtype": other})
        with pytest.raises(
            ValueError, match=f"path: expected rows of type {stored} for {other}, got float16"
        ):
            of.load(tmp_path)
    rows = {**manifest["arrays"]["rows"], "dtype": "<u2"}
    arrays_ = {**manifest["arrays"], "rows": rows}
    write_manifest(tmp_path, {**manifest, "dtype": "bfloat16", "arrays": arrays_})
    with pytest.raises(ValueError, match="path: expected the header of an array <u2"):
        of.load(tmp_path)
    without = {key: value for key, value in manifest.items() if key != "dtype"}
    write_manifest(tmp_path, without)
    with pytest.raises(ValueError, match="path: expected rows of type float32 for float32"):
        of.load(tmp_path)


@pytest.mark.parametrize("form", [3, 4])
def test_formats_before_have_float32(form: int, rng: Rng, tmp_path: Path) -> None:
    index = vr.FlatIndex(normal(rng, 300, 4))
    index.save(tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    del manifest["dtype"]
    write_manifest(tmp_path, {**manifest, "format": form})
    loaded = vr.FlatIndex.load(tmp_path, verify=True)
    assert (loaded.dtype, loaded.rounding) == ("float32", None)
    assert_same_answers(loaded, index, normal(rng, 5, 4))
