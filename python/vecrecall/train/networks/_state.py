"""Parameters and optimizer of a network as arrays, and its random numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

_MOMENTS = {"first_moment": "exp_avg", "second_moment": "exp_avg_sq"}


class NetworkState:
    """A network and its Adam optimizer, as the training loop keeps and restores them.

    Parameters
    ----------
    network : torch.nn.Module
    optimizer : torch.optim.Adam
    """

    def __init__(self, network: torch.nn.Module, optimizer: torch.optim.Adam) -> None:
        self._parameters = list(network.parameters())
        self._optimizer = optimizer
        for parameter in self._parameters:  # as Adam itself begins
            optimizer.state[parameter] = {
                "step": torch.zeros(()),
                **{name: torch.zeros_like(parameter) for name in _MOMENTS.values()},
            }

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return copies of the parameters and moments, each as one row of numbers."""
        states = [self._optimizer.state[parameter] for parameter in self._parameters]
        found = {"parameters": _joined(self._parameters)}
        for name, key in _MOMENTS.items():
            found[name] = _joined([state[key] for state in states])
        found["steps"] = np.array([float(state["step"]) for state in states], np.float32)
        return found

    def result(
        self, into: dict[str, npt.NDArray[Any]] | None = None
    ) -> dict[str, npt.NDArray[Any]]:
        """Return copies of the parameters, as `arrays` has them; `into` is overwritten by them."""
        return {"parameters": _joined(self._parameters, (into or {}).get("parameters"))}

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Go back to what `arrays` returned, or `result`, without the moments then."""
        _split(arrays["parameters"], self._parameters)
        if "steps" not in arrays:
            return
        states = [self._optimizer.state[parameter] for parameter in self._parameters]
        for name, key in _MOMENTS.items():
            _split(arrays[name], [state[key] for state in states])
        for state, step in zip(states, arrays["steps"].tolist(), strict=True):
            state["step"].fill_(step)


@contextmanager
def seeded(*numbers: int) -> Iterator[None]:
    """Draw torch's random numbers from these seeds, and leave those of others as they were."""
    seed = int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0])
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed a GPU too
        yield


def _joined(
    tensors: list[torch.Tensor], into: npt.NDArray[Any] | None = None
) -> npt.NDArray[np.float32]:
    """Return the numbers of tensors in one row, which is a new one unless it is given."""
    found = np.empty(sum(t.numel() for t in tensors), np.float32) if into is None else into
    begin = 0
    for tensor in tensors:
        found[begin : begin + tensor.numel()] = tensor.detach().numpy().ravel()
        begin += tensor.numel()
    return found


def _split(values: npt.NDArray[Any], tensors: list[torch.Tensor]) -> None:
    begin = 0
    with torch.no_grad():
        for tensor in tensors:
            part = values[begin : begin + tensor.numel()]
            tensor.copy_(torch.from_numpy(np.array(part, np.float32)).view_as(tensor))
            begin += tensor.numel()


@contextmanager
def own_settings() -> Iterator[None]:
    """Compute in float32 on one thread of the CPU, and leave torch's settings as they were.

    Small networks are no faster on more threads, far slower where other programs want the
    processors too, and their bits would depend on the number. They would depend on the caller's
    dtype and device as well, and nothing is learned within the caller's `no_grad`.
    """
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float32)
    try:
        with own_modes():
            yield
    finally:
        torch.set_default_dtype(dtype)
        torch.set_num_threads(threads)


@contextmanager
def own_modes() -> Iterator[None]:
    """Compute as `own_settings` does, but with the settings alone that each thread has for itself.

    So threads may encode at the same time: none sees what another has set for the process.
    """
    on_cpu = torch.get_default_device().type == "cpu"
    with (
        nullcontext() if on_cpu else torch.device("cpu"),  # which slows each operation
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.autocast("cpu", enabled=False),
    ):
        yield
