"""Rows of sums by bucket and owner: the rows of a bucket lie together, because a window reads few buckets, and an update touches few."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from streams.compiled import Array, Number, compiled, given
from streams.windows.rolling import Ints

BEGIN, ROWS, ROOM = 0, 1, 2
"""What is known of a bucket: its first place, how many rows it holds, and how many it has room for."""
_LEAST_ROOM: Final = 2


class Buckets:
    """Sums of `width` measures per (bucket, owner); of width 0 it is a set. Owners are numbers below 2**62.

    All buckets share two arrays. One that needs more room moves to their end; what it leaves is lost until they are written anew, which
    happens when they are full.
    """

    def __init__(self, width: int) -> None:
        self.width = width
        self._extents: dict[int, int] = {}
        """Row in `_known` by bucket."""
        self._known: Ints = np.zeros((0, 3), np.int64)
        self._free: list[int] = []
        self._owners, self._values = np.empty(0, np.int64), np.empty((0, width), np.int64)
        self._used = 0

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
        self._put(buckets, owners, values, replace=False)
        return buckets, owners, values

    def replace(self, buckets: Ints, owners: Ints, values: Ints) -> Ints:
        """Put rows of values in the place of what was there, if anything. Returns new - old by row.

        Raises ValueError when a (bucket, owner) repeats.
        """
        order = np.lexsort((owners, buckets))
        buckets, owners, sorted_changes = buckets[order], owners[order], values[order]
        if ((buckets[1:] == buckets[:-1]) & (owners[1:] == owners[:-1])).any():
            raise ValueError("an owner stands twice in a bucket")
        self._put(buckets, owners, sorted_changes, replace=True)
        changes = np.empty_like(values)
        changes[order] = sorted_changes
        return changes

    def _put(self, buckets: Ints, owners: Ints, values: Ints, *, replace: bool) -> None:
        """Add distinct rows in ascending order, or replace what is there and leave the changes in `values`."""
        if not len(buckets):
            return
        starts = np.flatnonzero(np.concatenate(([True], buckets[1:] != buckets[:-1], [True])))
        extents = self._extents_of(buckets[starts[:-1]].tolist())
        known = self._known[extents]
        needed = known[:, ROWS] + np.diff(starts)
        self._reserve(int(_room(needed[needed > known[:, ROOM]]).sum()))
        self._used = int(
            _put(self._known, self._owners, self._values, self._used, extents, starts, given(owners), values, replace)
        )

    def _extents_of(self, buckets: list[int]) -> Ints:
        """Rows in `_known`, of new buckets without room."""
        new = [bucket for bucket in buckets if bucket not in self._extents]
        if (more := len(new) - len(self._free)) > 0:
            held, more = len(self._known), max(more, len(self._known))
            self._known = np.concatenate([self._known, np.zeros((more, 3), np.int64)])
            self._free += range(held, held + more)
        for bucket in new:
            self._extents[bucket] = self._free.pop()
        return np.array([self._extents[bucket] for bucket in buckets], np.int64)

    def _reserve(self, more: int) -> None:
        """Make room for so many places behind those that are used."""
        if self._used + more <= len(self._owners):
            return
        live = int(self._known[:, ROOM].sum())
        places = live + live // 2 + more
        owners, values = np.empty(places, np.int64), np.empty((places, self.width), np.int64)
        self._used = int(_write_anew(self._known, self._owners, self._values, owners, values))
        self._owners, self._values = owners, values

    def forget(self, before: int) -> None:
        """Drop the buckets before a number."""
        for bucket in [bucket for bucket in self._extents if bucket < before]:
            self._free.append(extent := self._extents.pop(bucket))
            self._known[extent] = 0

    def __len__(self) -> int:
        """Rows in memory."""
        return int(self._known[:, ROWS].sum())

    def between(self, first: int | None, last: int) -> list[int]:
        """The buckets in first..last that hold rows, ascending; None: from the oldest on."""
        if first is not None and last - first < len(self._extents):
            return [bucket for bucket in range(first, last + 1) if bucket in self._extents]
        return sorted(bucket for bucket in self._extents if bucket <= last and (first is None or first <= bucket))

    def rows_in(self, bucket: int) -> int:
        """How many rows a bucket holds."""
        extent = self._extents.get(bucket)
        return 0 if extent is None else int(self._known[extent, ROWS])

    def copy(self, buckets: Sequence[int]) -> tuple[Ints, Ints, Ints]:
        """Owners, buckets and values of all rows of the given buckets, one bucket after the other, its owners ascending."""
        held = [bucket for bucket in buckets if bucket in self._extents]
        extents = self._extents_of(held)
        rows = int(self._known[extents, ROWS].sum())
        owners, at, values = np.empty(rows, np.int64), np.empty(rows, np.int64), np.empty((rows, self.width), np.int64)
        _copy(self._known, self._owners, self._values, extents, given(np.array(held, np.int64)), owners, at, values)
        return owners, at, values


def _room(rows: Ints) -> Ints:
    """The room that a bucket gets which needs some for so many rows."""
    return rows + rows // 4 + _LEAST_ROOM


@compiled
def _put(
    known: Array, held: Array, sums: Array, used: Number, extents: Array, starts: Array, owners: Array, values: Array, replace: bool
) -> Number:  # fmt: skip
    """Put the rows of each bucket into its extent, which moves behind `used` if need be; returns the end of what is used then."""
    for run in range(len(extents)):
        extent = known[extents[run]]
        missing = _missing(held, extent[BEGIN], extent[BEGIN] + extent[ROWS], owners, starts[run], starts[run + 1])
        needed = extent[ROWS] + missing
        if needed > extent[ROOM]:
            _move(held, sums, extent[BEGIN], held, sums, used, extent[ROWS])
            extent[BEGIN], extent[ROOM] = used, needed + needed // 4 + _LEAST_ROOM
            used += extent[ROOM]
        _merge(held, sums, extent[BEGIN], extent[ROWS], missing, owners, values, starts[run], starts[run + 1], replace)
        extent[ROWS] = needed
    return used


@compiled
def _missing(held: Array, place: Number, stop: Number, owners: Array, begin: Number, end: Number) -> Number:
    """How many of some owners are not held in the places from `place` to `stop`; both are ascending."""
    missing = 0
    for k in range(begin, end):
        owner, after, step = owners[k], place, 1
        while after < stop and held[after] < owner:  # in steps that grow: owners may be few
            place, after, step = after + 1, after + step, 2 * step
        after = min(after, stop)
        while place < after:
            middle = (place + after) // 2
            if held[middle] < owner:
                place = middle + 1
            else:
                after = middle
        if place == stop or held[place] != owner:
            missing += 1
    return missing


@compiled
def _merge(
    held: Array, sums: Array, first: Number, rows: Number, missing: Number, owners: Array, values: Array, begin: Number, end: Number,
    replace: bool,
) -> None:  # fmt: skip
    """Merge rows into the ascending ones from `first` on, from behind, so that nothing is in the way; `missing` of them are new."""
    place, gap = first + rows - 1, missing
    for k in range(end - 1, begin - 1, -1):
        owner = owners[k]
        if gap:
            while place >= first and held[place] > owner:
                _move(held, sums, place, held, sums, place + gap, 1)
                place -= 1
        else:  # in steps that grow
            after, step = place, 1
            while place >= first and held[place] > owner:
                after, place, step = place - 1, place - step, 2 * step
            low = max(place, first - 1)
            while low < after:
                middle = (low + after + 1) // 2
                if held[middle] > owner:
                    after = middle - 1
                else:
                    low = middle
            place = after
        if place >= first and held[place] == owner:
            if gap:
                _move(held, sums, place, held, sums, place + gap, 1)
            at = place + gap
            place -= 1
        else:
            at = place + gap
            gap -= 1
            held[at] = owner
            for measure in range(sums.shape[1]):
                sums[at, measure] = 0
        for measure in range(sums.shape[1]):
            if replace:
                change = values[k, measure] - sums[at, measure]
                sums[at, measure] = values[k, measure]
                values[k, measure] = change
            else:
                sums[at, measure] += values[k, measure]


@compiled
def _move(held: Array, sums: Array, at: Number, to_held: Array, to_sums: Array, to: Number, rows: Number) -> None:
    """Copy rows to where they do not lie already."""
    for row in range(rows):
        to_held[to + row] = held[at + row]
        for measure in range(sums.shape[1]):
            to_sums[to + row, measure] = sums[at + row, measure]


@compiled
def _copy(
    known: Array, held: Array, sums: Array, extents: Array, buckets: Array, owners: Array, at: Array, values: Array
) -> None:
    """Copy the rows of some extents, one after the other."""
    end = 0
    for k in range(len(extents)):
        begin, rows = known[extents[k], BEGIN], known[extents[k], ROWS]
        _move(held, sums, begin, owners, values, end, rows)
        at[end : end + rows] = buckets[k]
        end += rows


@compiled
def _write_anew(known: Array, held: Array, sums: Array, to_held: Array, to_sums: Array) -> Number:
    """Copy all extents, one after the other; returns where they end."""
    end = 0
    for extent in range(len(known)):
        _move(held, sums, known[extent, BEGIN], to_held, to_sums, end, known[extent, ROWS])
        known[extent, BEGIN] = end
        end += known[extent, ROOM]
    return end
