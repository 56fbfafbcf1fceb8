"""Translations between entities, and their loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

Ints = npt.NDArray[np.int64]

EXACT = "donot_use_mm_for_euclid_dist"


class Side(NamedTuple):
    """One side of a batch of triples, whose entity is to be found."""

    given: Ints
    """The other side's entities."""

    answers: Ints
    """The right entities."""

    relations: Ints
    sign: float
    """1 for tails, head + relation; -1 for heads, tail - relation."""

    known: tuple[Ints, Ints]
    """Rows of the batch and places among the candidates where a candidate is right too."""


class TransENetwork(torch.nn.Module):
    """A vector for each entity and each relation.

    Parameters
    ----------
    entities, relations : ndarray of float32, shape (n, d)
        The first values.
    norm : int
        1 or 2.
    """

    def __init__(
        self,
        entities: npt.NDArray[np.float32],
        relations: npt.NDArray[np.float32],
        norm: int,
    ) -> None:
        super().__init__()
        self.entities = torch.nn.Parameter(torch.from_numpy(entities.copy()))
        self.relations = torch.nn.Parameter(torch.from_numpy(relations.copy()))
        self.norm = norm

    def loss(
        self, sides: Sequence[Side], candidates: Ints, margin: float, temperature: float
    ) -> torch.Tensor:
        """Return the self-adversarial loss of a batch, the mean over its triples and sides."""
        wrong = self.entities[torch.from_numpy(candidates)]
        losses = [self._loss(side, wrong, margin, temperature) for side in sides]
        return torch.stack(losses).mean()

    def _loss(
        self, side: Side, wrong: torch.Tensor, margin: float, temperature: float
    ) -> torch.Tensor:
        queries = self.queries(side.given, side.relations, side.sign)
        right = self.entities[torch.from_numpy(side.answers)]
        own = torch.linalg.vector_norm(queries - right, ord=self.norm, dim=1)
        others = torch.cdist(queries, wrong, p=self.norm)
        rows, places = (torch.from_numpy(of) for of in side.known)
        with torch.no_grad():  # the weights say which wrong answers matter; they are not trained
            closeness = others * -temperature
            closeness[rows, places] = -torch.inf
            weights = closeness.softmax(dim=1).nan_to_num(0.0)  # NaN: all candidates are right
        softplus = torch.nn.functional.softplus
        return (softplus(own - margin) + (weights * softplus(margin - others)).sum(dim=1)).mean()

    def queries(self, given: Ints, relations: Ints, sign: float) -> torch.Tensor:
        """Return the points at which an answer would fit perfectly."""
        moved: torch.Tensor = self.relations[torch.from_numpy(relations)] * sign
        return self.entities[torch.from_numpy(given)] + moved


def train_batch(network: TransENetwork, optimizer: torch.optim.Adam, loss: torch.Tensor) -> float:
    """Take a step against a loss, and return it."""
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return float(loss.detach())


def distances(
    queries: npt.NDArray[np.float32], entities: npt.NDArray[np.float32], norm: int
) -> npt.NDArray[np.float32]:
    """Return the distances of all pairs; equal vectors have equal ones."""
    found = torch.cdist(
        torch.from_numpy(queries), torch.from_numpy(entities), p=norm, compute_mode=EXACT
    )
    return np.asarray(found.numpy())
