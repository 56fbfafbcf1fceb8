"""Pictures as batches of tensors, and what a module makes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

Picture = npt.NDArray[np.uint8]


@contextmanager
def for_use(encoder: Callable[[Any], Any]) -> Iterator[None]:
    """Have a module in evaluation mode, without gradients, and leave its modes as they were."""
    modules = list(encoder.modules()) if isinstance(encoder, torch.nn.Module) else []
    were = [module.training for module in modules]
    if isinstance(encoder, torch.nn.Module):
        encoder.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, was in zip(modules, were, strict=True):
            module.training = was


def batch_of(
    pictures: Sequence[Picture],
    size: tuple[int, int] | None,
    mean: Sequence[float],
    std: Sequence[float],
) -> torch.Tensor:
    """Return pictures as float32 of shape (n, 3, h, w), resized, from 0 to 1, standardized."""
    planes = [torch.tensor(picture).permute(2, 0, 1)[None].float() for picture in pictures]
    if size is not None:
        planes = [_resized(plane, size) for plane in planes]
    values = torch.cat(planes) / 255
    standardized: torch.Tensor = (values - _channels(mean)) / _channels(std)
    return standardized


def _channels(values: Sequence[float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32).view(1, 3, 1, 1)


def called(encoder: Callable[[Any], Any], batch: torch.Tensor) -> Any:
    """Return what an encoder makes of a batch, on the device of its parameters, as an array."""
    if isinstance(encoder, torch.nn.Module):
        first = next(encoder.parameters(), None)
        if first is not None:
            batch = batch.to(first.device, first.dtype)
    found = encoder(batch)
    if isinstance(found, torch.Tensor):
        return found.detach().cpu().float().numpy()
    return found


def _resized(plane: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    if tuple(plane.shape[2:]) == size:
        return plane
    found: torch.Tensor = torch.nn.functional.interpolate(
        plane, size=size, mode="bilinear", align_corners=False, antialias=True
    )
    return found
