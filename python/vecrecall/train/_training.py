"""The loop of all trainers: epochs that report, stop when asked, and resume where they ended."""

from __future__ import annotations

import hashlib
import json
import math
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from vecrecall.arrays import _scalars
from vecrecall.storage import _array_folder
from vecrecall.train._folders import check_folder, load_folder

Arrays: TypeAlias = dict[str, npt.NDArray[Any]]

KIND = "TrainingCheckpoint"


class TrainingError(RuntimeError):
    """Training cannot go on: the loss, a validation or the vectors are no numbers any more."""


class TrainingStoppedError(TrainingError):
    """A stop was asked for before the first epoch was finished, so nothing is trained."""


@dataclass(frozen=True)
class TrainingProgress:
    """Where a training is, as its `progress` callback is told several times per second.

    Attributes
    ----------
    trainer : str
        Name of the trainer.
    epoch : int
        Number of finished epochs.
    epochs : int
        Number of epochs in all, at most.
    share : float
        Of the epoch in progress, from 0 to 1.
    loss : float, optional
        Of the last batch or epoch, where the trainer knows one.
    """

    trainer: str
    epoch: int
    epochs: int
    share: float
    loss: float | None


Progress: TypeAlias = Callable[[TrainingProgress], object]
Stop: TypeAlias = "threading.Event | Callable[[], bool]"
PathLike: TypeAlias = "str | os.PathLike[str]"


class State(Protocol):
    """The part of a trainer that an epoch changes: parameters and the optimizer's moments."""

    def arrays(self) -> Arrays:
        """Return copies of all that changes; names of lower-case letters and underscores."""

    def result(self, into: Arrays | None = None) -> Arrays:
        """Return copies of those arrays that count once training has ended.

        Parameters
        ----------
        into : dict of str to ndarray, optional
            What an earlier call returned: its memory is used again.
        """

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Go back to what `arrays` returned, or, to train no more, to what `result` returned."""


class StopAskedError(Exception):
    """A stop was asked for; raised within an epoch, and never beyond the trainer."""


@dataclass
class Training:
    """A training in progress.

    Parameters
    ----------
    trainer : str
        Name for messages.
    epochs : int
        Number of epochs, at most.
    progress : callable, optional
        Called with a `TrainingProgress`.
    stop : threading.Event or callable, optional
        Asked after each batch. Once it is set or true, training ends with the last finished epoch.
    checkpoint : path-like, optional
        A folder. It holds the last finished epoch, from which the same call continues.
    fingerprint : str
        Of settings and data, as `fingerprint` makes it: a checkpoint of others is an error.
    patience : int, optional
        End after so many epochs without a better validation.

    Attributes
    ----------
    losses : list of float
        By finished epoch.
    validations : list of float
        By finished epoch, larger is better; empty without a validation.
    finished : int
        Number of finished epochs.
    stopped : bool
        Whether a stop was asked for.
    seconds : float
        Time of this call's epochs.
    """

    trainer: str
    epochs: int
    progress: Progress | None = None
    stop: Stop | None = None
    checkpoint: PathLike | None = None
    fingerprint: str = ""
    patience: int | None = None
    losses: list[float] = field(default_factory=list)
    validations: list[float] = field(default_factory=list)
    finished: int = 0
    stopped: bool = False
    seconds: float = 0.0
    _best: Arrays | None = None
    _last: Arrays | None = None
    _reported: float = -math.inf

    def __post_init__(self) -> None:
        _scalars.check_callable(self.progress, "progress")
        if self.stop is not None and not (callable(self.stop) or hasattr(self.stop, "is_set")):
            raise TypeError(
                f"stop: expected an Event or a callable, got {type(self.stop).__name__}"
            )
        if self.checkpoint is not None:
            self.checkpoint = _scalars.check_path(self.checkpoint, "checkpoint")

    def run(
        self,
        state: State,
        epoch: Callable[[int], float],
        validate: Callable[[], float] | None = None,
    ) -> None:
        """Train until all epochs are done, a stop is asked for, or validation gets no better.

        Parameters
        ----------
        state : State
            Left as after the best validated epoch, or the last finished one without validation.
        epoch : callable
            Trains the epoch of this number, calls `step` after each batch, returns the mean loss.
            It draws at random from `epoch_rng`, so that a resumed training has the same bits.
        validate : callable, optional
            Returns how good the state is, larger is better.

        Raises
        ------
        TrainingError
            If a loss is not finite, or a validation is NaN.
        TrainingStoppedError
            If no epoch was finished.
        ValueError
            If the checkpoint is of other data or settings.
        """
        begin = perf_counter()
        self._resume(state)
        self._keep(state, validate)
        try:
            while self.finished < self.epochs and not self._is_enough():
                loss = epoch(self.finished)
                self._check(loss)
                self.losses.append(float(loss))
                self._judge(state, validate)
                self._keep(state, validate)
                self.finished += 1
                self._save(state)
                self.step(0.0, loss, force=True)
        except StopAskedError:
            self.stopped = True
            if not self.finished:
                raise TrainingStoppedError(
                    f"{self.trainer}: stopped before the first epoch was finished"
                ) from None
        finally:
            self.seconds += perf_counter() - begin
        if self._best is not None:
            state.restore(self._best)
        elif self.stopped and self._last is not None:
            state.restore(self._last)
        self._best = self._last = None  # as large as the vectors, which are made next

    def step(self, share: float, loss: float | None = None, *, force: bool = False) -> None:
        """Report a finished batch, and end the epoch if a stop was asked for.

        Parameters
        ----------
        share : float
            Of the epoch, from 0 to 1.
        loss : float, optional
        force : bool
            Report even if the last report was a moment ago.
        """
        if loss is not None:
            self._check(loss)
        now = perf_counter()
        if self.progress is not None and (force or now - self._reported > 0.1):
            self._reported = now
            report = TrainingProgress(self.trainer, self.finished, self.epochs, share, loss)
            self.progress(report)
        if self._asked_to_stop() and self.finished < self.epochs:
            raise StopAskedError

    def check_vectors(self, *matrices: npt.NDArray[np.float32]) -> None:
        """Refuse vectors that are no numbers: the last step may have broken what no loss has seen.

        Raises
        ------
        TrainingError
            If one is not finite, with the epoch that the vectors are of.
        """
        if all(np.isfinite(matrix).all() for matrix in matrices):
            return
        best = self.validations.index(max(self.validations)) if self.validations else None
        epoch = self.finished - 1 if best is None else best
        raise TrainingError(
            f"{self.trainer}: expected finite vectors, got NaN or infinity after epoch {epoch}; "
            "a lower learning rate may help"
        )

    def about(self) -> dict[str, Any]:
        """Return what became of the training, for `Embedding.about`."""
        return {
            "epochs": self.finished,
            "losses": self.losses,
            "validations": self.validations,
            "stopped": self.stopped,
            "seconds": round(self.seconds, 3),
        }

    def _asked_to_stop(self) -> bool:
        if self.stop is None:
            return False
        # An Event of another library, such as multiprocessing, is one too.
        return bool(self.stop() if callable(self.stop) else self.stop.is_set())

    def _check(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise TrainingError(
                f"{self.trainer}: expected a finite loss, got {loss} in epoch {self.finished}; "
                "a lower learning rate may help"
            )

    def _keep(self, state: State, validate: Callable[[], float] | None) -> None:
        """Keep the last finished epoch where a stop may end the next one before it is finished."""
        if self.stop is not None and validate is None:
            self._last = state.result(self._last)

    def _judge(self, state: State, validate: Callable[[], float] | None) -> None:
        if validate is None:
            return
        value = float(validate())
        if math.isnan(value):
            raise TrainingError(
                f"{self.trainer}: expected a number of validation, got NaN in epoch "
                f"{self.finished}; a lower learning rate may help"
            )
        if not self.validations or value > max(self.validations):
            self._best = state.result(self._best)
        self.validations.append(value)

    def _is_enough(self) -> bool:
        if self.patience is None or not self.validations:
            return False
        best = self.validations.index(max(self.validations))
        return len(self.validations) - 1 - best >= self.patience

    def _save(self, state: State) -> None:
        if self.checkpoint is None:
            return
        about = {
            "trainer": self.trainer,
            "fingerprint": self.fingerprint,
            "finished": self.finished,
            "losses": self.losses,
            "validations": self.validations,
            "seconds": self.seconds,
        }
        best = {f"best_{name}": array for name, array in (self._best or {}).items()}
        _array_folder.save(Path(self.checkpoint), KIND, about, {**state.arrays(), **best})

    def _resume(self, state: State) -> None:
        if self.checkpoint is None or not Path(self.checkpoint).exists():
            return
        path = Path(self.checkpoint)
        check_folder(path, "checkpoint")
        if _array_folder.is_new(path):
            return
        about, arrays = load_folder(path, KIND, name="checkpoint")
        if about["fingerprint"] != self.fingerprint:
            raise ValueError(
                f"checkpoint: expected one of {self.trainer} with the same data and settings, "
                f"got one of {about['trainer']} with others in {path}"
            )
        self.finished = about["finished"]
        self.losses, self.validations = about["losses"], about["validations"]
        self.seconds = about["seconds"]
        best = {n.removeprefix("best_"): a for n, a in arrays.items() if n.startswith("best_")}
        self._best = best or None
        state.restore({n: a for n, a in arrays.items() if not n.startswith("best_")})


def epoch_rng(seed: int, epoch: int) -> np.random.Generator:
    """Return the random numbers of an epoch, which do not depend on those before.

    Parameters
    ----------
    seed, epoch : int

    Returns
    -------
    numpy.random.Generator
    """
    return np.random.default_rng([seed, epoch])


def fingerprint(settings: Mapping[str, Any], *data: Any) -> str:
    """Return a short name of settings and data, equal where they are equal.

    Parameters
    ----------
    settings : mapping
        JSON values.
    *data
        Arrays, and lists whose `repr` says what they hold.

    Returns
    -------
    str
    """
    digest = hashlib.blake2b(json.dumps(dict(settings), sort_keys=True).encode(), digest_size=16)
    for part in data:
        if isinstance(part, np.ndarray):
            digest.update(f"{part.dtype.str}{part.shape}".encode())
            digest.update(np.ascontiguousarray(part).view(np.uint8).data)
        else:
            digest.update(repr(part).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
