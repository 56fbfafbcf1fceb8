"""Two towers: they learn what is planted, from histories, keys and attributes."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tower_cases import SMALL, groups, order, share_of_group

import vecrecall as vr
from vecrecall.train import Features, TrainingError, TrainingStoppedError, TwoTower

torch = pytest.importorskip("torch", reason='needs pip install "vecrecall[train]"')

ENCODERS = ["mean", "lstm", "cnn", "attention"]


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("encoder", [*ENCODERS, None])
def test_groups_are_found(encoder: Any, seed: int) -> None:
    """By chance a fifth of the nearest items were of a user's group; 0.8 is four times that."""
    world = groups(seed)
    towers = TwoTower(**SMALL, encoder=encoder, epochs=20, patience=20, seed=seed)
    towers.fit(world.users, world.items, world.times)
    users = towers.user_embedding_
    of = [int(str(key)[1:]) % 5 for key in users.ids]
    assert share_of_group(towers, users.matrix, of) > 0.8
    assert towers.losses_[-1] < towers.losses_[0]
    np.testing.assert_allclose(np.linalg.norm(users.matrix, axis=1), 1, atol=1e-5)


def share_of_successors(encoder: Any) -> float:
    """Return how often the best item for a random history is the successor of its last item."""
    world = order(0)
    towers = TwoTower(**{**SMALL, "batch_size": 128}, encoder=encoder, epochs=15)
    towers.fit(world.users, world.items, world.times, validation=False)
    histories = np.random.default_rng(1).integers(30, size=(300, 5))
    scores = towers.encode_users(histories.tolist()) @ towers.item_embedding_.matrix.T
    best = np.array(towers.item_embedding_.ids)[scores.argmax(1)]
    return float((best == (histories[:, -1] + 7) % 30).mean())


def test_order_is_found_where_the_mean_cannot() -> None:
    """By chance 1 in 30 were right; the mean of five items cannot say which of them came last."""
    for_mean = share_of_successors("mean")
    assert for_mean < 0.25  # one of five, and what its distribution of sums happens to tell
    for encoder in ("lstm", "cnn", "attention"):
        assert share_of_successors(encoder) > for_mean + 0.2


def test_cold_items_and_users_are_found_by_their_attributes() -> None:
    """Five items of each group have no interactions; by chance a fifth were of the group."""
    world = groups(3)
    towers = TwoTower(**SMALL, epochs=12).fit(
        *world[:3], user_features=world.user_features, item_features=world.item_features
    )
    cold = [f"i{group}.{place}" for group in range(5) for place in range(15, 20)]
    vectors = towers.encode_items(cold, world.item_features)
    assert share_of_group(towers, vectors, [group for group in range(5) for _ in range(5)]) > 0.7
    new = Features(["x", "y"], {"group": ["g1", "g3"], "same": [7, 7]})
    assert share_of_group(towers, towers.encode_users([[], []], new), [1, 3]) > 0.7


def test_without_attributes_a_cold_item_is_the_unknown_one() -> None:
    world = groups(0)
    towers = TwoTower(**SMALL, epochs=1).fit(*world[:3])
    one, two = towers.encode_items(["new", "other"])
    np.testing.assert_array_equal(one, two)


def test_users_without_anything_have_a_vector() -> None:
    world = groups(0)
    for encoder in (*ENCODERS, None):
        towers = TwoTower(**SMALL, epochs=1, encoder=encoder).fit(
            *world[:3], user_features=world.user_features
        )
        found = towers.encode_users([[], ["never seen"], []], users=["new", "u0", "other"])
        assert found.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
        np.testing.assert_array_equal(found[0], found[2])
        assert towers.encode_users([]).shape == (0, 16)


def test_only_the_last_known_items_count() -> None:
    world = groups(0)
    towers = TwoTower(**SMALL, epochs=1).fit(*world[:3])
    last = ["i0.1", "i1.2", "i2.3", "i3.4", "i4.5"]
    longer = ["i0.9", "i1.9", *last[:2], "never seen", *last[2:]]
    found = towers.encode_users([longer, last, last[1:]])
    np.testing.assert_array_equal(found[0], found[1])
    assert (found[1] != found[2]).any()


def test_encoding_a_batch_is_encoding_its_rows() -> None:
    world = groups(0)
    for encoder in ENCODERS:
        towers = TwoTower(**SMALL, encoder=encoder, epochs=1).fit(*world[:3])
        histories = [[f"i{k}.{k}" for k in range(n)] for n in range(5)]
        batch = towers.encode_users(histories)
        rows = np.concatenate([towers.encode_users([history]) for history in histories])
        # Sums of 16 to 32 products of numbers about 1, in another order.
        np.testing.assert_allclose(batch, rows, atol=1e-5)


def test_what_was_trained_is_what_encoding_gives() -> None:
    world = groups(0)
    towers = TwoTower(**SMALL, epochs=2, user_ids=True).fit(
        *world[:3], user_features=world.user_features, item_features=world.item_features
    )
    users, items = towers.user_embedding_, towers.item_embedding_
    histories: dict[Any, list[Any]] = {user: [] for user in users.ids}
    for user, item in zip(world.users, world.items, strict=True):
        histories[user].append(item)
    found = towers.encode_users(list(histories.values()), world.user_features, users=users.ids)
    np.testing.assert_allclose(found, users.matrix, atol=1e-5)
    np.testing.assert_allclose(
        towers.encode_items(items.ids, world.item_features), items.matrix, atol=1e-5
    )


def test_vectors_are_served_and_grouped() -> None:
    world = groups(0)
    towers = TwoTower(**SMALL, encoder="lstm", epochs=8).fit(*world[:3])
    assert towers.item_embedding_.to_index().search(towers.encode_users([["i0.1"]]), 3).ids.size
    found = vr.UserGroups.fit(towers.user_embedding_.matrix, 5, random_state=0)
    labels = found.assign(towers.user_embedding_.matrix).labels
    assert len(set(np.asarray(labels).ravel().tolist())) == 5


def test_one_seed_gives_the_same_bits() -> None:
    world = groups(0)

    def bits(seed: int) -> bytes:
        towers = TwoTower(**SMALL, encoder="lstm", epochs=2, seed=seed)
        towers.fit(*world[:3], item_features=world.item_features)
        return towers.item_embedding_.matrix.tobytes() + towers.user_embedding_.matrix.tobytes()

    before = torch.random.get_rng_state(), torch.get_num_threads(), torch.get_default_dtype()
    assert bits(1) == bits(1) != bits(2)
    assert torch.equal(before[0], torch.random.get_rng_state())
    assert before[1:] == (torch.get_num_threads(), torch.get_default_dtype())


def test_a_resumed_training_has_the_bits_of_another(tmp_path: Path) -> None:
    world = groups(0)

    def fit(**options: Any) -> TwoTower:
        return TwoTower(**SMALL, epochs=4).fit(*world[:3], **options)

    def interrupt(progress: Any) -> None:
        if progress.epoch == 2:
            raise KeyboardInterrupt

    whole = fit()
    with pytest.raises(KeyboardInterrupt):
        fit(progress=interrupt, checkpoint=tmp_path / "kept")
    resumed = fit(checkpoint=tmp_path / "kept")
    assert resumed.losses_ == whole.losses_
    assert resumed.validations_ == whole.validations_
    for name in ("item_embedding_", "user_embedding_"):
        np.testing.assert_array_equal(getattr(resumed, name).matrix, getattr(whole, name).matrix)
    with pytest.raises(ValueError, match="checkpoint: expected one of TwoTower with the same data"):
        TwoTower(**SMALL, epochs=5).fit(*world[:3], checkpoint=tmp_path / "kept")


def test_a_stop_keeps_the_finished_epochs() -> None:
    world = groups(0)
    stop = threading.Event()

    def progress(at: Any) -> None:
        if at.epoch == 1:
            stop.set()

    towers = TwoTower(**SMALL, epochs=50).fit(*world[:3], progress=progress, stop=stop)
    assert len(towers.losses_) == 1
    assert towers.item_embedding_.about["stopped"]
    with pytest.raises(TrainingStoppedError):
        TwoTower(**SMALL).fit(*world[:3], stop=lambda: True)


def test_training_ends_where_validation_gets_no_better() -> None:
    world = groups(0)
    towers = TwoTower(**SMALL, epochs=100, patience=2).fit(*world[:3])
    best = int(np.argmax(towers.validations_))
    assert len(towers.validations_) == best + 3 < 100


def test_a_loss_that_is_no_number_is_an_error() -> None:
    world = groups(0)
    with pytest.raises(TrainingError, match="expected a finite loss"):
        TwoTower(**{**SMALL, "learning_rate": 1e30}, epochs=5).fit(*world[:3])


def test_towers_are_saved_and_loaded(tmp_path: Path) -> None:
    world = groups(0)
    towers = TwoTower(**SMALL, encoder="cnn", epochs=1, user_ids=True).fit(
        *world[:3], user_features=world.user_features, item_features=world.item_features
    )
    towers.save(tmp_path / "towers")
    again = TwoTower.load(tmp_path / "towers")
    assert again.settings == towers.settings
    assert (again.losses_, again.validations_) == (towers.losses_, towers.validations_)
    for name in ("item_embedding_", "user_embedding_"):
        one, two = getattr(again, name), getattr(towers, name)
        assert (one.ids, one.about) == (two.ids, two.about)
        np.testing.assert_array_equal(one.matrix, two.matrix)
    given = ([["i0.1", "i1.1"], []], world.user_features)
    users = ["u3", "new"]
    np.testing.assert_array_equal(
        again.encode_users(*given, users=users), towers.encode_users(*given, users=users)
    )
    with pytest.raises(ValueError, match="expected a saved Embedding"):
        vr.train.Embedding.load(tmp_path / "towers")
    assert not list((tmp_path / "towers").glob("*.pkl"))
