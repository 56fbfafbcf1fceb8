"""TransE: planted translations are found, ranks agree with a loop, training resumes and stops."""

from __future__ import annotations

import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

torch = pytest.importorskip("torch", reason='needs pip install "vecrecall[train]"')

from vecrecall.train import (  # noqa: E402
    Embedding,
    TrainingError,
    TrainingProgress,
    TrainingStoppedError,
    TransE,
)
from vecrecall.train._triples import AnswerTable  # noqa: E402

Columns = tuple[list[Any], list[Any], list[Any]]

SMALL: dict[str, Any] = {"dim": 8, "epochs": 4, "batch_size": 32, "negatives": 16}


def grid(side: int = 8) -> Columns:
    """Make a plane: each place has one to its right, one above and one in both directions."""
    steps = {"right": (1, 0), "up": (0, 1), "diagonal": (1, 1)}
    rows = [
        ((x, y), name, (x + dx, y + dy))
        for x in range(side)
        for y in range(side)
        for name, (dx, dy) in steps.items()
        if max(x + dx, y + dy) < side
    ]
    heads, relations, tails = (list(column) for column in zip(*rows, strict=True))
    return heads, relations, tails


def some(columns: Columns, rows: npt.NDArray[Any]) -> Columns:
    heads, relations, tails = ([column[i] for i in rows.tolist()] for column in columns)
    return heads, relations, tails


def halves(columns: Columns, seed: int = 0) -> tuple[Columns, Columns]:
    order = np.random.default_rng(seed).permutation(len(columns[0]))
    held_out = len(order) // 10
    return some(columns, order[held_out:]), some(columns, order[:held_out])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("norm", [1, 2])
def test_planted_translations_are_found(seed: int, norm: int) -> None:
    """By chance an answer is among the first 10 of 64 in at most 16 %."""
    train, test = halves(grid(), seed)
    model = TransE(
        dim=16,
        norm=norm,
        epochs=150,
        batch_size=64,
        negatives=64,
        learning_rate=0.03,
        seed=seed,
    )
    found = model.fit(*train).evaluate(*test)
    assert found.hits_at_10 > 0.8
    assert found.mrr > 0.3
    right, up, diagonal = model.relations_.vectors(["right", "up", "diagonal"])
    gap = np.linalg.norm(right + up - diagonal, ord=norm)
    assert gap < np.linalg.norm(diagonal, ord=norm)


def slow_ranks(model: TransE, known: set[Any], triple: Any) -> tuple[float, float]:
    """Rank in float64, one entity at a time."""
    head, relation, tail = triple
    of = {key: model.entities_.vectors([key])[0].astype(float) for key in model.entities_}
    move = model.relations_.vectors([relation])[0].astype(float)

    def rank(distances: dict[Any, float], right: Any) -> float:
        others = [d for key, d in distances.items() if key != right]
        nearer = sum(d < distances[right] for d in others)
        return float(1 + nearer + sum(d == distances[right] for d in others) / 2)

    def away(a: Any, b: Any) -> float:
        return float(np.linalg.norm(of[a] + move - of[b], ord=model.norm))

    heads = {e: away(e, tail) for e in of if e == head or (e, relation, tail) not in known}
    tails = {e: away(head, e) for e in of if e == tail or (head, relation, e) not in known}
    return rank(heads, head), rank(tails, tail)


@pytest.mark.parametrize("norm", [1, 2])
def test_filtered_ranks_are_those_of_a_loop(norm: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(norm)
    columns: Columns = (
        rng.integers(25, size=300).tolist(),
        rng.integers(3, size=300).tolist(),
        rng.integers(25, size=300).tolist(),
    )
    train, test, more = (some(columns, part) for part in np.split(np.arange(300), [200, 250]))
    model = TransE(**SMALL, norm=norm).fit(*train)
    monkeypatch.setattr("vecrecall.train._trans_e._DISTANCES_AT_ONCE", 7 * 25)  # several parts
    found = model.evaluate(*test, known=more)
    known = set(zip(*columns, strict=True))
    expected = [slow_ranks(model, known, row) for row in zip(*test, strict=True)]
    # float32 may order two entities otherwise than float64, where their distances nearly agree.
    assert (found.ranks == expected).mean() > 0.98
    assert found.mrr == pytest.approx((1 / found.ranks).mean())
    assert found.hits_at_1 == (found.ranks <= 1).mean()
    assert found.hits_at_3 == (found.ranks <= 3).mean()
    assert found.hits_at_10 == (found.ranks <= 10).mean()
    assert found.mean_rank == found.ranks.mean()
    unfiltered = model.evaluate(*test)
    assert (found.ranks <= unfiltered.ranks).all()
    assert (found.ranks < unfiltered.ranks).any()


def test_ties_have_the_mean_of_their_places() -> None:
    model = TransE(**SMALL).fit(["a", "b", "c"], ["r"] * 3, ["b", "c", "d"])
    ids = model.entities_.ids
    model.entities_ = Embedding(ids, np.ones((4, 8)), metric="l2")
    model.relations_ = Embedding(["r"], np.zeros((1, 8)), metric="l2")
    ranks = model.evaluate(["a"], ["r"], ["d"]).ranks
    assert ranks.tolist() == [[2.0, 2.0]]  # c is filtered as head of d, b as tail of a


def test_scores_are_distances() -> None:
    train, test = halves(grid(4))
    for norm in (1, 2):
        model = TransE(**SMALL, norm=norm).fit(*train)
        h, t = (model.entities_.vectors(column).astype(float) for column in (test[0], test[2]))
        gap = h + model.relations_.vectors(test[1]) - t
        scores = model.score(*test)
        assert scores.dtype == np.float32
        # Sums of 8 terms of at most about 10, each rounded once or twice at 2**-24.
        np.testing.assert_allclose(scores, -np.linalg.norm(gap, ord=norm, axis=1), rtol=1e-5)


def test_what_it_says_of_itself() -> None:
    train, _ = halves(grid(4))
    model = TransE(**SMALL).fit(*train)
    assert model.entities_.metric == model.relations_.metric == "l2"
    assert set(model.entities_) == {*train[0], *train[2]}
    assert model.entities_.dim == model.relations_.dim == 8
    about = model.entities_.about
    assert about["trainer"] == "TransE"
    assert about["data"] == {"triples": len(train[0]), "entities": 16, "relations": 3}
    assert about["settings"]["epochs"] == about["epochs"] == len(about["losses"]) == 4
    assert about["losses"][-1] < about["losses"][0]
    assert repr(model).startswith("TransE(dim=8, margin=")
    assert "mrr=" in repr(model.evaluate(*train))


def test_one_seed_gives_the_same_bits_and_leaves_torch_alone() -> None:
    train, _ = halves(grid(4))
    state, threads = torch.random.get_rng_state(), torch.get_num_threads()
    one, two = (TransE(**SMALL, seed=3).fit(*train) for _ in range(2))
    assert one.entities_.matrix.tobytes() == two.entities_.matrix.tobytes()
    assert one.relations_.matrix.tobytes() == two.relations_.matrix.tobytes()
    other = TransE(**SMALL, seed=4).fit(*train)
    assert not np.array_equal(one.entities_.matrix, other.entities_.matrix)
    assert torch.equal(state, torch.random.get_rng_state())
    assert torch.get_num_threads() == threads


def interrupted(after: int) -> Any:
    def progress(report: TrainingProgress) -> None:
        if report.epoch >= after:
            raise KeyboardInterrupt

    return progress


def test_a_resumed_training_has_the_bits_of_an_uninterrupted_one(tmp_path: Path) -> None:
    train, _ = halves(grid(4))
    whole = TransE(**SMALL).fit(*train)
    with pytest.raises(KeyboardInterrupt):
        TransE(**SMALL).fit(*train, checkpoint=tmp_path / "kept", progress=interrupted(2))
    resumed = TransE(**SMALL).fit(*train, checkpoint=tmp_path / "kept")
    assert resumed.entities_.matrix.tobytes() == whole.entities_.matrix.tobytes()
    assert resumed.relations_.matrix.tobytes() == whole.relations_.matrix.tobytes()
    with pytest.raises(ValueError, match="checkpoint: "):
        TransE(**SMALL, margin=1).fit(*train, checkpoint=tmp_path / "kept")


def test_a_stop_keeps_the_last_finished_epoch() -> None:
    train, _ = halves(grid(4))
    calls: Iterator[int] = iter(range(10**6))
    batches = -(-len(train[0]) // 32) + 1  # each epoch reports once more at its end
    stopped = TransE(**SMALL).fit(*train, stop=lambda: next(calls) >= 2 * batches)
    assert stopped.entities_.about["stopped"]
    assert stopped.entities_.about["epochs"] == 2
    two = TransE(**{**SMALL, "epochs": 2}).fit(*train)
    assert stopped.entities_.matrix.tobytes() == two.entities_.matrix.tobytes()
    event = threading.Event()
    event.set()
    with pytest.raises(TrainingStoppedError):
        TransE(**SMALL).fit(*train, stop=event)


def test_a_graph_of_one_entity() -> None:
    model = TransE(**SMALL).fit(["a"], ["r"], ["a"])
    assert np.isfinite(model.entities_.matrix).all()
    assert model.evaluate(["a"], ["r"], ["a"]).ranks.tolist() == [[1.0, 1.0]]


def test_a_loss_that_is_not_finite() -> None:
    with pytest.raises(TrainingError, match="finite loss"):
        TransE(**SMALL, learning_rate=2e37).fit(*grid(4))


def test_columns_of_other_libraries() -> None:
    heads, relations, tails = ["a", "b", "c"], ["r", "r", "s"], ["b", "c", "a"]
    expected = TransE(**SMALL).fit(heads, relations, tails).entities_.matrix
    for name in ("pandas", "polars"):
        library = pytest.importorskip(name)
        columns = [library.Series(column) for column in (heads, relations, tails)]
        found = TransE(**SMALL).fit(*columns).entities_
        assert found.ids == ["a", "b", "c"]
        assert found.matrix.tobytes() == expected.tobytes()


def test_unknown_keys() -> None:
    model = TransE(**SMALL).fit(["a", "b"], ["r", "r"], ["b", "c"])
    for call in (model.score, model.evaluate):
        with pytest.raises(KeyError, match="tails: unknown entity 'x' in row 1"):
            call(["a", "a"], ["r", "r"], ["b", "x"])
        with pytest.raises(KeyError, match="heads: unknown entity 'x' in row 0"):
            call(["x"], ["r"], ["b"])
        with pytest.raises(KeyError, match="relations: unknown relation 's' in row 0"):
            call(["a"], ["s"], ["b"])
    known = model.evaluate(["a"], ["r"], ["c"], known=(["x"], ["r"], ["c"]))
    assert known.ranks.tolist() == model.evaluate(["a"], ["r"], ["c"]).ranks.tolist()


@pytest.mark.parametrize(
    ("columns", "error", "message"),
    [
        ((["a"], ["r", "r"], ["b"]), ValueError, "relations: expected 1 row, got 2"),
        ((["a"], ["r"], ["b", "c"]), ValueError, "tails: expected 1 row, got 2"),
        (([], [], []), ValueError, "heads: expected at least one triple, got none"),
        ((["a", float("nan")], ["r"] * 2, ["b"] * 2), ValueError, r"heads: .* row 1"),
        ((["a", "b"], ["r", None], ["b"] * 2), ValueError, r"relations: .* row 1"),
        ((["a"], ["r"], [{}]), TypeError, r"tails: .* row 0"),
        ((7, ["r"], ["b"]), TypeError, "heads: expected a column, got int"),
    ],
)
def test_bad_columns(columns: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        TransE(**SMALL).fit(*columns)
    model = TransE(**SMALL).fit(["a", "b"], ["r", "r"], ["b", "c"])
    with pytest.raises(error, match=message):
        model.evaluate(*columns)
    with pytest.raises(error, match="known" if columns[0] else "heads"):
        model.evaluate(["a"] if columns[0] else [], ["r"], ["b"], known=columns)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"dim": 0}, ValueError),
        ({"dim": 1.5}, TypeError),
        ({"norm": 3}, ValueError),
        ({"margin": float("nan")}, ValueError),
        ({"epochs": 0}, ValueError),
        ({"learning_rate": "fast"}, TypeError),
        ({"negatives": 0}, ValueError),
        ({"temperature": -1}, ValueError),
        ({"seed": -1}, ValueError),
    ],
)
def test_bad_settings(options: dict[str, Any], error: type[Exception]) -> None:
    (name,) = options
    with pytest.raises(error, match=f"^{name}: "):
        TransE(**options)


def test_before_fit_and_bad_known() -> None:
    with pytest.raises(RuntimeError, match="call fit first"):
        TransE().score(["a"], ["r"], ["b"])
    model = TransE(**SMALL).fit(["a"], ["r"], ["b"])
    with pytest.raises(TypeError, match="known: expected three columns"):
        model.evaluate(["a"], ["r"], ["b"], known=(["a"], ["r"]))


def test_a_hub_costs_no_more_than_the_triples() -> None:
    """100,000 triples with one tail: each of a batch's rows has as many right heads."""
    n = 100_000
    table = AnswerTable(np.full(n, n), np.zeros(n, np.int64), np.arange(n), 1)
    places = np.full(n + 1, -1)
    places[[5, 7]] = [0, 1]
    rows = np.array([n, 3, n])
    tracemalloc.start()
    found = table.of(np.tile(rows, 200), np.zeros(600, np.int64), places)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sorted(zip(*(of.tolist() for of in found), strict=True)) == [
        (row, place) for row in range(600) if row % 3 != 1 for place in (0, 1)
    ]
    assert most < 100 * n  # a few arrays of int64; 400 rows of 100,000 heads would be 320 MB
