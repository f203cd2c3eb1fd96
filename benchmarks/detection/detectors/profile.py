"""What is usual for a series at an hour of the week, learnt online."""

from __future__ import annotations

from typing import Final

from streams.detect.detectors.baseline import Baseline
from streams.windows.measures import DAY_US, HOUR_US

_SLOWEST_LEVEL: Final = 0.0005
_SLOWEST_SCALE: Final = 0.002
_SLOWEST_SEASON: Final = 0.075
_CLIPPED: Final = 5.0
"""A value moves level and season as if it lay at most this many scales off (Huber 1964), so one spike changes neither."""
_LEAST: Final = 50
"""Values from which on it is known."""
_HOURS: Final = 168
_MONDAY: Final = 72
"""Hours to add to those since 1970, a Thursday, to count from a Monday."""


class Profile(Baseline):
    """Level, plus what the hour of the day adds to it, plus what the hour of the week adds to that.

    Each is a robust moving mean. A season counts for days / (days + 1) of what was learnt, so a short history shrinks to the level.
    """

    KEPT = ("values", "first_us", "level", "scale", "by_day", "by_week", "day_values", "week_values")

    def __init__(self) -> None:
        self.values = 0
        self.first_us = 0
        self.level = 0.0
        self.scale = 0.0
        """Mean distance from the level, in the unit of the series."""
        self.by_day = [0.0] * 24
        self.by_week = [0.0] * _HOURS
        self.day_values = [0] * 24
        self.week_values = [0] * _HOURS

    @property
    def known(self) -> bool:
        return self.values >= _LEAST

    def expected(self, at_us: int) -> float:
        hour = (at_us // HOUR_US + _MONDAY) % _HOURS
        days = max(1, (at_us - self.first_us) // DAY_US + 1)
        weeks = (days + 6) // 7
        return self.level + self.by_day[hour % 24] * days / (days + 1) + self.by_week[hour] * weeks / (weeks + 1)

    def begin(self, at_us: int, value: float) -> None:
        if not self.values:
            self.first_us, self.level = at_us, value

    def learn(self, at_us: int, value: float) -> None:
        self.values += 1
        hour = (at_us // HOUR_US + _MONDAY) % _HOURS
        off = value - self.level
        self.scale += max(_SLOWEST_SCALE, 1 / self.values) * (
            min(abs(off), 2 * _CLIPPED * self.scale or abs(off)) - self.scale
        )
        limit = _CLIPPED * self.scale
        self.level += max(_SLOWEST_LEVEL, 1 / self.values) * _clip(off, limit)
        day = hour % 24
        self.day_values[day] += 1
        self.by_day[day] += max(_SLOWEST_SEASON, 1 / self.day_values[day]) * _clip(off - self.by_day[day], limit)
        self.week_values[hour] += 1
        rest = off - self.by_day[day] - self.by_week[hour]
        self.by_week[hour] += max(_SLOWEST_SEASON, 1 / (self.week_values[hour] + 1)) * _clip(rest, limit)


def _clip(value: float, limit: float) -> float:
    return min(limit, max(-limit, value))
