"""A tower as an ONNX model, and its parameters as one row of numbers."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch

from vecrecall.train.networks._state import _joined, _split
from vecrecall.train.networks._towers import Tower, Towers

CODES, NUMBERS, VECTORS = "codes", "numbers", "vectors"


def onnx_bytes(tower: Tower, n_codes: int, n_numbers: int) -> bytes:
    """Return an ONNX model that takes batches of any size.

    Its inputs are `codes`, shape (n, n_codes), int64, and `numbers`, shape (n, n_numbers), float32;
    its output is `vectors`, shape (n, dim), float32.
    """
    tower.eval()
    size = torch.export.Dim("n")
    rows = (torch.ones((2, n_codes), dtype=torch.int64), torch.zeros((2, n_numbers)))
    with _quiet():
        program = torch.onnx.export(
            tower,
            rows,
            input_names=[CODES, NUMBERS],
            output_names=[VECTORS],
            dynamic_shapes=({0: size}, {0: size}),
            dynamo=True,
            verbose=False,
        )
    found: bytes = program.model_proto.SerializeToString()
    return found


def parameters(towers: Towers) -> npt.NDArray[np.float32]:
    """Return all parameters."""
    return _joined(list(towers.parameters()))


def restore(towers: Towers, values: npt.NDArray[np.float32]) -> None:
    """Set all parameters."""
    wanted = sum(parameter.numel() for parameter in towers.parameters())
    if values.shape != (wanted,):
        raise ValueError(f"path: expected {wanted} parameters, got shape {values.shape}")
    _split(values, list(towers.parameters()))
    towers.eval()


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out what the exporter says about itself: its own deprecations, missing torchvision."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            for category in (DeprecationWarning, FutureWarning, UserWarning):
                warnings.simplefilter("ignore", category)
            yield
    finally:
        logger.setLevel(before)
