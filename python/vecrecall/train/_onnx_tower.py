"""Exported towers, run by onnxruntime: no torch where users are served."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vecrecall._extras import needed
from vecrecall.arrays import _scalars
from vecrecall.storage import _atomic
from vecrecall.train._columns import Column
from vecrecall.train._feature_codes import Encoded
from vecrecall.train._features import Features
from vecrecall.train._folders import check_saved
from vecrecall.train._tower_inputs import TowerInputs
from vecrecall.train._training import PathLike

KIND, FORMAT = "OnnxTower", 1
VOCABULARY = "vocabulary.json"
ENCODED_AT_ONCE = 4096
MODELS = {"users": "users.onnx", "items": "items.onnx"}


class OnnxTower:
    """Towers that `TwoTower.export_onnx` has written, without torch.

    It needs NumPy and onnxruntime (``pip install 'vecrecall[onnx]'``). Several threads may encode
    at the same time.

    Attributes
    ----------
    dim : int
        Numbers per vector.
    history_length : int
        Number of last clicked items that count, 0 for towers without an encoder of histories.

    Examples
    --------
    >>> import torch, onnxscript, onnxruntime
    >>> from vecrecall.train import OnnxTower, TwoTower
    >>> towers = TwoTower(dim=8, epochs=1).fit(["ann", "bob", "bob"], ["tea", "milk", "tea"])
    >>> towers.export_onnx("served", item_tower=False)
    >>> served = OnnxTower.load("served")
    >>> served.encode_users([["tea"], []]).shape
    (2, 8)
    """

    def __init__(self, inputs: TowerInputs, dim: int, sessions: Mapping[str, Any]) -> None:
        self.dim = dim
        self.history_length = inputs.history_length
        self._inputs = inputs
        self._sessions = dict(sessions)

    @classmethod
    def load(cls, path: PathLike, *, threads: int = 1) -> OnnxTower:
        """Read a folder of `TwoTower.export_onnx`.

        Parameters
        ----------
        path : str or path-like
        threads : int
            Threads of onnxruntime for each call.

        Returns
        -------
        OnnxTower

        Raises
        ------
        ValueError
            If the folder holds something else, or a model is not the one that was exported with
            the vocabulary.
        FileNotFoundError
            If it does not exist.
        ImportError
            If onnxruntime is not installed.
        """
        runtime = needed("onnxruntime", "onnx", "OnnxTower")
        folder = _scalars.check_path(path, "path")
        found = _vocabulary(folder)
        options = runtime.SessionOptions()
        options.intra_op_num_threads = _scalars.check_thread_count(threads)
        sessions = {}
        for name, digest in found.models.items():
            check_saved(folder, MODELS[name], "the model that was exported with the vocabulary")
            model = (folder / MODELS[name]).read_bytes()
            if _digest(model) != digest:
                raise ValueError(
                    f"path: expected the model that was exported with the vocabulary, "
                    f"got another in {folder / MODELS[name]}"
                )
            sessions[name] = runtime.InferenceSession(
                model, options, providers=["CPUExecutionProvider"]
            )
        return cls(found.inputs, found.dim, sessions)

    def encode_users(
        self,
        histories: Column | None,
        user_features: Features | None = None,
        *,
        users: Column | None = None,
    ) -> npt.NDArray[np.float32]:
        """Return vectors of users, known or new, as `TwoTower.encode_users` does.

        Parameters
        ----------
        histories : sequence of lists of hashable, n of them, or None
            The items that each user clicked, oldest first.
        user_features : Features, optional
        users : sequence of hashable, n of them, optional

        Returns
        -------
        ndarray of float32, shape (n, dim)
            Those of torch, but for rounding.

        Raises
        ------
        TypeError, ValueError
            If the rows do not fit each other, or the columns are not those of training.
        """
        return self._run("users", self._inputs.user_rows(histories, user_features, users))

    def encode_items(
        self, keys: Column | None, item_features: Features | None = None
    ) -> npt.NDArray[np.float32]:
        """Return vectors of items, known or new, as `TwoTower.encode_items` does.

        Parameters
        ----------
        keys : sequence of hashable, n of them, or None
        item_features : Features, optional

        Returns
        -------
        ndarray of float32, shape (n, dim)

        Raises
        ------
        TypeError, ValueError
            If the columns are not those of training.
        RuntimeError
            If the tower of items was not exported.
        """
        if "items" not in self._sessions:
            raise RuntimeError("OnnxTower: expected the tower of items, which was not exported")
        return self._run("items", self._inputs.item_rows(keys, item_features))

    def _run(self, name: str, rows: Encoded) -> npt.NDArray[np.float32]:
        session = self._sessions[name]
        # An exporter drops an input without columns.
        wanted = [one.name for one in session.get_inputs()]
        vectors = np.empty((len(rows.codes), self.dim), np.float32)
        for begin in range(0, len(vectors), ENCODED_AT_ONCE):
            part = slice(begin, begin + ENCODED_AT_ONCE)
            given = {"codes": rows.codes[part], "numbers": rows.numbers[part]}
            vectors[part] = session.run(None, {name: given[name] for name in wanted})[0]
        return vectors


def write(path: PathLike, inputs: TowerInputs, dim: int, models: Mapping[str, bytes]) -> None:
    """Write models and, last, the vocabulary that knows them."""
    folder = _scalars.check_path(path, "path")
    about = {
        "kind": KIND,
        "format": FORMAT,
        "dim": dim,
        "models": {name: _digest(model) for name, model in models.items()},
        "inputs": inputs.to_json(),
    }
    vocabulary = json.dumps(about).encode()  # fails, if at all, before an earlier export is touched
    folder.mkdir(parents=True, exist_ok=True)
    for name, model in models.items():
        _write(folder / MODELS[name], model)
    _write(folder / VOCABULARY, vocabulary)
    for name in set(MODELS) - set(models):  # of an export before
        (folder / MODELS[name]).unlink(missing_ok=True)


def _write(path: Path, content: bytes) -> None:
    _atomic.write(path, lambda file: file.write(content))


class _Vocabulary(NamedTuple):
    inputs: TowerInputs
    dim: int
    models: dict[str, str]


def _vocabulary(folder: Path) -> _Vocabulary:
    check_saved(folder, VOCABULARY, f"an exported {KIND}")
    try:
        about = json.loads((folder / VOCABULARY).read_bytes())
    except ValueError as error:
        raise ValueError(f"path: expected JSON, got {error} in {folder / VOCABULARY}") from error
    if not isinstance(about, dict) or (about.get("kind"), about.get("format")) != (KIND, FORMAT):
        raise ValueError(f"path: expected an exported {KIND} of format {FORMAT} in {folder}")
    try:
        models = {name: str(about["models"][name]) for name in MODELS if name in about["models"]}
        return _Vocabulary(TowerInputs.from_json(about["inputs"]), int(about["dim"]), models)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(
            f"path: expected an exported {KIND}, got {error!r} in {folder / VOCABULARY}"
        ) from error


def _digest(model: bytes) -> str:
    return hashlib.blake2b(model, digest_size=16).hexdigest()
