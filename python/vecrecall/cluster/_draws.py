"""Random numbers for k-means, the same with every version of NumPy."""

import numpy as np
import numpy.random  # here, not at first use, as in _conversion
import numpy.typing as npt

from vecrecall.arrays import _scalars
from vecrecall.arrays._arrival import CheckedOnArrival, expect
from vecrecall.arrays._typing import F64, I64


class Draws(CheckedOnArrival):
    """Uniform numbers in [0, 1), from a raw stream that NumPy promises never to change.

    Parameters
    ----------
    random_state : object
        As `KMeans` takes it.

    Attributes
    ----------
    seed : int
        From which the same numbers are drawn again.
    """

    def __init__(self, random_state: object) -> None:
        self.seed = _seed(random_state)
        self._generator = np.random.PCG64(self.seed)

    def _check_attributes(self) -> None:
        self.seed = _scalars.check_int(self.seed, "random_state", 0)
        expect(self._generator, np.random.PCG64, "random_state")

    def uniform(self, n: int) -> F64:
        """Draw `n` numbers."""
        raw: npt.NDArray[np.uint64] = self._generator.random_raw(n)
        return (raw >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def order(self, n: int) -> I64:
        """Shuffle the numbers below n."""
        return np.argsort(self._generator.random_raw(n), kind="stable")

    def subset(self, n: int, size: int) -> I64:
        """Choose different numbers below n, ascending."""
        if 2 * size > n:
            left = np.ones(n, bool)
            left[self.subset(n, n - size)] = False
            return np.flatnonzero(left)
        chosen = np.empty(0, np.int64)
        while chosen.size < size:
            more = (self.uniform(size) * n).astype(np.int64)
            chosen = np.concatenate([chosen, more])
            chosen = chosen[np.sort(np.unique(chosen, return_index=True)[1])]
        return np.sort(chosen[:size])

    def subset_by_weight(self, weights: F64, size: int) -> I64:
        """Draw `size` different places by their weights, each among those that are left.

        There are as many with a weight above 0.
        """
        left, chosen = weights.copy(), np.empty(0, np.int64)
        while chosen.size < size:
            more = self.by_weight(left, size - chosen.size)
            more = more[np.sort(np.unique(more, return_index=True)[1])]
            chosen = np.concatenate([chosen, more])
            left[more] = 0
        return np.sort(chosen)

    def by_weight(self, weights: F64, n: int) -> I64:
        """Draw `n` places by their weights."""
        passed = np.cumsum(weights)
        places = np.searchsorted(passed, self.uniform(n) * passed[-1], side="right")
        drawn: I64 = np.minimum(places, np.searchsorted(passed, passed[-1]))
        return drawn


def _seed(random_state: object) -> int:
    """Check a seed, or take the next one from a generator: from streams that never change, too."""
    if isinstance(random_state, int):
        return _scalars.check_int(random_state, "random_state", 0)
    if random_state is None or random_state is np.random:
        return int(np.random.randint(2**32, dtype=np.uint32))
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**32, dtype=np.uint32))
    if isinstance(random_state, np.random.Generator):
        return int(random_state.bit_generator.random_raw())
    return _scalars.check_int(random_state, "random_state", 0)
