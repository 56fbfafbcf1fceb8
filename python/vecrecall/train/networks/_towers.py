"""Two towers: users and items, each through layers of its own, into one space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from vecrecall.train._feature_codes import PADDING, Encoding, Field
from vecrecall.train._tower_inputs import TowerInputs
from vecrecall.train.networks._encoders import ENCODERS
from vecrecall.train.networks._state import own_settings, seeded

INITIAL_DEVIATION = 0.1


class Inputs(nn.Module):
    """Every key, category, list of categories and number as an embedding, all concatenated."""

    def __init__(self, fields: Sequence[Field], n_numbers: int, width: int) -> None:
        super().__init__()
        self.fields = tuple(fields)
        self.tables = nn.ModuleList(nn.Embedding(field.n_rows, width) for field in self.fields)
        self.slopes = nn.Parameter(torch.randn(n_numbers, width) * INITIAL_DEVIATION)
        self.width = (len(self.fields) + n_numbers) * width

    def forward(self, codes: torch.Tensor, numbers: torch.Tensor) -> list[torch.Tensor]:
        """Return the parts of a row's input; a list of categories is the mean of its values."""
        parts = [
            _pooled(table, codes[:, field.begin : field.begin + field.width])
            for field, table in zip(self.fields, self.tables, strict=True)
        ]
        if len(self.slopes):
            # Without a constant term: a number at its mean, as a constant always is, adds nothing.
            parts.append((numbers.unsqueeze(2) * self.slopes).flatten(1))
        return parts


class Tower(nn.Module):
    """Inputs and, for users, a history, through hidden layers to a vector of length 1."""

    def __init__(
        self,
        inputs: Inputs,
        history: nn.Module | None,
        width: int,
        hidden: Sequence[int],
        dim: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.inputs, self.history = inputs, history
        layers: list[nn.Module] = []
        last = inputs.width + (width if history is not None else 0)
        for size in hidden:
            layers += [nn.Linear(last, size), nn.ReLU(), nn.Dropout(dropout)]
            last = size
        self.layers = nn.Sequential(*layers, nn.Linear(last, dim))

    def forward(self, codes: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
        """Return vectors, shape (n, dim); a history's codes come before the others."""
        parts = []
        if self.history is not None:
            length = self.history.length
            parts.append(self.history(codes[:, :length]))
            codes = codes[:, length:]
        parts += self.inputs(codes, numbers)
        return functional.normalize(self.layers(torch.cat(parts, 1)), dim=1)


class Towers(nn.Module):
    """A tower of users and one of items.

    Parameters
    ----------
    inputs : TowerInputs
    settings : mapping
        Of `TwoTower`.
    """

    def __init__(self, inputs: TowerInputs, settings: Mapping[str, Any]) -> None:
        super().__init__()
        assert inputs.items.keys is not None
        width = settings["embedding_dim"]
        history = None
        if inputs.history_length:
            encoder = ENCODERS[settings["encoder"]]
            history = encoder(inputs.items.keys.n_rows, width, inputs.history_length)
        layers = (width, settings["hidden"], settings["dim"], settings["dropout"])
        self.users = Tower(_inputs(inputs.users, width), history, *layers)
        self.items = Tower(_inputs(inputs.items, width), None, *layers)
        for module in self.modules():
            if isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=INITIAL_DEVIATION)


def _inputs(encoding: Encoding, width: int) -> Inputs:
    return Inputs(encoding.fields, encoding.n_numbers, width)


def new_towers(inputs: TowerInputs, settings: Mapping[str, Any]) -> Towers:
    """Return towers with random parameters, those of the seed."""
    with own_settings(), seeded(settings["seed"]):
        return Towers(inputs, settings)


def in_batch_loss(
    users: torch.Tensor,
    items: torch.Tensor,
    target: torch.Tensor,
    log_frequency: torch.Tensor,
    log_count: torch.Tensor,
    known: torch.Tensor,
    temperature: float,
) -> torch.Tensor:
    """Return the mean cross-entropy of the clicked items among the items of a batch.

    An item that several rows of the batch clicked is scored once and weighs as often as it stands
    there, which is the softmax over all rows.

    Parameters
    ----------
    users : Tensor, shape (n, dim)
    items : Tensor, shape (m, dim)
        The different items of the batch.
    target : Tensor of int64, shape (n,)
        The row of `items` that each user clicked.
    log_frequency : Tensor, shape (m,)
        Logarithm of the share of each item among all interactions, taken off its score: frequent
        items are in batches more often.
    log_count : Tensor, shape (m,)
        Logarithm of the times that each item stands in the batch.
    known : Tensor of bool, shape (n, m)
        The other items that a user clicked at any time, which are no negatives.
    temperature : float
    """
    scores = users @ items.T / temperature - log_frequency
    right = scores.gather(1, target.unsqueeze(1))
    others = (scores + log_count).masked_fill(known, -torch.inf)
    others = others.scatter(1, target.unsqueeze(1), right)
    return (torch.logsumexp(others, 1) - right.squeeze(1)).mean()


def _pooled(table: nn.Embedding, codes: torch.Tensor) -> torch.Tensor:
    """Return the mean of the rows of a table, or its row where there is but one."""
    if codes.shape[1] == 1:
        found: torch.Tensor = table(codes.squeeze(1))
        return found
    there = (codes != PADDING).unsqueeze(2)
    return (table(codes) * there).sum(1) / there.sum(1).clamp(min=1)
