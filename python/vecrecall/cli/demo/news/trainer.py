"""Trainings that report, are kept, and continue where they were interrupted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from vecrecall.cli._progress import Progress
from vecrecall.cli.demo.cache import Cache, Cached, T, key_of
from vecrecall.train import Embedding, TrainingProgress, sequences

Report = dict[str, Any]
Make = Callable[[Path, Callable[[TrainingProgress], None]], T]

_PARTS = 100  # of the progress bar of a training


class Trainer:
    """Trains with progress and a cache, and notes what it cost.

    Parameters
    ----------
    cache : Cache
    progress : Progress

    Attributes
    ----------
    costs : dict
        By family, for the report.
    skipped : dict of str to str
        Why a family could not be trained.
    """

    def __init__(self, cache: Cache, progress: Progress) -> None:
        self.costs: dict[str, Report] = {}
        self.skipped: dict[str, str] = {}
        self._cache = cache
        self._progress = progress

    def sequences(
        self,
        family: str,
        lists: Sequence[Sequence[str]],
        settings: Mapping[str, Any],
        seed: int,
    ) -> Embedding | None:
        """Train vectors from lists of keys.

        Parameters
        ----------
        family : str
        lists : sequence of sequence of str
        settings : mapping
            Of `vecrecall.train.sequences`.
        seed : int

        Returns
        -------
        Embedding, optional
            None if no list has two keys that are frequent enough.
        """
        counts = Counter(chain.from_iterable(lists))
        least = settings["min_count"]
        if not any(sum(counts[key] >= least for key in keys) > 1 for keys in lists):
            self.skipped[family] = f"no two {family} that occur {least} times stand together"
            return None
        return self.embedding(
            family,
            {**settings, "seed": seed},
            [lists],
            ["gensim"],
            lambda checkpoint, progress: sequences(
                lists, **settings, seed=seed, progress=progress, checkpoint=checkpoint
            ),
        )

    def embedding(
        self,
        family: str,
        settings: Mapping[str, Any],
        data: Sequence[Any],
        packages: Sequence[str],
        make: Make[Embedding],
    ) -> Embedding:
        """Train an embedding, or load what an earlier run has trained of the same.

        Parameters
        ----------
        family : str
        settings : mapping
            JSON values.
        data : sequence
            What `make` trains on.
        packages : sequence of str
            Whose versions matter.
        make : callable
            Called with the path of a checkpoint and a callback for progress.

        Returns
        -------
        Embedding
        """
        return self.kept(family, settings, data, packages, make, Embedding.save, Embedding.load)

    def kept(
        self,
        family: str,
        settings: Mapping[str, Any],
        data: Sequence[Any],
        packages: Sequence[str],
        make: Make[T],
        save: Callable[[T, Path], object],
        load: Callable[[Path], T],
    ) -> T:
        """Train anything that is saved as a folder; see `embedding`."""
        key = key_of(settings, *data, packages=packages)
        with self._progress.step(f"train {family}", _PARTS) as step:
            done = 0

            def report(now: TrainingProgress) -> None:
                nonlocal done
                parts = int(_PARTS * min(1.0, (now.epoch + now.share) / now.epochs))
                step.advance(parts - done)
                done = parts

            found = self._cache.get(f"news_{family}", key, lambda at: make(at, report), save, load)
        self.costs[family] = _cost(found)
        return found.value


def _cost(found: Cached[Any]) -> Report:
    return {
        "seconds": found.seconds,
        "peak_bytes": found.peak_bytes,
        "reused": found.reused,
    }
