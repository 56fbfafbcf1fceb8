"""Trainers on torch: they neither change the settings of the process nor depend on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from tower_cases import SMALL

from vecrecall.train import TitleEncoder, TrainingStoppedError, TransE, TwoTower

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


@pytest.mark.parametrize("fit", [towers, trans_e, titles])
@pytest.mark.parametrize(
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
