"""What the windows are made of: usage panes, bookings and actors, summed by the slides of the four families.

Usage sums are kept per input partition in the shortest slide, because an update replaces one partition's share; longer slides hold the sums
over all partitions. What is kept is bounded by time: `forget` drops the buckets before a pane, the actors that appear in no later one, and
the items without a later booking. Updates of earlier panes then only say which windows must be made from the store again (cold.py). A pane
row takes about 200 bytes, up to 300 with the room for more. Only names grow for ever: a series once seen keeps its number and its groups.

Updates and stored rows carry the version of the flush that wrote them. An update older than what is held changes nothing, because a worker
that lost its partition may publish its last flush after the next owner has published newer ones. But its places count as touched: a state
that was loaded ahead of the updates may have left them already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import polars as pl

from streams.windows.bookings import ItemBookings, versions
from streams.windows.buckets import Buckets
from streams.windows.families import FAMILIES
from streams.windows.groups import Groups, Mask
from streams.windows.measures import OUTCOME_MEASURES, PANE_US, USAGE_MEASURES
from streams.windows.rolling import Ints, key
from streams.windows.stretch import Rows, Stretch

KPART_BITS: Final = 16
ACTOR_BITS: Final = 32
PANE_KEY: Final = ("kpart", "tenant", "team", "tool", "model", "pane_start")
PANES_PER_SLIDE: Final = tuple(family.slide_us // PANE_US for family in FAMILIES)
_ACTOR: Final = (1 << ACTOR_BITS) - 1
_LAST: Final = 1 << 62
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
        self._actors_seen = 0
        self.first_pane = 0
        """Earlier panes are not kept."""

    def apply_panes(self, frame: pl.DataFrame) -> tuple[Ints, Ints]:
        """Absolute totals of one input partition's share of panes; of equal keys in a frame the highest version counts, of these the last."""
        if frame.is_empty():
            return _NONE, _NONE
        if not frame["version"].is_sorted():
            frame = frame.sort("version", maintain_order=True)
        frame = frame.unique(PANE_KEY, keep="last", maintain_order=True)
        series, panes = self._places(frame)
        kept = panes >= self.first_pane
        shares = ((series << KPART_BITS) | frame["kpart"].cast(pl.Int64).to_numpy())[kept]
        values = np.column_stack((_values(frame, USAGE_MEASURES), versions(frame)))[kept]
        changes = self.usage[0].replace(panes[kept], shares, values)
        if (older := changes[:, -1] < 0).any():
            self.usage[0].add(panes[kept][older], shares[older], -changes[older])
            changes[older] = 0
        _add(self.usage[1:], PANES_PER_SLIDE[1:], panes[kept], series[kept], changes[:, :-1])
        return series, panes

    def load_bookings(self, frame: pl.DataFrame, versions_held: Mapping[int, int]) -> None:
        """Stored bookings, all of each item that appears; `versions_held`: see ItemBookings.load."""
        series, panes = self._booked(frame)
        values = _values(frame, OUTCOME_MEASURES)
        self._bookings.load(frame, np.stack([series, panes], axis=1), values, versions_held)
        self._book(series, panes, values)

    def apply_bookings(self, frame: pl.DataFrame) -> tuple[Ints, Ints]:
        """All present bookings of each item that appears; a frame holds one version of an item."""
        if frame.is_empty():
            return _NONE, _NONE
        places, changes, unnamed = self._bookings.replace(
            frame, np.stack(self._booked(frame), axis=1), _values(frame, OUTCOME_MEASURES)
        )
        series, panes = places[:, 0], places[:, 1]
        self._book(series, panes, changes)
        touched = unnamed | _changed(series, panes, changes)
        return series[touched], panes[touched]

    def apply_actors(self, frame: pl.DataFrame) -> tuple[Ints, Ints]:
        """Actors of panes: a set that only grows."""
        frame = frame.filter(pl.col("actor_hash") != NO_ACTOR)
        if frame.is_empty():
            return _NONE, _NONE
        series, panes = self._places(frame)
        kept = panes >= self.first_pane
        distinct, which = np.unique(frame["actor_hash"].to_numpy()[kept], return_inverse=True)
        actors = np.array([self._number(actor) for actor in distinct.tolist()], np.int64)[which]
        nothing = np.zeros((len(actors), 0), np.int64)
        _add(self.actors, PANES_PER_SLIDE, panes[kept], (series[kept] << ACTOR_BITS) | actors, nothing)
        return series, panes

    def forget(self, before: int) -> None:
        """Keep no pane before a number, which is the first of a bucket of every family."""
        self.first_pane = before
        for levels in (self.usage, self.outcomes, self.actors):
            for sums, slide in zip(levels, PANES_PER_SLIDE, strict=True):
                sums.forget(before // slide)
        self._bookings.forget(before)
        longest = self.actors[-1]
        owners, _, _ = longest.copy(longest.between(None, _LAST))
        present = set(np.unique(owners & _ACTOR).tolist())
        self._actor_numbers = {actor: number for actor, number in self._actor_numbers.items() if number in present}

    def __len__(self) -> int:
        """Rows in memory: of sums, bookings, actors and their numbers."""
        sums = sum(len(level) for levels in (self.usage, self.outcomes, self.actors) for level in levels)
        return sums + len(self._bookings) + len(self._actor_numbers)

    def _number(self, actor: int) -> int:
        number = self._actor_numbers.get(actor)
        if number is None:
            number = self._actor_numbers[actor] = self._actors_seen
            self._actors_seen += 1
        return number

    def _booked(self, frame: pl.DataFrame) -> tuple[Ints, Ints]:
        """Series and pane number of bookings."""
        return self.groups.series(frame), (frame["at"] // PANE_US).to_numpy()

    def _book(self, series: Ints, panes: Ints, changes: Ints) -> None:
        kept = panes >= self.first_pane
        _add(self.outcomes, PANES_PER_SLIDE, panes[kept], series[kept], changes[kept])

    def _places(self, frame: pl.DataFrame) -> tuple[Ints, Ints]:
        """Series and pane number of rows of usage, which has no work class."""
        return self.groups.series(frame), (frame["pane_start"] // PANE_US).to_numpy()

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

    def stretch(self, level: int, buckets: list[int], chosen: Mask | None) -> Stretch:
        """A copy of what some buckets of a family hold, of all or of chosen series."""
        usage = _gathered(self.usage[level], buckets, chosen, 0 if level else KPART_BITS)
        if not level:
            usage = usage[0] >> KPART_BITS, usage[1], usage[2]
        owners, at, _ = _gathered(self.actors[level], buckets, chosen, ACTOR_BITS)
        outcomes = _gathered(self.outcomes[level], buckets, chosen, 0)
        return Stretch(self.groups, FAMILIES[level].count, usage, outcomes, (owners >> ACTOR_BITS, at, owners & _ACTOR))


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


def _gathered(sums: Buckets, buckets: list[int], chosen: Mask | None, shift: int) -> Rows:
    owners, at, values = sums.copy(buckets)
    if chosen is None:
        return owners, at, values
    kept = chosen[owners >> shift]
    return owners[kept], at[kept], values[kept]
