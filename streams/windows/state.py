"""What the windows are made of: usage panes, bookings and actors, summed by the slides of the four families.

Usage sums are kept per input partition in the shortest slide, because an update replaces one partition's share; longer slides hold the sums
over all partitions. Nothing is ever dropped: memory grows with the panes of the tenants served, about 200 bytes a pane row.

Updates and stored rows carry the version of the flush that wrote them. An update older than what is held changes nothing, because a worker
that lost its partition may publish its last flush after the next owner has published newer ones. But its places count as touched: a state
that was loaded ahead of the updates may have left them already.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import polars as pl

from streams.windows.bookings import ItemBookings, versions
from streams.windows.buckets import Buckets
from streams.windows.families import FAMILIES
from streams.windows.groups import Groups, Mask
from streams.windows.measures import OUTCOME_MEASURES, PANE_US, USAGE_MEASURES
from streams.windows.rolling import Ints, key

KPART_BITS: Final = 16
ACTOR_BITS: Final = 32
PANE_KEY: Final = ("kpart", "tenant", "team", "tool", "model", "pane_start")
PANES_PER_SLIDE: Final = tuple(family.slide_us // PANE_US for family in FAMILIES)
NO_ACTOR: Final = 0xEF46DB3751D8E999
"""xxHash64 of the empty string: usage without an actor has no contributor."""


class PaneState:
    """Each `apply_*` returns the (series, pane) pairs whose windows it may have changed."""

    def __init__(self) -> None:
        self.groups = Groups()
        self.usage = (Buckets(len(USAGE_MEASURES) + 1), *(Buckets(len(USAGE_MEASURES)) for _ in FAMILIES[1:]))
        """The shortest slide has the version as its last column."""
        self.outcomes = tuple(Buckets(len(OUTCOME_MEASURES)) for _ in FAMILIES)
        self.actors = tuple(Buckets(0) for _ in FAMILIES)
        self._bookings = ItemBookings()
        self._actor_numbers: dict[int, int] = {}

    def apply_panes(self, frame: pl.DataFrame) -> tuple[Ints, Ints]:
        """Absolute totals of one input partition's share of panes; of equal keys in a frame the last one counts."""
        if frame.is_empty():
            return _NONE, _NONE
        frame = frame.unique(PANE_KEY, keep="last", maintain_order=True)
        series, panes = self._places(frame)
        kparts = frame["kpart"].cast(pl.Int64).to_numpy()
        shares = (series << KPART_BITS) | kparts
        changes = self.usage[0].replace(
            panes, shares, np.column_stack((_values(frame, USAGE_MEASURES), versions(frame)))
        )
        if (older := changes[:, -1] < 0).any():
            self.usage[0].add(panes[older], shares[older], -changes[older])
            changes[older] = 0
        _add(self.usage[1:], PANES_PER_SLIDE[1:], panes, series, changes[:, :-1])
        return series, panes

    def apply_bookings(self, frame: pl.DataFrame, *, loading: bool = False) -> tuple[Ints, Ints]:
        """All present bookings of each item that appears; a frame holds one version of an item."""
        if frame.is_empty():
            return _NONE, _NONE
        series, panes = self.groups.series(frame), (frame["at"] // PANE_US).to_numpy()
        places, changes, unnamed = self._bookings.replace(
            frame, np.stack([series, panes], axis=1), _values(frame, OUTCOME_MEASURES), loading=loading
        )
        series, panes = places[:, 0], places[:, 1]
        _add(self.outcomes, PANES_PER_SLIDE, panes, series, changes)
        touched = unnamed | _changed(series, panes, changes)
        return series[touched], panes[touched]

    def apply_actors(self, frame: pl.DataFrame) -> tuple[Ints, Ints]:
        """Actors of panes: a set that only grows."""
        frame = frame.filter(pl.col("actor_hash") != NO_ACTOR)
        if frame.is_empty():
            return _NONE, _NONE
        series, panes = self._places(frame)
        numbers = self._actor_numbers
        actors = np.array(
            [numbers.setdefault(actor, len(numbers)) for actor in frame["actor_hash"].to_list()], np.int64
        )
        nothing = np.zeros((len(frame), 0), np.int64)
        _add(self.actors, PANES_PER_SLIDE, panes, (series << ACTOR_BITS) | actors, nothing)
        return series, panes

    def _places(self, frame: pl.DataFrame) -> tuple[Ints, Ints]:
        """Series and pane number of rows of usage, which has no work class."""
        series = self.groups.series(frame.with_columns(pl.lit("").alias("work_class")))
        return series, (frame["pane_start"] // PANE_US).to_numpy()

    def buckets(self, level: int, first: int | None, last: int) -> list[int]:
        """The buckets of a family in first..last that hold usage or bookings, ascending."""
        return sorted({*self.usage[level].between(first, last), *self.outcomes[level].between(first, last)})

    def rows_in(self, level: int, bucket: int) -> int:
        """About how many rows a stretch that includes this bucket has to read for it."""
        return (
            self.usage[level].rows_in(bucket)
            + self.outcomes[level].rows_in(bucket)
            + self.actors[level].rows_in(bucket)
        )

    def gather_usage(self, level: int, buckets: list[int], chosen: Mask | None) -> tuple[Ints, Ints, Ints]:
        """(series, buckets, values with one row per measure) of some buckets, of all or of chosen series."""
        owners, at, values = _gathered(self.usage[level], buckets, chosen, 0 if level else KPART_BITS)
        return (owners, at, values) if level else (owners >> KPART_BITS, at, values[:-1])

    def gather_outcomes(self, level: int, buckets: list[int], chosen: Mask | None) -> tuple[Ints, Ints, Ints]:
        """Likewise for bookings."""
        return _gathered(self.outcomes[level], buckets, chosen, 0)

    def gather_actors(self, level: int, buckets: list[int], chosen: Mask | None) -> tuple[Ints, Ints, Ints]:
        """(series, buckets, actors) in ascending order of bucket."""
        owners, at, _ = _gathered(self.actors[level], buckets, chosen, ACTOR_BITS)
        return owners >> ACTOR_BITS, at, owners & ((1 << ACTOR_BITS) - 1)


_NONE: Final[Ints] = np.zeros(0, np.int64)


def _add(levels: Sequence[Buckets], slides: Sequence[int], panes: Ints, owners: Ints, values: Ints) -> None:
    """Add rows at panes to the sums of ascending slides, each of which is a multiple of the one before: the longer take what the shorter sum up."""
    length = 1
    for sums, slide in zip(levels, slides, strict=True):
        panes, owners, values = sums.add(panes // (slide // length), owners, values)
        length = slide


def _values(frame: pl.DataFrame, measures: tuple[str, ...]) -> Ints:
    return np.ascontiguousarray(frame.select(pl.col(measures).cast(pl.Int64)).to_numpy())


def _changed(series: Ints, panes: Ints, changes: Ints) -> Mask:
    """Which rows stand at a (series, pane) whose changes do not cancel out."""
    _, which = np.unique(key(series, panes), return_inverse=True)
    sums = np.zeros((int(which.max()) + 1, changes.shape[1]), np.int64)
    np.add.at(sums, which, changes)
    return np.asarray(sums.any(axis=1))[which]


def _gathered(sums: Buckets, buckets: list[int], chosen: Mask | None, shift: int) -> tuple[Ints, Ints, Ints]:
    owners: list[Ints] = [_NONE]
    at: list[Ints] = [_NONE]
    values: list[Ints] = [np.zeros((0, sums.width), np.int64)]
    for bucket, found, rows in sums.gather(buckets):
        if chosen is not None:
            kept = chosen[found >> shift]
            owners.append(found[kept])
            values.append(rows[kept])
        else:
            owners.append(found)
            values.append(rows)
        at.append(np.full(len(owners[-1]), bucket))
    return np.concatenate(owners), np.concatenate(at), np.ascontiguousarray(np.concatenate(values).T)
