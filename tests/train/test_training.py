"""The loop that all trainers share: progress, stops, checkpoints, early ends, bad losses."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from vecrecall.storage import _array_folder
from vecrecall.train import TrainingError, TrainingProgress, TrainingStoppedError
from vecrecall.train._training import Training, epoch_rng, fingerprint

BATCHES = 4


class Walk:
    """A state that moves at random, by the numbers of the epoch."""

    def __init__(self) -> None:
        self.place = np.zeros(3)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {"place": self.place.copy()}

    def result(
        self, into: dict[str, npt.NDArray[Any]] | None = None
    ) -> dict[str, npt.NDArray[Any]]:
        return self.arrays()

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        self.place[:] = arrays["place"]


def walk(training: Training, validations: list[float] | None = None) -> Walk:
    state = Walk()

    def epoch(number: int) -> float:
        rng = epoch_rng(7, number)
        for batch in range(BATCHES):
            state.place += rng.standard_normal(3)
            training.step((batch + 1) / BATCHES, 1.0 / (1 + number))
        return 1.0 / (1 + number)

    values = iter(validations or [])
    training.run(state, epoch, (lambda: next(values)) if validations else None)
    return state


def after(epochs: int) -> bytes:
    """Return the place after so many epochs, by itself."""
    place = np.zeros(3)
    for number in range(epochs):
        rng = epoch_rng(7, number)
        for _ in range(BATCHES):
            place += rng.standard_normal(3)
    return place.tobytes()


def test_all_epochs() -> None:
    training = Training("walk", 5)
    assert walk(training).place.tobytes() == after(5)
    assert training.losses == [1, 1 / 2, 1 / 3, 1 / 4, 1 / 5]
    about = training.about()
    assert about.pop("seconds") >= 0
    assert about == {
        "epochs": 5,
        "losses": training.losses,
        "validations": [],
        "stopped": False,
    }


def test_progress() -> None:
    found: list[TrainingProgress] = []
    walk(Training("walk", 2, progress=found.append))
    assert {p.trainer for p in found} == {"walk"}
    assert {p.epochs for p in found} == {2}
    finished = [p for p in found if p.share == 0]
    assert [(p.epoch, p.loss) for p in finished] == [(1, 1.0), (2, 0.5)]
    places = [p.epoch + p.share for p in found]
    assert places == sorted(places)


@pytest.mark.parametrize("as_event", [False, True])
def test_a_stop_keeps_finished_epochs(as_event: bool) -> None:
    """Asked for in the middle of the third epoch."""
    event = threading.Event()
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        if asked == 2 * (BATCHES + 1) + 2:
            event.set()
        return event.is_set()

    class Counting(threading.Event):
        def is_set(self) -> bool:
            return stop()

    training = Training("walk", 5, stop=Counting() if as_event else stop)
    assert walk(training).place.tobytes() == after(2)
    assert (training.finished, training.stopped, len(training.losses)) == (2, True, 2)
    assert asked == 2 * (BATCHES + 1) + 2


def test_a_stop_before_the_first_epoch() -> None:
    event = threading.Event()
    event.set()
    with pytest.raises(TrainingStoppedError, match=r"^walk: stopped before the first epoch"):
        walk(Training("walk", 5, stop=event))


def test_a_stop_after_the_last_epoch() -> None:
    training = Training("walk", 1)
    training.stop = lambda: training.finished == 1
    assert walk(training).place.tobytes() == after(1)
    assert not training.stopped


def test_an_event_of_another_library() -> None:
    event = multiprocessing.Event()
    assert walk(Training("walk", 2, stop=event)).place.tobytes() == after(2)
    event.set()
    with pytest.raises(TrainingStoppedError):
        walk(Training("walk", 2, stop=event))


@pytest.mark.parametrize("where", [(0, 0.5), (2, 0.25), (2, 0.0), (4, 1.0), (5, 0.0)])
def test_resuming_gives_the_same_bits(where: tuple[int, float], tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"

    def interrupt(progress: TrainingProgress) -> None:
        if (progress.epoch, progress.share) == where:
            raise KeyboardInterrupt

    interrupted = Training("walk", 5, progress=interrupt, checkpoint=path, fingerprint="a")
    interrupted._reported = -np.inf
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vecrecall.train._training.perf_counter", iter(range(1000)).__next__)
        with pytest.raises(KeyboardInterrupt):
            walk(interrupted)
    again = Training("walk", 5, checkpoint=path, fingerprint="a")
    assert walk(again).place.tobytes() == after(5)
    assert again.losses == [1, 1 / 2, 1 / 3, 1 / 4, 1 / 5]
    once_more = Training("walk", 5, checkpoint=path, fingerprint="a")
    assert walk(once_more).place.tobytes() == after(5)


def test_a_stopped_training_goes_on(tmp_path: Path) -> None:
    first = Training("walk", 5, checkpoint=tmp_path, fingerprint="a")
    first.stop = lambda: first.finished == 3
    assert walk(first).place.tobytes() == after(3)
    again = Training("walk", 5, checkpoint=tmp_path, fingerprint="a")
    assert walk(again).place.tobytes() == after(5)
    assert again.finished == 5


def test_a_checkpoint_of_other_data(tmp_path: Path) -> None:
    walk(Training("walk", 2, checkpoint=tmp_path, fingerprint="a"))
    with pytest.raises(ValueError, match=r"^checkpoint: expected one of run with the same data"):
        walk(Training("run", 2, checkpoint=tmp_path, fingerprint="b"))


def test_what_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ValueError, match=r"^checkpoint: expected a folder, got a file"):
        walk(Training("walk", 2, checkpoint=tmp_path / "file"))
    _array_folder.save(tmp_path / "other", "Embedding", {}, {})
    with pytest.raises(ValueError, match=r"^checkpoint: expected a saved TrainingCheckpoint, got"):
        walk(Training("walk", 2, checkpoint=tmp_path / "other"))
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "note.txt").write_text("x")
    with pytest.raises((ValueError, OSError)):
        walk(Training("walk", 2, checkpoint=tmp_path / "folder"))


def test_a_damaged_checkpoint(tmp_path: Path) -> None:
    walk(Training("walk", 2, checkpoint=tmp_path))
    (file,) = tmp_path.glob("place-*.npy")
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(ValueError, match="checksum"):
        walk(Training("walk", 2, checkpoint=tmp_path))


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
@pytest.mark.parametrize("where", ["batch", "epoch"])
def test_a_loss_that_is_not_finite(wrong: float, where: str) -> None:
    training = Training("walk", 5)

    def epoch(number: int) -> float:
        loss = wrong if number == 2 else 1.0
        if where == "batch":
            training.step(0.5, loss)
        return loss

    with pytest.raises(TrainingError, match=rf"^walk: expected a finite loss, got {wrong} in ep"):
        training.run(Walk(), epoch)
    assert training.finished == 2


def test_the_best_epoch_is_kept(tmp_path: Path) -> None:
    training = Training("walk", 9, patience=2, checkpoint=tmp_path)
    state = walk(training, [0.1, 0.3, 0.2, 0.3, 0.9])
    assert training.validations == [0.1, 0.3, 0.2, 0.3]
    assert state.place.tobytes() == after(2)
    again = Training("walk", 9, patience=2, checkpoint=tmp_path)
    assert walk(again, [9.0]).place.tobytes() == after(2)
    assert again.validations == training.validations


def test_resuming_remembers_the_best_epoch(tmp_path: Path) -> None:
    first = Training("walk", 4, patience=9, checkpoint=tmp_path)
    first.stop = lambda: first.finished == 3
    walk(first, [0.1, 0.3, 0.2])
    again = Training("walk", 4, patience=9, checkpoint=tmp_path)
    assert walk(again, [0.2]).place.tobytes() == after(2)


def test_without_patience_all_epochs_are_trained() -> None:
    training = Training("walk", 4)
    assert walk(training, [0.4, 0.3, 0.2, 0.1]).place.tobytes() == after(1)
    assert training.finished == 4


def test_a_validation_that_is_no_number() -> None:
    with pytest.raises(TrainingError, match=r"^walk: expected a number of validation, got NaN in"):
        walk(Training("walk", 3), [0.5, float("nan")])


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"progress": 5}, "^progress: expected a callable, got int"),
        ({"stop": True}, "^stop: expected an Event or a callable, got bool"),
        ({"checkpoint": 5}, "^checkpoint: expected a str or a path, got int"),
    ],
)
def test_wrong_arguments(options: dict[str, Any], match: str) -> None:
    with pytest.raises(TypeError, match=match):
        Training("walk", 3, **options)


def test_fingerprints() -> None:
    data = (["a", ("b", 1)], np.arange(3))
    name = fingerprint({"dim": 3, "seed": 0}, *data)
    assert name == fingerprint({"seed": 0, "dim": 3}, ["a", ("b", 1)], np.arange(3))
    others = [
        fingerprint({"dim": 3, "seed": 1}, *data),
        fingerprint({"dim": 3, "seed": 0}, ["a", ("b", 2)], data[1]),
        fingerprint({"dim": 3, "seed": 0}, data[0], np.arange(3, dtype=np.int32)),
        fingerprint({"dim": 3, "seed": 0}, data[0], np.arange(3)[::-1]),
        fingerprint({"dim": 3, "seed": 0}, data[0], np.arange(3)[:, None]),
        fingerprint({"dim": 3, "seed": 0}, ["\ud800"], data[1]),
    ]
    assert len({name, *others}) == 7


class Counted(Walk):
    """A state that counts its copies."""

    def __init__(self) -> None:
        super().__init__()
        self.copies: list[str] = []
        self.given: list[Any] = []

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        self.copies.append("all")
        return super().arrays()

    def result(
        self, into: dict[str, npt.NDArray[Any]] | None = None
    ) -> dict[str, npt.NDArray[Any]]:
        self.copies.append("result")
        self.given.append(into)
        return {"place": self.place.copy()} if into is None else into


@pytest.mark.parametrize(
    ("options", "validates", "copies"),
    [
        ({}, False, []),
        ({"stop": lambda: False}, False, ["result"] * 4),  # before the first epoch too
        ({}, True, ["result"] * 3),
        ({"stop": lambda: False}, True, ["result"] * 3),
    ],
)
def test_nothing_is_copied_but_what_may_be_restored(
    options: dict[str, Any], validates: bool, copies: list[str]
) -> None:
    """The parameters are most of the memory, and the optimizer's moments twice as much."""
    state, values = Counted(), iter([0.1, 0.2, 0.3])
    training = Training("walk", 3, **options)
    training.run(state, lambda number: 1.0, (lambda: next(values)) if validates else None)
    assert state.copies == copies
    assert state.given[:1] in ([], [None])
    assert all(into is state.given[1] for into in state.given[1:])  # one buffer


def test_a_checkpoint_in_a_folder_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("x")
    expected = r"^checkpoint: expected a saved TrainingCheckpoint, got a folder without manifest"
    with pytest.raises(ValueError, match=expected):
        walk(Training("walk", 2, checkpoint=tmp_path))
    assert [file.name for file in tmp_path.iterdir()] == ["note.txt"]


def test_vectors_that_are_not_finite() -> None:
    training = Training("walk", 3)
    walk(training)
    training.check_vectors(np.zeros((2, 3), np.float32))
    with pytest.raises(TrainingError, match=r"^walk: expected finite vectors, .* after epoch 2;"):
        training.check_vectors(np.full((1, 1), np.nan, np.float32))
