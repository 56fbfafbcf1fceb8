"""Epochs of two towers, their validation, and encoding with them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from vecrecall.train import _embedding
from vecrecall.train._embedding import Embedding
from vecrecall.train._feature_codes import (
    MISSING,
    PADDING,
    UNKNOWN,
    Codes,
    Encoded,
    Encoding,
)
from vecrecall.train._histories import Interactions, Rows
from vecrecall.train._tower_inputs import TowerInputs
from vecrecall.train._training import Training, epoch_rng
from vecrecall.train.networks._state import NetworkState, own_modes, seeded
from vecrecall.train.networks._towers import Tower, Towers, in_batch_loss

ENCODED_AT_ONCE = 4096
VALIDATED_USERS = 5_000
VALIDATED_SCORES = 10**8  # users times items: well below a second, after which a stop is heeded
SCORES_AT_ONCE = 1 << 24


class TowerTraining:
    """The batches, loss and validation of two towers, for the loop of epochs.

    Parameters
    ----------
    towers : Towers
    log : Interactions
    users, items : Encoded
        For each user and item of the log.
    inputs : TowerInputs
        How they were encoded.
    settings : mapping
        Of `TwoTower`.
    validation : bool
        Whether the last interaction of each user is held out.
    """

    def __init__(
        self,
        towers: Towers,
        log: Interactions,
        users: Encoded,
        items: Encoded,
        inputs: TowerInputs,
        settings: dict[str, Any],
        validation: bool,
    ) -> None:
        self.towers, self.log, self.settings = towers, log, settings
        self.users, self.items, self.inputs = users, items, inputs
        self.held_out = _held_out(log) if validation else np.empty(0, np.int64)
        self._is_trained = np.ones(len(log.item_of), bool)
        self._is_trained[self.held_out] = False
        self.trained = np.flatnonzero(self._is_trained)
        counts = log.item_counts(self.trained)
        self.log_frequency = np.log(counts / len(self.trained)).astype(np.float32)
        optimizer = torch.optim.AdamW(
            towers.parameters(),
            lr=settings["learning_rate"],
            weight_decay=settings["weight_decay"],
        )
        self.optimizer = optimizer
        self.state = NetworkState(towers, optimizer)
        length = inputs.history_length
        self._user_blocks = [(0, length, [PADDING])] if length else []
        self._user_blocks += _blocks(inputs.users, length)
        self._item_blocks = _blocks(inputs.items, 0)
        self._local = np.full(len(log.items), -1)  # the column of an item in the batch at hand

    def epoch(self, training: Training, number: int) -> float:
        """Train one epoch and return the mean loss."""
        seed = self.settings["seed"]
        rng = epoch_rng(seed, number)
        order = rng.permutation(self.trained)
        size = self.settings["batch_size"]
        total = 0.0
        self.towers.train()
        with seeded(seed, number, 1):
            for begin in range(0, len(order), size):
                batch = order[begin : begin + size]
                loss = self._loss(batch, rng)
                self.optimizer.zero_grad()
                loss.backward()
                self.optimizer.step()
                value = float(loss.detach())
                total += value * len(batch)
                training.step(min(1.0, (begin + size) / len(order)), value)
        return total / len(order)

    def validate(self) -> float:
        """Return how high the held-out items rank among all that a user has not clicked.

        It is the mean of 1 / log2(1 + rank), the NDCG of a single relevant item: from 0 to 1, or
        NaN where a score is none.
        """
        n_items = len(self.log.items)
        most = min(VALIDATED_USERS, max(1, VALIDATED_SCORES // n_items))
        at = self.held_out[:: -(-len(self.held_out) // most)]
        at_once = min(256, max(1, SCORES_AT_ONCE // n_items))
        items = encoded(self.towers.items, self.items)
        gains: list[npt.NDArray[Any]] = []
        for begin in range(0, len(at), at_once):
            part = at[begin : begin + at_once]
            user = self.log.user_of[part]
            scores = scored(encoded(self.towers.users, self._user_inputs(part)), items)
            if not np.isfinite(scores).all():  # NaN is not above the held-out score: rank 1
                return math.nan
            rows = np.arange(len(part))
            held = scores[rows, self.log.item_of[part]]
            of, clicked = self._clicked(user)
            scores[of, clicked] = -np.inf
            scores[rows, self.log.item_of[part]] = -np.inf
            better = np.count_nonzero(scores > held[:, None], axis=1)
            equal = np.count_nonzero(scores == held[:, None], axis=1)
            ranks = 1 + better + equal / 2
            gains.append(1 / np.log2(1 + ranks))
        return float(np.concatenate(gains).mean())

    def embeddings(self, training: Training) -> tuple[Embedding, Embedding]:
        """Return the vectors of all users, with all of their history, and of all items."""
        log = self.log
        sizes = {"interactions": len(log.item_of), "users": len(log.users), "items": len(log.items)}
        about = {
            **_embedding.about("TwoTower", self.settings, sizes, ["torch"]),
            **training.about(),
        }
        users = self.users
        if self.inputs.history_length:
            histories = log.whole_histories(self.inputs.history_length)
            users = Encoded(np.concatenate([histories, users.codes], axis=1), users.numbers)
        vectors = encoded(self.towers.users, users), encoded(self.towers.items, self.items)
        training.check_vectors(*vectors)
        return (
            Embedding(log.users, vectors[0], about=about),
            Embedding(log.items, vectors[1], about=about),
        )

    def _loss(self, batch: Rows, rng: np.random.Generator) -> torch.Tensor:
        log = self.log
        items, target, counts = np.unique(
            log.item_of[batch], return_inverse=True, return_counts=True
        )
        users = self._user_inputs(batch)
        rate = self.settings["unknown_rate"]
        codes = _forgotten(users.codes, self._user_blocks, rate, rng)
        item_codes = _forgotten(self.items.codes[items], self._item_blocks, rate, rng)
        return in_batch_loss(
            self.towers.users(torch.from_numpy(codes), torch.from_numpy(users.numbers)),
            self.towers.items(
                torch.from_numpy(item_codes), torch.from_numpy(self.items.numbers[items])
            ),
            torch.from_numpy(target),
            torch.from_numpy(self.log_frequency[items]),
            torch.from_numpy(np.log(counts).astype(np.float32)),
            torch.from_numpy(self._known(log.user_of[batch], items)),
            self.settings["temperature"],
        )

    def _known(self, users: Rows, items: Rows) -> npt.NDArray[np.bool_]:
        """Return which of these items each of these users has clicked in training."""
        self._local[items] = np.arange(len(items))
        of, clicked = self._clicked(users)
        columns = self._local[clicked]
        self._local[items] = -1
        found = np.zeros((len(users), len(items)), bool)
        found[of[columns >= 0], columns[columns >= 0]] = True
        return found

    def _clicked(self, users: Rows) -> tuple[Rows, Rows]:
        """Return the items that users clicked in training, and the place of the user of each."""
        begin = self.log.begin[users]
        counts = self.log.begin[users + 1] - begin
        of = np.repeat(np.arange(len(users)), counts)
        at = np.arange(len(of)) - np.repeat(np.cumsum(counts) - counts - begin, counts)
        kept = self._is_trained[at]
        return of[kept], self.log.item_of[at[kept]]

    def _user_inputs(self, at: Rows) -> Encoded:
        user = self.log.user_of[at]
        codes = self.users.codes[user]
        if self.inputs.history_length:
            before = self.log.histories_before(at, self.inputs.history_length)
            codes = np.concatenate([before, codes], axis=1)
        return Encoded(codes, self.users.numbers[user])


def scored(
    users: npt.NDArray[np.float32], items: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Return all inner products, by torch: `own_settings` cannot set the threads of NumPy."""
    return np.asarray((torch.from_numpy(users) @ torch.from_numpy(items).T).numpy())


def encoded(tower: Tower, rows: Encoded) -> npt.NDArray[np.float32]:
    """Return the vectors of rows."""
    tower.eval()
    parts = [np.zeros((0, tower.layers[-1].out_features), np.float32)]
    with own_modes(), torch.inference_mode():
        for begin in range(0, len(rows.codes), ENCODED_AT_ONCE):
            part = slice(begin, begin + ENCODED_AT_ONCE)
            codes, numbers = (torch.from_numpy(np.ascontiguousarray(a[part])) for a in rows)
            parts.append(tower(codes, numbers).numpy())
    return np.concatenate(parts)


def _held_out(log: Interactions) -> Rows:
    """Return the last interactions of users, but for those whose items have no other."""
    last = log.last_of_users()
    kept = log.item_counts(np.arange(len(log.item_of))) - log.item_counts(last)
    return np.asarray(last[kept[log.item_of[last]] > 0])


def _blocks(encoding: Encoding, shift: int) -> list[tuple[int, int, list[int]]]:
    """Return the begin and end of each field, and which codes stand for a forgotten value."""
    return [
        (
            shift + field.begin,
            shift + field.begin + field.width,
            [UNKNOWN] if field.is_key else [UNKNOWN, MISSING],
        )
        for field in encoding.fields
    ]


def _forgotten(
    codes: Codes,
    blocks: list[tuple[int, int, list[int]]],
    rate: float,
    rng: np.random.Generator,
) -> Codes:
    """Take a share of the values for unknown or missing, so that these too have learned vectors."""
    codes = codes.copy()
    for begin, end, instead in blocks:
        rows = np.flatnonzero(rng.random(len(codes)) < rate)
        codes[rows, begin:end] = PADDING
        codes[rows, begin] = rng.choice(instead, len(rows))
    return codes
