"""When a team works: a rate for each hour, and the mapping between clock time and amount of work done.

The unit of work is an ordinary week of the team, so "three tenths of a week" skips nights, weekends and holidays by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np
import numpy.typing as npt

from streams.windows.measures import DAY_US, HOUR_US

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

WORKDAYS_A_WEEK: Final = 5.0
_HOURS: Final = np.array(
    [2, 1, 1, 1, 1, 1, 2, 8, 35, 80, 100, 96, 62, 70, 92, 100, 94, 76, 42, 22, 14, 10, 6, 3], dtype=np.float64
)
_WEEKDAYS: Final = np.array([0.98, 1.05, 1.06, 1.03, 0.88, 0.10, 0.08])
_ON_CALL_FLOOR: Final = 18.0
_ON_CALL_WEEKDAYS: Final = np.array([1.0, 1.0, 1.02, 1.0, 0.96, 0.45, 0.42])


@dataclass(frozen=True, slots=True)
class Pace:
    """From begin to end (micro-seconds) the work goes on at `factor` times the ordinary rate."""

    begin_us: int
    end_us: int
    factor: float


class Rhythm:
    """Work of one team between two instants on full hours."""

    def __init__(
        self, begin_us: int, end_us: int, utc_shift_h: int, *, on_call: bool, paces: Iterable[Pace] = ()
    ) -> None:
        self.edges: Ints = np.arange(begin_us, end_us + HOUR_US, HOUR_US, dtype=np.int64)
        hours = self.edges[:-1] // HOUR_US
        days = self.edges[:-1] // DAY_US
        first_weekday = datetime.fromtimestamp(begin_us // 1_000_000, UTC).weekday()
        weekday = (first_weekday + days - days[0]) % 7
        by_hour = np.maximum(_HOURS, _ON_CALL_FLOOR) if on_call else _HOURS
        by_day = _ON_CALL_WEEKDAYS if on_call else _WEEKDAYS
        rate: Floats = by_hour[(hours + utc_shift_h) % 24] * by_day[weekday] / (by_hour.sum() * by_day.sum())
        for pace in paces:
            rate[(self.edges[:-1] >= pace.begin_us) & (self.edges[:-1] < pace.end_us)] *= pace.factor
        self.work: Floats = np.concatenate(([0.0], np.cumsum(rate)))

    def work_at(self, times_us: Ints | Sequence[int]) -> Floats:
        """Weeks of work done since the beginning."""
        return np.interp(times_us, self.edges, self.work)

    def time_at(self, work: Floats) -> Ints:
        """The instants, in micro-seconds, at which so much work is done; the inverse of `work_at`."""
        return np.interp(work, self.work, self.edges.astype(np.float64)).astype(np.int64)

    def spread(self, rng: np.random.Generator, begin_us: int, end_us: int, rate: float, jitter: float) -> Floats:
        """Amounts of work, `rate` a week, evenly spread with jitter: as irregular as life, without the noise of independent draws."""
        lo, hi = self.work_at([begin_us, end_us])
        count = int((hi - lo) * rate + rng.random())
        steps = np.arange(count) + 0.5 + rng.uniform(-jitter, jitter, count)
        return np.sort(lo + np.clip(steps, 0, count) / max(count, 1) * (hi - lo))
