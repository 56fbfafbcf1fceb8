"""Exported towers: what torch gives, without torch."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tower_cases import SMALL, groups

from vecrecall.train import Features, OnnxTower, TwoTower, _onnx_tower

for module in ("torch", "onnx", "onnxscript"):
    pytest.importorskip(module, reason='needs pip install "vecrecall[train]"')
pytest.importorskip("onnxruntime", reason='needs pip install "vecrecall[onnx]"')

HISTORIES = [[f"i{k % 5}.{k}" for k in range(n)] for n in range(8)]
HISTORIES += [["never seen"], ["i1.1", "never seen", "i2.2"], []]
USERS = Features(
    range(len(HISTORIES)),
    {"group": ["g0", "g9", None, "g1"] + ["g2"] * 7, "same": np.arange(len(HISTORIES))},
)


@pytest.mark.parametrize("encoder", ["mean", "lstm", "cnn", "attention", None])
def test_exported_towers_give_what_torch_gives(
    encoder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = groups(0)
    towers = TwoTower(**SMALL, encoder=encoder, epochs=2).fit(
        *world[:3], user_features=world.user_features, item_features=world.item_features
    )
    towers.export_onnx(tmp_path, item_tower=encoder == "mean")
    served = OnnxTower.load(tmp_path)
    for n in (0, 1, 2, 7, len(HISTORIES)):
        some = Features(range(n), {k: v[:n] for k, v in USERS.columns.items()}, kinds=USERS.kinds)
        found = served.encode_users(HISTORIES[:n], some)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, towers.encode_users(HISTORIES[:n], some), atol=1e-5)
    np.testing.assert_allclose(
        served.encode_users(HISTORIES, users=["u1"] * len(HISTORIES)),
        towers.encode_users(HISTORIES, users=["u1"] * len(HISTORIES)),
        atol=1e-5,
    )
    many = HISTORIES * 40
    monkeypatch.setattr(_onnx_tower, "ENCODED_AT_ONCE", 100)  # of 440, in parts
    np.testing.assert_allclose(served.encode_users(many), towers.encode_users(many), atol=1e-5)
    if encoder == "mean":
        keys = ["i0.1", "i3.19", "new"]  # known, known by its attributes alone, unknown
        np.testing.assert_allclose(
            served.encode_items(keys, world.item_features),
            towers.encode_items(keys, world.item_features),
            atol=1e-5,
        )
    else:
        with pytest.raises(RuntimeError, match="was not exported"):
            served.encode_items(["i0.1"])


WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None
import numpy as np
from vecrecall.train import Features, OnnxTower
served = OnnxTower.load("served")
users = Features(["x", "y"], {"size": [1.5, -2], "city": ["Rome", "Oslo"], "tags": [["a"], []]})
np.save("found.npy", served.encode_users([[3, 1, 9], []], users))
"""


def test_a_server_needs_no_torch(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    users = rng.integers(20, size=200)
    features = Features(
        range(20),
        {
            "size": rng.standard_normal(20),
            "city": ["Rome", None] * 10,
            "tags": [["a", "b"], ["c"]] * 10,
        },
    )
    towers = TwoTower(**SMALL, epochs=1, user_ids=True).fit(
        users, rng.integers(10, size=200), user_features=features
    )
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "items.onnx").write_text("of an export before")
    towers.export_onnx(tmp_path / "served", item_tower=False)
    subprocess.run([sys.executable, "-c", WITHOUT_TORCH], check=True, cwd=tmp_path, timeout=60)
    given = Features(["x", "y"], {"size": [1.5, -2], "city": ["Rome", "Oslo"], "tags": [["a"], []]})
    np.testing.assert_allclose(
        np.load(tmp_path / "found.npy"), towers.encode_users([[3, 1, 9], []], given), atol=1e-5
    )
    served = tmp_path / "served"
    assert sorted(file.name for file in served.iterdir()) == ["users.onnx", "vocabulary.json"]
    (served / "users.onnx").write_bytes((served / "users.onnx").read_bytes() + b"x")
    with pytest.raises(ValueError, match="expected the model that was exported with"):
        OnnxTower.load(served)
    about = json.loads((served / "vocabulary.json").read_text())
    for lacking in ({"inputs": {}}, {"models": 3}, {"dim": None}):
        (served / "vocabulary.json").write_text(json.dumps({**about, **lacking}))
        with pytest.raises(ValueError, match="path: expected an exported OnnxTower, got"):
            OnnxTower.load(served)
    (served / "vocabulary.json").write_text("{}")
    with pytest.raises(ValueError, match="expected an exported OnnxTower"):
        OnnxTower.load(served)
    with pytest.raises(FileNotFoundError):
        OnnxTower.load(tmp_path / "nothing")


def test_an_export_that_fails_leaves_the_one_before(tmp_path: Path) -> None:
    """A key of its own class is no JSON, which shows when the vocabulary is made."""
    pytest.importorskip("onnxruntime")
    users = ["a", "b", "b"]
    TwoTower(**SMALL, epochs=1).fit(users, ["x", "y", "x"]).export_onnx(tmp_path)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    other = TwoTower(**SMALL, epochs=1).fit(users, [frozenset("x"), "y", frozenset("x")])
    with pytest.raises(TypeError, match="frozenset"):
        other.export_onnx(tmp_path)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
    OnnxTower.load(tmp_path)
    with pytest.raises(TypeError, match="frozenset"):
        other.export_onnx(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_an_export_says_nothing_and_leaves_settings(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Standard output and error, warnings, log levels and settings are those of others."""
    import torch

    towers = TwoTower(**SMALL, epochs=1).fit(["a", "b", "b"], ["x", "y", "x"])

    def state() -> tuple[Any, ...]:
        levels = [logging.getLogger(name).level for name in ("", "torch.onnx", "onnxscript")]
        settings = torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled()
        return *levels, len(logging.root.handlers), *settings, torch.get_rng_state().tolist()

    before = state()
    capfd.readouterr()
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("error")
        towers.export_onnx(tmp_path, item_tower=False)
    assert tuple(capfd.readouterr()) == ("", "")
    assert state() == before
