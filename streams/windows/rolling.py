"""Sums and distinct counts of many overlapping windows in linear time.

All windows of a family lie on one line of 64-bit keys, group << 32 | number, where number counts slides since 1970. A bucket b of a
group is in its windows b+1 .. b+count, so "bucket" and "window" are points of the same line and an interval of windows never leaves its group.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

SHIFT = 32
_NUMBER = (1 << SHIFT) - 1


def key(groups: Ints, numbers: Ints | int) -> Ints:
    """Places on the line."""
    return (groups << SHIFT) | numbers


def group_of(keys: Ints) -> Ints:
    """The groups of places on the line."""
    return keys >> SHIFT


def number_of(keys: Ints) -> Ints:
    """The numbers of places on the line."""
    return keys & _NUMBER


def unite(starts: Ints, stops: Ints) -> tuple[Ints, Ints]:
    """Disjoint sorted intervals that cover the same places as the given ones; both ends belong to an interval, empty ones are dropped."""
    held = starts <= stops
    starts, stops = starts[held], stops[held]
    if not len(starts):
        return starts, stops
    order = np.argsort(starts, kind="stable")
    starts, reach = starts[order], np.maximum.accumulate(stops[order])
    first = np.concatenate(([True], starts[1:] > reach[:-1] + 1))
    last = np.concatenate((first[1:], [True]))
    return starts[first], reach[last]


def clip(starts: Ints, stops: Ints, first: int, last: int) -> tuple[Ints, Ints]:
    """The parts of intervals whose numbers lie in first..last; may contain empty intervals (start > stop)."""
    return np.maximum(starts, key(group_of(starts), first)), np.minimum(stops, key(group_of(stops), last))


def places(starts: Ints, stops: Ints) -> Ints:
    """Every place that at least one interval covers, once, ascending."""
    starts, stops = unite(starts, stops)
    lengths = stops - starts + 1
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(int(lengths.sum()), dtype=np.int64)


class RunningSums:
    """Sums over stretches of the line: one cumulative sum over everything, of which a stretch is a difference.

    The running total crosses groups and may wrap around 64 bits; differences are right as long as each result fits.
    """

    def __init__(self, keys: Ints, values: Ints) -> None:
        """`values` has one row per measure and one column per key; keys may repeat and come in any order."""
        order = np.argsort(keys, kind="stable")
        self.keys: Ints = keys[order]
        self._sums: Ints = np.zeros((values.shape[0], len(keys) + 1), np.int64)
        np.cumsum(values.take(order, axis=1), axis=1, out=self._sums[:, 1:])

    def between(self, starts: Ints, stops: Ints) -> tuple[Ints, Ints]:
        """Position ranges of the keys in start <= key < stop; equal positions mean none."""
        return np.searchsorted(self.keys, starts), np.searchsorted(self.keys, stops)

    def sums(self, low: Ints, high: Ints) -> Ints:
        """Totals of position ranges, one row per measure."""
        totals: Ints = self._sums.take(high, axis=1)
        totals -= self._sums.take(low, axis=1)
        return totals


class Presence:
    """How many distinct members each window of a group has, by differences: +1 where a member's stay begins, -1 where it ends."""

    def __init__(self, groups: Ints, members: Ints, buckets: Ints, count: int) -> None:
        """Rows (group, member, bucket) in ascending order of bucket, repetitions allowed; members are below 2**32."""
        pairs = key(groups, members)
        order = np.argsort(pairs, kind="stable")
        pairs, buckets = pairs[order], buckets[order]
        anew = np.ones(len(pairs) + 1, np.bool_)
        anew[1:-1] = (pairs[1:] != pairs[:-1]) | (buckets[1:] - buckets[:-1] > count)
        self._begins: Ints = np.sort(key(group_of(pairs[anew[:-1]]), buckets[anew[:-1]] + 1))
        self._ends: Ints = np.sort(key(group_of(pairs[anew[1:]]), buckets[anew[1:]] + count + 1))

    def counts(self, windows: Ints) -> Ints:
        """Members of each window; groups cancel out because each stay that begins in a group ends in it."""
        begun = np.searchsorted(self._begins, windows, side="right")
        return begun - np.searchsorted(self._ends, windows, side="right")
