"""The loss of two towers against the definition, written in NumPy in float64."""

from __future__ import annotations

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


@pytest.mark.parametrize("temperature", [1.0, 0.1])
def test_the_loss_is_that_of_the_definition(temperature: float) -> None:
    from vecrecall.train.networks._tower_training import TowerTraining

    rng = np.random.default_rng(5)
    users, items = rng.integers(4, size=14).tolist(), rng.integers(6, size=14).tolist()
    log = Interactions.of(users, items, None)
    settings = {
        **{"unknown_rate": 0.0, "dropout": 0.0, "encoder": None, "user_ids": True},
        "temperature": temperature,
    }
    towers = TwoTower(**{**SMALL, **settings})
    towers._inputs = towers._learned_inputs(log, None, None)
    towers._towers = towers._new_towers()
    encodings = towers._inputs
    rows = encodings.users.encode(log.users, None), encodings.items.encode(log.items, None)
    work = TowerTraining(towers._towers, log, *rows, encodings, towers.settings, False)
    batch = np.array([0, 3, 5, 6, 9, 10, 12])  # some items twice
    assert len(set(log.item_of[batch].tolist())) < len(batch)
    found = float(work._loss(batch, np.random.default_rng(0)).detach())
    u = towers.encode_users(None, users=log.users).astype(np.float64)
    v = towers.encode_items(log.items).astype(np.float64)
    expected = expected_loss(
        log.user_of[batch].tolist(),
        log.item_of[batch].tolist(),
        set(zip(log.user_of.tolist(), log.item_of.tolist(), strict=True)),
        np.bincount(log.item_of) / len(items),
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
