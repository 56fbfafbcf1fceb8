"""Factors of the matrix of users and items, against NumPy's decomposition of all of it."""

from __future__ import annotations

import functools
import inspect
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import vecrecall as vr
from vecrecall.train import TrainingProgress, TrainingStoppedError, factors

pytest.importorskip("scipy", reason='needs pip install "vecrecall[train]"')
LINALG = pytest.importorskip("scipy.sparse.linalg")
needs_rng = pytest.mark.skipif(
    "rng" not in inspect.signature(LINALG.eigsh).parameters, reason="needs SciPy 1.17"
)

RNG = np.random.default_rng(0)
DENSE = RNG.random((30, 20)) < 0.3
DENSE[:, 0] |= ~DENSE.any(axis=1)  # every user has an item
ROWS, COLUMNS = np.nonzero(DENSE)
USERS = [f"u{row}" for row in ROWS]
ITEMS = [(int(column), "item") for column in COLUMNS]


def placed(found: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return users and items in the order of the dense matrix."""
    users = found.users.vectors([f"u{row}" for row in range(30)])
    return users, found.items.vectors([(column, "item") for column in range(20)])


@pytest.mark.parametrize("dim", [1, 3, 8, 19])
def test_it_is_the_best_approximation(dim: int) -> None:
    found = factors(USERS, ITEMS, dim=dim)
    users, items = placed(found)
    left, values, right = np.linalg.svd(DENSE.astype(np.float64))
    best = left[:, :dim] * values[:dim] @ right[:dim]
    # Factors and products are rounded to float32; entries are below 2, sums of at most 19 terms.
    np.testing.assert_allclose(users @ items.T, best, rtol=0, atol=20 * 2**-22)
    np.testing.assert_allclose(items.T @ items, np.eye(dim), rtol=0, atol=20 * 2**-22)
    np.testing.assert_allclose(np.linalg.norm(users, axis=0), values[:dim], rtol=1e-5)
    lost = float((values[dim:] ** 2).sum() / (values**2).sum())
    assert found.items.about["losses"] == [pytest.approx(lost, abs=1e-9)]
    assert (found.users.metric, found.items.metric) == ("ip", "ip")


def test_a_user_is_the_sum_of_the_own_items() -> None:
    found = factors(USERS, ITEMS, dim=5)
    rows = [found.items.rows([(int(c), "item") for c in np.flatnonzero(row)]) for row in DENSE]
    np.testing.assert_allclose(
        placed(found)[0], vr.pool(found.items.matrix, rows), rtol=0, atol=20 * 2**-22
    )


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_planted_tastes_are_found(seed: int) -> None:
    """Two tastes of 30 items; by chance half of what is recalled is of the own taste."""
    rng = np.random.default_rng(seed)
    users = np.repeat(np.arange(100), 10)
    own = users % 2 * 30 + rng.integers(0, 30, 1000)
    items = np.where(rng.random(1000) < 0.8, own, rng.integers(0, 60, 1000))
    found = factors(users, items, dim=4, seed=seed)
    seen = [items[users == user] for user in range(100)]
    recalled = found.items.to_index().search(found.users.vectors(range(100)), 5, exclude=seen)
    assert (recalled.ids // 30 == np.arange(100)[:, None] % 2).mean() > 0.5 + 0.3


def test_weights_are_added_up() -> None:
    users, items = ["a", "a", "b", "b", "c", "a"], [1, 1, 2, 1, 3, 3]
    weights = [1.0, 2.0, -1.0, 0.5, 4.0, 0.0]
    found = factors(users, items, weights=weights, dim=2)
    matrix = np.array([[3, 0, 0], [0.5, -1, 0], [0, 0, 4.0]])
    left, values, right = np.linalg.svd(matrix)
    best = left[:, :2] * values[:2] @ right[:2]
    np.testing.assert_allclose(found.users.matrix @ found.items.matrix.T, best, atol=1e-5)
    assert (found.users.ids, found.items.ids) == (["a", "b", "c"], [1, 2, 3])


def test_repeated_pairs_count_once() -> None:
    once = factors(USERS, ITEMS, dim=4)
    twice = factors(USERS + USERS[::-1], ITEMS + ITEMS[::-1], dim=4)
    assert once.items.matrix.tobytes() == twice.items.matrix.tobytes()
    assert once.items.about["data"]["pairs"] == len(USERS) == twice.items.about["data"]["pairs"]


def test_a_seed_gives_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another seed begins with another vector, and may end with the same bits once rounded."""
    linalg = LINALG
    begun = []

    @functools.wraps(linalg.eigsh)
    def eigsh(operator: Any, *, v0: Any, real: Any = linalg.eigsh, **options: Any) -> Any:
        begun.append(v0.tobytes())
        return real(operator, v0=v0, **options)

    monkeypatch.setattr(linalg, "eigsh", eigsh)
    one, again, _ = (factors(USERS, ITEMS, dim=4, seed=seed) for seed in (2, 2, 3))
    assert one.items.matrix.tobytes() == again.items.matrix.tobytes()
    assert one.users.matrix.tobytes() == again.users.matrix.tobytes()
    assert begun[0] == begun[1] != begun[2]


def test_columns_of_other_kinds() -> None:
    expected = factors(ROWS.tolist(), COLUMNS.tolist(), dim=3).items
    assert factors(ROWS, COLUMNS, dim=3).items.matrix.tobytes() == expected.matrix.tobytes()
    pandas = pytest.importorskip("pandas", reason="needs pandas")
    log = pandas.DataFrame({"user": ROWS, "item": COLUMNS})
    again = factors(log["user"], log["item"], dim=3).items
    assert again.matrix.tobytes() == expected.matrix.tobytes()
    assert again.ids == expected.ids


def test_fewer_factors_than_asked_for() -> None:
    found = factors(["a", "a", "b", "c"], [1, 2, 2, 3], dim=64)
    assert found.items.dim == found.users.dim == 2
    assert found.items.about["settings"]["dim"] == 64


def test_a_matrix_of_low_rank_is_finite() -> None:
    users = np.repeat(np.arange(10), 5)
    items = np.tile(np.arange(5), 10)
    found = factors(users, items, dim=4)
    assert np.isfinite(found.items.matrix).all()
    np.testing.assert_allclose(found.users.matrix @ found.items.matrix.T, 1, atol=1e-5)


LOW_RANK = """
import hashlib
from vecrecall.train import factors
users = [f"u{k}" for k in range(30) for _ in range(4)]
items = [f"i{4 * (k % 3) + j}" for k in range(30) for j in range(4)]
digest = hashlib.sha256()
for columns in ((users, items), (items, users)):
    for embedding in factors(*columns, seed=0):
        digest.update(embedding.matrix.tobytes())
found = digest.hexdigest()
"""


@needs_rng
def test_a_seed_gives_the_same_bits_at_a_low_rank() -> None:
    """The iteration has to start again then, from vectors of the seed too."""
    found = []
    for _ in range(3):
        names: dict[str, Any] = {}
        exec(LOW_RANK, names)
        found.append(names["found"])
    run = [sys.executable, "-c", LOW_RANK + "print(found)"]
    fresh = subprocess.run(run, check=True, capture_output=True, text=True, timeout=60)
    assert {*found, fresh.stdout.strip()} == {found[0]}


@pytest.mark.parametrize("shape", [(300, 40), (40, 300)])
def test_factors_beyond_the_rank_are_zero(shape: tuple[int, int]) -> None:
    """Their directions are arbitrary: they would be noise in every score."""
    rng = np.random.default_rng(0)
    # Whole numbers, since weights are rounded to float32.
    matrix = rng.integers(-9, 10, (shape[0], 5)) @ rng.integers(-9, 10, (5, shape[1]))
    users, items = (axis.ravel().tolist() for axis in np.indices(shape))
    found = factors(users, items, weights=matrix.ravel(), dim=12)
    for embedding in found:
        assert np.linalg.norm(embedding.matrix[:, :5], axis=0).min() > 0.9
        assert not embedding.matrix[:, 5:].any()
    scores = found.users.matrix @ found.items.matrix.T
    np.testing.assert_allclose(scores, matrix, rtol=0, atol=1e-3)


def test_progress_and_stops() -> None:
    found: list[TrainingProgress] = []
    factors(USERS, ITEMS, dim=4, progress=found.append)
    assert (found[-1].epoch, found[-1].epochs) == (1, 1)
    calls = 0

    def stop() -> bool:
        nonlocal calls
        calls += 1
        return calls == 5

    with pytest.raises(TrainingStoppedError, match=r"^factors: stopped before"):
        factors(USERS, ITEMS, dim=4, stop=stop)
    assert calls == 5  # of more products than that


@pytest.mark.parametrize(
    ("users", "items", "options", "error", "match"),
    [
        ([1, 2], [1], {}, ValueError, r"^items: expected 2 rows, got 1"),
        ([1, None], [1, 2], {}, ValueError, r"^users: expected a key .* got None in row 1"),
        ([1, 2], [1, np.nan], {}, ValueError, r"^items: expected a key .* got nan in row 1"),
        ([1, 2], [1, [2]], {}, TypeError, r"^items: expected hashable keys, got list in row 1"),
        ("ab", [1, 2], {}, TypeError, r"^users: expected a column, got str"),
        ([1, 1], [1, 2], {}, ValueError, r"^users: expected at least 2 different keys, got 1"),
        ([1, 2], [1, 1], {}, ValueError, r"^items: expected at least 2 different keys, got 1"),
        ([], [], {}, ValueError, r"^users: expected at least 2 different keys, got 0"),
        ([1, 2], [1, 2], {"dim": 0}, ValueError, r"^dim: "),
        ([1, 2], [1, 2], {"seed": -1}, ValueError, r"^seed: "),
        ([1, 2], [1, 2], {"weights": [1]}, ValueError, r"^weights: expected 2 rows, got 1"),
        ([1, 2], [1, 2], {"weights": [1, np.nan]}, ValueError, r"^weights: .* nan in row 1"),
        ([1, 2], [1, 2], {"weights": [0, 0]}, ValueError, r"^weights: .* got zeros only"),
        ([1, 2], [1, 2], {"progress": 1}, TypeError, r"^progress: expected a callable"),
    ],
)
def test_wrong_arguments(
    users: Any, items: Any, options: dict[str, Any], error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        factors(users, items, **options)


def test_a_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.sparse", None)
    with pytest.raises(ImportError, match=r"^factors needs scipy: pip install 'vecrecall\[train"):
        factors([1, 2], [1, 2])
