"""The rule about a feed that is dead: judged by the requests that should have come since the last one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Final

from streams.detect.history import Before, Span
from streams.detect.observed import Observed
from streams.detect.rule import AlertRule, Usual
from streams.detect.silence import MOST_SILENT_US, PANE_US, Pauses, faded_per_mille, pauses
from streams.detect.words import duration
from streams.windows.measures import DAY_US, HOUR_US

LEAST_DAYS: Final = 8
"""Of the four weeks before, on which the team was at work at this time: with fewer nothing is usual."""
LATER_US: Final = 3 * HOUR_US
"""Of a silence that lasts longer even more must be missed."""
FOREVER_US: Final = 1 << 62
_WEEKS: Final = range(1, 5)


@dataclass(frozen=True, slots=True)
class FeedSilent(AlertRule):
    """No requests for half an hour or more, in which many should have come: many more than any pause of the team leaves out.

    How many should have come is what the days of the four weeks before brought in the same time of day, of those at least half as busy in the hour
    before the silence, times the square root of how busy that hour was beside theirs: halfway between what is usual and what it was just now. A team
    that goes home or pauses does not stop at once: its last hour has little in it, or its last quarter little of that hour. So as much less should
    have come as the last quarter had less than a fourth of the hour. On the same weekday the team must have been at work, too.
    How much a pause leaves out is the mean of the team's own pauses of eight days, each at the pace of the hour before it.
    Silence that lasts longer must miss twice as much, after three hours three times: it may be a half day. A holiday is silent from the morning on.
    """

    least_requests: int
    factor_per_mille: int
    least_share_per_mille: int
    shortest_us: int
    soon_us: int
    longest_us: int

    name, size, kind, unit = "feed_silent", "1h", "page", "milli_requests"
    looks = True

    @property
    def absence_us(self) -> int:
        return self.longest_us if self.longest_us < MOST_SILENT_US else FOREVER_US

    def figure(self, now: Observed) -> int:
        return 0 if now.silent_us else 1000 * now.requests

    def worth(self, now: Observed) -> bool:
        return now.silent_us >= self.shortest_us

    def threshold(self, median: int, p95: int) -> int:
        return 0

    def look(self, now: Observed, before: Before, without: Sequence[Span]) -> Observed:
        if now.requests > before.requests(before.end_us - PANE_US):
            return now
        silent = before.silent_panes(now.requests, -(-self.shortest_us // PANE_US))
        return now._replace(silent_us=silent * PANE_US)

    def usual(self, now: Observed, before: Before, without: Sequence[Span]) -> Usual | None:
        if not self.shortest_us <= now.silent_us <= self.longest_us:
            return None
        since_us = before.end_us - now.silent_us
        times = 1 + (now.silent_us > self.soon_us) + (now.silent_us > LATER_US)
        missed = self._missed(before, since_us, without)
        if missed < times * self.least_requests:
            return None
        recent = before.recent(now.requests)
        missed = missed * faded_per_mille(recent, now.silent_us // PANE_US) // 1000
        if missed < times * self.least_requests:
            return None
        found = pauses(recent, self.longest_us // PANE_US) or Pauses(0, 0)
        if 1000 * missed < times * self.factor_per_mille * found.mean:
            return None
        return Usual(1000 * missed, 0, 0, 0)

    def _missed(self, before: Before, since_us: int, without: Sequence[Span]) -> int:
        """Requests that should have come since then. 0 if that cannot be told, or if the hour before was too quiet to tell a silence from an end."""
        earlier = before.requests(since_us)
        if 2 * earlier * self.longest_us < self.least_requests * HOUR_US:
            return 0

        def then(days: int) -> int:
            return before.requests_between(since_us - days * DAY_US, before.end_us - days * DAY_US)

        of_week = sorted(then(7 * week) for week in _WEEKS)[1]
        if not of_week:
            return 0
        number = missed = paces = 0
        for days in range(1, 29):
            begin_us, end_us = since_us - days * DAY_US, before.end_us - days * DAY_US
            pace = before.requests_between(begin_us - HOUR_US, begin_us)
            if 2 * pace >= earlier and not any(a <= end_us <= b for a, b in without):
                number, missed, paces = number + 1, missed + then(days), paces + pace
        if number < LEAST_DAYS or 3 * of_week * number < missed:
            return 0
        if 1000 * earlier * number < self.least_share_per_mille * paces:
            return 0
        return isqrt(missed * missed * min(earlier * number, 2 * paces) // paces) // number

    def active(self, now: Observed, than: Usual) -> bool:
        return self.worth(now)

    def says(self, now: Observed, than: Usual) -> str:
        return f"sent no AI requests for {duration(now.silent_us)}, in which it usually sends {than.baseline // 1000:,}: is its feed dead?"
