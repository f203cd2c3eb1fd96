"""A team's own past: the windows that a baseline is made of.

Of each family only some ends are kept: every hour of 1h windows, every six hours of the others. Between them the windows say nothing new,
but for how long nothing has come: so of the 1h windows of the last eight days the requests are kept at every end.
A window that is not there counts as empty, so an idle team costs no memory.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import cached_property
from typing import Final

from streams.detect.observed import COMPLETED, NOTHING, REQUESTS, SIZE_US, Group, Observed, Row
from streams.detect.silence import PANE_US, RECENT, Counts, Recent, silent_panes
from streams.windows.measures import DAY_US, HOUR_US

STEP_US: Final = {"1h": HOUR_US, "24h": 6 * HOUR_US, "7d": 6 * HOUR_US}
BASELINE_US: Final = 28 * DAY_US
"""Usage that a baseline covers, up to the beginning of the window that is judged: four whole weeks."""
OBSERVED_US: Final = 14 * DAY_US
"""A group with less usage behind it has no usual yet: it is observed, not judged."""
KEPT_US: Final = BASELINE_US + max(SIZE_US.values()) + DAY_US
LEAST_WINDOWS: Final = 20
"""Below it a 95th percentile says nothing."""

Span = tuple[int, int]
"""First and last window end, both inclusive."""
Past = Sequence[tuple[int, Observed]]
"""Past windows with their ends."""


class Before:
    """What was before a window that is judged: all that tells what is usual, made when it is asked for, or one window of it.

    `surges`: ends of the hours in which work was closed in bulk. What ended in them is in no window of 24h and 7d that is told.
    """

    def __init__(self, history: History, size: str, group: Group, end_us: int, surges: Collection[int] = ()) -> None:
        self.end_us, self.group = end_us, group
        self._surges = surges if size != "1h" else ()
        self.paged = False
        """Whether a page about the team's spend fired in the two days before."""
        self._history, self._size = history, size

    @cached_property
    def windows(self) -> Past:
        found = self._history.before(self._size, self.group, self.end_us)
        return [(end, self._calm(self._size, end, window)) for end, window in found] if self._surges else found

    def calm(self, now: Observed) -> Observed:
        """The window that is judged, without what ended in surges."""
        return self._calm(self._size, self.end_us, now)

    def at(self, end_us: int) -> Observed:
        """The window that ended then, if its end is one of the sampled; an empty one if it is not there."""
        return self._history.at(self._size, self.group, end_us)

    def day(self, end_us: int) -> Observed:
        """The 24h window that ended then, of those that end on a quarter of a UTC day; an empty one if it is not there."""
        return self._calm("24h", end_us, self._history.at("24h", self.group, end_us))

    def hours_of_week(self, without: Sequence[Span]) -> list[list[Observed]]:
        """The same hour in each of the four weeks before that is within the team's usage and outside the spans: of an hour that is not the
        clock's the two that it lies in. For windows of an hour."""
        began = (
            self.windows[0][0] - 3 * DAY_US if self.windows else self.end_us
        )  # perhaps a weekend lies before the first use
        ends = sorted({self.end_us // HOUR_US * HOUR_US, -(-self.end_us // HOUR_US) * HOUR_US})
        weeks = ([end - 7 * week * DAY_US for end in ends] for week in range(1, 5))
        return [
            [self.at(end) for end in week]
            for week in weeks
            if began <= week[0] and not any(begin <= end <= last for end in week for begin, last in without)
        ]

    def _calm(self, size: str, end_us: int, window: Observed) -> Observed:
        hours = [hour for hour in self._surges if end_us - SIZE_US[size] < hour <= end_us]
        if not hours:
            return window
        left = list(window)
        for hour in hours:
            ended = self._history.at("1h", self.group, hour)
            for (
                position
            ) in COMPLETED:  # never below nothing: a revision of the hour may be here before that of the window
                left[position] = max(left[position] - ended[position], min(left[position], 0))
        return Observed._make(left)

    def requests(self, end_us: int) -> int:
        """Of the 1h window that ended then, at any end of the last eight days."""
        return self._history.recent.at(self.group, end_us)

    def recent(self, requests: int) -> Counts:
        """Requests of the last RECENT 1h windows, the oldest first: those before this one, and this one with `requests`."""
        return self._history.recent.upto(self.group, self.end_us, requests, RECENT)

    def silent_panes(self, requests: int, least: int) -> int:
        """Panes without requests up to the end of this window, which has these; 0 if they are fewer than `least`, or it cannot be told."""
        return silent_panes(self._history.recent, self.group, self.end_us, requests, least)

    def requests_between(self, begin_us: int, end_us: int) -> int:
        """About the requests of a stretch of time, from windows at full hours."""
        found = 0
        for end in range(begin_us // HOUR_US * HOUR_US + HOUR_US, end_us + HOUR_US, HOUR_US):
            found += self.at(end).requests * (min(end, end_us) - max(end - HOUR_US, begin_us))
        return found // HOUR_US


class History:
    """Sampled windows of all groups, for as long as a baseline needs them."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, Group], dict[int, list[int]]] = {}
        self.recent: Final = Recent()

    def put(self, row: Row) -> None:
        """Keep what a row says, if its end is one of the sampled; the rows of one window complete each other, a later one replaces."""
        if row.end_us % STEP_US[row.size] == 0:
            window = self._kept.setdefault((row.size, row.group), {}).setdefault(row.end_us, list(NOTHING))
            for position, value in row.values:
                window[position] = value
        if row.size == "1h":
            for position, value in row.values:
                if position == REQUESTS:
                    self.recent.put(row.group, row.end_us, value)

    def at(self, size: str, group: Group, end_us: int) -> Observed:
        """The window of a group with this sampled end."""
        window = self._kept.get((size, group), {}).get(end_us)
        return Observed._make(window) if window else NOTHING

    def __len__(self) -> int:
        return sum(map(len, self._kept.values()))

    def forget(self, now_us: int) -> None:
        """Drop what no baseline of a window that ends at `now_us` or later reads."""
        for key in list(self._kept):
            kept = {end: window for end, window in self._kept[key].items() if end > now_us - KEPT_US}
            if kept:
                self._kept[key] = kept
            else:
                del self._kept[key]
        self.recent.forget(now_us - RECENT * PANE_US)

    def before(self, size: str, group: Group, end_us: int) -> Past:
        """(end, fields of Observed) of the windows that may tell what is usual when the window ending at `end_us` is judged.

        They end before that one begins, and they are whole: they begin no earlier than the group's usage, nor than four weeks before.
        Empty if the group has less than 14 days of usage behind it.
        """
        kept = self._kept.get((size, group))
        if not kept:
            return []
        step, size_us = STEP_US[size], SIZE_US[size]
        last = (end_us - size_us) // step * step
        oldest = end_us - size_us - BASELINE_US
        first_used = next(
            (end for end in range(oldest // step * step + step, last + 1, step) if any(kept.get(end, ()))), None
        )
        if first_used is None:
            return []
        begin = max(first_used - step, oldest)  # usage began after the last empty window's end
        if end_us - size_us - begin < OBSERVED_US:
            return []
        return [
            (end, Observed._make(kept[end]) if end in kept else NOTHING)
            for end in range(-(-(begin + size_us) // step) * step, last + 1, step)
        ]


def outside(windows: Past, without: Sequence[Span]) -> Iterator[Observed]:
    """The windows that end in none of the spans."""
    return (window for end, window in windows if not any(begin <= end <= last for begin, last in without))


def usual(windows: Past, figure: Callable[[Observed], int | None], without: Sequence[Span]) -> tuple[int, int] | None:
    """Median (the lower) and 95th percentile (nearest rank) of a figure, over the windows outside the spans `without`.

    None if fewer than 20 windows have the figure.
    """
    found = sorted(value for window in outside(windows, without) if (value := figure(window)) is not None)
    if len(found) < LEAST_WINDOWS:
        return None
    return found[(len(found) - 1) // 2], found[-(-95 * len(found) // 100) - 1]
