"""Encoders of a history of items: vectors of the last clicked items, oldest first, into one."""

from __future__ import annotations

import torch
from torch import nn

from vecrecall.train._feature_codes import PADDING


class HistoryEncoder(nn.Module):
    """Encode histories; an empty one is a learned vector.

    Parameters
    ----------
    n_rows : int
        Rows of the table of items.
    width : int
        Numbers per item and of the result.
    length : int
        Places of a history.
    """

    def __init__(self, n_rows: int, width: int, length: int) -> None:
        super().__init__()
        self.items = nn.Embedding(n_rows, width)
        self.empty = nn.Parameter(torch.zeros(width))
        self.length = length

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        """Return vectors, shape (n, width), of codes, shape (n, length), padded at the end."""
        there = codes != PADDING
        items = self.items(codes) * there.unsqueeze(2)
        counts = there.sum(1, keepdim=True)
        return torch.where(counts > 0, self.joined(items, there, counts), self.empty)

    def joined(
        self, items: torch.Tensor, there: torch.Tensor, counts: torch.Tensor
    ) -> torch.Tensor:
        """Join item vectors, zero where there is none; rows without items may give anything."""
        raise NotImplementedError


class Mean(HistoryEncoder):
    """The mean of the items."""

    def joined(
        self, items: torch.Tensor, there: torch.Tensor, counts: torch.Tensor
    ) -> torch.Tensor:
        """Join item vectors."""
        return items.sum(1) / counts.clamp(min=1)


class Lstm(HistoryEncoder):
    """The last state of an LSTM over the items."""

    def __init__(self, n_rows: int, width: int, length: int) -> None:
        super().__init__(n_rows, width, length)
        self.lstm = nn.LSTM(width, width, batch_first=True)

    def joined(
        self, items: torch.Tensor, there: torch.Tensor, counts: torch.Tensor
    ) -> torch.Tensor:
        """Join item vectors."""
        states, _ = self.lstm(items)
        last = (counts - 1).clamp(min=0).unsqueeze(2).expand(-1, 1, states.shape[2])
        return states.gather(1, last).squeeze(1)


class AgedEncoder(HistoryEncoder):
    """An encoder that knows how many items came after each."""

    def __init__(self, n_rows: int, width: int, length: int) -> None:
        super().__init__(n_rows, width, length)
        self.ages = nn.Embedding(length, width)

    def aged(self, items: torch.Tensor, there: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
        """Add to each item a vector of its age; places without an item stay zero."""
        places = torch.arange(self.length, device=items.device)
        ages = self.ages((counts - 1 - places).clamp(min=0))
        return items + ages * there.unsqueeze(2)


class Cnn(AgedEncoder):
    """Convolutions over three neighboring items, of which the largest value of each counts."""

    def __init__(self, n_rows: int, width: int, length: int) -> None:
        super().__init__(n_rows, width, length)
        self.filters = nn.Conv1d(width, width, 3, padding=1)

    def joined(
        self, items: torch.Tensor, there: torch.Tensor, counts: torch.Tensor
    ) -> torch.Tensor:
        """Join item vectors."""
        found = torch.relu(self.filters(self.aged(items, there, counts).transpose(1, 2)))
        # A convolution that is not positive gives 0, so that zeros at empty places change nothing.
        return (found * there.unsqueeze(1)).amax(2)


class Attention(AgedEncoder):
    """A mean whose weights depend on the item and on how many items came after it."""

    def __init__(self, n_rows: int, width: int, length: int) -> None:
        super().__init__(n_rows, width, length)
        self.inner = nn.Linear(width, width)
        self.score = nn.Linear(width, 1, bias=False)

    def joined(
        self, items: torch.Tensor, there: torch.Tensor, counts: torch.Tensor
    ) -> torch.Tensor:
        """Join item vectors."""
        aged = self.aged(items, there, counts)
        scores = self.score(torch.tanh(self.inner(aged))).squeeze(2)
        weights = torch.softmax(scores.masked_fill(~there, -1e9), 1)
        return (aged * weights.unsqueeze(2)).sum(1)


ENCODERS: dict[str, type[HistoryEncoder]] = {
    "mean": Mean,
    "lstm": Lstm,
    "cnn": Cnn,
    "attention": Attention,
}
