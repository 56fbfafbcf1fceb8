"""How `vecrecall.merge` makes one list of many: a policy is a frozen dataclass.

`RRF`, `WeightedSum` and `Maximum` give every item a score, accumulated in float64 in channel order
and rounded once to float32; the list is ordered by score descending, then id ascending.

Every policy takes infinite scores, as a search may return them. `RRF` and the last three look at no
score. To `WeightedSum` and `Maximum` an infinite score counts, before anything else is done, as one
spread of the list's finite scores beyond these: ``max + (max - min)``, or ``min - (max - min)`` for
minus infinity. Where all finite scores are equal the spread is their size, at least 1, and the ends
are 0 where there are none; the value is rounded to float32, at most the largest finite one. So
nothing they compute is NaN, an infinite score stays first (or last) in its list, a normalization
still tells the others apart, and what it does to a user's list it does to no other. A merged score
that is beyond float32 is rounded to an infinity and orders as one.

`Interleave`, `Priority` and `Quota` take items channel by channel and look at no score; theirs is
``1 / position``.

In the literature they have other names:

* reciprocal rank fusion: `RRF`, the default of a merge (Cormack, Clarke, Buettcher: SIGIR 2009);
* CombSUM: `WeightedSum`, as a rule with ``normalize="minmax"`` (Fox, Shaw: TREC-2, 1994); linear
  combination: with `weights`;
* CombMAX: `Maximum` (Fox, Shaw: TREC-2, 1994);
* round-robin, or simple interleaving: `Interleave` with ``on_duplicate="skip"`` where a duplicate
  uses up its channel's turn, by default where the channel gives its next item instead (Voorhees,
  Gupta, Johnson-Laird: TREC-3, 1995); weighted round-robin: with `weights`.

Weights, quotas and shares are mappings by channel name. A name that is not a channel of the merge
and a channel left out are both errors.
"""

from vecrecall._public import stamp as _stamp
from vecrecall.fusion._policies import (
    RRF,
    AbsentWarning,
    Interleave,
    Maximum,
    Policy,
    Priority,
    Quota,
    WeightedSum,
)

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

_stamp(globals())
