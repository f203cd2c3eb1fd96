"""Which windows updates have touched since they were last written, kept as intervals of window numbers per series."""

from __future__ import annotations

import numpy as np

from streams.windows.groups import PLAIN, Groups
from streams.windows.rolling import Ints, clip, group_of, key, number_of, places, unite


class _Intervals:
    """A union of intervals of keys, both ends included."""

    def __init__(self) -> None:
        self._parts: list[tuple[Ints, Ints]] = []

    def add(self, starts: Ints, stops: Ints) -> None:
        held = starts <= stops
        if held.any():
            self._parts.append((starts[held], stops[held]))

    def union(self) -> tuple[Ints, Ints]:
        if len(self._parts) != 1:
            nothing: Ints = np.zeros(0, np.int64)
            parts = self._parts or [(nothing, nothing)]
            self._parts = (
                [unite(np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts]))]
                if self._parts
                else []
            )
            return self._parts[0] if self._parts else (nothing, nothing)
        return self._parts[0]

    def __bool__(self) -> bool:
        return bool(self._parts)


class Touches:
    """Windows by series. An actor touches more than his pane: all classes of work of his group show its contributors."""

    def __init__(self) -> None:
        self._panes, self._actors = _Intervals(), _Intervals()

    def add(self, starts: Ints, stops: Ints, *, by_actor: bool) -> None:
        """Add windows of series: intervals of keys, series << 32 | number; empty ones are left out."""
        (self._actors if by_actor else self._panes).add(starts, stops)

    def settle(self) -> None:
        """Bring repeated touches together, so that waiting for a throttle costs no memory."""
        self._panes.union()
        self._actors.union()

    def __bool__(self) -> bool:
        return bool(self._panes) or bool(self._actors)

    def series(self) -> Ints:
        """The series touched."""
        return np.unique(np.concatenate([group_of(self._panes.union()[0]), group_of(self._actors.union()[0])]))

    def numbers(self, first: int | None, last: int | None) -> list[tuple[int, int]]:
        """Disjoint ascending intervals of the window numbers touched in any series, within first..last."""
        (starts, stops), (begins, ends) = self._panes.union(), self._actors.union()
        firsts, lasts = number_of(np.concatenate([starts, begins])), number_of(np.concatenate([stops, ends]))
        firsts = firsts if first is None else np.maximum(firsts, first)
        lasts = lasts if last is None else np.minimum(lasts, last)
        firsts, lasts = unite(firsts, lasts)
        return list(zip(firsts.tolist(), lasts.tolist(), strict=True))

    def windows(self, groups: Groups, column: int, first: int, last: int) -> Ints:
        """Windows touched in a grouping with first <= number <= last, ascending: group << 32 | number; not all of them hold a pane."""
        starts, stops = _moved(groups.table[:, column], *self._panes.union())
        begins, ends = _moved(groups.table[:, PLAIN[column]], *self._actors.union())
        if PLAIN[column] != column:
            begins, ends = _classes(groups, column, begins, ends)
        return places(*clip(np.concatenate([starts, begins]), np.concatenate([stops, ends]), first, last))


def _moved(group_of_series: Ints, starts: Ints, stops: Ints) -> tuple[Ints, Ints]:
    """Intervals of series as intervals of the groups that they belong to."""
    groups = group_of_series[group_of(starts)]
    return key(groups, number_of(starts)), key(groups, number_of(stops))


def _classes(groups: Groups, column: int, starts: Ints, stops: Ints) -> tuple[Ints, Ints]:
    """Intervals of groups without class as intervals of all groups of a grouping by class that take their contributors."""
    members = np.unique(groups.table[:, column])
    owners = groups.plain[members]
    order = np.argsort(owners, kind="stable")
    members, owners = members[order], owners[order]
    wanted = group_of(starts)
    low, high = np.searchsorted(owners, wanted), np.searchsorted(owners, wanted, side="right")
    row = np.repeat(np.arange(len(wanted)), high - low)
    member = members[np.arange(len(row)) - np.repeat(np.cumsum(high - low) - (high - low), high - low) + low[row]]
    return key(member, number_of(starts)[row]), key(member, number_of(stops)[row])
