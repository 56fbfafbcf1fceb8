"""An LSTM over the words of titles."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from vecrecall.train.networks._state import own_modes

Ints = npt.NDArray[np.int64]


class TitleNetwork(torch.nn.Module):
    """Words to a vector, the last state of an LSTM, and that to categories.

    Parameters
    ----------
    n_words : int
        With the one that stands for unknown words.
    n_categories, word_dim, dim : int
    """

    def __init__(self, n_words: int, n_categories: int, word_dim: int, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.words = torch.nn.Embedding(n_words, word_dim)
        self.lstm = torch.nn.LSTM(word_dim, dim, batch_first=True)
        self.categories = torch.nn.Linear(dim, n_categories)

    def encode(self, words: Ints, lengths: Ints) -> torch.Tensor:
        """Return the state after the last word; words behind `lengths` do not matter."""
        states, _ = self.lstm(self.words(torch.from_numpy(words)))
        found: torch.Tensor = states[
            torch.from_numpy(np.arange(len(words))), torch.from_numpy(lengths - 1)
        ]
        return found

    def loss(self, words: Ints, lengths: Ints, targets: npt.NDArray[np.float32]) -> torch.Tensor:
        """Return the cross-entropy of the categories, each of which may hold or not."""
        logits = self.categories(self.encode(words, lengths))
        found: torch.Tensor = torch.nn.functional.binary_cross_entropy_with_logits(
            logits, torch.from_numpy(targets)
        )
        return found


def train_batch(
    network: TitleNetwork, optimizer: torch.optim.Adam, loss: torch.Tensor, most: float = 1.0
) -> float:
    """Take a step against a loss, no longer than `most`, and return the loss."""
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), most)
    optimizer.step()
    return float(loss.detach())


def encode(network: TitleNetwork, words: Ints, lengths: Ints) -> npt.NDArray[np.float32]:
    """Return the vectors of titles."""
    with own_modes(), torch.no_grad():
        return np.asarray(network.encode(words, lengths).numpy())


def set_parameters(network: TitleNetwork, values: npt.NDArray[np.float32]) -> None:
    """Set all parameters from one row of numbers."""
    torch.nn.utils.vector_to_parameters(torch.from_numpy(np.array(values)), network.parameters())
