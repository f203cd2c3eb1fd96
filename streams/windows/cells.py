"""Where a window's sums come from: sums per (owner, bucket), found again by bucket."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import numpy.typing as npt

from streams.windows.measures import MEASURES
from streams.windows.rolling import Ints, group_of, number_of


class Cells:
    """Sums of all measures per place (owner << 32 | bucket)."""

    def __init__(self) -> None:
        self._row_of: dict[int, int] = {}
        self._places: Ints = np.zeros(1024, np.int64)
        self._sums: Ints = np.zeros((1024, len(MEASURES)), np.int64)
        self._in_bucket: dict[int, list[int]] = defaultdict(list)
        self.first_bucket: int | None = None
        self.last_bucket = 0

    def add(self, places: Ints, sums: Ints) -> None:
        """Add `sums` (one row per place; places may repeat)."""
        buckets = number_of(places)
        first = int(buckets.min())
        self.first_bucket = first if self.first_bucket is None else min(self.first_bucket, first)
        self.last_bucket = max(self.last_bucket, int(buckets.max()))
        distinct, inverse = np.unique(places, return_inverse=True)
        if len(distinct) < len(places):
            order = np.argsort(inverse, kind="stable")
            starts = np.searchsorted(inverse[order], np.arange(len(distinct)))
            sums = np.add.reduceat(sums[order], starts, axis=0)
        else:
            sums = sums[np.argsort(places, kind="stable")]
        rows = self._rows(distinct)  # may make the columns longer, so first
        self._sums[rows] += sums

    def _rows(self, places: Ints) -> Ints:
        out = []
        for place in places.tolist():
            row = self._row_of.get(place)
            if row is None:
                row = self._row_of[place] = len(self._row_of)
                if row == len(self._places):
                    self._places = np.concatenate([self._places, np.zeros_like(self._places)])
                    self._sums = np.concatenate([self._sums, np.zeros_like(self._sums)])
                self._places[row] = place
                self._in_bucket[place & 0xFFFFFFFF].append(row)
            out.append(row)
        return np.array(out, np.int64)

    def between(self, first: int, last: int) -> tuple[Ints, Ints, Ints]:
        """(owners, buckets, sums) of the cells with first <= bucket <= last; sums has one row per cell."""
        if last - first > len(self._in_bucket):
            rows = [row for bucket, found in self._in_bucket.items() if first <= bucket <= last for row in found]
        else:
            rows = [row for bucket in range(first, last + 1) for row in self._in_bucket.get(bucket, ())]
        at = np.array(rows, np.int64)
        places = self._places[at]
        return group_of(places), number_of(places), self._sums[at]


ACTOR_BITS = 20
BUCKET_BITS = 24


class Stays:
    """Which actors were active in which bucket of which owner: a set of packed integers in sorted runs."""

    def __init__(self) -> None:
        self._runs: list[Ints] = []

    def add(self, owners: Ints, buckets: Ints, actors: Ints) -> npt.NDArray[np.bool_]:
        """Add rows; True where one is new. Raises OverflowError beyond 2^19 owners, 2^24 buckets or 2^20 actors."""
        if len(owners) == 0:
            return np.zeros(0, np.bool_)
        if (
            actors.max() >> ACTOR_BITS
            or buckets.max() >> BUCKET_BITS
            or owners.max() >> (63 - ACTOR_BITS - BUCKET_BITS)
        ):
            raise OverflowError("too many groups or actors for one window agent: use more partitions")
        packed = (owners << (ACTOR_BITS + BUCKET_BITS)) | (buckets << ACTOR_BITS) | actors
        distinct, first = np.unique(packed, return_index=True)
        new = np.ones(len(distinct), np.bool_)
        for run in self._runs:
            at = np.minimum(np.searchsorted(run, distinct), len(run) - 1)
            new &= run[at] != distinct
        if new.any():
            self._runs.append(distinct[new])
        while len(self._runs) > 1 and len(self._runs[-1]) * 2 > len(self._runs[-2]):
            b, a = self._runs.pop(), self._runs.pop()
            self._runs.append(np.sort(np.concatenate([a, b]), kind="stable"))
        out = np.zeros(len(packed), np.bool_)
        out[first[new]] = True
        return out

    def between(self, first: int, last: int) -> tuple[Ints, Ints, Ints]:
        """(owners, actors, buckets) of the rows with first <= bucket <= last, ascending by bucket."""
        parts = []
        for run in self._runs:
            buckets = (run >> ACTOR_BITS) & ((1 << BUCKET_BITS) - 1)
            parts.append(run[(buckets >= first) & (buckets <= last)])
        found = np.concatenate(parts) if parts else np.zeros(0, np.int64)
        buckets = (found >> ACTOR_BITS) & ((1 << BUCKET_BITS) - 1)
        order = np.argsort(buckets, kind="stable")
        found = found[order]
        return found >> (ACTOR_BITS + BUCKET_BITS), found & ((1 << ACTOR_BITS) - 1), buckets[order]
