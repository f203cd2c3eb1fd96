"""The buckets of one family that some windows need, summed for one grouping after the other."""

from __future__ import annotations

import numpy as np

from streams.windows.groups import PLAIN, Groups
from streams.windows.measures import MEASURES, USAGE_MEASURES
from streams.windows.rolling import Ints, Presence, RunningSums, clip, key, number_of, places

Rows = tuple[Ints, Ints, Ints]
"""Series, buckets and values with one column per measure (or more, which are not summed) or, of actors, numbers below 2**32."""


class Stretch:
    """What some buckets of a family (windows of `count` buckets) hold: usage, outcomes, actors in ascending order of bucket."""

    def __init__(self, groups: Groups, count: int, usage: Rows, outcomes: Rows, actors: Rows) -> None:
        self._groups, self._count = groups, count
        self._usage, self._outcomes, self._actors = usage, outcomes, actors
        self._presence: dict[int, Presence] = {}

    def of(self, column: int) -> GroupedStretch:
        """The sums of the groups of one grouping."""
        groups = self._groups.table[:, column]
        usage, outcomes = (
            RunningSums(groups[series], buckets, values, measures)
            for (series, buckets, values), measures in (
                (self._usage, len(USAGE_MEASURES)),
                (self._outcomes, len(MEASURES) - len(USAGE_MEASURES)),
            )
        )
        return GroupedStretch(self._count, usage, outcomes, self._contributors(PLAIN[column]))

    def _contributors(self, column: int) -> Presence:
        if column not in self._presence:
            series, buckets, actors = self._actors
            self._presence[column] = Presence(self._groups.table[series, column], actors, buckets, self._count)
        return self._presence[column]


class GroupedStretch:
    """Windows of the groups of one grouping; a window is a key: group << 32 | number of its end."""

    def __init__(self, count: int, usage: RunningSums, outcomes: RunningSums, presence: Presence) -> None:
        self._count, self._usage, self._outcomes, self._presence = count, usage, outcomes, presence

    def windows(self, first: int, last: int) -> Ints:
        """Every window with first <= number <= last that holds a pane, ascending."""
        filled = np.concatenate([self._usage.keys, self._outcomes.keys])
        return places(*clip(filled + 1, filled + self._count, first, last))

    def filled(self, windows: Ints) -> Ints:
        """Those of the given windows that hold a pane."""
        held = np.zeros(len(windows), np.bool_)
        for sums in (self._usage, self._outcomes):
            low, high = sums.between(windows - self._count, windows)
            held |= low < high
        return windows[held]

    def measures(self, windows: Ints) -> Ints:
        """Totals of windows, one row per measure in the order of MEASURES."""
        totals = np.empty((len(MEASURES), len(windows)), np.int64)
        split = len(USAGE_MEASURES)
        for sums, rows in ((self._usage, totals[:split]), (self._outcomes, totals[split:])):
            sums.sums(*sums.between(windows - self._count, windows), rows)
        return totals

    def contributors(self, plain: Ints, windows: Ints) -> Ints:
        """Distinct actors in windows of the groups `plain`."""
        return self._presence.counts(key(plain, number_of(windows)))
