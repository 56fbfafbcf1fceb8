"""Calls that a newcomer gets wrong: each message says what was expected and what came."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vecrecall as vr
from vecrecall import datasets, train
from vecrecall.cli import main as command

ITEMS = np.eye(4, dtype=np.float32)
INDEX = vr.FlatIndex(ITEMS)
FOUND = INDEX.search(ITEMS[:2], 2)
VECTORS = train.Embedding(["a", "b"], ITEMS[:2])


def reloading() -> vr.ReloadingIndex:
    INDEX.save("items")
    return vr.ReloadingIndex("items")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: vr.NeighborTable.build(ITEMS, 2),  # type: ignore[arg-type]
            TypeError,
            "index: expected an index with a neighbors method, got ndarray",
        ),
        (
            lambda: vr.Ragged([1, 2, 3], [0, 2, 1, 3]),
            ValueError,
            "offsets: expected values that do not decrease, got 1 after 2 at place 2",
        ),
        (
            lambda: vr.merge_groups(FOUND, [0, 2, 1, 2], 2),
            ValueError,
            "groups: expected offsets that do not decrease, got 1 after 2 at place 2",
        ),
        (
            lambda: vr.wrap(3),
            TypeError,
            "index: expected an index of faiss, hnswlib, scann or usearch, got int",
        ),
        (
            lambda: vr.wrap(INDEX),
            TypeError,
            "index: expected an index of faiss, hnswlib, scann or usearch, got vecrecall.FlatIndex",
        ),
        (
            lambda: vr.tune(INDEX, ITEMS, k=2, target=0.9),
            TypeError,
            "index: expected an IVFIndex or an index that wrap takes, "
            "got a FlatIndex, which has no setting",
        ),
        (
            lambda: vr.tune(reloading(), ITEMS, k=2, target=0.9),
            TypeError,
            "index: expected an IVFIndex or an index that wrap takes, "
            "got a ReloadingIndex, which has no setting",
        ),
        (
            lambda: datasets.Interactions([1], [1, 2], [1]),
            ValueError,
            "items: expected 1 row, got 2",
        ),
        (
            lambda: train.Embedding(["a"], ITEMS[:2]),
            ValueError,
            "matrix: expected 1 row, got 2",
        ),
    ],
)
def test_a_message_says_both(
    call: Callable[[], Any],
    error: type[Exception],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        call()


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (VECTORS.save, "path"),
        (train.Embedding.load, "path"),
        (train.CapacityEmbedding.load, "path"),
        (train.ResidualEmbedding.load, "path"),
        (train.TitleEncoder.load, "path"),
        (datasets.read_interactions, "path"),
        (datasets.read_attributes, "path"),
        (datasets.load_mind, "folder"),
        (
            lambda path: train.documents(["a"], encoder=lambda texts: ITEMS[:1], checkpoint=path),
            "checkpoint",
        ),
    ],
)
def test_a_path_is_checked_by_its_name(call: Callable[[Any], Any], name: str) -> None:
    with pytest.raises(TypeError, match=f"^{name}: expected a str or a path, got int$"):
        call(3)


@pytest.mark.parametrize(("version", "listed"), [((3, 10, 13), True), ((3, 11, 0), False)])
def test_info_lists_what_this_python_needs(
    version: tuple[int, ...], listed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    brought = ["scipy>=1; extra == 'a'", "tomli; python_version < '3.11' and extra == 'serve'"]
    monkeypatch.setattr(command, "requires", lambda name: brought)
    monkeypatch.setattr(command.sys, "version_info", version)
    assert command.optional_packages() == ["scipy", *["tomli"] * listed]


def test_the_keys_of_each_report_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["demo", "--help"]) == 0
    said = capsys.readouterr().out
    assert re.findall(r"^keys of (.*?) \(", said, re.MULTILINE) == [
        "the JSON file",
        "the JSON file of --full",
        "the JSON file of --news",
    ]
