"""Sums and distinct counts of many overlapping windows in linear time.

All windows of a family lie on one line of 64-bit keys, group << 32 | number, where number counts slides since 1970. A bucket b of a
group is in its windows b+1 .. b+count, so "bucket" and "window" are points of the same line and an interval of windows never leaves its group.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from streams.compiled import Array, Number, compiled, given

Ints = npt.NDArray[np.int64]

SHIFT = 32
_NUMBER = (1 << SHIFT) - 1
_DENSE = 64
"""Numbers of members up to so many times their rows are sorted by counting; sparser ones are numbered anew."""


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

    def __init__(self, groups: Ints, buckets: Ints, values: Ints, measures: int) -> None:
        """Rows in ascending order of bucket, repetitions allowed; of the columns of `values` the first `measures` are summed."""
        groups = given(groups)
        self.keys, self._sums = np.empty(len(groups), np.int64), np.empty((len(groups) + 1, measures), np.int64)
        self._sums[0] = 0
        _running(
            groups, given(buckets), given(values), _sorted_by(groups, _in_order(len(groups))), self.keys, self._sums
        )

    def between(self, starts: Ints, stops: Ints) -> tuple[Ints, Ints]:
        """Position ranges of the keys in start <= key < stop; equal positions mean none."""
        return np.searchsorted(self.keys, starts), np.searchsorted(self.keys, stops)

    def sums(self, low: Ints, high: Ints, totals: Ints) -> None:
        """Totals of position ranges into `totals`, one row per measure."""
        _differences(self._sums, given(low), given(high), totals)


class Presence:
    """How many distinct members each window of a group has, by differences: +1 where a member's stay begins, -1 where it ends."""

    def __init__(self, groups: Ints, members: Ints, buckets: Ints, count: int) -> None:
        """Rows (group, member, bucket) in ascending order of bucket, repetitions allowed; members are below 2**32."""
        groups, members = given(groups), given(members)
        if len(members) and members.max() > _DENSE * len(members):
            members = given(np.unique(members, return_inverse=True)[1])
        order = _sorted_by(groups, _sorted_by(members, _in_order(len(groups))))
        begins, ends = np.empty((2, len(order)), np.int64)
        stays = _stays(groups, members, given(buckets), order, count, begins, ends)
        self._begins, self._ends = np.sort(begins[:stays]), np.sort(ends[:stays])

    def counts(self, windows: Ints) -> Ints:
        """Members of each window; groups cancel out because each stay that begins in a group ends in it."""
        begun = np.searchsorted(self._begins, windows, side="right")
        return begun - np.searchsorted(self._ends, windows, side="right")


def _in_order(rows: int) -> Ints:
    return np.arange(rows, dtype=np.int64)


def _sorted_by(numbers: Ints, order: Ints) -> Ints:
    """The positions `order` sorted by their number, which is not negative; equal ones stay in their order. Takes as much memory as the largest number."""
    out = np.empty_like(order)
    _sort_by(numbers, order, np.zeros(int(numbers.max(initial=0)) + 2, np.int64), out)
    return out


@compiled
def _sort_by(numbers: Array, order: Array, places: Array, out: Array) -> None:
    """Sort by counting; `places`: zeros, two more than the largest number."""
    for number in numbers:
        places[number + 1] += 1
    for number in range(len(places) - 1):
        places[number + 1] += places[number]
    for position in order:
        number = numbers[position]
        out[places[number]] = position
        places[number] += 1


@compiled
def _running(groups: Array, buckets: Array, values: Array, order: Array, keys: Array, sums: Array) -> None:
    """Keys of the rows in an order, and the sums of all rows before each: `sums` begins with zeros."""
    for place in range(len(order)):
        row = order[place]
        keys[place] = groups[row] << SHIFT | buckets[row]
        for measure in range(sums.shape[1]):
            sums[place + 1, measure] = sums[place, measure] + values[row, measure]


@compiled
def _differences(sums: Array, low: Array, high: Array, totals: Array) -> None:
    """Differences of rows, as columns."""
    for window in range(len(low)):
        begin, end = low[window], high[window]
        for measure in range(sums.shape[1]):
            totals[measure, window] = sums[end, measure] - sums[begin, measure]


@compiled
def _stays(
    groups: Array, members: Array, buckets: Array, order: Array, count: int, begins: Array, ends: Array
) -> Number:
    """First and one after the last window of each stay, from rows in the order of group, member and bucket; returns how many there are."""
    stays = 0
    for place in range(len(order)):
        row = order[place]
        group, bucket = groups[row], buckets[row]
        before = order[place - 1] if place else row
        same = place > 0 and groups[before] == group and members[before] == members[row]
        if not (same and bucket - buckets[before] <= count):
            begins[stays] = group << SHIFT | (bucket + 1)
            stays += 1
        ends[stays - 1] = group << SHIFT | (bucket + count + 1)
    return stays
