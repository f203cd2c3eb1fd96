"""Rows of sums by bucket and owner, kept in one block per bucket: a window reads few buckets, an update touches few."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from streams.compiled import Array, Number, compiled, given
from streams.windows.rolling import Ints


class Buckets:
    """Sums of `width` measures per (bucket, owner); of width 0 it is a set. Owners are numbers below 2**62."""

    def __init__(self, width: int) -> None:
        self.width = width
        self._blocks: dict[int, tuple[Ints, Ints]] = {}

    def add(self, buckets: Ints, owners: Ints, values: Ints) -> tuple[Ints, Ints, Ints]:
        """Add rows of values; (bucket, owner) may repeat. Rows that do not exist begin at zero and then stay, even when they sum to zero.

        Returns the rows with repeated ones summed up.
        """
        if not len(buckets):
            return buckets, owners, values
        order = np.lexsort((owners, buckets))
        buckets, owners = buckets[order], owners[order]
        first = np.concatenate(([True], (buckets[1:] != buckets[:-1]) | (owners[1:] != owners[:-1])))
        starts = np.flatnonzero(first)
        values = np.add.reduceat(values[order], starts, axis=0) if self.width else values[starts]
        buckets, owners = buckets[starts], owners[starts]
        for bucket, rows in _runs(buckets):
            held, at = self._slots(bucket, owners[rows])
            held[at] += values[rows]
        return buckets, owners, values

    def replace(self, buckets: Ints, owners: Ints, values: Ints) -> Ints:
        """Put rows of values in the place of what was there, if anything; (bucket, owner) must not repeat. Returns new - old by row."""
        changes = np.empty_like(values)
        order = np.lexsort((owners, buckets))
        buckets = buckets[order]
        for bucket, rows in _runs(buckets):
            held, at = self._slots(bucket, owners[order[rows]])
            put = values[order[rows]]
            changes[order[rows]] = put - held[at]
            held[at] = put
        return changes

    def _slots(self, bucket: int, owners: Ints) -> tuple[Ints, Ints]:
        """The block of a bucket and the positions in it of owners, which are ascending and distinct."""
        if bucket not in self._blocks:
            self._blocks[bucket] = owners.copy(), np.zeros((len(owners), self.width), np.int64)
        known, values = self._blocks[bucket]
        at = np.empty(len(owners), np.int64)
        if missing := _find(given(known), given(owners), at):
            wider = np.empty(len(known) + missing, np.int64), np.zeros((len(known) + missing, self.width), np.int64)
            _widen(given(known), given(values), given(owners), *wider, at)
            self._blocks[bucket] = known, values = wider
        return values, at

    def forget(self, before: int) -> None:
        """Drop the buckets before a number."""
        for bucket in [bucket for bucket in self._blocks if bucket < before]:
            del self._blocks[bucket]

    def __len__(self) -> int:
        """Rows in memory."""
        return sum(len(owners) for owners, _ in self._blocks.values())

    def between(self, first: int | None, last: int) -> list[int]:
        """The buckets in first..last that hold rows, ascending; None: from the oldest on."""
        if first is not None and last - first < len(self._blocks):
            return [bucket for bucket in range(first, last + 1) if bucket in self._blocks]
        return sorted(bucket for bucket in self._blocks if bucket <= last and (first is None or first <= bucket))

    def rows_in(self, bucket: int) -> int:
        """How many rows a bucket holds."""
        block = self._blocks.get(bucket)
        return 0 if block is None else len(block[0])

    def gather(self, buckets: Sequence[int]) -> Iterator[tuple[int, Ints, Ints]]:
        """(bucket, owners, values) of the given buckets that hold rows; the arrays are the state itself."""
        for bucket in buckets:
            block = self._blocks.get(bucket)
            if block is not None:
                yield bucket, *block


def _runs(ascending: Ints) -> Iterator[tuple[int, slice]]:
    """The stretches of equal numbers in a sorted array."""
    edges = np.flatnonzero(np.diff(ascending)) + 1
    starts, stops = [0, *edges.tolist()], [*edges.tolist(), len(ascending)]
    for start, stop in zip(starts, stops, strict=True):
        if start < stop:
            yield int(ascending[start]), slice(start, stop)


@compiled
def _find(known: Array, owners: Array, at: Array) -> Number:
    """The positions of owners among known ones, both ascending; returns how many are missing."""
    place = missing = 0
    for k in range(len(owners)):
        end, step = place, 1
        while end < len(known) and known[end] < owners[k]:  # in steps that grow: owners may be few
            place, end, step = end + 1, end + step, 2 * step
        end = min(end, len(known))
        while place < end:
            middle = (place + end) // 2
            if known[middle] < owners[k]:
                place = middle + 1
            else:
                end = middle
        at[k] = place
        if place == len(known) or known[place] != owners[k]:
            missing += 1
    return missing


@compiled
def _widen(known: Array, values: Array, owners: Array, all_known: Array, all_values: Array, at: Array) -> None:
    """Known rows and those of missing owners, which begin at zero, in ascending order; `at`: where the owners stand then."""
    place = k = 0
    for row in range(len(all_known)):
        if k < len(owners) and (place == len(known) or owners[k] < known[place]):
            all_known[row], at[k] = owners[k], row
            k += 1
            continue
        all_known[row] = known[place]
        for measure in range(values.shape[1]):
            all_values[row, measure] = values[place, measure]
        if k < len(owners) and owners[k] == known[place]:
            at[k] = row
            k += 1
        place += 1
