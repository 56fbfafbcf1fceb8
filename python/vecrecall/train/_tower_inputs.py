"""Users and items as the towers take them, for those that encode with torch and those without."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vecrecall.train._columns import Column, check_keys, check_lists
from vecrecall.train._feature_codes import Encoded, Encoding, keys_of, padded_histories
from vecrecall.train._features import Features


@dataclass(frozen=True)
class TowerInputs:
    """How users and items become inputs.

    Parameters
    ----------
    users, items : Encoding
    history_length : int
        0 without an encoder of histories.
    """

    users: Encoding
    items: Encoding
    history_length: int

    @classmethod
    def of(
        cls,
        users: tuple[list[Hashable] | None, Features | None],
        items: tuple[list[Hashable], Features | None],
        history_length: int,
        max_categories: int,
    ) -> TowerInputs:
        """Learn keys and values from training data."""
        check_features(users[1], "user_features")
        check_features(items[1], "item_features")
        found = cls(
            Encoding.of(*users, max_categories),
            Encoding.of(*items, max_categories),
            history_length,
        )
        if not history_length and not found.users.n_inputs:
            raise ValueError("user_ids: expected True without encoder and user_features")
        return found

    @property
    def n_codes(self) -> tuple[int, int]:
        """The columns of codes of a user and of an item."""
        users, items = (sum(field.width for field in of.fields) for of in (self.users, self.items))
        return self.history_length + users, items

    def user_rows(
        self, histories: Column | None, features: Features | None, users: Column | None
    ) -> Encoded:
        """Return rows of users: the codes of the history come before the others."""
        check_features(features, "user_features")
        if getattr(histories, "ndim", 1) == 2:  # a matrix: histories of one length
            histories = list(histories)  # type: ignore[arg-type]
        lists = None if histories is None else check_lists(histories, "histories")
        keys = keys_of(lists, features, None if users is None else check_keys(users, "users"))
        rows = self.users.encode(keys, features)
        if not self.history_length:
            return rows
        assert self.items.keys is not None
        none: list[list[Hashable]] = [[] for _ in keys]
        before = padded_histories(
            self.items.keys, none if lists is None else lists, self.history_length
        )
        return Encoded(np.concatenate([before, rows.codes], axis=1), rows.numbers)

    def item_rows(self, keys: Column | None, features: Features | None) -> Encoded:
        """Return rows of items."""
        check_features(features, "item_features")
        if keys is None and features is None:
            raise ValueError("keys: expected keys or item_features, got none")
        if keys is None:
            return self.items.encode(features.keys if features else [], features)
        return self.items.encode(check_keys(keys, "keys"), features)

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "users": self.users.to_json(),
            "items": self.items.to_json(),
            "history_length": self.history_length,
        }

    @classmethod
    def from_json(cls, of: dict[str, Any]) -> TowerInputs:
        """Read what `to_json` gave."""
        users, items = Encoding.from_json(of["users"]), Encoding.from_json(of["items"])
        return cls(users, items, of["history_length"])


def check_features(features: Features | None, name: str) -> Features | None:
    """Let nothing else pass for features."""
    if features is not None and not isinstance(features, Features):
        raise TypeError(f"{name}: expected Features, got {type(features).__name__}")
    return features


def check_overlap(features: Features | None, keys: Sequence[Hashable], name: str) -> None:
    """Refuse features of which training would see no row, as where 1 meets "1"."""
    if features is not None and features.keys and set(features.keys).isdisjoint(keys):
        raise ValueError(
            f"{name}: expected keys of the interactions, which have keys like {keys[0]!r}, "
            f"got only others like {features.keys[0]!r}"
        )
