"""The full demo, on small data of the same shape as MovieLens 100K."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

for module in ("gensim", "kneed", "pandas", "rich", "torch"):
    pytest.importorskip(module, reason='needs pip install "vecrecall[full]"')

from vecrecall.cli._progress import Progress
from vecrecall.cli.demo import DemoError
from vecrecall.cli.demo.data import HELD_OUT
from vecrecall.cli.demo.full import findings, measures, saved, training
from vecrecall.cli.demo.full.cache import Cache
from vecrecall.cli.demo.full.data import splits
from vecrecall.cli.demo.full.families import FAMILIES
from vecrecall.cli.demo.full.keys import KEYS
from vecrecall.cli.demo.full.plan import Plan, TowerPlan
from vecrecall.cli.demo.full.run import Options, run
from vecrecall.datasets import Attributes, Interactions, RecommenderData, Triples

N_USERS = 60
PER_USER = 16
N_ITEMS = 300
TINY = TowerPlan(epochs=2, dim=8, history=5, batch_size=256)
PLAN = Plan(
    cold_share=0.1,
    encoders=dict.fromkeys(("mean", "lstm", "cnn", "attention"), TINY),
    tower=TINY,
    type_epochs=2,
    graph_epochs=2,
    graph_dim=8,
    title_epochs=2,
    title_dim=8,
    without=("doc", "entity", "title2vec"),
    weights=(0, 1, 5),
)


def small(seed: int = 0) -> RecommenderData:
    """Users of two tastes, whose items, features and entities tell which."""
    rng = np.random.default_rng(seed)
    users, items, times = [], [], []
    half = N_ITEMS // 2
    for user in range(N_USERS):
        own = half * (user % 2) + rng.choice(half, PER_USER, replace=False)
        users += [100 + user] * PER_USER
        items += own.tolist()
        times += (1000 * user + np.arange(PER_USER)).tolist()
    tastes = [item // half for item in range(N_ITEMS)]
    words = (["red", "rose"], ["blue", "sea"])
    genres = [["calm", "loud"][taste] for taste in tastes]
    attributes = {
        "title": [f"{words[t][0]} {words[t][1]} {i}" for i, t in enumerate(tastes)],
        "year": [1990 + item % 7 for item in range(N_ITEMS)],
        "genres": [[genre, ["old", "new"][i % 2]] for i, genre in enumerate(genres)],
        "directors": [[f"d{t}{i % 3}"] for i, t in enumerate(tastes)],
        "countries": [[f"c{t}"] for t in tastes],
        "fine_genres": [[f"f{t}", f"f{i % 4}", f"g{i % 5}", f"h{t}"] for i, t in enumerate(tastes)],
    }
    heads = [f"e{item}" for item in range(N_ITEMS)]
    return RecommenderData(
        Interactions(users, items, np.array(times), source="small"),
        Attributes(
            list(range(100, 100 + N_USERS)),
            {
                "age": [20 + 20 * (user % 2) + user % 5 for user in range(N_USERS)],
                "gender": ["FM"[user % 2] for user in range(N_USERS)],
                "occupation": [["poet", "smith"][user % 2] for user in range(N_USERS)],
                "zip_code": [f"{user:05}" for user in range(N_USERS)],
            },
        ),
        Attributes(list(range(N_ITEMS)), attributes),
        Triples(
            heads + heads,
            ["by"] * N_ITEMS + ["from"] * N_ITEMS,
            [names[0] for names in attributes["directors"]]
            + [names[0] for names in attributes["countries"]],
        ),
        dict(zip(range(0, N_ITEMS), heads, strict=True)),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("full")


@pytest.fixture(scope="module")
def result(folder: Path) -> dict[str, Any]:
    return run(
        Options(
            load=small,
            plan=PLAN,
            cache=folder / "cache",
            save=folder / "system",
            json=folder / "report.json",
        )
    )


def _paths(node: Any, path: str = "") -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _paths(value, f"{path}.{key}" if path else key)
    elif isinstance(node, list):
        for value in node:
            yield from _paths(value, f"{path}[]")
    else:
        yield path


def _documents(key: str, path: str) -> bool:
    parts, names = key.split("."), path.split(".")
    return len(parts) == len(names) and all(
        name == part or (part.startswith("<") and name.endswith("[]") == part.endswith("[]"))
        for part, name in zip(parts, names, strict=True)
    )


def test_every_key_is_documented_and_every_documented_key_exists(result: dict[str, Any]) -> None:
    paths = set(_paths(result))
    assert [path for path in paths if not any(_documents(key, path) for key in KEYS)] == []
    assert [key for key in KEYS if not any(_documents(key, path) for path in paths)] == []
