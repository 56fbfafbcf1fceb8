"""Groups of users by rule: who shares the strongest interests, as far as enough users do."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vecrecall.arrays import _ragged_checks, _scalars
from vecrecall.arrays._ragged import Ragged, RaggedLike
from vecrecall.arrays._ragged_ops import offsets_of, row_of_each, segments, take_rows, truncate
from vecrecall.arrays._typing import I64

Bools = npt.NDArray[np.bool_]


class RuleGroups(NamedTuple):
    """Users grouped by the interests that they share.

    Attributes
    ----------
    labels : ndarray of int32, shape (n,)
        Each user's group.
    interests : Ragged of int64, one row per group
        For each label its interests, strongest first; rows are in lexicographic order.
    """

    labels: npt.NDArray[np.int32]
    interests: Ragged


def rule_groups(interests: RaggedLike, *, depth: int, min_size: int) -> RuleGroups:
    """Group users by their strongest interests, backing off to fewer where too few share them.

    A user's label is the list of the `depth` strongest interests, in weight order. From the
    longest labels to the shortest, a group of fewer than `min_size` users loses its label's last
    interest: its users join those whose label is what is left, and count there.

    Parameters
    ----------
    interests : ragged of int, n rows
        For each user the ids of interests, >= 0, strongest first. Of repeats the first counts.
    depth : int
        Length of the longest labels, at least 1.
    min_size : int
        Users that a group must have, at least 1. Only the label without interests may have
        fewer: there is nothing to back off to.

    Returns
    -------
    RuleGroups
        Labels are numbered in the lexicographic order of their interests, the label without
        interests first; every one has at least one user.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.

    Notes
    -----
    Prefix back-off, as engineers of a large news recommender described their grouping of users by
    dynamic rules. Labels are the nodes of a tree of prefixes, built level by level.

    Examples
    --------
    >>> import vecrecall as vr
    >>> groups = vr.rule_groups([[7, 3], [7, 3], [7, 5], [7], [2], []], depth=2, min_size=2)
    >>> groups.labels.tolist()
    [2, 2, 1, 1, 0, 0]
    >>> [row.tolist() for row in groups.interests]
    [[], [7], [7, 3]]
    """
    rows = _ragged_checks.check_ragged(interests, "interests")
    longest = min(_scalars.check_positive_int(depth, "depth"), rows.values.size + 1)
    smallest = _scalars.check_positive_int(min_size, "min_size")
    if rows.values.min(initial=0) < 0:
        place = int(np.flatnonzero(rows.values < 0)[0])
        row = int(rows.offsets.searchsorted(place, side="right")) - 1
        raise ValueError(f"interests: expected ids >= 0, got {rows.values[place]} in row {row}")
    tree, nodes = _grow(_strongest(rows, longest))
    targets = tree.back_off(np.bincount(nodes, minlength=tree.values.size), smallest)
    nodes = targets[nodes]
    used = np.bincount(nodes, minlength=targets.size) > 0
    numbers = tree.numbers(used)
    return RuleGroups(numbers[nodes].astype(np.int32), tree.prefixes(used, numbers))


def _strongest(rows: Ragged, most: int) -> Ragged:
    """Take the first `most` different values of each row."""
    places, offsets = truncate(rows, most)
    first = Ragged._of(rows.values[places], offsets)
    again = _repeats(first)
    if not again.any():
        return first
    # Only rows that repeat something among their first need a look at all their values.
    numbers = np.unique(row_of_each(first)[again])
    some = take_rows(rows, numbers)
    keep = np.ones(rows.values.size, bool)
    keep[segments(rows.offsets[numbers], some.offsets)] = ~_repeats(some)
    kept = Ragged._of(rows.values[keep], offsets_of(keep)[rows.offsets])
    places, offsets = truncate(kept, most)
    return Ragged._of(kept.values[places], offsets)


def _repeats(rows: Ragged) -> Bools:
    """Mark the values that stand before in their row."""
    keys = _pairs(row_of_each(rows), rows.values)
    ascending = np.sort(keys)
    repeats = np.zeros(keys.size, bool)
    if (ascending[1:] == ascending[:-1]).any():
        order = np.argsort(keys, kind="stable")
        ascending = keys[order]
        repeats[order[1:]] = ascending[1:] == ascending[:-1]
    return repeats


def _pairs(first: I64, second: I64) -> I64:
    """Make one number of two that are >= 0, in the order of the pairs."""
    width = int(second.max(initial=0)) + 1
    if (int(first.max(initial=0)) + 1) * width > np.iinfo(np.int64).max:
        distinct, second = np.unique(second, return_inverse=True)
        width = distinct.size
    return first * width + second


class _Tree(NamedTuple):
    """Prefixes as nodes, level by level from the empty one, in lexicographic order within a level.

    Attributes
    ----------
    levels : list of slice
        Which nodes have so many interests.
    parents, values : ndarray of int64
        For each node the node without its last interest, and that interest.
    """

    levels: list[slice]
    parents: I64
    values: I64

    def back_off(self, counts: I64, min_size: int) -> I64:
        """Find the node where the users of each node end up; `counts` are left as they are."""
        counts = counts.copy()
        targets = np.arange(counts.size)
        for level in reversed(self.levels[1:]):
            small = np.flatnonzero(counts[level] < min_size) + level.start
            np.add.at(counts, self.parents[small], counts[small])
            targets[small] = self.parents[small]
        for level in self.levels[1:]:
            targets[level] = targets[targets[level]]
        return targets

    def numbers(self, used: Bools) -> I64:
        """Count for each node the used ones before it in the lexicographic order of all."""
        below = used.astype(np.int64)  # of itself and what continues it
        for level in reversed(self.levels[1:]):
            np.add.at(below, self.parents[level], below[level])
        numbers = np.zeros(used.size, np.int64)
        for level in self.levels[1:]:
            parents = self.parents[level]
            before = offsets_of(below[level])[:-1]
            before -= before[parents.searchsorted(parents)]  # among those of one parent
            numbers[level] = numbers[parents] + used[parents] + before
        return numbers

    def prefixes(self, used: Bools, numbers: I64) -> Ragged:
        """List what the used nodes stand for, in the order of their numbers."""
        nodes = np.flatnonzero(used)
        own = numbers[nodes]
        lengths = np.empty(nodes.size, np.int64)
        lengths[own] = np.repeat(
            np.arange(len(self.levels)), [np.count_nonzero(used[level]) for level in self.levels]
        )
        offsets = offsets_of(lengths)
        values = np.empty(offsets[-1], np.int64)
        for length in range(len(self.levels) - 1, 0, -1):
            reach = np.flatnonzero(lengths[own] >= length)
            values[offsets[own[reach]] + length - 1] = self.values[nodes[reach]]
            nodes[reach] = self.parents[nodes[reach]]
        return Ragged._of(values, offsets)


def _grow(rows: Ragged) -> tuple[_Tree, I64]:
    """Build the tree of all prefixes of rows, and find each row's node."""
    nodes = np.zeros(len(rows), np.int64)
    levels, parents, values = [slice(0, 1)], [np.zeros(1, np.int64)], [np.zeros(1, np.int64)]
    for length in range(1, int(rows.lengths.max(initial=0)) + 1):
        reach = np.flatnonzero(rows.lengths >= length)
        parent, value = nodes[reach], rows.values[rows.offsets[reach] + length - 1]
        distinct, place = np.unique(_pairs(parent, value), return_inverse=True)
        levels.append(slice(levels[-1].stop, levels[-1].stop + distinct.size))
        for column, part in ((parents, parent), (values, value)):
            column.append(np.empty(distinct.size, np.int64))
            column[-1][place] = part
        nodes[reach] = levels[-1].start + place
    return _Tree(levels, np.concatenate(parents), np.concatenate(values)), nodes
