"""Windows that reach back behind the panes in memory: what they hold is read from the store.

Join agents store a row before they tell of it, so the store is never behind the updates; it may be ahead of them, which does no harm
because the later updates touch the same windows again. What is read at a time is summed by series and bucket and bounded by MOST_ROWS; the
actors of the same buckets come beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np
import polars as pl

from streams.windows.families import FAMILIES, Family
from streams.windows.groups import COLUMNS, Groups, distinct
from streams.windows.measures import OUTCOME_MEASURES, USAGE_MEASURES
from streams.windows.rolling import Ints
from streams.windows.stretch import Stretch

StoredSums = Callable[[Sequence[str], int, Sequence[int]], tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]]
"""What is stored of some tenants in some buckets, which are numbers of slides (us) since 1970. Frames: usage (tenant, team, tool, model,
bucket, USAGE_MEASURES) and bookings (DIMENSIONS, bucket, OUTCOME_MEASURES), one row per series and bucket that has any, and actors (tenant,
team, tool, model, bucket, actor_hash) without usage that has none. At least as new as all updates applied. May raise."""

MOST_ROWS: Final = 500_000
"""Rows of usage, and likewise of outcomes, that one reading may bring (about 200 bytes each)."""
MOST_BUCKETS: Final = 4_000
"""Buckets of one reading: bounds the parameters of its query."""

Intervals = list[tuple[int, int]]


class ColdStretches:
    """Reads stretches of the tenants that some series belong to."""

    def __init__(self, groups: Groups, stored: StoredSums) -> None:
        self._groups, self._stored = groups, stored

    def of(self, level: int, numbers: Intervals, series: Ints) -> Iterator[tuple[int, int, Stretch]]:
        """(first, last, stretch) such that each window number of the intervals lies within one first..last, whose stretch holds its buckets."""
        if not numbers:
            return
        family, chosen = FAMILIES[level], self._groups.of_one_tenant(series)
        tenants = self._groups.names(np.unique(self._groups.table[chosen, COLUMNS.index("tenant")]))["tenant"].to_list()
        most = min(max(MOST_ROWS // int(chosen.sum()), 2 * family.count), MOST_BUCKETS)
        for part in _parts(numbers, family.count, most):
            buckets = np.unique(np.concatenate([np.arange(first - family.count, last) for first, last in part]))
            yield part[0][0], part[-1][1], self._read(family, tenants, buckets.tolist())

    def _read(self, family: Family, tenants: list[str], buckets: list[int]) -> Stretch:
        usage, outcomes, actors = self._stored(tenants, family.slide_us, buckets)
        usage, outcomes, actors = (frame.sort("bucket") for frame in (usage, outcomes, actors))
        _, members = distinct(actors, ("actor_hash",))
        return Stretch(
            self._groups,
            family.count,
            (*self._places(usage), _values(usage, USAGE_MEASURES)),
            (*self._places(outcomes), _values(outcomes, OUTCOME_MEASURES)),
            (*self._places(actors), members),
        )

    def _places(self, frame: pl.DataFrame) -> tuple[Ints, Ints]:
        return self._groups.series(frame), frame["bucket"].cast(pl.Int64).to_numpy()


def _values(frame: pl.DataFrame, measures: tuple[str, ...]) -> Ints:
    return np.ascontiguousarray(frame.select(pl.col(measures).cast(pl.Int64)).to_numpy())


def _parts(numbers: Intervals, count: int, most: int) -> Iterator[Intervals]:
    """Ascending intervals in groups that read at most `most` (at least 2 * count) buckets together."""
    part: Intervals = []
    buckets = 0
    for first, last in numbers:
        for begin in range(first, last + 1, most - count + 1):
            end = min(begin + most - count, last)
            if part and buckets + end - begin + count > most:
                yield part
                part, buckets = [], 0
            part.append((begin, end))
            buckets += end - begin + count
    yield part
