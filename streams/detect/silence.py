"""Silence of less than an hour, from windows of an hour that slide by five minutes.

A window's requests are those of the twelve panes before its end. The next window gains one pane and loses the one of an hour before: so
pane i = pane i - 12 + window i - window i - 1. Where each chain begins, it is fixed by its least pane: in eight days each of the twelve has been
empty once, at night at the latest. If one never was, the panes do not sum to the window, and nothing is said.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from streams.detect.observed import SLIDE_US, Group
from streams.windows.measures import DAY_US, HOUR_US

Counts = npt.NDArray[np.int64]
PANE_US: Final = SLIDE_US["1h"]
PANES: Final = HOUR_US // PANE_US
QUARTER: Final = PANES // 4
RECENT: Final = 8 * DAY_US // PANE_US
"""Windows that are kept: a week tells how long a team's pauses are, a day more holds its last weekend whole."""
LEAST_PAUSES: Final = 6
_A_DAY: Final = DAY_US // PANE_US
MOST_SILENT_US: Final = (PANES - 1 + _A_DAY) * PANE_US
"""As long as a silence can be told."""


class Recent:
    """Requests of each 1h window of the last eight days, by team: 20 KB each. A window that is not there is empty."""

    def __init__(self) -> None:
        self._days: dict[Group, dict[int, array[int]]] = {}
        self._latest: dict[Group, int] = {}
        """The last end with requests; a revision may have emptied that window."""

    def put(self, group: Group, end_us: int, requests: int) -> None:
        day, slot = divmod(end_us // PANE_US, _A_DAY)
        days = self._days.setdefault(group, {})
        if day not in days:
            days[day] = array("q", bytes(8 * _A_DAY))
        days[day][slot] = requests
        if requests:
            self._latest[group] = max(end_us, self._latest.get(group, 0))

    def at(self, group: Group, end_us: int) -> int:
        day, slot = divmod(end_us // PANE_US, _A_DAY)
        slots = self._days.get(group, {}).get(day)
        return slots[slot] if slots else 0

    def before(self, group: Group, end_us: int, count: int) -> Counts:
        """Requests of the last `count` windows that end before `end_us`, the oldest first."""
        last = end_us // PANE_US
        days, first = self._days.get(group, {}), last - count
        found = np.zeros(count, np.int64)
        for day in range(first // _A_DAY, (last - 1) // _A_DAY + 1):
            if day in days:
                begin, end = max(first, day * _A_DAY), min(last, (day + 1) * _A_DAY)
                found[begin - first : end - first] = days[day][begin - day * _A_DAY : end - day * _A_DAY]
        return found

    def upto(self, group: Group, end_us: int, requests: int, count: int) -> Counts:
        """Likewise, but the newest is the one that ends then, with these requests."""
        found = self.before(group, end_us + PANE_US, count)
        found[-1] = requests
        return found

    def empty_before(self, group: Group, end_us: int) -> int:
        """How many windows before the one that ends then are empty; of a day's, that one included."""
        latest = self._latest.get(group)
        if latest is None:
            return _A_DAY - 1
        if latest < end_us and self.at(group, latest):  # the usual case: no other window needs a look
            return min((end_us - latest) // PANE_US, _A_DAY) - 1
        return _zeros(self.before(group, end_us, _A_DAY - 1))

    def latest(self) -> Iterable[tuple[Group, int]]:
        """Groups with requests, and the end of the last window that had some when it came."""
        return self._latest.items()

    def forget(self, before_us: int) -> None:
        """Drop the days that end before that."""
        for group in list(self._days):
            self._days[group] = {
                day: slots for day, slots in self._days[group].items() if (day + 1) * DAY_US > before_us
            }
            if not self._days[group]:
                del self._days[group]
                self._latest.pop(group, None)


def panes(windows: Counts) -> Counts | None:
    """Requests of the pane at the end of each window; as many as `windows`, a multiple of twelve. None if they cannot be told."""
    steps = np.diff(windows, prepend=0)
    steps[:PANES] = 0
    chains = steps.reshape(-1, PANES).cumsum(axis=0)
    found: Counts = (chains - chains.min(axis=0)).reshape(-1)
    return found if found[-PANES:].sum() == windows[-1] else None


def silent_panes(recent: Recent, group: Group, end_us: int, requests: int, least: int) -> int:
    """Panes without requests up to the end of a window with these requests; 0 if they are fewer than `least`, or it cannot be told.

    Of whole silent hours those of a day are counted.
    """
    if not requests:
        return PANES + recent.empty_before(group, end_us)
    windows = recent.upto(group, end_us, requests, least + 1)
    if (windows[:-1] < windows[1:]).any():  # in silence a window can only lose
        return 0
    found = panes(recent.upto(group, end_us, requests, RECENT))
    silent = _zeros(found) if found is not None else 0
    return silent if silent >= least else 0


def _zeros(counts: Counts) -> int:
    """How many there are at the end."""
    there = np.flatnonzero(counts)
    return len(counts) - 1 - int(there[-1]) if len(there) else len(counts)


class Pauses(NamedTuple):
    """What a team's pauses of the last days left out, in requests at the pace of the hour before each."""

    number: int
    mean: int


def faded_per_mille(windows: Counts, silent: int) -> int:
    """How much of its pace the hour before a silence of so many panes kept to its end: requests of its last quarter beside a fourth of the hour's,
    1000 at most, and where panes cannot be told."""
    found = panes(windows)
    if found is None:
        return 1000
    last = len(found) - silent
    hour, quarter = int(found[last - PANES : last].sum()), int(found[last - QUARTER : last].sum())
    return min(4000 * quarter // hour, 1000) if hour else 0


def pauses(windows: Counts, longest: int) -> Pauses | None:
    """Of the panes without requests before the last request, by runs of less than `longest`: more is no pause but a night. None if panes cannot be told.

    The pace of an hour holds for an hour at most, so no pause counts for more, and none for more than the 95th percentile.
    """
    found = panes(windows)
    if found is None:
        return None
    busy = np.flatnonzero(found)
    lengths, paces = np.diff(busy) - 1, windows[busy[:-1]]
    chosen = (lengths > 0) & (lengths < longest) & (paces >= PANES)
    missed = np.sort(paces[chosen] * np.minimum(lengths[chosen], PANES)) // PANES
    if len(missed) < LEAST_PAUSES:
        return Pauses(len(missed), 0)
    most = missed[-(-95 * len(missed) // 100) - 1]
    return Pauses(len(missed), int(np.minimum(missed, most).sum()) // len(missed))
