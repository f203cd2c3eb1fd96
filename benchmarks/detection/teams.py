"""The made company: who its teams are and when they work. Time is in cells of five minutes since T0, a Monday's UTC midnight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

T0_US: Final = 1_767_571_200_000_000
"""2026-01-05."""
CELL_US: Final = 300_000_000
HOUR: Final = 12
DAY: Final = 288
WEEK: Final = 7 * DAY
_HOURS: Final = np.array([1, 1, 0, 0, 0, 1, 2, 8, 35, 80, 100, 96, 62, 70, 92, 100, 94, 76, 40, 20, 12, 8, 5, 2], float)
_WEEKDAYS: Final = np.array([0.98, 1.05, 1.06, 1.03, 0.88, 0.07, 0.05])
_ON_CALL_HOURS: Final = np.maximum(_HOURS, 15.0)
_ON_CALL_WEEKDAYS: Final = np.array([1.0, 1.0, 1.02, 1.0, 0.96, 0.45, 0.42])
WORKDAY: Final = (9 * HOUR, 17 * HOUR)
"""Cells of a day, by the team's own clock, in which most of the work is done."""


@dataclass(frozen=True, slots=True)
class Team:
    """An ordinary week. Shares are of the sessions; `usd` is of one session on average; rates are a person's and week's."""

    name: str
    people: int
    sessions: float
    usd: float
    usd_per_mtok: float
    requests: float
    core_items: float
    other_items: float
    low_items: float
    unattributed: float
    enabling: float
    low_value: float
    supporting: float
    utc_shift_h: int
    on_call: bool
    day_noise: float
    week_noise: float

    @property
    def usd_a_week(self) -> float:
        return self.people * self.sessions * self.usd

    def local(self, cell: int) -> int:
        """The cell by the team's own clock."""
        return cell + self.utc_shift_h * HOUR

    def rhythm(self, cells: int) -> Floats:
        """Part of a week's work that is done in each cell; a week of seven days sums to 1."""
        hours, days = (_ON_CALL_HOURS, _ON_CALL_WEEKDAYS) if self.on_call else (_HOURS, _WEEKDAYS)
        local = np.arange(cells) + self.utc_shift_h * HOUR
        rate: Floats = hours[local // HOUR % 24] * days[local // DAY % 7]
        rate /= HOUR * hours.sum() * days.sum()
        return rate


def draw_team(rng: np.random.Generator, number: int) -> Team:
    """A team of 3 to 40 people that spends about $60 a week and person, some a fifth of it and some five times it."""
    on_call = bool(rng.random() < 0.15)
    return Team(
        name=f"team-{number:03}",
        people=int(np.clip(rng.lognormal(2.1, 0.5), 3, 40)),
        sessions=float(rng.uniform(25, 60)),
        usd=float(np.clip(rng.lognormal(0.25, 0.6), 0.25, 6)),
        usd_per_mtok=float(rng.lognormal(-0.2, 0.3)),
        requests=float(rng.uniform(12, 35)),
        core_items=float(rng.uniform(0.8, 2.2)) * (0.4 if on_call else 1),
        other_items=float(rng.uniform(0.4, 1.2)),
        low_items=float(rng.uniform(0.3, 1.0)),
        unattributed=float(rng.uniform(0.02, 0.14)),
        enabling=float(rng.uniform(0.4, 0.65)) if on_call else float(rng.uniform(0.01, 0.12)),
        low_value=float(rng.uniform(0.03, 0.15)),
        supporting=float(rng.uniform(0.12, 0.3)),
        utc_shift_h=int(rng.choice([-8, -7, -5, -3, 0, 0, 1, 1, 2, 5, 8])),
        on_call=on_call,
        day_noise=float(rng.uniform(0.12, 0.3)),
        week_noise=float(rng.uniform(0.05, 0.18)),
    )
