"""Public names belong, by their `__module__`, to where users import them from."""

import importlib
import types
from typing import Any

import pytest

import vecrecall as vr
import vecrecall.datasets
import vecrecall.distributed
import vecrecall.train

ROOMS = (
    *("arrays", "search", "cluster", "feed", "fusion", "channels", "adapters", "evaluation"),
    *("train", "datasets", "distributed"),
)


@pytest.mark.parametrize(
    "module",
    [vr, vr.policies, vr.channels, vecrecall.train, vecrecall.datasets, vecrecall.distributed],
    ids=lambda m: m.__name__,
)
def test_names_belong_to_the_public_module(module: types.ModuleType) -> None:
    assert sorted(module.__all__) == sorted(set(module.__all__))
    for name in module.__all__:
        value: Any = getattr(module, name)
        if isinstance(value, type) or callable(value):
            assert value.__module__ == module.__name__, name
            assert value.__qualname__ == name


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_shows_what_it_offers(room: str) -> None:
    module = importlib.import_module(f"vecrecall.{room}")
    assert (module.__doc__ or "").strip()
    for name in module.__all__:
        assert hasattr(module, name)


def test_no_name_is_in_two_rooms() -> None:
    offered = [
        name for room in ROOMS for name in importlib.import_module(f"vecrecall.{room}").__all__
    ]
    assert sorted(offered) == sorted(set(offered))
    assert not {*ROOMS} & {*vr.__all__} - {"adapters", "channels"}, "rooms named like functions"
