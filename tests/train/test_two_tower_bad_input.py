"""Two towers: wrong columns and settings are errors that name them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tower_cases import SMALL

from vecrecall.train import Features, TwoTower

torch = pytest.importorskip("torch", reason='needs pip install "vecrecall[train]"')

USERS, ITEMS = ["a", "a", "b", "b"], ["x", "y", "y", "z"]


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ((USERS, ITEMS[:3]), ValueError, "items: expected 4 rows, got 3"),
        ((USERS, ITEMS, [1, 2]), ValueError, "times: expected 4 rows, got 2"),
        ((["a", None, "b", "b"], ITEMS), ValueError, "users: expected a key .* in row 1"),
        ((USERS, ["x", "y", ["z"], "z"]), TypeError, "items: expected hashable keys.* in row 2"),
        ((USERS, ITEMS, [1, 2, np.nan, 4]), ValueError, "times: expected .* got nan in row 2"),
        (
            (USERS, ITEMS, ["1"] * 4),
            TypeError,
            "times: expected numbers, or dates .*, got str in row 0",
        ),
        (([], []), ValueError, "users: expected at least one interaction"),
        (("ab", "xy"), TypeError, "users: expected a column, got str"),
    ],
)
def test_bad_columns(given: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        TwoTower(**SMALL, epochs=1).fit(*given)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dim": 0}, "dim: expected"),
        ({"hidden": (0,)}, "hidden: expected"),
        ({"encoder": "gru"}, "encoder: expected one of 'mean', 'lstm', 'cnn', 'attention'"),
        ({"temperature": 0}, "temperature: expected a finite number > 0, got 0"),
        ({"dropout": 1}, "dropout: expected a number"),
        ({"seed": -1}, "seed: expected"),
    ],
)
def test_bad_settings(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TwoTower(**settings)


def test_features_without_any_key_of_the_interactions() -> None:
    """Rows are never dropped silently: numbers are not the texts that look like them."""
    users = Features([1, 2], {"age": [1, 2]})
    message = "user_features: expected keys of the inter.* like 'a', got only others like 1"
    with pytest.raises(ValueError, match=message):
        TwoTower(**SMALL, epochs=1).fit(USERS, ITEMS, user_features=users)
    with pytest.raises(ValueError, match="item_features: expected keys"):
        TwoTower(**SMALL, epochs=1).fit(USERS, ITEMS, item_features=Features(["q"], {"n": [1]}))


def test_features_are_features() -> None:
    with pytest.raises(TypeError, match="user_features: expected Features, got dict"):
        TwoTower(epochs=1).fit(USERS, ITEMS, user_features={"age": [1, 2]})  # type: ignore[arg-type]
    towers = TwoTower(**SMALL, epochs=1).fit(
        USERS, ITEMS, user_features=Features(["a", "b"], {"age": [1, 2]})
    )
    with pytest.raises(ValueError, match="got none named age"):
        towers.encode_users([[]], Features(["a"], {}))
    with pytest.raises(ValueError, match="histories: expected 1 row, got 2"):
        towers.encode_users([[], []], Features(["a"], {"age": [1]}))
    with pytest.raises(ValueError, match="histories: expected histories, user_features or users"):
        towers.encode_users(None)
    with pytest.raises(ValueError, match="keys: expected keys or item_features"):
        towers.encode_items(None)
    with pytest.raises(TypeError, match="histories: expected lists, got str in row 0"):
        towers.encode_users(["x"])


def test_widths_are_a_sequence() -> None:
    for hidden in (128, "64"):
        with pytest.raises(TypeError, match="hidden: expected widths of layers, got"):
            TwoTower(hidden=hidden)  # type: ignore[arg-type]


def test_a_number_far_from_those_of_training_has_a_vector_of_length_1() -> None:
    features = Features(["x", "y", "z"], {"size": [1, 2, 3]})
    towers = TwoTower(**SMALL, epochs=1).fit(USERS, ITEMS, item_features=features)
    found = towers.encode_items(None, Features(["new"], {"size": [3e38]}))
    assert np.linalg.norm(found) == pytest.approx(1, abs=1e-5)


def test_without_any_input_of_users() -> None:
    with pytest.raises(ValueError, match="user_ids: expected True"):
        TwoTower(encoder=None, user_ids=False).fit(USERS, ITEMS)


def test_what_is_not_fitted_cannot_encode() -> None:
    with pytest.raises(RuntimeError, match="expected a fitted one"):
        TwoTower().encode_users([[]])


@pytest.mark.parametrize("encoder", ["mean", "lstm", "cnn", "attention", None])
def test_the_smallest_data(encoder: Any) -> None:
    """One interaction, one item: nothing to tell apart, and no NaN."""
    for given in ((["a"], ["x"]), (["a", "a"], ["x", "x"]), (USERS, ITEMS, [5, 5, 5, 5])):
        towers = TwoTower(**SMALL, encoder=encoder, epochs=1).fit(*given)
        assert np.isfinite(towers.user_embedding_.matrix).all()
        assert np.isfinite(towers.item_embedding_.matrix).all()


def test_columns_of_pandas_and_dates() -> None:
    pandas = pytest.importorskip("pandas")
    days = np.array(["2024-01-03", "2024-01-01", "2024-01-02", "2024-01-01"], "datetime64[D]")
    one = TwoTower(**SMALL, epochs=1).fit(USERS, ITEMS, [3, 1, 2, 1])
    two = TwoTower(**SMALL, epochs=1).fit(
        pandas.Series(USERS), pandas.Series(ITEMS), pandas.Series(days)
    )
    np.testing.assert_array_equal(one.user_embedding_.matrix, two.user_embedding_.matrix)


def test_histories_may_be_a_matrix() -> None:
    towers = TwoTower(**SMALL, epochs=1).fit([1, 1, 2, 2], [5, 6, 6, 7])
    found = towers.encode_users(np.array([[5, 6], [6, 7]]))
    np.testing.assert_array_equal(found, towers.encode_users([[5, 6], [6, 7]]))


@pytest.mark.parametrize(("encoder", "error"), [("gru", ValueError), (5, TypeError)])
def test_a_wrong_encoder_names_all_choices(encoder: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"^encoder: expected one of 'mean', .* or None, got"):
        TwoTower(encoder=encoder)
