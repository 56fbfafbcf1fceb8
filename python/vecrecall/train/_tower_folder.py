"""Fitted towers in a folder."""

from __future__ import annotations

import json
from collections.abc import Hashable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vecrecall.storage import _array_folder
from vecrecall.train._embedding import Embedding
from vecrecall.train._folders import load_folder
from vecrecall.train._key_json import from_json, to_json
from vecrecall.train._tower_inputs import TowerInputs

KIND = "TwoTower"


class Fitted(NamedTuple):
    """Fitted towers, as they are kept."""

    settings: dict[str, Any]
    inputs: TowerInputs
    parameters: npt.NDArray[np.float32]
    users: Embedding
    items: Embedding


def save(path: Path, fitted: Fitted) -> None:
    """Write a folder in one step; keys are JSON in an array of bytes, since they may be many."""
    users = [to_json(key, "users", row) for row, key in enumerate(fitted.users.ids)]
    text = json.dumps({"inputs": fitted.inputs.to_json(), "users": users}).encode()
    _array_folder.save(
        path,
        KIND,
        {"settings": fitted.settings, "about": fitted.items.about},
        {
            "parameters": fitted.parameters,
            "user_matrix": fitted.users.matrix,
            "item_matrix": fitted.items.matrix,
            "keys": np.frombuffer(text, np.uint8),
        },
    )


def load(path: Path) -> Fitted:
    """Read what `save` wrote."""
    about, arrays = load_folder(path, KIND)
    try:
        text = json.loads(arrays["keys"].tobytes())
    except ValueError as error:
        raise ValueError(f"path: expected keys as JSON, got {error} in {path}") from error
    inputs = TowerInputs.from_json(text["inputs"])
    items: list[Hashable] = [] if inputs.items.keys is None else list(inputs.items.keys.known)
    users = [from_json(key) for key in text["users"]]
    return Fitted(
        about["settings"],
        inputs,
        arrays["parameters"],
        Embedding(users, arrays["user_matrix"], about=about["about"]),
        Embedding(items, arrays["item_matrix"], about=about["about"]),
    )
