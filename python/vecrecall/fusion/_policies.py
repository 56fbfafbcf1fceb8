"""The policies of a merge, as frozen dataclasses; `vecrecall.policies` says what they share."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import gcd, lcm
from typing import Literal, TypeVar

import numpy as np

import vecrecall._core as _core
from vecrecall.arrays import _scalars
from vecrecall.arrays._arrival import CheckedOnArrival
from vecrecall.fusion import _channel_input

__all__ = [
    "RRF",
    "AbsentWarning",
    "Interleave",
    "Maximum",
    "Policy",
    "Priority",
    "Quota",
    "WeightedSum",
]

Normalization = Literal["none", "minmax", "zscore", "max", "l2"]

_NORMALIZE = {
    name: getattr(_core.Normalize, name) for name in ("none", "minmax", "zscore", "max", "l2")
}
_ABSENT = {None: _core.Absent.automatic, "zero": _core.Absent.zero, "min": _core.Absent.min}
_ON_DUPLICATE = {"refill": True, "skip": False}
_MODES = {"per_channel": False, "cumulative": True}
T = TypeVar("T", bound=float)

_MOST = int(np.iinfo(np.int64).max)

CorePolicy = (
    _core.RRF | _core.WeightedSum | _core.Maximum | _core.Interleave | _core.Priority | _core.Quota
)


class AbsentWarning(RuntimeWarning):
    """Lists have negative scores under ``absent="zero"``."""


class Policy(CheckedOnArrival):
    """The base of all policies: `merge` takes any of them."""

    __slots__ = ()

    def __post_init__(self) -> None:
        self._check_attributes()

    @abstractmethod
    def _prepared(self, channels: Sequence[str]) -> CorePolicy:
        """Put the values into the channels' order, for the core."""


@dataclass(frozen=True)
class RRF(Policy):
    """Reciprocal rank fusion: the sum over channels of ``w / (k + rank)``.

    Parameters
    ----------
    weights : mapping of str to float, optional
        One per channel, finite, >= 0; default 1.
    k : float
        Finite, >= 0. The larger, the less the first ranks stand out.

    References
    ----------
    Cormack, Clarke, Buettcher: Reciprocal rank fusion outperforms Condorcet and individual rank
    learning methods. SIGIR 2009. There ``k = 60``, without weights.

    Examples
    --------
    >>> import vecrecall as vr
    >>> lists = {"a": ([[1, 2]], [[9.0, 8.0]]), "b": ([[2, 3]], [[0.2, 0.1]])}
    >>> vr.merge(lists, 3, vr.policies.RRF()).ids.tolist()
    [[2, 1, 3]]
    """

    weights: Mapping[str, float] | None = field(default=None, hash=False)
    k: float = 60

    def _check_attributes(self) -> None:
        _set(self, "weights", _weights(self.weights))
        _set(self, "k", _scalars.check_nonnegative(self.k, "k"))

    def _prepared(self, channels: Sequence[str]) -> CorePolicy:
        return _core.RRF(_in_order(self.weights, "weights", channels), self.k)


@dataclass(frozen=True)
class _Normalized(Policy):
    """The base of policies over normalized scores."""

    weights: Mapping[str, float] | None = field(default=None, hash=False)
    normalize: Normalization = "none"
    absent: Literal["zero", "min"] | None = None

    def _check_attributes(self) -> None:
        _set(self, "weights", _weights(self.weights))
        _scalars.check_choice(self.normalize, "normalize", _NORMALIZE)
        if self.absent is not None:
            _scalars.check_choice(self.absent, "absent", {"zero": None, "min": None})


@dataclass(frozen=True)
class WeightedSum(_Normalized):
    """CombSUM: the sum over channels of ``w`` times the normalized score.

    Parameters
    ----------
    weights : mapping of str to float, optional
        One per channel, finite, >= 0; default 1.
    normalize : {"none", "minmax", "zscore", "max", "l2"}
        For each query and channel, over the distinct items of its list:

        * ``"minmax"``: ``(s - min) / (max - min)``, 1 where all are equal;
        * ``"zscore"``: ``(s - mean) / std`` with ``ddof=0``, 0 where all are equal;
        * ``"max"``: ``s / max(abs(s))``, 0 where that is 0;
        * ``"l2"``: ``s / sqrt(sum(s * s))``, 0 where that is 0.

        An infinite score counts as one spread of the list's finite scores beyond these.
    absent : str, optional
        What a list counts for an item that it does not hold:

        * ``"zero"``: 0. Below 0 that is more than any item of the list has, so lists with negative
          scores are warned of;
        * ``"min"``: ``w`` times its lowest normalized score; nothing where the list is empty;
        * None: ``"min"`` for lists with a negative score, as of the metric l2, and nothing for
          others. That is decided for each query and channel, by the scores before they are
          normalized. Under ``"minmax"`` no score is negative, so every list counts nothing.

    Warns
    -----
    AbsentWarning
        From a merge, once per call, under ``absent="zero"``: where a list has a negative score and
        `normalize` is not ``"minmax"``.

    References
    ----------
    Fox, Shaw: Combination of multiple searches. TREC-2, 1994 (CombSUM).

    Examples
    --------
    >>> import vecrecall as vr
    >>> lists = {"a": ([[1, 2]], [[9.0, 8.0]]), "b": ([[2, 3]], [[0.2, 0.1]])}
    >>> policy = vr.policies.WeightedSum({"a": 1, "b": 0.5}, normalize="minmax")
    >>> m = vr.merge(lists, 3, policy)
    >>> m.ids.tolist(), m.scores.tolist()
    ([[1, 2, 3]], [[1.0, 0.5, 0.0]])
    >>> lists = {"a": ([[1, 2]], [[-3.0, -4.0]]), "b": ([[1, 3]], [[-1.0, -2.0]])}  # l2
    >>> m = vr.merge(lists, 3, vr.policies.WeightedSum())
    >>> m.ids.tolist(), m.scores.tolist()
    ([[1, 2, 3]], [[-4.0, -6.0, -6.0]])
    """

    def _prepared(self, channels: Sequence[str]) -> CorePolicy:
        return _core.WeightedSum(
            _in_order(self.weights, "weights", channels),
            _NORMALIZE[self.normalize],
            _ABSENT[self.absent],
        )


@dataclass(frozen=True)
class Maximum(_Normalized):
    """CombMAX: the largest over channels of ``w`` times the normalized score.

    Parameters
    ----------
    weights : mapping of str to float, optional
        One per channel, finite, >= 0; default 1.
    normalize : {"none", "minmax", "zscore", "max", "l2"}
        As in `WeightedSum`.
    absent : str, optional
        ``"zero"`` or ``"min"``, as in `WeightedSum`, but that nothing is counted by default,
        whatever the scores: the largest is that of the lists that hold the item.

    Warns
    -----
    AbsentWarning
        As in `WeightedSum`.

    References
    ----------
    Fox, Shaw: Combination of multiple searches. TREC-2, 1994 (CombMAX).

    Examples
    --------
    >>> import vecrecall as vr
    >>> lists = {"a": ([[1, 2]], [[9.0, 8.0]]), "b": ([[2, 3]], [[0.2, 0.1]])}
    >>> vr.merge(lists, 3, vr.policies.Maximum(normalize="max")).ids.tolist()
    [[1, 2, 3]]
    """

    def _prepared(self, channels: Sequence[str]) -> CorePolicy:
        return _core.Maximum(
            _in_order(self.weights, "weights", channels),
            _NORMALIZE[self.normalize],
            _ABSENT[self.absent],
        )


@dataclass(frozen=True)
class Interleave(Policy):
    """Round-robin: channels take turns in order, in each of which one takes ``weights[c]`` items.

    Rounds go on until `k` items are taken or every channel is exhausted.

    Parameters
    ----------
    weights : mapping of str to int, optional
        Items per turn, >= 1; default 1.
    on_duplicate : {"refill", "skip"}
        ``"refill"``: an item already taken does not use up a place in the turn; ``"skip"``: it
        does. Excluded and capped items, and repeats within a channel, never do.

    References
    ----------
    Voorhees, Gupta, Johnson-Laird: The collection fusion problem. TREC-3, 1995.

    Examples
    --------
    >>> import vecrecall as vr
    >>> lists = {"a": ([[1, 2, 3]], [[3.0, 2.0, 1.0]]), "b": ([[1, 8, 9]], [[3.0, 2.0, 1.0]])}
    >>> vr.merge(lists, 4, vr.policies.Interleave()).ids.tolist()
    [[1, 8, 2, 9]]
    >>> vr.merge(lists, 4, vr.policies.Interleave(on_duplicate="skip")).ids.tolist()
    [[1, 2, 8, 3]]
    """

    weights: Mapping[str, int] | None = field(default=None, hash=False)
    on_duplicate: Literal["refill", "skip"] = "refill"

    def _check_attributes(self) -> None:
        if self.weights is not None:
            _set(
                self,
                "weights",
                _channel_input.check_mapping(self.weights, "weights", _scalars.check_positive_int),
            )
        _scalars.check_choice(self.on_duplicate, "on_duplicate", _ON_DUPLICATE)

    def _prepared(self, channels: Sequence[str]) -> CorePolicy:
        weights = _in_order(self.weights, "weights", channels)
        return _core.Interleave([min(w, _MOST) for w in weights], _ON_DUPLICATE[self.on_duplicate])


@dataclass(frozen=True)
class Priority(Policy):
    """Channels in order, each up to its quota; then what is left, in channel order.

    Parameters
    ----------
    quotas : mapping of str to int
        One per channel, >= 0; may be over `k`.
    mode : {"per_channel", "cumulative"}
        ``"per_channel"``: up to ``quotas[c]`` items that are not yet in the list;
        ``"cumulative"``: until the list has ``quotas[c]`` items.
    backfill : bool
        Whether channels then take what is left of the list, each as much as it can.

    Notes
    -----
    A channel's slots are those of its quota for which the list still has room when its turn comes;
    `MergeResult.unfilled` has those that it could not fill.

    Examples
    --------
    >>> import vecrecall as vr
    >>> lists = {"a": ([[1, 2, 3]], [[3.0, 2.0, 1.0]]), "b": ([[1, 8, 9]], [[3.0, 2.0, 1.0]])}
    >>> vr.merge(lists, 4, vr.policies.Priority({"a": 1, "b": 2})).ids.tolist()
    [[1, 8, 9, 2]]
    """

    quotas: Mapping[str, int] = field(hash=False)
    mode: Literal["per_channel", "cumulative"] = "per_channel"
    backfill: bool = True

    def _check_attributes(self) -> None:
        _set(self, "quotas", _channel_input.check_mapping(self.quotas, "quotas", _count))
        _scalars.check_choice(self.mode, "mode", _MODES)
        _set(self, "backfill", _scalars.check_bool(self.backfill, "backfill"))

    def _prepared(self, channels: Sequence[str]) -> CorePolicy:
        quotas = _channel_input.by_channel(self.quotas, "quotas", channels)
        return _core.Priority([min(q, _MOST) for q in quotas], _MODES[self.mode], self.backfill)


@dataclass(frozen=True)
class Quota(Policy):
    """The list split among the channels by share; what a channel cannot fill is split again.

    1. `k` is split by share: largest remainder, ties in channel order. Counts outside `minimum` or
       `maximum` are set to the bound, and the rest is split again among the other channels.
    2. In channel order each channel takes its next usable items, up to its slots.
    3. Slots not used are split again among the channels below their maximum that still have usable
       items; 2 and 3 repeat.

    The list is ordered by rank in the channel that took the item, then in channel order.

    Parameters
    ----------
    shares : mapping of str to float or None
        One per channel, finite, >= 0, not all 0; None: equal. A share of 0 gets its minimum, and
        further slots only where no other channel can use them.
    minimum, maximum : mapping of str to int, optional
        Counts, >= 0; a channel left out has no such bound. The sum of the minima is at most `k`. A
        maximum is never exceeded; a minimum is missed where a channel has too few items.

    Notes
    -----
    Where counts break both kinds of bounds, the kind with the larger sum of excesses is settled
    first (both where the sums are equal): what that frees or takes can bring the others back. The
    split is computed in whole numbers, not in floating point, so ties are ties.

    Examples
    --------
    >>> import vecrecall as vr
    >>> lists = {"a": ([[1, 2, 3]], [[3.0, 2.0, 1.0]]), "b": ([[1, 8, 9]], [[3.0, 2.0, 1.0]])}
    >>> vr.merge(lists, 4, vr.policies.Quota({"a": 1, "b": 1})).ids.tolist()
    [[1, 2, 8, 9]]
    """

    shares: Mapping[str, float] | None = field(hash=False)
    minimum: Mapping[str, int] | None = field(default=None, hash=False)
    maximum: Mapping[str, int] | None = field(default=None, hash=False)

    def _check_attributes(self) -> None:
        if self.shares is not None:
            shares = _channel_input.check_mapping(self.shares, "shares", _scalars.check_nonnegative)
            if shares and not any(shares.values()):
                raise ValueError(f"shares: expected at least one above 0, got {shares}")
            _set(self, "shares", shares)
        for name in ("minimum", "maximum"):
            if getattr(self, name) is not None:
                _set(self, name, _channel_input.check_mapping(getattr(self, name), name, _count))
        for channel, low in (self.minimum or {}).items():
            high = (self.maximum or {}).get(channel, low)
            if low > high:
                raise ValueError(
                    f"maximum[{channel!r}]: expected at least the minimum, {low}, got {high}"
                )

    def _prepared(self, channels: Sequence[str]) -> CorePolicy:
        shares = _in_order(self.shares, "shares", channels)
        low, high = self.minimum or {}, self.maximum or {}
        _channel_input.check_known_channels(low, "minimum", channels)
        _channel_input.check_known_channels(high, "maximum", channels)
        return _core.Quota(
            _whole_shares(shares),
            [min(low.get(c, 0), _MOST) for c in channels],
            [min(high.get(c, _MOST), _MOST) for c in channels],
        )


def _set(policy: Policy, name: str, value: object) -> None:
    object.__setattr__(policy, name, value)


def _count(x: object, name: str) -> int:
    return _scalars.check_int(x, name, 0)


def _weights(weights: Mapping[str, float] | None) -> dict[str, float] | None:
    return (
        None
        if weights is None
        else _channel_input.check_mapping(weights, "weights", _scalars.check_nonnegative)
    )


def _in_order(values: Mapping[str, T] | None, name: str, channels: Sequence[str]) -> list[T | int]:
    """Put values into the channels' order; None is 1 for each."""
    return (
        [1] * len(channels)
        if values is None
        else [*_channel_input.by_channel(values, name, channels)]
    )


def _whole_shares(shares: Sequence[float]) -> list[int]:
    """Scale to whole numbers in the same proportion, with a sum below 2**63.

    Exact unless shares differ by more than 2**62 between the largest sum and the smallest digit.
    """
    exact = [Fraction(share) for share in shares]
    unit = lcm(*(share.denominator for share in exact))
    whole = [share.numerator * (unit // share.denominator) for share in exact]
    divisor = gcd(*whole) or 1
    whole = [share // divisor for share in whole]
    excess = max(0, sum(whole).bit_length() - 62)
    return [max(share >> excess, min(share, 1)) for share in whole]
