"""Trainers on torch: they neither change the settings of the process nor depend on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import pytest
from tower_cases import SMALL

from vecrecall.train import TitleEncoder, TrainingError, TrainingStoppedError, TransE, TwoTower

torch = pytest.importorskip("torch", reason='needs pip install "vecrecall[train]"')

Fit = Callable[..., Any]


def towers(**options: Any) -> TwoTower:
    return TwoTower(**SMALL, epochs=1, seed=3).fit(list("aabbcc"), list("xyyzxz"), **options)


def trans_e(**options: Any) -> TransE:
    return TransE(dim=4, epochs=1).fit(list("ab"), list("rr"), list("bc"), **options)


def titles(**options: Any) -> TitleEncoder:
    encoder = TitleEncoder(dim=4, epochs=1)
    return encoder.fit(["green tea", "rock"], [["drink"], ["music"]], **options)


def bits(fitted: Any) -> list[bytes]:
    names = ("user_embedding_", "item_embedding_", "entities_", "relations_", "embedding_")
    return [getattr(fitted, name).matrix.tobytes() for name in names if hasattr(fitted, name)]


def state() -> tuple[Any, ...]:
    return (
        torch.random.get_rng_state().tolist(),
        np.random.get_state()[1].tolist(),  # type: ignore[index]
        torch.get_num_threads(),
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.is_autocast_enabled("cpu"),
    )


@contextmanager
def float64() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


OTHERS = pytest.mark.parametrize(
    "given",
    [
        float64,
        torch.no_grad,
        torch.inference_mode,
        lambda: torch.autocast("cpu", dtype=torch.bfloat16),
        lambda: torch.device("meta"),
    ],
    ids=["float64", "no_grad", "inference_mode", "autocast", "device"],
)


@pytest.mark.parametrize("fit", [towers, trans_e, titles])
@OTHERS
def test_settings_of_others_matter_not_and_stay(fit: Fit, given: Any) -> None:
    expected = bits(fit())
    with given():
        before = state()
        found = bits(fit())
        assert state() == before
    assert found == expected


@pytest.mark.parametrize("fit", [towers, trans_e, titles])
def test_an_interrupted_training_leaves_settings_and_seeds_no_gpu(
    fit: Fit, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(seed: int) -> None:
        raise AssertionError("the generators of a GPU are others'")

    monkeypatch.setattr(torch.cuda, "manual_seed_all", never)
    before = state()
    with pytest.raises(TrainingStoppedError):
        fit(stop=lambda: True)
    assert state() == before


def test_a_training_that_fails_leaves_what_was_fitted() -> None:
    """A tower or network whose training did not end would encode at random."""
    for fresh in (TwoTower(**SMALL), TitleEncoder(dim=4)):
        given = (list("ab"), [["x"], ["y"]]) if isinstance(fresh, TitleEncoder) else ("ab", "xy")
        columns = [list(column) for column in given]
        with pytest.raises(TrainingStoppedError):
            fresh.fit(*columns, stop=lambda: True)
        with pytest.raises(RuntimeError, match="fit"):
            fresh.encode(["a"]) if isinstance(fresh, TitleEncoder) else fresh.encode_users([[]])
    fitted, encoder = towers(), titles()
    before = fitted.encode_users([["x"], []]), encoder.encode(["green tea"])
    with pytest.raises(TrainingStoppedError):
        fitted.fit(["other"], ["else"], stop=lambda: True)
    with pytest.raises(TrainingStoppedError):
        encoder.fit(["new"], [["other"]], stop=lambda: True)
    np.testing.assert_array_equal(before[0], fitted.encode_users([["x"], []]))
    np.testing.assert_array_equal(before[1], encoder.encode(["green tea"]))


def test_a_result_is_the_parameters_in_memory_of_its_own() -> None:
    from vecrecall.train.networks._state import NetworkState

    network = torch.nn.Linear(3, 2)
    state = NetworkState(network, torch.optim.Adam(network.parameters()))
    found = state.result()
    assert list(found) == ["parameters"]
    first = found["parameters"].copy()
    with torch.no_grad():
        network.weight += 1
    again = state.result(found)
    assert again["parameters"] is found["parameters"]
    assert (again["parameters"] != first).sum() == 6
    state.restore({"parameters": first})
    assert state.result()["parameters"].tobytes() == first.tobytes()


@OTHERS
def test_encoding_does_not_depend_on_settings_of_others(given: Any) -> None:
    fitted, encoder = towers(), titles()
    lstm = TwoTower(**SMALL, encoder="lstm", epochs=1).fit(list("aab"), list("xyx"))

    def encoded() -> list[bytes]:
        histories: list[list[str]] = [["x", "y"], []]
        found = [of.encode_users(histories) for of in (fitted, lstm)]
        found += [fitted.encode_items(["x", "new"]), encoder.encode(["green tea", ""])]
        return [vectors.tobytes() for vectors in found]

    expected = encoded()
    with given():
        before = state()
        found = encoded()
        assert state() == before
    assert found == expected


@pytest.mark.parametrize("validation", [True, False])
def test_parameters_that_diverge(validation: bool) -> None:
    """The last step breaks them, which no loss has seen."""
    model = TwoTower(learning_rate=1e30, epochs=1, dim=4)
    match = "validation, got NaN in epoch 0" if validation else "vectors, .* after epoch 0"
    with pytest.raises(TrainingError, match=match):
        model.fit(list("ab") * 10, list("xyzw") * 5, validation=validation)


@pytest.mark.parametrize("kind", [TwoTower, TransE, TitleEncoder])
@pytest.mark.parametrize("rate", [1e38, 1e300])
def test_learning_rates_beyond_float32(kind: Any, rate: float) -> None:
    with pytest.raises(ValueError, match=r"^learning_rate: expected a number of at most 3e\+37"):
        kind(learning_rate=rate)


@pytest.mark.parametrize("fit", [towers, trans_e, titles])
def test_the_highest_learning_rate_ends_in_no_error_of_torch(fit: Fit) -> None:
    fresh: Any = {towers: TwoTower, trans_e: TransE, titles: TitleEncoder}[fit]
    columns: list[Any] = [list("ab"), list("xy"), list("bc")]
    if fit is not trans_e:
        columns = columns[:2]
    if fit is titles:
        columns[1] = [["x"], ["y"]]
    with suppress(TrainingError):  # and no other error
        fresh(learning_rate=3e37, epochs=3).fit(*columns)


def test_scores_of_a_validation_do_not_depend_on_threads_of_others() -> None:
    limits = pytest.importorskip("threadpoolctl", reason="needs threadpoolctl").threadpool_limits
    from vecrecall.train.networks._state import own_settings
    from vecrecall.train.networks._tower_training import scored

    rng = np.random.default_rng(0)
    users, items = (rng.standard_normal((n, 67)).astype(np.float32) for n in (131, 1683))
    found = set()
    for threads in (1, 2):
        with limits(threads), own_settings():
            found.add(scored(users, items).tobytes())
    assert len(found) == 1
