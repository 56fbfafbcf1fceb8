"""The loss of two towers against the definition, written in NumPy in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tower_cases import SMALL, groups

from vecrecall.train import TwoTower
from vecrecall.train._histories import Interactions

torch = pytest.importorskip("torch", reason='needs pip install "vecrecall[train]"')


def expected_loss(
    users: list[int],
    items: list[int],
    clicked: set[tuple[int, int]],
    frequency: np.ndarray,
    u: np.ndarray,
    v: np.ndarray,
    temperature: float,
) -> float:
    """Compute the mean over rows of the cross-entropy of a row's item among those of all rows.

    Rows of another item that the row's user clicked are no negatives, nor are further rows of the
    same item.
    """
    losses = []
    for i, (user, item) in enumerate(zip(users, items, strict=True)):
        negatives = [j for j in range(len(items)) if j != i and (user, items[j]) not in clicked]
        logits = [
            u[user] @ v[items[j]] / temperature - np.log(frequency[items[j]])
            for j in [i, *negatives]
        ]
        assert item == items[i]
        losses.append(np.log(np.exp(logits).sum()) - logits[0])
    return float(np.mean(losses))


def trained_rows(users: list[int], items: list[int]) -> list[int]:
    """Leave out each user's last row, unless it is the only one of the user or of the item."""
    last = {user: row for row, user in enumerate(users)}
    held_out = [row for user, row in last.items() if users.count(user) > 1]
    rest = [item for row, item in enumerate(items) if row not in held_out]
    return [r for r in range(len(users)) if r not in held_out or items[r] not in rest]


@pytest.mark.parametrize("validation", [False, True])
@pytest.mark.parametrize("temperature", [1.0, 0.1])
def test_the_loss_is_that_of_the_definition(temperature: float, validation: bool) -> None:
    from vecrecall.train.networks._tower_training import TowerTraining
    from vecrecall.train.networks._towers import new_towers

    rng = np.random.default_rng(5)
    users, items = rng.integers(4, size=14).tolist(), rng.integers(6, size=14).tolist()
    log = Interactions.of(users, items, None)
    rows = trained_rows(users, items) if validation else list(range(14))
    assert validation == (len(rows) < 14)
    clicks = {(users[row], items[row]) for row in rows}
    counts = [sum(items[row] == item for row in rows) for item in log.items]
    settings = {
        **{"unknown_rate": 0.0, "dropout": 0.0, "encoder": None, "user_ids": True},
        "temperature": temperature,
    }
    towers = TwoTower(**{**SMALL, **settings})
    towers._inputs = towers._learned_inputs(log, None, None)
    towers._towers = new_towers(towers._inputs, towers.settings)
    encodings = towers._inputs
    coded = encodings.users.encode(log.users, None), encodings.items.encode(log.items, None)
    work = TowerTraining(towers._towers, log, *coded, encodings, towers.settings, validation)
    assert len(work.trained) == len(rows)
    batch = work.trained[[0, 2, 3, 5, 6, 8, 9]]  # some items twice
    assert len(set(log.item_of[batch].tolist())) < len(batch)
    found = float(work._loss(batch, np.random.default_rng(0)).detach())
    u = towers.encode_users(None, users=log.users).astype(np.float64)
    v = towers.encode_items(log.items).astype(np.float64)
    expected = expected_loss(
        log.user_of[batch].tolist(),
        log.item_of[batch].tolist(),
        {(log.users.index(user), log.items.index(item)) for user, item in clicks},
        np.array(counts) / len(rows),
        u,
        v,
        temperature,
    )
    # Logits are at most 1 / temperature + log(14) < 13, in float32: 13 * 2**-23 is 2e-6.
    assert found == pytest.approx(expected, abs=1e-5)


def test_the_correction_takes_popularity_off() -> None:
    """Users click at random, so that the best score of all is the logarithm of frequency."""
    rng = np.random.default_rng(0)
    share = np.array([0.4, 0.25, 0.15, 0.1, 0.06, 0.04])
    items = rng.choice(6, 4000, p=share).tolist()
    users = list(range(4000))  # each clicks once, so that no row is masked
    towers = TwoTower(**{**SMALL, "temperature": 0.3, "learning_rate": 0.02}, epochs=8)
    towers.fit(users, items, validation=False)
    scores = (towers.encode_users([[]]) @ towers.encode_items(range(6)).T)[0] / 0.3
    found = scores - scores.mean()
    logs = np.log(share) - np.log(share).mean()
    # An uncorrected loss would be least where all scores are equal.
    assert np.corrcoef(found, logs)[0, 1] > 0.95
    assert np.ptp(found) > 0.5 * np.ptp(logs)


def test_held_out_clicks_are_nowhere_in_training() -> None:
    """Other last clicks, the same bits: they are in no history, frequency, mask or negative."""
    world = groups(0)
    rows = np.arange(len(world.users)).reshape(-1, 8)
    items = np.array(world.items)

    def losses(changed: np.ndarray) -> list[float]:
        other = items.copy()
        other[rows[:, changed]] = other[rows[::-1, changed]]
        first = np.unique(items).tolist()  # so that items have the same numbers
        towers = TwoTower(**SMALL, encoder="lstm", user_ids=True, epochs=2, patience=9)
        users = ["first"] * len(first) + world.users
        return towers.fit(users, first + other.tolist()).losses_

    assert losses(np.array([7])) == losses(np.array([], int)) != losses(np.array([6]))


def test_validation_ranks_the_last_item_among_those_not_clicked_before() -> None:
    world = groups(0)
    towers = TwoTower(**SMALL, epochs=1).fit(*world[:3])
    items = towers.item_embedding_
    gains = []
    for begin in range(0, len(world.users), 8):
        *before, last = world.items[begin : begin + 8]
        scores = items.matrix.astype(np.float64) @ towers.encode_users([before])[0]
        left = [row for row, item in enumerate(items.ids) if item not in before]
        rank = 1 + sum(scores[row] > scores[items.rows([last])[0]] for row in left)
        gains.append(1 / np.log2(1 + rank))
    # A rank changes by 1 where two scores differ by their rounding alone.
    assert towers.validations_ == [pytest.approx(np.mean(gains), abs=1e-3)]


def test_validation_takes_fewer_users_where_items_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    from vecrecall.train.networks import _tower_training

    world = groups(0)
    ranked = []
    encoded = _tower_training.encoded

    def counted(tower: Any, rows: Any) -> Any:
        ranked.append(len(rows.codes))
        return encoded(tower, rows)

    monkeypatch.setattr(_tower_training, "encoded", counted)
    monkeypatch.setattr(_tower_training, "VALIDATED_SCORES", 75 * 10)
    monkeypatch.setattr(_tower_training, "SCORES_AT_ONCE", 75 * 4)
    towers = TwoTower(**SMALL, epochs=1).fit(*world[:3])
    assert ranked == [75, 4, 4, 2, 100, 75]  # items, ten users in parts, and the embeddings
    assert 0 < towers.validations_[0] <= 1


def test_equal_times_keep_the_order_of_rows() -> None:
    users, items = [0, 0, 0, 0, 1], [5, 6, 7, 8, 5]
    log = Interactions.of(users, items, [3.0, 1.0, 3.0, 1.0, 0.0])
    assert [log.items[item] for item in log.item_of] == [6, 8, 5, 7, 5]
    same = Interactions.of(users, items, [2.0] * 5)
    assert [same.items[item] for item in same.item_of] == items


def test_a_history_has_nothing_of_the_click_it_is_for_or_later() -> None:
    world = groups(0)
    log = Interactions.of(*world[:3])
    histories = log.histories_before(np.arange(len(log.item_of)), 3)
    for at in range(len(log.item_of)):
        begin = int(log.begin[log.user_of[at]])
        past = (log.item_of[begin:at] + 3)[-3:].tolist()
        assert histories[at].tolist() == past + [0] * (3 - len(past))
