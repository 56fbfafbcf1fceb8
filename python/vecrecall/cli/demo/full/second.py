"""A second process that trains the validation split while this one trains the other.

A trainer uses one core, so that its bits do not depend on their number. The second process writes
into the same cache, from which this one reads.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

from vecrecall.cli._progress import Progress
from vecrecall.cli.demo import DemoError
from vecrecall.cli.demo.full import training
from vecrecall.cli.demo.full.cache import Cost, Entries
from vecrecall.cli.demo.full.data import Split, Splits
from vecrecall.cli.demo.full.families import Found
from vecrecall.cli.demo.full.plan import Plan
from vecrecall.cli.demo.memory import Peak

Trained = tuple[list[dict[str, Found]], dict[str, str]]


def train_both(
    parted: Splits, plan: Plan, seed: int, entries: Entries, progress: Progress
) -> Trained:
    """Train every family on the test and the validation split.

    Parameters
    ----------
    parted : Splits
    plan : Plan
    seed : int
    entries : Entries
    progress : Progress

    Returns
    -------
    (list of dict of str to Found, dict of str to str)
        By split, the test split first, and family; and why families were left out.
    """
    both = (parted.test, parted.validation)
    if plan.processes == 1 or not training.anything_to_train(
        parted.validation, plan, seed, entries
    ):
        return training.train_all(both, plan, seed, entries, progress)
    with _other(parted.validation, plan, seed, entries.folder) as results:
        training.train_all(both[:1], plan, seed, entries, progress)
        with progress.step("train the validation split"):
            try:
                costs, entries.peak_of_other = results.recv()
            except EOFError:
                raise DemoError("the second process ended without a result") from None
    if isinstance(costs, str):
        raise DemoError(costs)
    own = dict(entries.costs)
    found = training.train_all(both, plan, seed, entries, progress)
    entries.costs.update({**costs, **own})  # as they were made, not as they were read again
    return found


@contextmanager
def _other(split: Split, plan: Plan, seed: int, folder: Path | None) -> Iterator[Connection]:
    context = get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(sender, split, plan, seed, folder), daemon=True)
    process.start()
    sender.close()
    try:
        yield receiver
    finally:
        process.terminate()  # nothing is lost: entries appear whole, checkpoints as well
        process.join()


def _work(results: Connection, split: Split, plan: Plan, seed: int, folder: Path | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process ends this one
    entries = Entries(folder)
    costs: dict[str, Cost] | str = entries.costs
    try:
        with Progress(quiet=True) as progress:
            training.train_all([split], plan, seed, entries, progress, shared=False)
    except DemoError as error:
        costs = str(error)
    results.send((costs, Peak.of_process()))
