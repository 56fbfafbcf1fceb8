"""Items that are clicked in a cluster now, and items that its users click together."""

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

import vecrecall._core as _core
from vecrecall.arrays import _ids, _ragged_checks, _scalars, _validation
from vecrecall.arrays._ragged import RaggedLike
from vecrecall.arrays._results import SearchResult
from vecrecall.storage import _array_folder, _pickled

Time: TypeAlias = float | np.datetime64 | datetime.date

_MOST = 2**31

_KIND = "ClusterFeed"
_OPTIONS = ("n_clusters", "half_life", "capacity", "history", "max_users")
_NOT_PICKLED = frozenset(("_core", *(f"_{name}" for name in _OPTIONS)))


class ClusterFeed:
    """Clicks as they come, counted in each cluster, old ones less than new ones.

    The score of an item in a cluster at the time ``now`` is the sum over its clicks there of
    ``weight * 2 ** (-max(now - time, 0) / half_life)``: a click of the future (``time > now``), of
    a clock that is wrong or a time in milliseconds, counts as one of now until its time has come,
    and decays from then on. Scores do not depend on the order in which clicks arrive; the notes say
    what is kept of an item with many clicks of the future.

    Parameters
    ----------
    n_clusters : int
        Clusters are 0 to ``n_clusters - 1``.
    half_life : float, timedelta64, timedelta or pandas.Timedelta
        After this time a click counts half; in the unit of the times, in seconds where these are
        no numbers. Finite, > 0; timedelta64 of months or years have no length.
    capacity : int
        Most items that a cluster counts. A new item in a full cluster takes the place of the one
        with the lowest score, of several such the one with the highest id; should the lost item be
        clicked again, it starts from nothing. The new item itself always gets in: were it compared
        with the others, one that is about to become popular could be turned away click by click.
        A click that is very late therefore costs a place, but only the weakest, and the next new
        item takes that back.
    history : int
        Most items that a cluster remembers of a user, at most 65536: those with the latest clicks
        by time, of equal times the last to arrive. Only `related` looks at them.
    max_users : int
        Most users that a cluster remembers; for a new one it forgets the user who has not been
        heard of for the longest, by arrival.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.

    Notes
    -----
    Memory: about 200 bytes for each of `capacity` items and ``50 + 26 * history`` bytes for each of
    `max_users` users, in each cluster, taken as they come.

    Any number of threads may call `top` and `related` while another calls `observe`. A reader sees
    whole clicks and each cluster as of one moment for `top`, each user so for `related`; it may
    find a batch half taken. It waits for no more than some clicks in one cluster. Several
    observers, and `save`, wait for one another.

    An item's count is kept as of a time near its latest click and decayed from there when it is
    looked at (forward decay: Cormode, Shkapenyuk, Srivastava and Xu, 2009), so nothing is rescanned
    as time goes by. Sums are compensated (Neumaier, 1974): before their one rounding, counts are
    within 1e-13 of themselves, however many the clicks.

    To tell clicks of the future from others there are four such sums per item: of clicks at more
    than four different times those close to each other are added up, where that can cost least. A
    sum whose newest click is in the future counts as of that click. So a score is never above the
    formula; it is the formula if no click of the item is later than ``now``, or if they have four
    different times at most. Other items and clusters have the scores that they had.

    Differences of less than 1e-11 may not count when the weakest item is looked for. There, a click
    that is later than the cluster's others by more than 16 half-lives counts as if it had come with
    them, unless 32 such clicks come in a row; these, or a silence of thousands of half-lives,
    make a full cluster look at all its counts once.

    Scores are finite: one beyond float32, of enormous weights, is the largest float32.

    A process may be forked while another thread observes. The child has whole clicks, and of the
    batch in progress those taken so far. Pickles and copies hold the feed as `save` writes it; each
    goes on by itself with the same bits. To share one feed among processes, let one of them own it.

    Examples
    --------
    >>> import vecrecall as vr
    >>> feed = vr.ClusterFeed(2, half_life=10, capacity=100)
    >>> feed.observe(clusters=[0, 0, 1], items=[7, 8, 9], times=[0.0, 10.0, 10.0])
    >>> r = feed.top([0, 1], k=2, now=10)
    >>> r.ids.tolist(), r.scores.tolist()
    ([[8, 7], [9, -1]], [[1.0, 0.5], [1.0, -inf]])
    """

    def __init__(
        self,
        n_clusters: int,
        *,
        half_life: float | np.timedelta64 | datetime.timedelta,
        capacity: int,
        history: int = 20,
        max_users: int = 10_000,
    ) -> None:
        self._n_clusters = _scalars.check_int_between(n_clusters, "n_clusters", 1, _MOST)
        self._half_life = _scalars.check_duration(half_life, "half_life")
        self._capacity = _scalars.check_int_between(capacity, "capacity", 1, _MOST)
        self._history = _scalars.check_int_between(history, "history", 1, 2**16)
        self._max_users = _scalars.check_int_between(max_users, "max_users", 1, _MOST)
        self._core = _core.ClusterFeed(
            self._n_clusters, self._half_life, self._capacity, self._history, self._max_users
        )

    def observe(
        self,
        clusters: npt.ArrayLike,
        items: npt.ArrayLike,
        times: npt.ArrayLike,
        users: npt.ArrayLike | None = None,
        weights: npt.ArrayLike | None = None,
    ) -> None:
        """Take a batch of clicks.

        Parameters
        ----------
        clusters : array_like of int, shape (n,)
        items : array_like of int, shape (n,)
            Ids >= 0.
        times : array_like of float, int or points in time, shape (n,)
            Finite, in any unit and any order. Points in time (datetime64, datetime, date, those of
            pandas) become seconds since 1970; they are UTC where they have no zone.
        users : array_like of int, shape (n,), optional
            Ids >= 0; -1 where the user is unknown. Needed for `related`.
        weights : array_like of float or int, shape (n,), optional
            Finite, >= 0; default 1. A click of weight 0 makes an item known.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as described; nothing of the batch is then taken.

        Notes
        -----
        A signal whose handler raises (Ctrl-C) ends the call. Of a batch of more than 2**18 clicks
        the first may have been taken then, in whole runs of 2**18.

        Examples
        --------
        >>> import numpy as np, vecrecall as vr
        >>> feed = vr.ClusterFeed(1, half_life=np.timedelta64(1, "h"), capacity=100)
        >>> feed.observe([0], [7], [np.datetime64("2020-01-01T12:00")], weights=[4])
        >>> feed.top([0], 1, np.datetime64("2020-01-01T14:00")).scores.tolist()
        [[1.0]]
        """
        c = _ids.check_integers(clusters, "clusters")
        i = _ids.check_ids(items, "items", c.size)
        t = _validation.check_times(times, "times", c.size)
        u = None if users is None else _ids.check_ids(users, "users", c.size)
        w = None if weights is None else _validation.check_numbers(weights, "weights", c.size)
        fault = self._core.observe(c, i, t, u, w)
        if fault is not None:
            name, place = fault
            value = {"clusters": c, "items": i, "times": t, "users": u, "weights": w}[name]
            raise ValueError(
                f"{name}: expected {self._expected(name)}, got {value[place]} at place {place}"  # type: ignore[index]  # it was looked at
            )

    def top(
        self,
        clusters: npt.ArrayLike,
        k: int,
        now: Time,
        *,
        exclude: RaggedLike | None = None,
        threads: int | None = None,
    ) -> SearchResult:
        """List the items with the highest scores in given clusters.

        Parameters
        ----------
        clusters : array_like of int, shape (n,)
            One list each.
        k : int
            List length, >= 1.
        now : float, datetime64, datetime or pandas.Timestamp
            The time as of which clicks are counted; finite. UTC where it has no zone.
        exclude : ragged of int, n rows, optional
            Ids that a list must not have. Unknown ids are ignored. The lists stay full.
        threads : int, optional
            Most threads to use; default `get_num_threads`.

        Returns
        -------
        SearchResult
            Decayed counts, in float64 and rounded once to float32. Descending by what they were
            in float64, where these differ by more than 1e-12 of themselves, then by id ascending.
            Scores below the smallest normal float32, 1.2e-38, are ordered as if they had not lost
            their digits, so an idle cluster keeps its order however long it idles.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as described.

        Examples
        --------
        >>> import vecrecall as vr
        >>> feed = vr.ClusterFeed(1, half_life=10, capacity=100)
        >>> feed.observe([0, 0, 0], [7, 8, 8], [0, 0, 0])
        >>> feed.top([0, 0], 1, now=0, exclude=[[], [8]]).ids.tolist()
        [[8], [7]]
        """
        c = self._clusters(clusters)
        k = _scalars.check_list_length(k, c.size)
        moment = _scalars.check_timestamp(now, "now")
        seen = None if exclude is None else _ragged_checks.check_ragged(exclude, "exclude", c.size)
        pair = None if seen is None else (seen.values, seen.offsets)
        return SearchResult(*self._core.top(c, k, moment, pair, _scalars.check_threads(threads)))

    def related(
        self,
        clusters: npt.ArrayLike,
        items: npt.ArrayLike,
        k: int,
        now: Time,
        *,
        threads: int | None = None,
    ) -> SearchResult:
        """List the items that the users of a cluster clicked who also clicked a given item.

        The score of item ``b`` for item ``a`` is the sum over the users who have both in their
        history in the cluster, of ``weight * 2 ** (-max(now - time, 0) / half_life)`` of the later
        of the two clicks. It is the same for ``a`` and ``b`` exchanged. An item that a user clicks
        again counts with its latest click.

        Parameters
        ----------
        clusters : array_like of int, shape (n,)
        items : array_like of int, shape (n,)
            Ids >= 0; an item that no remembered user has clicked gets an empty list.
        k : int
            List length, >= 1.
        now : float, datetime64, datetime or pandas.Timestamp
            Finite, as for `top`.
        threads : int, optional
            Most threads to use; default `get_num_threads`.

        Returns
        -------
        SearchResult
            Ordered as by `top`; the item itself is not in its list.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as described, or no click came with a user.

        Notes
        -----
        Histories are the only memory of users (no table of pairs, which would cost each click
        `history` times as much): a call looks through those of the cluster's users, some
        nanoseconds each.

        Examples
        --------
        >>> import vecrecall as vr
        >>> feed = vr.ClusterFeed(1, half_life=10, capacity=100)
        >>> feed.observe([0] * 4, [7, 8, 7, 9], [0, 10, 0, 20], users=[1, 1, 2, 2])
        >>> r = feed.related([0], [7], 3, now=20)
        >>> r.ids.tolist(), r.scores.tolist()
        ([[9, 8, -1]], [[1.0, 0.5, -inf]])
        """
        c = self._clusters(clusters)
        i = _ids.check_ids(items, "items", c.size)
        if i.size and i.min() < 0:
            place = int(np.flatnonzero(i < 0)[0])
            raise ValueError(f"items: expected ids >= 0, got {i[place]} at place {place}")
        k = _scalars.check_list_length(k, c.size)
        moment = _scalars.check_timestamp(now, "now")
        n_threads = _scalars.check_threads(threads)
        if not self._core.knows_users:
            raise ValueError("related() needs clicks observed with users=")
        return SearchResult(*self._core.related(c, i, k, moment, n_threads))

    def save(self, path: str | Path) -> None:
        """Write everything to a folder: `.npy` arrays and a JSON manifest.

        An interrupted save leaves what the folder held before. `observe` waits meanwhile only as
        long as it takes to copy the feed.

        Parameters
        ----------
        path : str or Path
            A folder that is new, empty or holds a saved feed. Its parents are created.

        Raises
        ------
        ValueError
            If there is something else in the folder.
        """
        about = {name: getattr(self, name) for name in _OPTIONS}
        _array_folder.save(_scalars.check_path(path, "path"), _KIND, about, self._core.state())

    @classmethod
    def load(cls, path: str | Path) -> "ClusterFeed":
        """Read a feed that `save` wrote; it goes on with the same bits.

        Parameters
        ----------
        path : str or Path

        Returns
        -------
        ClusterFeed

        Raises
        ------
        FileNotFoundError
            If there is none in the folder.
        ValueError
            If what is there is not a whole feed.
        """
        manifest, arrays = _array_folder.load(_scalars.check_path(path, "path"), _KIND, verify=True)
        feed = cls.__new__(cls)
        feed._restore(manifest, arrays, "path", str(path))
        return feed

    def __getstate__(self) -> dict[str, Any]:
        """List what `save` writes, and the attributes that a subclass adds."""
        own = {name: x for name, x in self.__dict__.items() if name not in _NOT_PICKLED}
        about = {name: getattr(self, name) for name in _OPTIONS}
        return _pickled.packed({**own, **about}, self._core.state())

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take a pickle as `load` takes files."""
        about, arrays = _pickled.unpacked(state, _KIND)
        self._restore(about, arrays, "pickle", "it")
        self.__dict__.update({name: x for name, x in about.items() if name not in _OPTIONS})

    def _restore(
        self,
        about: Mapping[str, Any],
        arrays: dict[str, npt.NDArray[Any]],
        name: str,
        place: str,
    ) -> None:
        """Become the feed of untrusted arrays; messages begin with `name`."""
        missing = [option for option in _OPTIONS if option not in about]
        if missing:
            raise ValueError(f"{name}: expected a feed with {missing[0]}, got none in {place}")
        n = _scalars.check_int_between(about["n_clusters"], "n_clusters", 1, _MOST)
        clocks = arrays.get("clocks")
        if not isinstance(clocks, np.ndarray) or clocks.shape != (n,):  # before `n` takes memory
            raise ValueError(
                f"{name}: expected the arrays of a feed in {place}, got others than of {n} clusters"
            )
        ClusterFeed.__init__(self, **{option: about[option] for option in _OPTIONS})
        try:
            self._core.restore(arrays)
        except (KeyError, ValueError) as error:
            raise ValueError(
                f"{name}: expected the arrays of a feed in {place}, got {error}"
            ) from error

    @property
    def n_clusters(self) -> int:
        """The number of clusters."""
        return self._n_clusters

    @property
    def half_life(self) -> float:
        """The time after which a click counts half."""
        return self._half_life

    @property
    def capacity(self) -> int:
        """Most items that a cluster counts."""
        return self._capacity

    @property
    def history(self) -> int:
        """Most items that a cluster remembers of a user."""
        return self._history

    @property
    def max_users(self) -> int:
        """Most users that a cluster remembers."""
        return self._max_users

    def __repr__(self) -> str:
        return (
            f"ClusterFeed({self.n_clusters}, half_life={self.half_life}, capacity={self.capacity}, "
            f"history={self.history}, max_users={self.max_users})"
        )

    def _clusters(self, clusters: npt.ArrayLike) -> npt.NDArray[np.int64]:
        c = _ids.check_integers(clusters, "clusters")
        place = self._core.first_unknown(c)
        if place >= 0:
            raise ValueError(
                f"clusters: expected {self._expected('clusters')}, got {c[place]} at place {place}"
            )
        return c

    def _expected(self, name: str) -> str:
        return {
            "clusters": f"0 to {self.n_clusters - 1}",
            "items": "ids >= 0",
            "times": "finite times",
            "users": "ids >= 0, or -1 for an unknown user",
            "weights": "finite weights >= 0",
        }[name]
